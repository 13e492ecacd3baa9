"""`convert` and `inspect` against Keras, PyTorch, h5py and the reference safetensors library."""

import hashlib
import json
import os
import zipfile

os.environ["KERAS_BACKEND"] = "torch"

import h5py
import jsonschema
import keras
import numpy as np
import pytest
import safetensors.numpy
import torch
from safetensors import safe_open

layers = keras.layers
nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


# Keras layers beside the PyTorch modules that load their converted weights ------------------------


class Separable(nn.Module):
    def __init__(self, channels, multiplier, out, kernel):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels * multiplier, kernel, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels * multiplier, out, 1)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


class Attention(nn.Module):
    def __init__(self, width, heads, key, value):
        super().__init__()
        self.heads, self.key, self.value = heads, key, value
        self.q_proj, self.k_proj = nn.Linear(width, heads * key), nn.Linear(width, heads * key)
        self.v_proj, self.out_proj = nn.Linear(width, heads * value), nn.Linear(heads * value, width)

    def forward(self, x):
        def split(t, size):
            return t.view(t.shape[0], t.shape[1], self.heads, size).transpose(1, 2)

        q, k = split(self.q_proj(x), self.key), split(self.k_proj(x), self.key)
        v = split(self.v_proj(x), self.value)
        out = torch.softmax(q @ k.transpose(2, 3) / self.key**0.5, -1) @ v
        return self.out_proj(out.transpose(1, 2).reshape(x.shape[0], x.shape[1], -1))


class First(nn.Module):
    """The first result of a recurrent module."""

    def __new__(cls, module):
        module.register_forward_hook(lambda _, __, output: output[0])
        return module


def last(x):
    return x.permute(0, *range(2, x.ndim), 1)


def first(x):
    return x.permute(0, x.ndim - 1, *range(1, x.ndim - 1))


def images(module):
    """Channels last in and out, as Keras has them."""
    return lambda x: last(module(first(x)))


# All extents differ, so that a missing transposition cannot pass.
CASES = {
    "dense": (layers.Dense(7), (5,), lambda: nn.Linear(5, 7), None),
    "dense_no_bias": (layers.Dense(7, use_bias=False), (5,), lambda: nn.Linear(5, 7, bias=False), None),
    "conv1d": (layers.Conv1D(6, 3), (11, 5), lambda: nn.Conv1d(5, 6, 3), images),
    "conv2d": (layers.Conv2D(6, (3, 2)), (9, 8, 5), lambda: nn.Conv2d(5, 6, (3, 2)), images),
    "conv2d_groups": (
        layers.Conv2D(6, 3, groups=2, strides=2), (9, 8, 4),
        lambda: nn.Conv2d(4, 6, 3, groups=2, stride=2), images),
    "conv3d": (layers.Conv3D(4, (3, 2, 1)), (6, 5, 4, 3), lambda: nn.Conv3d(3, 4, (3, 2, 1)), images),
    "depthwise": (
        layers.DepthwiseConv2D((3, 2), depth_multiplier=2), (9, 8, 5),
        lambda: nn.Conv2d(5, 10, (3, 2), groups=5), images),
    "separable": (
        layers.SeparableConv2D(7, (3, 2), depth_multiplier=2), (9, 8, 5),
        lambda: Separable(5, 2, 7, (3, 2)), images),
    "conv1d_transpose": (
        layers.Conv1DTranspose(6, 3, strides=2), (7, 5),
        lambda: nn.ConvTranspose1d(5, 6, 3, stride=2), images),
    "conv2d_transpose": (
        layers.Conv2DTranspose(6, (3, 2), strides=2), (5, 4, 3),
        lambda: nn.ConvTranspose2d(3, 6, (3, 2), stride=2), images),
    "lstm": (
        layers.LSTM(4, return_sequences=True), (6, 5),
        lambda: First(nn.LSTM(5, 4, batch_first=True)), None),
    "gru": (
        layers.GRU(4, return_sequences=True), (6, 5),
        lambda: First(nn.GRU(5, 4, batch_first=True)), None),
    "simple_rnn": (
        layers.SimpleRNN(4, return_sequences=True), (6, 5),
        lambda: First(nn.RNN(5, 4, batch_first=True)), None),
    "bidirectional_gru": (
        layers.Bidirectional(layers.GRU(4, return_sequences=True)), (6, 5),
        lambda: First(nn.GRU(5, 4, batch_first=True, bidirectional=True)), None),
    "bidirectional_lstm": (
        layers.Bidirectional(layers.LSTM(4, return_sequences=True)), (6, 5),
        lambda: First(nn.LSTM(5, 4, batch_first=True, bidirectional=True)), None),
    "time_distributed": (layers.TimeDistributed(layers.Dense(7)), (6, 5), lambda: nn.Linear(5, 7), None),
    "batch_normalization": (
        layers.BatchNormalization(), (6, 5, 4), lambda: nn.BatchNorm2d(4, eps=1e-3), images),
    "batch_normalization_no_scale": (
        layers.BatchNormalization(scale=False), (6, 5, 4), lambda: nn.BatchNorm2d(4, eps=1e-3), images),
    "layer_normalization": (layers.LayerNormalization(), (6, 5), lambda: nn.LayerNorm(5, eps=1e-3), None),
    "group_normalization": (
        layers.GroupNormalization(2), (6, 5, 4), lambda: nn.GroupNorm(2, 4, eps=1e-3), images),
    "embedding": (layers.Embedding(11, 5), (6,), lambda: nn.Embedding(11, 5), None),
    "prelu": (layers.PReLU(shared_axes=[1, 2]), (6, 5, 4), lambda: nn.PReLU(4), images),
    "attention": (
        layers.MultiHeadAttention(3, 4, value_dim=2), (6, 5), lambda: Attention(5, 3, 4, 2), None),
    "einsum_dense": (
        layers.EinsumDense("abc,cd->abd", (None, 7), bias_axes="d"), (6, 5), lambda: nn.Linear(5, 7), None),
}


def build(layer, shape, seed=0):
    """A model around one layer with random weights."""
    layer = layer.__class__.from_config({**layer.get_config(), "name": "probe"})
    is_embedding = isinstance(layer, layers.Embedding)
    inputs = keras.Input(shape, dtype="int32" if is_embedding else "float32")
    is_attention = isinstance(layer, layers.MultiHeadAttention)
    model = keras.Model(inputs, layer(inputs, inputs) if is_attention else layer(inputs))
    random = np.random.default_rng(seed)
    for weight in layer.weights:
        if weight.dtype.startswith("float"):
            # Positive throughout: variances must be.
            weight.assign(random.uniform(0.1, 0.9, weight.shape).astype(np.float32))
    x = random.normal(size=(2, *shape)).astype(np.float32)
    return model, np.abs(x * 5).astype(np.int32) % 11 if is_embedding else x


def save(model, path):
    if str(path).endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)


@pytest.mark.parametrize("suffix", ["keras", "weights.h5", "h5"])
@pytest.mark.parametrize("name", CASES)
def test_outputs_equal_keras(name, suffix, tessera, tmp_path):
    layer, shape, make, around = CASES[name]
    model, x = build(layer, shape)
    source = tmp_path / f"model.{suffix}"
    save(model, source)
    if suffix == "weights.h5" and name in ("batch_normalization_no_scale", "einsum_dense"):
        # Without a configuration such a file does not say what its variables are: never guessed.
        tessera("convert", source, "-o", tmp_path / "out.safetensors", "--to", "torch", code=4)
        return
    tessera("convert", source, "-o", tmp_path / "out.safetensors", "--to", "torch")
    state = {k: torch.from_numpy(v) for k, v in
             safetensors.numpy.load_file(tmp_path / "out.safetensors").items()}
    holder = nn.Module()
    holder.probe = make()
    holder.load_state_dict(state, strict=True)
    holder.eval()
    run = around(holder.probe) if around else holder.probe
    with torch.no_grad():
        got = run(torch.from_numpy(x)).numpy()
    expected = model(x, training=False).detach().cpu().numpy()
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1e-5


def test_nested_models_have_dotted_names_and_optimizers_are_dropped(tessera, tmp_path):
    inner = keras.Sequential([keras.Input((5,)), layers.Dense(4, name="a")], name="inner")
    model = keras.Sequential([keras.Input((5,)), inner, layers.Dropout(0.1), layers.Dense(3, name="b")])
    model.compile("adam", "mse")
    model.fit(np.zeros((4, 5)), np.zeros((4, 3)), verbose=0)
    for suffix in ("keras", "h5"):
        model.save(tmp_path / f"m.{suffix}")
        out = tmp_path / f"{suffix}.safetensors"
        tessera("convert", tmp_path / f"m.{suffix}", "-o", out, "--to", "torch")
        with safe_open(out, "np") as file:
            assert sorted(file.keys()) == ["b.bias", "b.weight", "inner.a.bias", "inner.a.weight"]
            assert "optimizer" in file.metadata()["tessera.dropped"]
            np.testing.assert_array_equal(
                file.get_tensor("inner.a.weight"), keras.ops.convert_to_numpy(inner.layers[0].kernel).T)
            assert json.loads(file.metadata()["tessera.config"])["b"]["class"] == "Dense"


def test_a_real_keras_2_model_equals_h5py(tessera, root, tmp_path):
    source = root / "fixtures/weights/fer-emotion.hdf5"
    plain, torch_file = tmp_path / "plain.safetensors", tmp_path / "torch.safetensors"
    tessera("convert", source, "-o", plain)
    tessera("convert", source, "-o", torch_file, "--to", "torch")
    arrays = {}
    with h5py.File(source) as file:
        file.visititems(lambda n, o: arrays.update({n: o[()]}) if isinstance(o, h5py.Dataset) else None)
    converted = safetensors.numpy.load_file(plain)
    assert converted.keys() == arrays.keys()
    for name, array in arrays.items():
        assert converted[name].dtype == array.dtype
        np.testing.assert_array_equal(converted[name], array)
    expected = {}
    names = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
             "moving_variance": "running_var", "bias": "bias"}
    for name, array in arrays.items():
        if not name.startswith("model_weights/"):
            continue
        layer, variable = name.split("/")[1], name.split("/")[-1].removesuffix(":0")
        if variable == "kernel":
            expected[f"{layer}.weight"] = array.transpose(3, 2, 0, 1)
        elif variable == "depthwise_kernel":
            h, w, c, m = array.shape
            expected[f"{layer}.depthwise.weight"] = array.transpose(2, 3, 0, 1).reshape(c * m, 1, h, w)
        elif variable == "pointwise_kernel":
            expected[f"{layer}.pointwise.weight"] = array.transpose(3, 2, 0, 1)
        else:
            expected[f"{layer}.{names[variable]}"] = array
    converted = safetensors.numpy.load_file(torch_file)
    assert converted.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(converted[name], array)


# The writer ----------------------------------------------------------------------------------------


def random_tensors():
    random = np.random.default_rng(1)
    types = ["bool", "u1", "i1", "i2", "u2", "f2", "i4", "u4", "f4", "c8", "f8", "i8", "u8"]
    tensors = {f"{t}/é\"\\{i}": (random.normal(size=s) * 50).astype(t) for i, t in enumerate(types)
               for s in [(3, i + 1)]}
    return tensors | {"scalar": np.float32(2.5).reshape(()), "empty": np.zeros((0, 4), "f4")}


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:Casting complex")
def test_the_bytes_are_the_reference_writers(tessera, tmp_path):
    tensors = random_tensors()
    with h5py.File(tmp_path / "in.h5", "w") as file:
        for number, (name, array) in enumerate(tensors.items()):
            file[f"{number}_{name.replace('/', '-')}"] = array
    tessera("convert", tmp_path / "in.h5", "-o", tmp_path / "out.safetensors")
    with safe_open(tmp_path / "out.safetensors", "np") as file:
        metadata = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}
    assert len(arrays) == len(tensors)
    for number, (name, array) in enumerate(tensors.items()):
        np.testing.assert_array_equal(arrays[f"{number}_{name.replace('/', '-')}"], array)
    # The reference keeps its metadata in no fixed order, so all but that is compared byte by byte.
    written, expected = (tmp_path / "out.safetensors").read_bytes(), safetensors.numpy.save(arrays)
    size, reference_size = (int.from_bytes(b[:8], "little") for b in (written, expected))
    header, reference = written[8:8 + size], expected[8:8 + reference_size]
    assert size % 8 == 0 and written[8 + size:] == expected[8 + reference_size:]
    skipped = len(b'{"__metadata__":') + len(json.dumps(metadata, separators=(",", ":"), ensure_ascii=False).encode())
    assert b"{" + header[skipped + 1:].rstrip(b" ") == reference.rstrip(b" ")


@pytest.mark.parametrize("count", [12, 200])
def test_shards_open_by_their_index(tessera, tmp_path, count):
    """Of 200 tensors each becomes a shard: more than stay open until the hash of the source is known."""
    tensors = {f"layer.{i}.weight": np.full((100, i % 12 + 1 if count == 12 else 26), i, "f4") for i in range(count)}
    safetensors.numpy.save_file(tensors, tmp_path / "in.safetensors", {"author": "somebody"})
    out = tmp_path / "out"
    tessera("convert", tmp_path / "in.safetensors", "-o", f"{out}/", "--shard-size", "10KB")
    index = json.loads((out / "model.safetensors.index.json").read_text())
    files = sorted(set(index["weight_map"].values()))
    assert files == [f"model-{i + 1:05}-of-{len(files):05}.safetensors" for i in range(len(files))]
    assert len(files) > count // 12 and index["metadata"]["total_size"] == sum(t.nbytes for t in tensors.values())
    digest = hashlib.sha256((tmp_path / "in.safetensors").read_bytes()).hexdigest()
    for name, file in index["weight_map"].items():
        with safe_open(out / file, "np") as shard:
            np.testing.assert_array_equal(shard.get_tensor(name), tensors[name])
            assert shard.metadata()["tessera.source.sha256"] == digest
            assert shard.metadata()["author"] == "somebody" and shard.metadata()["format"] == "pt"
    # And back: the folder is an input.
    tessera("convert", out, "-o", tmp_path / "one.safetensors")
    joined = safetensors.numpy.load_file(tmp_path / "one.safetensors")
    assert all((joined[name] == array).all() for name, array in tensors.items())


# What is refused -----------------------------------------------------------------------------------


def links(path):
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(3)
        file["outside"] = h5py.ExternalLink("other.h5", "/x")


def soft_link(path):
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(3)
        file["soft"] = h5py.SoftLink("/y")


def duplicate_key(path):
    header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")


def cut(path):
    data = safetensors.numpy.save({"a": np.zeros(100, "f4")})
    path.write_bytes(data[:-1])


def zip_without_weights(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")


@pytest.mark.parametrize("make, name", [
    (links, "x.h5"), (soft_link, "x.h5"), (duplicate_key, "x.safetensors"), (cut, "x.safetensors"),
    (zip_without_weights, "x.keras"), (lambda p: p.write_bytes(b""), "x.h5"),
    (lambda p: p.write_text("hello"), "x.bin"), (lambda p: p.mkdir(), "x"),
])
def test_malformed_and_unsafe_files_are_refused(make, name, tessera, tmp_path):
    make(tmp_path / name)
    result = tessera("convert", tmp_path / name, "-o", tmp_path / "out.safetensors", code=3)
    assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


def test_layers_without_a_counterpart_end_with_4(tessera, tmp_path):
    for layer in (layers.GRU(4, reset_after=False), layers.LSTM(4, recurrent_activation="hard_sigmoid")):
        model, _ = build(layer, (6, 5))
        model.save(tmp_path / "m.keras")
        result = tessera("convert", tmp_path / "m.keras", "-o", tmp_path / "o.safetensors", "--to", "torch", code=4)
        assert "probe" in result.stderr and not (tmp_path / "o.safetensors").exists()
        tessera("convert", tmp_path / "m.keras", "-o", tmp_path / "kept.safetensors")


def test_writing_fails_cleanly(tessera, tmp_path):
    safetensors.numpy.save_file({"a": np.zeros(3)}, tmp_path / "a.safetensors")
    tessera("convert", tmp_path / "a.safetensors", "-o", tmp_path / "a.safetensors", code=6)
    tessera("convert", tmp_path / "a.safetensors", "-o", tmp_path / "missing/b.safetensors", code=6)
    tessera("convert", tmp_path / "a.safetensors", "-o", tmp_path / "b.xyz", code=64)
    tessera("convert", tmp_path / "nothing.h5", "-o", tmp_path / "b.safetensors", code=6)
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


# Reports ---------------------------------------------------------------------------------------------


def test_plan_and_inspect_match_their_schemas(tessera, root, tmp_path):
    source = root / "fixtures/weights/fer-emotion.hdf5"
    plan = json.loads(tessera("convert", source, "--plan", "--json", "--to", "torch").stdout)
    jsonschema.validate(plan, json.loads((root / "schemas/plan.schema.json").read_text()))
    assert {d["reason"] for d in plan["dropped"]} == {"optimizer state"}
    assert plan["bytes"] == sum(o["bytes"] for o in plan["outputs"])
    schema = json.loads((root / "schemas/inspect.schema.json").read_text())
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = np.zeros((2, 3), "f2")
        file["b"] = file["a"]
        file["text"] = "no tensor"
        file.attrs["who"] = "me"
    report = json.loads(tessera("inspect", tmp_path / "x.h5", "--json").stdout)
    jsonschema.validate(report, schema)
    assert report["tensors"] == [
        {"name": "a", "dtype": "F16", "shape": [2, 3]},
        {"name": "b", "dtype": "F16", "shape": [2, 3], "alias_of": "a"}]
    assert report["attributes"] == {"who": "me"} and "text" in " ".join(report["notes"])
    jsonschema.validate(json.loads(tessera("inspect", source, "--json").stdout), schema)
