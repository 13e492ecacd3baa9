"""What `convert` writes, opened by the library of each format: all tensors bit-equal, equal bytes twice."""

import json
import os
import time
import zipfile

os.environ["KERAS_BACKEND"] = "torch"

import gguf
import h5py
import keras
import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TORCH_TYPES = [
    "bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16", "bfloat16",
    "float32", "float64", "complex64", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz",
    "float8_e8m0fnu",
]
# Scalars, empty tensors, odd sizes; three elements of one byte put the next tensor out of line.
SHAPES = [(), (3,), (2, 5), (0, 4), (3, 1, 7)]


def random_bits(shape, dtype, seed=0):
    """Any bit pattern that is a value: what is copied must not be touched."""
    generator = torch.Generator().manual_seed(seed)
    if dtype == torch.bool:
        return torch.randint(0, 2, shape, generator=generator).bool()
    count = int(np.prod(shape)) * torch.empty((), dtype=dtype).element_size()
    raw = torch.randint(0, 256, (count,), dtype=torch.uint8, generator=generator)
    return raw.view(dtype).reshape(shape)


def bits(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8) if tensor.numel() else torch.zeros(0, dtype=torch.uint8)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(bits(a), bits(b))


def tensors(types, names="layers.{}.{}/x{}"):
    return {
        names.format(number, name, index): random_bits(shape, getattr(torch, name), number * 10 + index)
        for number, name in enumerate(types) for index, shape in enumerate(SHAPES)
    }


@pytest.fixture
def source(tmp_path):
    """Saves tensors as safetensors and returns the path."""

    def save(state, metadata=None):
        path = tmp_path / "source.safetensors"
        safetensors.torch.save_file(state, path, metadata)
        return path

    return save


def twice(tessera, source, out, *options, pause=0):
    """Converts to `out` and once more beside it: the bytes are the same."""
    tessera("convert", source, "-o", out, *options)
    time.sleep(pause)
    again = out.with_name(f"again-{out.name}")
    tessera("convert", source, "-o", again, *options)
    assert out.read_bytes() == again.read_bytes()
    return out


# PyTorch ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["pt", "pth", "bin", "ckpt"])
def test_torch_opens_every_type_with_weights_only(ending, tessera, source, tmp_path):
    state = tensors(TORCH_TYPES)
    out = twice(tessera, source(state, {"author": "somebody"}), tmp_path / f"out.{ending}")
    for mapped in (False, True):
        loaded = torch.load(out, weights_only=True, mmap=mapped)
        assert type(loaded) is dict and loaded.keys() == state.keys()
        assert all(same(loaded[name], tensor) for name, tensor in state.items())
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("archive/extra/tessera.json"))["author"] == "somebody"
        starts = [member for member in archive.infolist() if "/data/" in member.filename]
        with out.open("rb") as file:
            for member in starts:
                file.seek(member.header_offset + 26)
                name, extra = np.frombuffer(file.read(4), "<u2")
                assert (member.header_offset + 30 + int(name) + int(extra)) % 64 == 0


def test_torch_opens_pairs_of_four_bits_and_large_numbers_of_elements(tessera, tmp_path, source):
    header = {"a": {"dtype": "F4", "shape": [2, 6], "data_offsets": [0, 6]},
              "b": {"dtype": "U8", "shape": [70000, 1], "data_offsets": [6, 70006]}}
    text = json.dumps(header).encode()
    path = tmp_path / "four.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(range(6)) + bytes(70000))
    tessera("convert", path, "-o", tmp_path / "four.pt")
    loaded = torch.load(tmp_path / "four.pt", weights_only=True)
    assert loaded["a"].dtype == torch.float4_e2m1fn_x2 and loaded["a"].shape == (2, 3)
    assert loaded["a"].view(torch.uint8).flatten().tolist() == list(range(6))
    assert loaded["b"].shape == (70000, 1)


# numpy -----------------------------------------------------------------------------------------------


NUMPY_TYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16",
               "float32", "float64", "complex64"]


def test_numpy_opens_archives_of_every_type_it_has(tessera, source, tmp_path):
    state = tensors(NUMPY_TYPES) | {"é/日本": torch.arange(5.0)}
    out = twice(tessera, source(state, {"author": "somebody"}), tmp_path / "out.npz")
    with np.load(out, allow_pickle=False) as arrays:
        assert set(arrays.files) == state.keys()
        for name, tensor in state.items():
            array = arrays[name]
            assert array.flags.c_contiguous and array.shape == tuple(tensor.shape)
            assert same(torch.from_numpy(array.copy()), tensor)
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.comment)["author"] == "somebody"
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())


def test_transposed_tensors_have_the_right_checksums(tessera, tmp_path):
    model = keras.Sequential([keras.Input((300,)), keras.layers.Dense(700), keras.layers.Dense(5)])
    model.save(tmp_path / "m.keras")
    for name in ("out.npz", "out.pt"):
        twice(tessera, tmp_path / "m.keras", tmp_path / name, "--to", "torch")
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert archive.testzip() is None
    arrays = np.load(tmp_path / "out.npz")
    loaded = torch.load(tmp_path / "out.pt", weights_only=True)
    for layer in model.layers:
        kernel = keras.ops.convert_to_numpy(layer.kernel).T
        np.testing.assert_array_equal(arrays[f"{layer.name}.weight"], kernel)
        np.testing.assert_array_equal(loaded[f"{layer.name}.weight"].numpy(), kernel)


# HDF5 ------------------------------------------------------------------------------------------------


def test_h5py_opens_names_with_dots_and_slashes(tessera, source, tmp_path):
    state = tensors(NUMPY_TYPES)
    # Long enough for a time in whole seconds to show.
    out = twice(tessera, source(state, {"author": "somebody"}), tmp_path / "out.h5", pause=1.1)
    with h5py.File(out) as file:
        found = {}
        file.visititems(lambda n, o: found.update({n: o[()]}) if isinstance(o, h5py.Dataset) else None)
        assert file.attrs["author"] == "somebody" and len(file.attrs["tessera.source.sha256"]) == 64
    assert found.keys() == state.keys()
    assert all(same(torch.from_numpy(np.array(found[name])), tensor) for name, tensor in state.items())


def test_narrow_floats_are_opaque_with_a_stated_type_and_come_back(tessera, source, tmp_path):
    state = tensors(["bfloat16", "float8_e4m3fn", "float8_e5m2"])
    out = twice(tessera, source(state), tmp_path / "out.hdf5")
    with h5py.File(out) as file:
        for name, tensor in state.items():
            assert file[name].attrs["dtype"] == str(tensor.dtype).removeprefix("torch.")
            assert file[name][()].tobytes() == bits(tensor).numpy().tobytes()
    tessera("convert", out, "-o", tmp_path / "back.safetensors")
    back = safetensors.torch.load_file(tmp_path / "back.safetensors")
    assert back.keys() == state.keys() and all(same(back[name], t) for name, t in state.items())


@pytest.mark.parametrize("policy", ["float32", "bfloat16"])
@pytest.mark.parametrize("ending", ["keras", "weights.h5"])
def test_keras_loads_its_weights(policy, ending, tessera, tmp_path):
    def model():
        inner = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4), keras.layers.BatchNormalization()])
        return keras.Sequential([keras.Input((6,)), inner, keras.layers.Dropout(0.1), keras.layers.Dense(3)])

    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        first, second = model(), model()
        path = tmp_path / f"m.{ending}"
        first.save_weights(path) if ending == "weights.h5" else first.save(path)
        out = twice(tessera, path, tmp_path / "out.weights.h5")
        second.load_weights(out)
        for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
            np.testing.assert_array_equal(np.asarray(a, np.float32), np.asarray(b, np.float32))
    finally:
        keras.config.set_dtype_policy("float32")


# GGUF ------------------------------------------------------------------------------------------------


def test_gguf_reads_types_shapes_and_keys(tessera, source, tmp_path):
    types = ["float32", "float16", "bfloat16", "float64", "int8", "int16", "int32", "int64"]
    state = {name: t for name, t in tensors(types, "t{}.{}.{}").items() if t.numel()}
    out = twice(tessera, source(state, {"author": "somebody"}), tmp_path / "out.gguf")
    reader = gguf.GGUFReader(out)
    # Nothing says of what model these tensors are, so the file does not.
    assert "general.architecture" not in reader.fields
    assert reader.fields["author"].contents() == "somebody"
    assert {t.name for t in reader.tensors} == state.keys()
    for tensor in reader.tensors:
        expected = state[tensor.name]
        assert tensor.data_offset % 32 == 0
        # ggml has no tensors without axes: a scalar is a vector of one.
        assert tuple(reversed(tensor.shape.tolist())) == (tuple(expected.shape) or (1,))
        assert tensor.data.tobytes() == bits(expected).numpy().tobytes()
        name = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64"}.get(
            str(expected.dtype).removeprefix("torch."), str(expected.dtype).removeprefix("torch.int"))
        assert tensor.tensor_type.name in (name, f"I{name}")


# What a format does not hold -----------------------------------------------------------------------------


@pytest.mark.parametrize("name, dtype, shape, ending, says", [
    ("x", "bfloat16", (2,), "npz", "--dtype f32"), ("../x", "float32", (2,), "npz", "leaves"),
    ("/x", "float32", (2,), "h5", "path"), ("x" * 64, "float32", (2,), "gguf", "63"),
    ("x", "bool", (2,), "gguf", "no type for BOOL"), ("x", "float32", (1, 1, 1, 1, 2), "gguf", "4 axes"),
    ("x", "float32", (0,), "gguf", "empty"), ("x", "float32", (2,), "weights.h5", "vars/0"),
    ("x", "float8_e8m0fnu", (2,), "h5", "no type"),
])
def test_what_a_format_does_not_hold_ends_with_4(name, dtype, shape, ending, says, tessera, source, tmp_path):
    path = source({name: random_bits(shape, getattr(torch, dtype))})
    result = tessera("convert", path, "-o", tmp_path / f"out.{ending}", code=4)
    assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1 and says in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_tensor_and_a_group_of_one_name_end_with_4(tessera, source, tmp_path):
    path = source({"a": torch.zeros(1), "a/b": torch.zeros(1)})
    assert "group" in tessera("convert", path, "-o", tmp_path / "out.h5", code=4).stderr


def test_wrong_usage_is_refused(tessera, source, tmp_path):
    path = source({"a": torch.zeros(1)})
    tessera("convert", path, "-o", tmp_path / "out.xyz", code=64)
    tessera("convert", path, "-o", tmp_path / "out.npz", "--shard-size", "1KB", code=64)
    tessera("convert", path, "-o", tmp_path / "out.xyz", "--to", "npz")
    assert np.load(tmp_path / "out.xyz")["a"].shape == (1,)
