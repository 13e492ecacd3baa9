"""Exit 0 means that nothing was left out unsaid: every tensor is read right, or named with exit code 4."""

import array
import json
import pickle

import gguf
import h5py
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import onnx
import pytest
import safetensors
import safetensors.numpy
import torch
from onnx import TensorProto, helper, numpy_helper

A = np.arange(6, dtype=np.float32).reshape(2, 3)


def loaded(path):
    return safetensors.numpy.load_file(path)


@pytest.fixture
def convert(tessera, tmp_path):
    """Converts to safetensors and returns the tensors."""

    def run(source, *options):
        out = tmp_path / "out.safetensors"
        tessera("convert", source, "-o", out, "--quiet", *options)
        return loaded(out)

    return run


@pytest.fixture
def incomplete(tessera, tmp_path):
    """A conversion that would lose something: exit 4, one line with these words, no file."""

    def run(source, *words, options=()):
        out = tmp_path / "none.safetensors"
        result = tessera("convert", source, "-o", out, *options, code=4)
        assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1, result.stderr
        assert all(word in result.stderr for word in words), result.stderr
        assert not out.exists()
        return result.stderr

    return run


def pickled(path, value, protocol=4):
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


# PyTorch -----------------------------------------------------------------------------------------------

DENSE = torch.tensor([[0.0, 2, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0], [0, 5, 0, 6]])
SPARSE = {
    "coo": (DENSE.to_sparse_coo(), ["indices", "values"]),
    "uncoalesced": (torch.sparse_coo_tensor([[0, 0], [1, 1]], [1.0, 2.0], (2, 3)), ["_indices", "_values"]),
    "hybrid": (torch.sparse_coo_tensor([[0, 2]], [[1.0, 2], [3, 4]], (3, 2)).coalesce(), ["indices", "values"]),
    "csr": (DENSE.to_sparse_csr(), ["crow_indices", "col_indices", "values"]),
    "csc": (DENSE.to_sparse_csc(), ["ccol_indices", "row_indices", "values"]),
    "bsr": (DENSE.to_sparse_bsr((2, 2)), ["crow_indices", "col_indices", "values"]),
    "bsc": (DENSE.to_sparse_bsc((2, 2)), ["ccol_indices", "row_indices", "values"]),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("zipped", [True, False])
def test_sparse_tensors_come_with_all_their_parts(convert, tessera, tmp_path, zipped):
    path = tmp_path / "sparse.pt"
    torch.save({"net": {name: tensor for name, (tensor, _) in SPARSE.items()}, "w": torch.ones(2)}, path, _use_new_zipfile_serialization=zipped)
    found = convert(path)
    expected = {"w"}
    for name, (tensor, parts) in SPARSE.items():
        for part in parts:
            key = f"net.{name}.{part.lstrip('_')}"
            expected.add(key)
            np.testing.assert_array_equal(found[key], getattr(tensor, part)().numpy(), key)
        expected.add(f"net.{name}.size")
        assert found[f"net.{name}.size"].tolist() == list(tensor.shape)
    assert set(found) == expected
    notes = json.loads(tessera("inspect", path, "--json").stdout)["notes"]
    assert sum("a sparse tensor" in note for note in notes) == len(SPARSE)


@pytest.mark.filterwarnings("ignore")
def test_quantized_tensors_keep_their_scales(convert, tmp_path):
    weights = torch.randn(3, 4)
    scales, zeros = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64), torch.tensor([1, 2, 3])
    one = torch.quantize_per_tensor(weights, 0.25, 3, torch.quint8)
    axis = torch.quantize_per_channel(weights, scales, zeros, 0, torch.qint8)
    torch.save({"one": one, "axis": axis}, tmp_path / "q.pt")
    found = convert(tmp_path / "q.pt")
    assert set(found) == {"one", "one.scale", "one.zero_point", "axis", "axis.scales", "axis.zero_points", "axis.axis"}
    np.testing.assert_array_equal(found["one"], one.int_repr().numpy())
    assert found["one.scale"] == 0.25 and found["one.zero_point"] == 3 and found["axis.axis"] == 0
    np.testing.assert_array_equal(found["axis"], axis.int_repr().numpy())
    np.testing.assert_array_equal(found["axis.scales"], scales.numpy())
    np.testing.assert_array_equal(found["axis.zero_points"], zeros.numpy())
    restored = (found["axis"].astype(np.float64) - found["axis.zero_points"][:, None]) * found["axis.scales"][:, None]
    np.testing.assert_allclose(restored, axis.dequantize().numpy(), rtol=1e-6)


class Tagged(torch.Tensor):
    """A class of its own that keeps more than its elements."""


class Blob:
    def __init__(self, data):
        self.handle = data


class ShardedTensor:
    pass


ShardedTensor.__module__ = "torch.distributed._shard.sharded_tensor.api"


def nested():
    return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


UNREADABLE = {
    "nested": (nested, "_rebuild_nested_tensor"), "meta": (lambda: torch.ones(2, device="meta"), "meta"),
    "uninitialized": (lambda: torch.nn.parameter.UninitializedParameter(), "UninitializedParameter"),
    "objects": (lambda: np.array([{}, None], dtype=object), "objects"), "structure": (lambda: np.zeros(2, [("a", "f4"), ("b", "i4")]), "structures"),
    "masked": (lambda: np.ma.masked_array([1.0, 2.0], [True, False]), "a masked array"), "array": (lambda: array.array("f", [1.0] * 9), "module 'array'"),
    "blob": (lambda: Blob(b"\0" * 32), "32 bytes whose meaning"), "bytearray": (lambda: Blob(bytearray(64)), "64 bytes whose meaning"),
    "placeholder.weight": (lambda: torch.empty(0), "placeholder"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_not_read_is_named_and_can_be_left_out(convert, incomplete, tmp_path, name):
    make, words = UNREADABLE[name]
    torch.save({"a": torch.ones(2), "net": {name: make()}, "z": torch.zeros(3)}, tmp_path / "m.pt")
    incomplete(tmp_path / "m.pt", f"net.{name}", words, "--strip")
    assert set(convert(tmp_path / "m.pt", "--strip", f"net.{name}*")) == {"a", "z"}


def test_more_unreadable_values_than_notes(incomplete, tmp_path):
    torch.save({"a": torch.ones(2), **{f"x{n}": torch.ones(1, device="meta") for n in range(150)}, "y": torch.ones(1, device="meta")}, tmp_path / "m.pt")
    incomplete(tmp_path / "m.pt", "150 more")
    incomplete(tmp_path / "m.pt", "y: ", options=("--strip", "x*"))


def test_classes_of_tensors_keep_their_fields(convert, tmp_path, monkeypatch):
    import sys

    monkeypatch.setattr(sys.modules[__name__], "Tagged", Tagged)
    tensor = torch.ones(2, 2).as_subclass(Tagged)
    tensor.absmax = torch.full((2,), 3.0)
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.extra = torch.ones(1)
    torch.save({"w": tensor, "p": parameter}, tmp_path / "t.pt")
    found = convert(tmp_path / "t.pt")
    assert found["w"].tolist() == [[1, 1], [1, 1]] and found["w.absmax"].tolist() == [3, 3]
    assert set(found) >= {"w", "w.absmax", "p"}


def test_sharded_and_partitioned_models(incomplete, tmp_path, monkeypatch):
    import sys
    import types

    module = types.ModuleType(ShardedTensor.__module__)
    module.ShardedTensor = ShardedTensor
    monkeypatch.setitem(sys.modules, ShardedTensor.__module__, module)
    part = ShardedTensor()
    part.local = torch.ones(4)
    torch.save({"w": part, "b": torch.ones(1)}, tmp_path / "s.pt")
    incomplete(tmp_path / "s.pt", "w: ", "ShardedTensor")
    for name, value in {
        "optimizer": {"optimizer_state_dict": {"zero_stage": 1, "single_partition_of_fp32_groups": [torch.ones(9)]}},
        "zero3": {"optimizer_state_dict": {"fp32_flat_groups": [torch.ones(9)]}, "ds_config": {}},
        "tensor parallel": {"module": {"w": torch.ones(2)}, "mp_world_size": 2},
    }.items():
        torch.save(value, tmp_path / "zero.pt")
        incomplete(tmp_path / "zero.pt")
    torch.save({"w": torch.empty(0), "x.weight": torch.empty(0), "b": torch.ones(2)}, tmp_path / "z.pt")
    incomplete(tmp_path / "z.pt", "x.weight", "ZeRO-3")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_jax_and_narrow_floats_in_pickles(tessera, tmp_path, protocol):
    value = {
        "mlp/~/linear_0": {"w": jnp.arange(6.0).reshape(2, 3), "b": jnp.zeros(3)}, "half": jnp.ones((2,), jnp.bfloat16),
        "f8": np.ones(3, ml_dtypes.float8_e4m3fn), "bf": np.full((2, 2), 1.5, ml_dtypes.bfloat16), "n": jnp.int32(3), "s": np.array(["x", "y"]),
    }
    out = tmp_path / "out.safetensors"
    tessera("convert", pickled(tmp_path / "in.pkl", value, protocol), "-o", out)
    with safetensors.safe_open(out, "pt") as file:
        assert set(file.keys()) == {"mlp/~/linear_0.w", "mlp/~/linear_0.b", "half", "f8", "bf", "n"}
        np.testing.assert_array_equal(file.get_tensor("mlp/~/linear_0.w").numpy(), A)
        assert file.get_tensor("half").dtype == torch.bfloat16 and file.get_tensor("half").tolist() == [1, 1]
        assert file.get_tensor("bf").tolist() == [[1.5, 1.5]] * 2 and file.get_tensor("f8").float().tolist() == [1, 1, 1]


class Call:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def test_pickles_of_other_libraries(convert, incomplete, tmp_path):
    # Paddle: tuple((name, array)).
    found = convert(pickled(tmp_path / "p.pdparams", {"linear.weight": Call(tuple, ("linear_0.w_0", A)), "StructuredToParameterName@@": {"linear.weight": "linear_0.w_0"}}))
    assert set(found) == {"linear.weight"} and np.array_equal(found["linear.weight"], A)
    incomplete(pickled(tmp_path / "none.pkl", {"a": [1, 2.5], "text": "x", "bytes": b"12345"}), "holds no tensor", "runs of bytes")
    incomplete(pickled(tmp_path / "blob.pkl", Blob(b"\0" * 100)), "100 bytes")


# ONNX --------------------------------------------------------------------------------------------------


def model(nodes, initializers=(), sparse=(), functions=(), domains=("",), **fields):
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", [], outputs, list(initializers), sparse_initializer=list(sparse))
    opsets = [helper.make_opsetid(domain, 21 if not domain else 1) for domain in domains]
    made = helper.make_model(graph, opset_imports=opsets, functions=list(functions))
    for name, value in fields.items():
        getattr(made, name).extend(value)
    return made


def subgraph(name, array, nodes=()):
    return helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}_out"]), *nodes], "branch", [],
        [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)], [numpy_helper.from_array(array, name)],
    )


def test_onnx_weights_are_found_wherever_they_are(convert, tessera, tmp_path):
    inner = helper.make_node("If", ["c"], ["deep"], then_branch=subgraph("deep_w", A * 7), else_branch=subgraph("deep_v", A * 8))
    function = helper.make_function("here", "Layer", ["x"], ["z"], [helper.make_node("Constant", [], ["fw"], value=numpy_helper.from_array(A * 9, "any"))], [helper.make_opsetid("", 21)])
    training = onnx.TrainingInfoProto()
    training.initialization.CopyFrom(subgraph("optimizer_w", A * 10))
    nodes = [
        helper.make_node("Constant", [], ["w_const"], value=numpy_helper.from_array(A, "other_name")),
        helper.make_node("Constant", [], ["floats"], value_floats=[1.0, 2.5]), helper.make_node("Constant", [], ["ints"], value_ints=[3, -4]),
        helper.make_node("Constant", [], ["float"], value_float=0.5), helper.make_node("Constant", [], ["int"], value_int=-7),
        helper.make_node("Constant", [], ["text"], value_strings=["a"]),
        helper.make_node("If", ["c"], ["y"], name="branching", then_branch=subgraph("w_sub", A * 2, [inner]), else_branch=subgraph("w_sub", A * 3)),
        helper.make_node("Loop", ["n", "c"], ["l"], body=subgraph("loop_w", A * 4)), helper.make_node("Scan", ["s"], ["t"], body=subgraph("scan_w", A * 5), num_scan_inputs=1),
        helper.make_node("Layer", ["x"], ["z"], domain="here"),
        helper.make_node("Custom", ["x"], ["q"], name="custom", domain="here", table=numpy_helper.from_array(A * 6, "t")),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"], value=numpy_helper.from_array(np.zeros(1, np.float32), "v")),
        helper.make_node("LinearRegressor", ["x"], ["r"], name="linear", domain="ai.onnx.ml", coefficients=[1.0, 2.0], intercepts=[3.0]),
    ]
    values = numpy_helper.from_array(np.array([1, 2, 3], np.float32), "sp")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([0, 5, 9]), "spi"), [3, 4])
    made = model(nodes, [numpy_helper.from_array(np.array(True), "c")], [sparse], [function], ("", "here", "ai.onnx.ml"), training_info=[training])
    onnx.save(made, tmp_path / "m.onnx")
    found = convert(tmp_path / "m.onnx")
    expected = {
        "w_const": A, "floats": [1, 2.5], "ints": [3, -4], "float": 0.5, "int": -7, "w_sub": A * 3, "branching.then_branch.w_sub": A * 2, "deep_w": A * 7,
        "deep_v": A * 8, "loop_w": A * 4, "scan_w": A * 5, "fw": A * 9, "custom.table": A * 6, "c": True, "sp.values": [1, 2, 3], "sp.indices": [0, 5, 9],
        "sp.size": [3, 4], "optimizer_w": A * 10, "linear.coefficients": [1, 2], "linear.intercepts": [3],
    }
    assert set(found) == set(expected)
    for name, array_ in expected.items():
        np.testing.assert_array_equal(found[name], np.asarray(array_), name)
    notes = " ".join(json.loads(tessera("inspect", tmp_path / "m.onnx", "--json").stdout)["notes"])
    assert "two tensors are called 'w_sub'" in notes and "ConstantOfShape" in notes and "text: strings" in notes


def test_onnx_types_without_a_place_are_named(tessera, convert, incomplete, tmp_path):
    for kind in (TensorProto.INT4, TensorProto.UINT4):
        node = helper.make_node("Constant", [], ["four"], value=helper.make_tensor("t", kind, [5], [1, 2, 3, 4, 5]))
        onnx.save(model([node], [numpy_helper.from_array(A, "w")]), tmp_path / "m.onnx")
        incomplete(tmp_path / "m.onnx", "four", "INT4")
        assert set(convert(tmp_path / "m.onnx", "--strip", "four*")) == {"w"}
    four = helper.make_tensor("four", TensorProto.FLOAT4E2M1, [4], [1, 0, 1, 1])
    assert not four.raw_data
    onnx.save(model([], [four, numpy_helper.from_array(A, "w")]), tmp_path / "m.onnx")
    assert "raw_data" in tessera("convert", tmp_path / "m.onnx", "-o", tmp_path / "o.safetensors", code=3).stderr
    onnx.save(model([helper.make_node("Identity", ["x"], ["y"])]), tmp_path / "none.onnx")
    incomplete(tmp_path / "none.onnx", "holds no tensor")


# No tensor at all ----------------------------------------------------------------------------------------


def test_files_without_tensors_are_no_success(tessera, incomplete, tmp_path):
    import flax.serialization

    np.savez(tmp_path / "a.npz", names=np.array(["x"]))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["text"] = "x"
        file.create_group("empty")
    safetensors.numpy.save_file({}, tmp_path / "a.safetensors")
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_token_list(["a"])
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()
    (tmp_path / "a.msgpack").write_bytes(flax.serialization.msgpack_serialize({"step": 3}))
    torch.save({"epoch": 3}, tmp_path / "a.pt")
    torch.save({"epoch": 3}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    pickled(tmp_path / "a.pkl", {"x": 1})
    onnx.save(model([]), tmp_path / "a.onnx")
    for name in ("a.npz", "a.h5", "a.safetensors", "a.gguf", "a.msgpack", "a.pt", "old.pt", "a.pkl", "a.onnx"):
        incomplete(tmp_path / name, "holds no tensor", name)
        assert "0 tensors" in tessera("inspect", tmp_path / name).stdout
    np.savez(tmp_path / "w.npz", w=A)
    for verb in ("verify", "diff"):
        tessera(verb, tmp_path / "a.npz", tmp_path / "a.npz", code=4)


def test_raw_and_pickled_arrays_of_an_archive_are_not_passed_over(convert, incomplete, tmp_path):
    np.savez(tmp_path / "a.npz", w=A, raw=np.ones(2, ml_dtypes.bfloat16))
    incomplete(tmp_path / "a.npz", "raw", "raw bytes")
    assert set(convert(tmp_path / "a.npz", "--strip", "raw*")) == {"w"}
    np.savez(tmp_path / "o.npz", w=A, o=np.array([None], dtype=object))
    incomplete(tmp_path / "o.npz", "o: ", "pickled Python objects")
    assert set(convert(tmp_path / "o.npz", "--strip", "o*")) == {"w"}


# Pointers and pages in the place of files ------------------------------------------------------------------

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 12345\n"
STANDINS = {"lfs": (POINTER, "git lfs pull"), "page": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "a web page"), "xml": (b'<?xml version="1.0"?><Error/>', "an XML text"), "empty": (b"", "an empty file")}


@pytest.mark.parametrize("kind", STANDINS)
@pytest.mark.parametrize("ending", ["safetensors", "bin", "pt", "pth", "ckpt", "pkl", "h5", "keras", "weights.h5", "npz", "npy", "gguf", "msgpack", "onnx"])
def test_what_stands_for_a_checkpoint(tessera, tmp_path, ending, kind):
    data, words = STANDINS[kind]
    path = tmp_path / f"model.{ending}"
    path.write_bytes(data)
    for command in (("inspect", path), ("convert", path, "-o", tmp_path / "out.npz")):
        result = tessera(*command, code=3)
        assert words in result.stderr and result.stderr.count("\n") == 1, result.stderr


def test_what_stands_for_parts_of_a_model(tessera, tmp_path):
    def lacks(*command):
        result = tessera(*command, code=3)
        assert "git lfs pull" in result.stderr and result.stderr.count("\n") == 1, result.stderr

    for ending, index in (("safetensors", "model.safetensors.index.json"), ("bin", "pytorch_model.bin.index.json")):
        folder = tmp_path / ending
        folder.mkdir()
        name = f"part-00001-of-00001.{ending}"
        (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": {"w": name}}))
        (folder / name).write_bytes(POINTER)
        lacks("convert", folder, "-o", tmp_path / "out.npz")
        (folder / index).write_bytes(POINTER)
        lacks("convert", folder / index, "-o", tmp_path / "out.npz")
    folder = tmp_path / "hf"
    folder.mkdir()
    safetensors.numpy.save_file({"w": A}, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.model").write_bytes(POINTER)
    lacks("convert", folder, "-o", f"{tmp_path}/copy/")


def test_pointers_in_the_place_of_pictures(tessera, tmp_path):
    from PIL import Image

    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(POINTER)
    Image.new("RGB", (32, 32)).save(tmp_path / "in/b.png")
    tessera("tokenize", tmp_path / "in", "-o", tmp_path / "out")
    rejected = (tmp_path / "out/rejected.jsonl").read_text()
    assert "git lfs pull" in rejected and "a.png" in rejected


def test_parts_of_a_model_in_a_folder(incomplete, tessera, tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    safetensors.numpy.save_file({"w": A}, folder / "model-00002-of-00003.safetensors")
    incomplete(folder, "one of 3 parts")
    (tmp_path / "dcp").mkdir()
    (tmp_path / "dcp/.metadata").write_bytes(b"x")
    (tmp_path / "dcp/__0_0.distcp").write_bytes(b"x" * 64)
    for path in ("dcp", "dcp/__0_0.distcp"):
        assert "dcp_to_torch" in tessera("convert", tmp_path / path, "-o", tmp_path / "o.npz", code=3).stderr


# Files that stand there already -----------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["safetensors", "npz", "h5", "pt"])
def test_foreign_files_are_not_replaced(tessera, tmp_path, ending):
    np.savez(tmp_path / "a.npz", w=A)
    mine, out = tmp_path / f"mine.{ending}", tmp_path / f"out.{ending}"
    makers = {
        "safetensors": lambda: safetensors.numpy.save_file({"x": A}, mine), "npz": lambda: np.savez(mine, x=A),
        "pt": lambda: torch.save({"x": torch.ones(2)}, mine), "h5": lambda: h5py.File(mine, "w").close(),
    }
    makers[ending]()
    before = mine.read_bytes()
    result = tessera("convert", tmp_path / "a.npz", "-o", mine, code=4)
    assert "--force" in result.stderr and mine.read_bytes() == before
    mine.write_bytes(b"notes of my own")
    tessera("convert", tmp_path / "a.npz", "-o", mine, code=4)
    tessera("convert", tmp_path / "a.npz", "-o", mine, "--force")
    # What a conversion wrote, another replaces.
    for _ in range(2):
        tessera("convert", tmp_path / "a.npz", "-o", out)
        tessera("convert", out, "-o", tmp_path / "back.npz", "--dtype", "f16")


def test_settings_of_others_are_not_replaced(tessera, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"model_type": name}))
    safetensors.numpy.save_file({"w": A}, tmp_path / "a/model.safetensors")
    tessera("convert", tmp_path / "a", "-o", tmp_path / "b", code=4)
    assert json.loads((tmp_path / "b/config.json").read_text()) == {"model_type": "b"} and not (tmp_path / "b/model.safetensors").exists()
    tessera("convert", tmp_path / "a", "-o", tmp_path / "b", "--force")
    tessera("convert", tmp_path / "a", "-o", tmp_path / "b")
    assert json.loads((tmp_path / "b/config.json").read_text()) == {"model_type": "a"}
