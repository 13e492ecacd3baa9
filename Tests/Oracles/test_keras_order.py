"""The order of features under `convert --to torch`: whole Keras models against the same layers run channels first.

The port below knows nothing of how weights are reordered: it runs PyTorch's own modules on [batch, channels, …] with
`torch.flatten`, and loads what was converted.
"""

import json
import os
import re
import zipfile

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import pytest
import safetensors.numpy
import torch
from torch.nn import functional as F

layers = keras.layers
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.usefixtures("without_gradients"),
]


class Port:
    """A Keras model's layers as PyTorch has them. Tensors with positions are channels first."""

    def __init__(self, model, state):
        self.model, self.state = model, state

    def __call__(self, *inputs):
        return self.run(self.model, "", [torch.from_numpy(x) for x in inputs])

    def run(self, model, prefix, inputs):
        if isinstance(model, keras.Sequential):
            x = inputs[0]
            for layer in model.layers:
                x = self.layer(layer, prefix, [x])
            return x
        values = dict(zip([id(t) for t in model.inputs], inputs))
        for nodes in [model._nodes_by_depth[d] for d in sorted(model._nodes_by_depth, reverse=True)]:
            for node in nodes:
                if node.is_input:
                    continue
                found = self.layer(node.operation, prefix, [values[id(t)] for t in node.input_tensors])
                values[id(node.output_tensors[0])] = found
        return values[id(model.outputs[0])]

    def layer(self, layer, prefix, inputs):
        name = prefix + layer.name
        if isinstance(layer, (keras.Sequential, keras.Model)):
            return self.run(layer, name + ".", inputs)
        return getattr(self, type(layer).__name__)(layer, {k.removeprefix(name + "."): v for k, v in self.state.items() if k.startswith(name + ".")}, *inputs)

    def convolution(self, layer, w, x, operation):
        assert layer.padding in ("valid", "same") and layer.strides == (1,) * layer.rank
        padding = 0 if layer.padding == "valid" else "same"
        groups = x.shape[1] if "Depthwise" in type(layer).__name__ else layer.groups
        return torch.from_numpy(np.asarray(layer.activation(operation(x, w["weight"], w.get("bias"), padding=padding, groups=groups))))

    def Conv1D(self, layer, w, x): return self.convolution(layer, w, x, F.conv1d)
    def Conv2D(self, layer, w, x): return self.convolution(layer, w, x, F.conv2d)
    def Conv3D(self, layer, w, x): return self.convolution(layer, w, x, F.conv3d)
    def DepthwiseConv2D(self, layer, w, x): return self.convolution(layer, w, x, F.conv2d)
    def MaxPooling1D(self, layer, w, x): return F.max_pool1d(x, layer.pool_size)
    def MaxPooling2D(self, layer, w, x): return F.max_pool2d(x, layer.pool_size)
    def MaxPooling3D(self, layer, w, x): return F.max_pool3d(x, layer.pool_size)
    def AveragePooling2D(self, layer, w, x): return F.avg_pool2d(x, layer.pool_size)
    def ZeroPadding2D(self, layer, w, x): return F.pad(x, (1, 1, 1, 1))
    def UpSampling2D(self, layer, w, x): return F.interpolate(x, scale_factor=2)
    def GlobalAveragePooling2D(self, layer, w, x): return x.mean((2, 3), keepdim=layer.keepdims)
    def GlobalMaxPooling1D(self, layer, w, x): return x.amax(2)
    def InputLayer(self, layer, w, x): return x
    def Dropout(self, layer, w, x): return x
    def LeakyReLU(self, layer, w, x): return F.leaky_relu(x, layer.negative_slope)
    def Activation(self, layer, w, x): return torch.from_numpy(np.asarray(layer(x)))
    def Flatten(self, layer, w, x): return torch.flatten(x, 1)
    def Reshape(self, layer, w, x): return x.reshape(x.shape[0], *layer.target_shape)
    def Concatenate(self, layer, w, *x): return torch.cat(x, 1)
    def Add(self, layer, w, *x): return sum(x)
    def Multiply(self, layer, w, a, b): return a * b
    def Embedding(self, layer, w, x): return F.embedding(x.long(), w["weight"])
    def PReLU(self, layer, w, x): return F.prelu(x, w["weight"])

    def Dense(self, layer, w, x):
        x = F.linear(x, w["weight"], w.get("bias"))
        return torch.from_numpy(np.asarray(layer.activation(x)))

    def BatchNormalization(self, layer, w, x):
        return F.batch_norm(x, w["running_mean"], w["running_var"], w["weight"], w["bias"], eps=layer.epsilon)

    def LayerNormalization(self, layer, w, x):
        return F.layer_norm(x, w["weight"].shape, w["weight"], w["bias"], eps=layer.epsilon)

    def LSTM(self, layer, w, x):
        module = torch.nn.LSTM(w["weight_ih_l0"].shape[1], layer.units, batch_first=True)
        module.load_state_dict(w)
        return module(x)[0] if layer.return_sequences else module(x)[0][:, -1]

    def TimeDistributed(self, layer, w, x):
        steps = [getattr(self, type(layer.layer).__name__)(layer.layer, w, x[:, t]) for t in range(x.shape[1])]
        return torch.stack(steps, 1)


def image(*extra):
    return layers.Input((6, 5, 3)), layers.Conv2D(4, 3, name="conv", activation="relu"), *extra


def functional(make, *shapes):
    inputs = [keras.Input(s) for s in shapes]
    return keras.Model(inputs, make(*inputs))


def two_branches(a, b):
    left = layers.Flatten()(layers.Conv2D(4, 3)(a))
    right = layers.Flatten()(layers.MaxPooling1D()(layers.Conv1D(6, 2)(b)))
    return layers.Dense(7, name="joined")(layers.Concatenate()([left, layers.Dense(3)(right), right]))


def squeeze(x):
    x = layers.Conv2D(4, 3)(x)
    gate = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))
    return layers.Dense(5)(layers.Concatenate()([gate, layers.Flatten()(x)]))


def shared(a, b):
    encoder = keras.Sequential([*image(layers.Flatten(), layers.Dense(5, name="code"))], name="encoder")
    return layers.Dense(2)(layers.Concatenate()([encoder(a), encoder(b)]))


def video(x):
    x = layers.TimeDistributed(layers.Conv2D(4, 3))(x)
    return layers.LSTM(3)(layers.TimeDistributed(layers.Flatten())(x))


def added(x):
    x = layers.Conv2D(4, 3)(x)
    a, b = layers.Flatten()(x), layers.Flatten()(layers.Conv2D(4, 3, padding="same")(x))
    return layers.Dense(5)(layers.Add()([a, b]))


def cells(x):
    return layers.Dense(3)(layers.Flatten()(layers.LSTM(4, return_sequences=True)(x)))


# Every extent differs. Those of the second list pass no flatten of positions and channels.
REORDERED = {
    "conv2d": lambda: keras.Sequential([*image(layers.MaxPooling2D(), layers.Flatten(), layers.Dense(7))]),
    "conv1d": lambda: keras.Sequential([layers.Input((9, 3)), layers.Conv1D(4, 2), layers.Flatten(), layers.Dense(7)]),
    "conv3d": lambda: keras.Sequential([layers.Input((5, 4, 6, 2)), layers.Conv3D(4, 2), layers.MaxPooling3D(), layers.Flatten(), layers.Dense(7)]),
    "depthwise": lambda: keras.Sequential([layers.Input((6, 5, 3)), layers.DepthwiseConv2D(3), layers.Flatten(), layers.Dense(7)]),
    "normalized": lambda: keras.Sequential([*image(layers.Flatten(), layers.BatchNormalization(), layers.LeakyReLU(), layers.Dropout(0.5), layers.LayerNormalization(), layers.PReLU(), layers.Dense(7), layers.BatchNormalization(), layers.Dense(3))]),
    "reshaped": lambda: keras.Sequential([*image(layers.Reshape((-1,)), layers.Dense(7))]),
    "padded": lambda: keras.Sequential([*image(layers.BatchNormalization(), layers.ZeroPadding2D(), layers.AveragePooling2D(2), layers.UpSampling2D(), layers.Flatten(), layers.Dense(7))]),
    "layer_norm_of_all": lambda: keras.Sequential([*image(layers.LayerNormalization(axis=[1, 2, 3]), layers.Flatten(), layers.Dense(7))]),
    "branches": lambda: functional(two_branches, (6, 5, 3), (9, 2)),
    "squeeze": lambda: functional(squeeze, (6, 5, 3)),
    "shared": lambda: functional(shared, (6, 5, 3), (6, 5, 3)),
    "added": lambda: functional(added, (6, 5, 3)),
    "video": lambda: functional(video, (4, 6, 5, 3)),
    "nested": lambda: keras.Sequential([keras.Sequential([*image()], name="inner"), layers.Flatten(), layers.Dense(7)]),
}  # fmt: skip
KEPT = {
    "pooled": lambda: keras.Sequential([*image(layers.GlobalAveragePooling2D(), layers.Dense(7))]),
    "pooled_1d": lambda: keras.Sequential([layers.Input((9, 3)), layers.Conv1D(4, 2), layers.GlobalMaxPooling1D(), layers.Dense(7)]),
    "one_position": lambda: keras.Sequential([*image(layers.GlobalAveragePooling2D(keepdims=True), layers.Flatten(), layers.Dense(7))]),
    "one_channel": lambda: keras.Sequential([layers.Input((6, 5, 3)), layers.Conv2D(1, 3), layers.Flatten(), layers.Dense(7)]),
    "grey": lambda: keras.Sequential([layers.Input((6, 5, 1)), layers.Flatten(), layers.Dense(7)]),
    "table": lambda: keras.Sequential([layers.Input((6, 5)), layers.Flatten(), layers.Dense(7)]),
    "embedded": lambda: keras.Sequential([layers.Input((6,)), layers.Embedding(11, 4), layers.Flatten(), layers.Dense(7)]),
    "sequence": lambda: functional(cells, (6, 5)),
}  # fmt: skip


def randomised(model, seed=0):
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.dtype.startswith("float"):
            weight.assign(random.uniform(0.1, 0.9, weight.shape).astype(np.float32) - (0.45 if len(weight.shape) > 1 else 0))
    return model


def samples(model, seed=1):
    random = np.random.default_rng(seed)
    scale = 10 if isinstance(model.layers[0], layers.Embedding) else 1
    return [np.abs(random.normal(size=(2, *i.shape[1:]))).clip(0, 1).astype(np.float32) * scale for i in model.inputs]


def difference(model, path):
    """Between the outputs of the Keras model and of the port with the converted weights."""
    state = {k: torch.from_numpy(v) for k, v in safetensors.numpy.load_file(path).items()}
    inputs = samples(model)
    expected = np.asarray(model(inputs if len(inputs) > 1 else inputs[0], training=False))
    ported = []
    for x in inputs:
        # Images and their sequences: channels first; a sequence alone where a convolution takes it.
        convolved = any("1D" in type(layer).__name__ for layer in model.layers)
        axis = 2 if x.ndim == 5 and any(isinstance(layer, layers.TimeDistributed) for layer in model.layers) else 1
        ported.append(np.moveaxis(x, -1, axis).copy() if x.ndim > 3 or x.ndim == 3 and convolved else x)
    found = Port(model, state)(*ported).numpy()
    assert found.shape == expected.shape
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", [*REORDERED, *KEPT])
def test_whole_models_compute_the_same(name, suffix, tessera, tmp_path):
    model = randomised({**REORDERED, **KEPT}[name]())
    model.save(tmp_path / f"m.{suffix}")
    out = tmp_path / "m.safetensors"
    said = tessera("convert", tmp_path / f"m.{suffix}", "-o", out, "--to", "torch").stderr
    assert ("reordered" in said) == (name in REORDERED)
    assert difference(model, out) < 1e-5
    tessera("verify", tmp_path / f"m.{suffix}", out, "--to", "torch")


@pytest.mark.parametrize("name", REORDERED)
def test_the_way_back_fills_the_model(name, tessera, tmp_path):
    model = randomised(REORDERED[name]())
    model.save(tmp_path / "m.keras")
    weights = [np.array(w) for w in model.weights]
    tessera("convert", tmp_path / "m.keras", "-o", tmp_path / "m.safetensors", "--to", "torch")
    back = tmp_path / "back.weights.h5"
    tessera("convert", tmp_path / "m.safetensors", "-o", back, "--to", "keras", "--like", tmp_path / "m.keras")
    randomised(model, 5).load_weights(back)
    for found, expected in zip(model.weights, weights):
        np.testing.assert_array_equal(np.array(found), expected)


@pytest.mark.parametrize("name", REORDERED)
def test_verify_finds_features_in_another_order(name, tessera, tmp_path):
    """The right names, shapes and values; only the order of a layer's inputs is another one, and so is what the port computes."""
    model = randomised(REORDERED[name]())
    model.save(tmp_path / "m.keras")
    out = tmp_path / "m.safetensors"
    said = tessera("convert", tmp_path / "m.keras", "-o", out, "--to", "torch").stderr
    reordered = re.findall(r"note: (\S+): its input is reordered", said)
    state = safetensors.numpy.load_file(out)
    assert reordered
    for layer in reordered:
        key = next(k for k in state if k.startswith(layer + ".") and k.rsplit(".", 1)[1].startswith(("weight", "running_mean")) and "_hh" not in k)
        # Neighbours belong to other positions, and to other channels in Keras' order.
        changed = np.ascontiguousarray(np.roll(state[key], 1, axis=-1))
        safetensors.numpy.save_file(state | {key: changed}, out)
        assert difference(model, out) > 1e-4, key
        assert key in tessera("verify", tmp_path / "m.keras", out, "--to", "torch", code=4).stderr


def test_verify_finds_weights_in_keras_order(tessera, tmp_path):
    """The kernel as Keras has it, transposed alone."""
    model = randomised(REORDERED["conv2d"]())
    model.save(tmp_path / "m.keras")
    out = tmp_path / "m.safetensors"
    tessera("convert", tmp_path / "m.keras", "-o", out, "--to", "torch")
    state = safetensors.numpy.load_file(out)
    dense = next(k for k in state if k.startswith("dense") and k.endswith("weight"))
    state[dense] = np.ascontiguousarray(np.array(model.layers[-1].kernel).T)
    safetensors.numpy.save_file(state, out)
    assert difference(model, out) > 1e-2
    assert dense in tessera("verify", tmp_path / "m.keras", out, "--to", "torch", code=4).stderr


def regrouped(x):
    return layers.LSTM(3)(layers.Reshape((4, 12))(layers.Conv2D(4, 3)(x)))


def moved(x):
    return layers.Dense(3)(layers.Flatten()(layers.Permute((3, 1, 2))(layers.Conv2D(4, 3)(x))))


def mixed(x):
    flat = layers.Flatten()(layers.Conv2D(4, 3)(x))
    return layers.Dense(3)(layers.Add()([flat, layers.Dense(48)(layers.GlobalAveragePooling2D()(x))]))


def operated(x):
    return layers.Dense(3)(keras.ops.reshape(layers.Conv2D(4, 3)(x), (-1, 48)))


def timeless(x):
    return layers.Dense(3)(layers.Flatten()(layers.TimeDistributed(layers.Conv2D(4, 3))(x)))


def grouped(x):
    return layers.Dense(3)(layers.GroupNormalization(4)(layers.Flatten()(layers.Conv2D(4, 3)(x))))


def twice(x):
    """One layer on features in two orders."""
    dense, flat = layers.Dense(48), layers.Flatten()(layers.Conv2D(4, 3)(x))
    return dense(dense(flat))


REFUSED = {
    "image": lambda: keras.Sequential([layers.Input((6, 5, 3)), layers.Flatten(), layers.Dense(7, name="named")]),
    "generator": lambda: keras.Sequential([layers.Input((5,)), layers.Dense(24), layers.Reshape((3, 2, 4)), layers.Conv2DTranspose(3, 2, name="named")]),
    "regrouped": lambda: functional(regrouped, (6, 5, 3)),
    "moved": lambda: functional(moved, (6, 5, 3)),
    "mixed": lambda: functional(mixed, (6, 5, 3)),
    "operated": lambda: functional(operated, (6, 5, 3)),
    "timeless": lambda: functional(timeless, (4, 6, 5, 3)),
    "grouped": lambda: functional(grouped, (6, 5, 3)),
    "twice": lambda: functional(twice, (6, 5, 3)),
    "another_axis": lambda: keras.Sequential([layers.Input((6, 5, 3)), layers.BatchNormalization(axis=1, name="named")]),
    "some_axes": lambda: keras.Sequential([layers.Input((6, 5, 3)), layers.LayerNormalization(axis=[1, 2], name="named")]),
    "pointwise": lambda: keras.Sequential([*image(layers.Dense(6), layers.Flatten(), layers.Dense(7, name="named"))]),
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", REFUSED)
def test_an_order_that_is_not_known_is_refused(name, suffix, tessera, tmp_path):
    model = randomised(REFUSED[name]())
    model.save(tmp_path / f"m.{suffix}")
    out = tmp_path / "m.safetensors"
    said = tessera("convert", tmp_path / f"m.{suffix}", "-o", out, "--to", "torch", code=4).stderr
    assert said.count("\n") == 1 and "without --to" in said and not out.exists()
    named = [layer.name for layer in model.layers if layer.name == "named" or layer.weights]
    assert any(f"{n}:" in said for n in named), said
    tessera("convert", tmp_path / f"m.{suffix}", "-o", out)


def test_weights_without_a_model_are_not_guessed(tessera, tmp_path):
    def convert(model, code):
        model.save_weights(tmp_path / "m.weights.h5")
        out = tmp_path / "m.safetensors"
        return tessera("convert", tmp_path / "m.weights.h5", "-o", out, "--to", "torch", code=code).stderr

    for name in ("conv2d", "conv1d", "conv3d", "reshaped"):
        said = convert(REORDERED[name](), 4)
        assert "dense" in said and ".keras" in said
    # Inputs that no channels divide, and models without positions, say enough.
    convert(keras.Sequential([layers.Input((6, 5, 3)), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(3)]), 0)
    convert(keras.Sequential([layers.Input((6,)), layers.Dense(12), layers.Dense(3)]), 0)


def test_a_description_of_keras_2_is_followed(tessera, tmp_path):
    """tf.keras' list of nodes, without any shapes."""
    model = randomised(functional(squeeze, (6, 5, 3)))
    model.save(tmp_path / "m.h5")
    import h5py

    with h5py.File(tmp_path / "m.h5", "r+") as file:
        description = json.loads(file.attrs["model_config"])
        config = description["config"]
        for layer in config["layers"]:
            layer.pop("build_config", None)
            calls = []
            for node in layer["inbound_nodes"]:
                found = node["args"][0] if isinstance(node["args"][0], list) else node["args"]
                calls.append([[*t["config"]["keras_history"], {}] for t in found])
            layer["inbound_nodes"] = calls
            if layer["class_name"] == "InputLayer":
                layer["config"]["batch_input_shape"] = layer["config"].pop("batch_shape")
        config["input_layers"], config["output_layers"] = [config["input_layers"]], [config["output_layers"]]
        file.attrs["model_config"] = json.dumps(description)
    said = tessera("convert", tmp_path / "m.h5", "-o", tmp_path / "m.safetensors", "--to", "torch", code=None)
    assert said.returncode == 0 and "reordered" in said.stderr
    assert difference(model, tmp_path / "m.safetensors") < 1e-5


def channels_first(*more):
    """Convolutions over channels first in Keras itself: PyTorch's own order."""
    return keras.Sequential([layers.Input((3, 6, 5)), layers.Conv2D(4, 3, data_format="channels_first"), *more])


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_channels_first_in_keras(data_format, tessera, tmp_path):
    """Keras' Flatten moves channels behind where its own data_format says channels first."""
    model = channels_first(layers.Flatten(data_format=data_format), layers.Dense(7))
    randomised(model).save(tmp_path / "m.keras")
    tessera("convert", tmp_path / "m.keras", "-o", tmp_path / "m.safetensors", "--to", "torch")
    state = {k: torch.from_numpy(v) for k, v in safetensors.numpy.load_file(tmp_path / "m.safetensors").items()}
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 5)).astype(np.float32)
    found = Port(model, state)(x).numpy()
    assert np.abs(found - np.asarray(model(x))).max() < 1e-4
    axis = channels_first(layers.BatchNormalization(axis=-1, name="named"))
    axis.save(tmp_path / "axis.keras")
    assert "named" in tessera("convert", tmp_path / "axis.keras", "-o", tmp_path / "o.safetensors", "--to", "torch", code=4).stderr


@keras.saving.register_keras_serializable()
class Dense(layers.Layer):
    """A class of the user's own under the name of one of Keras'."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 4), name="kernel")

    def call(self, x):
        return x @ self.kernel**2


@keras.saving.register_keras_serializable()
class Block(layers.Layer):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.dense = layers.Dense(4)
        self.embedding = layers.Dense(4, use_bias=False)

    def call(self, x):
        return self.dense(x) + self.embedding(x)


@keras.saving.register_keras_serializable()
class Network(keras.Model):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.embedding = layers.Dense(4, use_bias=False)

    def call(self, x):
        return self.embedding(x)


# In a file of weights nothing tells Dense from Keras' own.
@pytest.mark.parametrize("own, suffix", [(Dense, "keras"), (Dense, "h5"), (Block, "keras"), (Block, "h5"), (Block, "weights.h5")])
def test_layers_of_the_users_own_are_named(own, suffix, tessera, tmp_path):
    model = keras.Sequential([layers.Input((5,)), layers.Dense(3), own(name="mine")])
    model.save_weights(tmp_path / "m.weights.h5") if suffix == "weights.h5" else model.save(tmp_path / f"m.{suffix}")
    said = tessera("convert", tmp_path / f"m.{suffix}", "-o", tmp_path / "o.safetensors", "--to", "torch", code=4).stderr
    assert "mine" in said or "block" in said, said


@pytest.mark.parametrize("suffix", ["keras", "weights.h5"])
def test_an_attribute_s_name_is_no_class(suffix, tessera, tmp_path):
    model = Network()
    model(np.zeros((1, 5), "float32"))
    model.save_weights(tmp_path / "m.weights.h5") if suffix == "weights.h5" else model.save(tmp_path / "m.keras")
    said = tessera("convert", tmp_path / f"m.{suffix}", "-o", tmp_path / "o.safetensors", "--to", "torch", code=4).stderr
    assert "embedding" in said


def quantized(mode, bias=True):
    model = keras.Sequential([layers.Input((16,)), layers.Dense(8, name="a", use_bias=bias)])
    model.quantize(mode)
    return model


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
@pytest.mark.parametrize("suffix", ["keras", "h5", "weights.h5"])
@pytest.mark.parametrize("bias", [True, False])
def test_codes_of_keras_are_no_weights(mode, suffix, bias, tessera, tmp_path):
    model = quantized(mode, bias)
    source = tmp_path / f"m.{suffix}"
    model.save_weights(source) if suffix == "weights.h5" else model.save(source)
    said = tessera("convert", source, "-o", tmp_path / "o.safetensors", "--to", "torch", code=4).stderr
    assert said.count("\n") == 1
    if mode != "float8":
        assert "codes" in said
        tessera("convert", source, "-o", tmp_path / "o.safetensors", "--dtype", "bf16", code=4)
    tessera("convert", source, "-o", tmp_path / "o.safetensors")
