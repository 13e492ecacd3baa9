"""PyTorch's files of every generation: all tensors equal torch's bit for bit; nothing in a pickle is run."""

import io
import json
import pickle
import struct
import subprocess
import zipfile

import numpy as np
import pytest
import torch

TYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "U16": torch.uint16, "I32": torch.int32,
    "U32": torch.uint32, "I64": torch.int64, "U64": torch.uint64, "F16": torch.float16, "BF16": torch.bfloat16,
    "F32": torch.float32, "F64": torch.float64, "C64": torch.complex64, "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E8M0": torch.float8_e8m0fnu, "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz, "C128": torch.complex128,
}
NAMES = {dtype: name for name, dtype in TYPES.items()}


def stored_bytes(tensor):
    """The elements row-major and little-endian, conjugation and negation resolved."""
    tensor = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return tensor.view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def safetensors_of(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    start = 8 + length
    tensors = {
        name: (info["dtype"], tuple(info["shape"]), data[start + info["data_offsets"][0] : start + info["data_offsets"][1]])
        for name, info in header.items()
    }
    return tensors, metadata


@pytest.fixture
def check(tessera, tmp_path):
    """Compares what Tessera reads of a file with the tensors that are expected, by name."""

    def compare(path, expected, skipped=()):
        shown = json.loads(tessera("inspect", path, "--json").stdout)
        listed = {entry["name"]: entry for entry in shown["tensors"]}
        assert set(listed) - set(skipped) == set(expected)
        output = tmp_path / "converted.safetensors"
        output.unlink(missing_ok=True)
        tessera("convert", path, "-o", output, "--quiet")
        tensors, _ = safetensors_of(output)
        for name, tensor in expected.items():
            assert listed[name]["shape"] == list(tensor.shape), name
            assert listed[name]["dtype"] == NAMES[tensor.dtype], name
            dtype, shape, data = tensors[name]
            assert (dtype, shape) == (NAMES[tensor.dtype], tuple(tensor.shape)), name
            assert data == stored_bytes(tensor), name
        return shown

    return compare


def flat(value, prefix=""):
    """Name → tensor of nested dictionaries, lists and tuples."""
    if isinstance(value, torch.Tensor):
        return {prefix: value}
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        return {}
    found = {}
    for key, item in items:
        found.update(flat(item, f"{prefix}.{key}" if prefix else str(key)))
    return found


def random_tensor(dtype, shape, generator):
    width = torch.empty(0, dtype=dtype).element_size()
    count = int(np.prod(shape))
    raw = torch.randint(0, 256, (count * width,), dtype=torch.uint8, generator=generator)
    if dtype is torch.bool:
        raw &= 1
    return raw.view(dtype).reshape(shape)


def every_kind():
    generator = torch.Generator().manual_seed(7)
    real = {name: dtype for name, dtype in TYPES.items() if name != "C128"}
    value = {name: random_tensor(dtype, (3, 5), generator) for name, dtype in real.items()}
    base = torch.arange(120, dtype=torch.float32)
    grid = base.reshape(4, 5, 6)
    value |= {
        "scalar": torch.tensor(3.5), "empty": torch.empty(0, 7), "views": {
            "base": base, "slice": base[10:30:3], "transposed": grid.permute(2, 0, 1), "expanded": base[:4].expand(3, 4),
            "column": grid[:, 2, :], "overlapping": base.as_strided((10, 4), (2, 1), 3), "same": base,
        },
        "conjugate": torch.randn(3, 4, dtype=torch.complex64, generator=generator).conj(),
        "adjoint": torch.randn(3, 4, dtype=torch.complex64, generator=generator).mH,
        "negative": torch.randn(3, 4, dtype=torch.complex64, generator=generator).conj().imag,
        "parameter": torch.nn.Parameter(torch.randn(2, 3, generator=generator)),
        "list": [torch.ones(2), (torch.zeros(3), 4)], "step": 12, "name": "x", "rate": 1e-3, "flag": True, "nothing": None,
        "betas": (0.9, 0.999), 5: torch.ones(1),
    }
    return value


def test_every_type_stride_and_view(check, tmp_path):
    value = every_kind()
    path = tmp_path / "all.pt"
    torch.save(value, path)
    shown = check(path, flat(value))
    assert shown["format"] == "torch-zip"
    aliases = {entry["name"]: entry["alias_of"] for entry in shown["tensors"] if "alias_of" in entry}
    assert aliases == {"views.same": "views.base"}
    assert any("'views.base' shares its storage with other views: 'views.slice'" in note for note in shown["notes"])
    for name, text in {"step": "12", "name": "x", "rate": "0.001", "flag": "true", "betas": "[0.9, 0.999]"}.items():
        assert shown["attributes"][name] == text
    assert not [note for note in shown["notes"] if "global" in note]


def test_complex128(tessera, tmp_path):
    torch.save({"a": torch.ones(2, dtype=torch.complex128)}, tmp_path / "c.pt")
    shown = json.loads(tessera("inspect", tmp_path / "c.pt", "--json").stdout)
    assert shown["tensors"] == [{"dtype": "C128", "name": "a", "shape": [2]}]


def test_old_format_and_rezipped_archives(check, tmp_path):
    value = every_kind()
    torch.save(value, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert check(tmp_path / "old.pt", flat(value))["format"] == "torch-legacy"
    torch.save(value, tmp_path / "new.pt")
    for method, force in ((zipfile.ZIP_DEFLATED, False), (zipfile.ZIP_STORED, True), (zipfile.ZIP_STORED, False)):
        path = tmp_path / f"again{method}{force}.pt"
        with zipfile.ZipFile(tmp_path / "new.pt") as source, zipfile.ZipFile(path, "w", method) as target:
            for name in source.namelist():
                with target.open(zipfile.ZipInfo(name), "w", force_zip64=force) as member:
                    target.compression = method
                    member.write(source.read(name))
        check(path, flat(value))
    path = tmp_path / "deflated.pt"
    with zipfile.ZipFile(tmp_path / "new.pt") as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    check(path, flat(value))


def test_large_transposed_tensor(check, tmp_path):
    """Above the window of 32 MiB, so boxes are gathered one after the other."""
    tensor = torch.arange(3000 * 4001, dtype=torch.float32).reshape(3000, 4001)
    value = {"t": tensor.t(), "p": tensor.reshape(300, 10, 4001).permute(1, 2, 0)}
    torch.save(value, tmp_path / "t.pt")
    check(tmp_path / "t.pt", flat(value))
