"""`convert --to keras`: weights trained in PyTorch, loaded by Keras' own `load_weights`; and there and back."""

import json
import os

os.environ["KERAS_BACKEND"] = "torch"

import h5py
import keras
import numpy as np
import pytest
import safetensors.numpy
import torch
from test_convert import CASES, build, layers, nn, save

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def trained(module, seed=3):
    """A module as it could come out of training: no parameter has its first value."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.8 + 0.1)
    return module.eval()


def datasets(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def groups(path):
    """The groups of a file with their attributes: names, values and the types of these."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Group):
            attributes = item.attrs
            types = {key: (attributes.get_id(key).dtype, attributes.get_id(key).shape) for key in attributes}
            found[name] = {key: (attributes[key], *types[key]) for key in attributes}

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


@pytest.mark.parametrize("name", CASES)
def test_outputs_equal_torch(name, tessera, tmp_path):
    layer, shape, make, around = CASES[name]
    model, x = build(layer, shape)
    save(model, tmp_path / "like.keras")
    holder = nn.Module()
    holder.probe = trained(make())
    with torch.no_grad():
        if name == "batch_normalization_no_scale":
            holder.probe.weight.fill_(1)  # what a Keras layer without a scale stands for
    torch.save(holder.state_dict(), tmp_path / "trained.pt")
    out = tmp_path / "out.weights.h5"
    arguments = ["--to", "keras", "--like", tmp_path / "like.keras"]
    tessera("convert", tmp_path / "trained.pt", "-o", out, *arguments)
    model.load_weights(out)
    with torch.no_grad():
        run = around(holder.probe) if around else holder.probe
        expected = run(torch.from_numpy(x)).numpy()
    got = model(x, training=False).detach().cpu().numpy()
    assert got.shape == expected.shape and np.abs(got - expected).max() <= 1e-5
    tessera("verify", tmp_path / "trained.pt", out, *arguments)

    # There and back, where PyTorch has nothing that Keras has not: the same bits.
    save(model, tmp_path / "loaded.keras")
    tessera("convert", tmp_path / "loaded.keras", "-o", tmp_path / "back.safetensors", "--to", "torch")
    back = safetensors.numpy.load_file(tmp_path / "back.safetensors")
    for key, tensor in holder.state_dict().items():
        if key.endswith("num_batches_tracked") or ("lstm" in name or "rnn" in name) and ".bias" in key:
            continue
        assert np.array_equal(back[key].view(np.uint32), tensor.numpy().view(np.uint32)), key


@pytest.mark.parametrize("name", CASES)
def test_keras_there_and_back_is_the_same_file_of_weights(name, tessera, tmp_path):
    layer, shape, _, _ = CASES[name]
    model, _ = build(layer, shape, seed=5)
    save(model, tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    tessera("convert", tmp_path / "model.keras", "-o", tmp_path / "t.safetensors", "--to", "torch")
    back = tmp_path / "back.weights.h5"
    tessera("convert", tmp_path / "t.safetensors", "-o", back, "--to", "keras", "--like", tmp_path / "model.keras")
    mine, keras_own = datasets(back), datasets(tmp_path / "model.weights.h5")
    assert sorted(mine) == sorted(keras_own)
    for key, value in keras_own.items():
        assert mine[key].dtype == value.dtype and mine[key].tobytes() == value.tobytes(), key
    assert groups(back) == groups(tmp_path / "model.weights.h5")


@pytest.mark.parametrize("ending", ["keras", "weights.h5"])
def test_groups_have_the_names_that_keras_gives_them(ending, tessera, tmp_path):
    """Also those of layers without variables; an optimizer's state, and the groups for it, are Keras' alone."""
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(6, name="a"), layers.Dropout(0.5), layers.Flatten(name="flat")], name="inner")
    model = keras.Sequential([keras.Input((5,)), layers.Dense(8, name="first"), inner], name="the_model")
    model.save_weights(tmp_path / "own.weights.h5")
    model.compile(optimizer="adam", loss="mse")
    model.fit(np.zeros((2, 5)), np.zeros((2, 6)), verbose=0)
    model.save_weights(tmp_path / "fitted.weights.h5")
    like = tmp_path / f"like.{ending}"
    model.save_weights(like) if ending == "weights.h5" else model.save(like)
    module = nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 6))
    torch.save(module.state_dict(), tmp_path / "t.pt")
    named = ["--module", "first=0", "--module", "inner.a=1"]
    out, copy = tmp_path / "o.weights.h5", tmp_path / "copy.weights.h5"
    tessera("convert", tmp_path / "t.pt", "-o", out, "--to", "keras", "--like", like, *named)
    own = groups(tmp_path / "own.weights.h5")
    assert groups(out) == own and own["vars"]["name"][0] == "the_model"
    assert any(path.endswith("flatten/vars") and found["name"][0] == "flat" for path, found in own.items())
    model.load_weights(out)
    # Without a change of layout everything comes along, the optimizer's too.
    tessera("convert", like, "-o", copy)
    assert groups(copy) == groups(tmp_path / "fitted.weights.h5") and "optimizer/vars" in groups(copy)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A nested model with dropout, whose random state no PyTorch file has, and its modules by other names."""
    folder = tmp_path_factory.mktemp("network")
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(6, activation="relu", name="a"), layers.Dropout(0.5)], name="inner")
    inputs = keras.Input((5,))
    model = keras.Model(inputs, layers.Dense(3, name="head")(inner(layers.Dense(8, name="first")(inputs))))
    model.save(folder / "model.keras")
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    torch.save(module.state_dict(), folder / "module.pt")
    return folder, model, module


NAMES = ["--module", "first=0", "--module", "inner.a=1", "--module", "head=3"]


def test_modules_of_other_names_and_random_state(network, tessera, tmp_path):
    folder, model, module = network
    tessera("convert", folder / "module.pt", "-o", tmp_path / "o.weights.h5", "--to", "keras",
            "--like", folder / "model.keras", *NAMES)
    model.load_weights(tmp_path / "o.weights.h5")
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    expected = module(torch.from_numpy(x)).detach().numpy()
    assert np.abs(model(x, training=False).detach().numpy() - expected).max() <= 1e-5
    # The names of the variables' layers alone are not enough of a model to fill, but a .weights.h5 of it is.
    model.save_weights(tmp_path / "like.weights.h5")
    other = tmp_path / "p.weights.h5"
    tessera("convert", folder / "module.pt", "-o", other, "--to", "keras", "--like", tmp_path / "like.weights.h5", *NAMES)
    model.load_weights(other)
    assert np.abs(model(x, training=False).detach().numpy() - expected).max() <= 1e-5


def test_packed_attention_of_torch(tessera, tmp_path):
    layer = layers.MultiHeadAttention(4, 3)
    model, x = build(layer, (6, 12))
    save(model, tmp_path / "like.keras")
    module = trained(nn.MultiheadAttention(12, 4, batch_first=True))
    torch.save({f"probe.{k}": v for k, v in module.state_dict().items()}, tmp_path / "t.pt")
    out = tmp_path / "o.weights.h5"
    tessera("convert", tmp_path / "t.pt", "-o", out, "--to", "keras", "--like", tmp_path / "like.keras")
    model.load_weights(out)
    with torch.no_grad():
        expected = module(*[torch.from_numpy(x)] * 3)[0].numpy()
    assert np.abs(model(x, training=False).detach().numpy() - expected).max() <= 1e-5


def test_what_does_not_fit_is_named(network, tessera, tmp_path):
    folder, _, module = network
    out = tmp_path / "o.weights.h5"
    to = ["-o", out, "--to", "keras", "--like", folder / "model.keras"]

    def refusal(state, *arguments, code=4):
        torch.save(state, tmp_path / "t.pt")
        said = tessera("convert", tmp_path / "t.pt", *to, *arguments, code=code).stderr
        assert said.count("\n") == 1 and not out.exists()
        return said

    state = module.state_dict()
    assert "--module LAYER=MODULE" in refusal(state)
    assert "there is no such tensor" in refusal({k: v for k, v in state.items() if k != "3.bias"}, *NAMES)
    assert "extra: no rule of 'torch-keras/1'" in refusal({**state, "extra": torch.ones(1)}, *NAMES)
    wrong = refusal({**state, "3.weight": torch.ones(6, 3)}, *NAMES)
    assert "3.weight: has shape [6, 3]" in wrong and "takes [3, 6]" in wrong
    assert "no such layer" in refusal(state, *NAMES, "--module", "nothing=3")
    tessera("convert", tmp_path / "t.pt", "-o", out, "--to", "keras", code=64)
    tessera("convert", tmp_path / "t.pt", "-o", tmp_path / "o.safetensors", *to[2:], code=64)
    tessera("convert", tmp_path / "t.pt", "-o", out, "--like", folder / "model.keras", code=64)
    assert "no Keras file" in tessera("convert", tmp_path / "t.pt", "-o", out, "--to", "keras", "--like",
                                      tmp_path / "t.pt", code=4).stderr
    tessera("convert", tmp_path / "t.pt", "-o", out, "--to", "keras", "--like", tmp_path / "none.keras", code=6)


def test_what_keras_does_not_have_must_change_nothing(tessera, tmp_path):
    model, _ = build(layers.LayerNormalization(center=False), (6, 5))
    save(model, tmp_path / "like.keras")
    arguments = ["--to", "keras", "--like", tmp_path / "like.keras", "-o", tmp_path / "o.weights.h5"]
    for bias, code in ((torch.zeros(5), 0), (torch.ones(5), 4)):
        torch.save({"probe.weight": torch.rand(5), "probe.bias": bias}, tmp_path / "t.pt")
        said = tessera("convert", tmp_path / "t.pt", *arguments, code=code).stderr
    assert "probe.bias: the Keras layer has none" in said
    # A second bias that is not zero is added to the first, and the plan says so.
    lstm, _ = build(layers.LSTM(4), (6, 5))
    save(lstm, tmp_path / "like.keras")
    module = nn.Module()
    module.probe = trained(nn.LSTM(5, 4))
    torch.save(module.state_dict(), tmp_path / "t.pt")
    plan = json.loads(tessera("convert", tmp_path / "t.pt", *arguments, "--plan", "--json").stdout)
    assert any("the sum with probe.bias_hh_l0" in note for note in plan["notes"])
