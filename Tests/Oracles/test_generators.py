"""One-step generators: folded noise levels against the unfolded forward pass, baked weights against PyTorch's own."""

import math

import pytest
import torch
from generator_reference import Generator, denoised
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn


def spiced(module, seed=0):
    """Weights far from their initial values, so that nothing can hide behind a zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * 0.2 + ("norm" in name and name.endswith("weight")))
    return module.eval()


def save(state, path, prefix="model."):
    save_file({prefix + k: v.contiguous().clone() for k, v in state.items()}, path)


@pytest.mark.parametrize("sigma", [2.5, 0.3, 80])
@pytest.mark.parametrize(
    "options",
    [
        dict(kind="song"),
        dict(kind="song", adaptive=False),
        dict(kind="song", features=True),
        dict(kind="song", labels=5),
        dict(kind="dhariwal"),
        dict(kind="dhariwal", labels=7),
    ],
    ids=lambda o: "-".join(map(str, o.values())),
)
def test_a_folded_generator_is_the_unfolded_one(tessera, tmp_path, options, sigma):
    network = spiced(Generator(**options))
    save(network.state_dict(), tmp_path / "in.safetensors")
    out = tmp_path / "out.safetensors"
    tessera("convert", tmp_path / "in.safetensors", "-o", out, "--fold-sigma", sigma, "--sigma-data", 0.5)
    with safe_open(out, "pt") as file:
        metadata = file.metadata()
    assert float(metadata["tessera.fold.sigma"]) == sigma
    skip = float(metadata["tessera.fold.skip"])
    assert math.isclose(skip, 0.25 / (sigma**2 + 0.25) * sigma, rel_tol=1e-15)
    state = {k.removeprefix("model."): v for k, v in load_file(out).items()}
    assert not any("map_" in name or "affine.weight" in name for name in state)

    z = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(4)
    label = torch.eye(network.labels, dtype=z.dtype)[labels] if network.labels else None
    expected = denoised(network.double(), sigma * z, sigma, label)
    affines = {name.rsplit(".affine", 1)[0]: value for name, value in state.items() if ".affine." in name}
    folded = {n: (v[labels] if network.labels else v.expand(4, -1)).double() for n, v in affines.items()}
    rest = {name: value.double() for name, value in state.items() if ".affine." not in name}
    missing, unexpected = network.load_state_dict(rest, strict=False)
    assert not unexpected and all("map_" in name or "affine" in name for name in missing)
    found = network(z, None, label, folded) + skip * z
    assert (found - expected).abs().max() <= 1e-6 * max(1, expected.abs().max())


@pytest.mark.parametrize("name", ["map_layer1.weight", "enc.8x8_conv.weight", "dec.8x8_block0.affine.bias"])
def test_a_network_that_is_not_whole_is_named(tessera, tmp_path, name):
    state = spiced(Generator("song")).state_dict()
    del state[name]
    save(state, tmp_path / "in.safetensors", "")
    result = tessera(
        "convert", tmp_path / "in.safetensors", "-o", tmp_path / "out.safetensors",
        "--fold-sigma", 2.5, "--sigma-data", 0.5, code=4,
    )
    assert result.stderr.count("\n") == 1 and name.split(".")[0] in result.stderr


def test_sigma_data_is_never_guessed(tessera, tmp_path):
    save(spiced(Generator("song")).state_dict(), tmp_path / "in.safetensors")
    arguments = ["convert", tmp_path / "in.safetensors", "-o", tmp_path / "out.safetensors", "--fold-sigma"]
    assert "--sigma-data" in tessera(*arguments, 2.5, code=4).stderr
    assert "positive" in tessera(*arguments, 0, "--sigma-data", 0.5, code=5).stderr


def bake(tessera, tmp_path, state, kind):
    save(state, tmp_path / "in.safetensors", "")
    tessera("convert", tmp_path / "in.safetensors", "-o", tmp_path / "out.safetensors", "--bake", kind)
    return load_file(tmp_path / "out.safetensors")


@pytest.mark.parametrize("parametrize", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.filterwarnings("ignore")
def test_weight_norm_is_baked_as_pytorch_computes_it(tessera, tmp_path, parametrize, axis):
    model = nn.Sequential(nn.Conv2d(5, 7, 3), nn.ReLU(), nn.ConvTranspose2d(7, 4, 4), nn.Linear(9, 6))
    for layer in (model[0], model[2], model[3]):
        parametrize(layer, dim=axis)
    spiced(model)
    found = bake(tessera, tmp_path, model.state_dict(), "weight-norm")
    expected = {f"{i}.weight": model[i].weight for i in (0, 2, 3)} | {f"{i}.bias": model[i].bias for i in (0, 2, 3)}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if parametrize is nn.utils.weight_norm and name.endswith("weight"):
            layer = model[int(name[0])]
            value = torch._weight_norm(layer.weight_v, layer.weight_g, -1 if axis is None else axis)
        assert torch.allclose(found[name], value, rtol=1e-6, atol=1e-7), name


def magnitude_preserving(weight, gain=1.0):
    """EDM2's weight: unit rows up to an epsilon, divided by the root of the fan-in."""
    fan_in = weight[0].numel()
    norm = 1e-4 + weight.flatten(1).norm(dim=1) / math.sqrt(fan_in)
    return weight / norm.view(-1, *[1] * (weight.ndim - 1)) * (gain / math.sqrt(fan_in))


def test_edm2_gains_and_norms_are_baked(tessera, tmp_path):
    generator = torch.Generator().manual_seed(2)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    state = {
        "unet.emb_noise.weight": draw(12, 8), "unet.enc.8x8_conv.weight": draw(8, 4, 3, 3),
        "unet.enc.8x8_block0.conv_res0.weight": draw(8, 8, 3, 3), "unet.enc.8x8_block0.emb_gain": torch.tensor(0.7),
        "unet.enc.8x8_block0.emb_linear.weight": draw(8, 12), "unet.out_gain": torch.tensor(1.3),
        "unet.out_conv.weight": draw(3, 8, 3, 3), "unet.emb_fourier.freqs": draw(8),
    }
    found = bake(tessera, tmp_path, state, "edm2")
    gains = {"unet.enc.8x8_block0.emb_linear.weight": 0.7, "unet.out_conv.weight": 1.3}
    assert found.keys() == {name for name in state if not name.endswith("_gain")}
    assert torch.equal(found["unet.emb_fourier.freqs"], state["unet.emb_fourier.freqs"])
    for name in found:
        if name.endswith(".weight"):
            expected = magnitude_preserving(state[name], gains.get(name, 1))
            assert torch.allclose(found[name], expected, rtol=1e-6, atol=1e-8), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_rows_of_qkv_are_brought_apart_bit_for_bit(tessera, tmp_path, dtype):
    state = {k: v.to(dtype) for k, v in spiced(Generator("song")).state_dict().items()}
    found = bake(tessera, tmp_path, state, "edm-qkv")
    for name, value in state.items():
        if ".qkv." in name:
            value = torch.cat(value.unflatten(0, (-1, 3)).unbind(1))
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("kind", ["weight-norm", "edm2", "edm-qkv"])
def test_nothing_to_bake_is_an_error(tessera, tmp_path, kind):
    save({"weight": torch.zeros(3)}, tmp_path / "in.safetensors", "")
    arguments = ["convert", tmp_path / "in.safetensors", "-o", tmp_path / "out.safetensors", "--bake", kind]
    assert kind in tessera(*arguments, code=4).stderr


def refused(tessera, tmp_path, state, code, *options):
    save(state, tmp_path / "in.safetensors", "")
    result = tessera("convert", tmp_path / "in.safetensors", "-o", tmp_path / "out.safetensors", *options, code=code)
    assert result.stderr.count("\n") == 1 and not (tmp_path / "out.safetensors").exists()
    return result.stderr


@pytest.mark.parametrize("name", ["enc.8x8_conv.weight", "dec.8x8_block0.affine.bias", "dec.8x8_aux_conv.bias"])
def test_double_precision_is_refused_and_not_mixed(tessera, tmp_path, name):
    """A float64 tensor among float32 ones was once filled with float32 bytes."""
    state = spiced(Generator("song")).state_dict()
    state[name] = state[name].double()
    message = refused(tessera, tmp_path, state, 4, "--fold-sigma", 2.5, "--sigma-data", 0.5)
    assert name in message and "--dtype f32" in message


def test_numbers_that_are_not_finite_are_named(tessera, tmp_path):
    state = spiced(Generator("song")).state_dict()
    damaged = state | {"map_layer1.bias": torch.full((24,), math.inf)}
    assert "map_layer1" in refused(tessera, tmp_path, damaged, 5, "--fold-sigma", 2.5, "--sigma-data", 0.5)
    directions = {"a.weight_v": torch.ones(3, 4), "a.weight_g": torch.ones(3, 1)}
    directions["a.weight_v"][1] = 0
    assert "slice 1 has the norm 0.0" in refused(tessera, tmp_path, directions, 5, "--bake", "weight-norm")
    directions = {"a.weight_v": torch.ones(3, 4), "a.weight_g": torch.tensor([[1.0], [math.nan], [1]])}
    assert "a.weight_v" in refused(tessera, tmp_path, directions, 5, "--bake", "weight-norm")
    preserved = {"out_gain": torch.tensor(math.nan), "out_conv.weight": torch.ones(3, 4)}
    assert "'out_gain'" in refused(tessera, tmp_path, preserved, 5, "--bake", "edm2")
    preserved = {"out_gain": torch.tensor(1.0), "out_conv.weight": torch.full((3, 4), math.inf)}
    assert "row 0 has the norm inf" in refused(tessera, tmp_path, preserved, 5, "--bake", "edm2")
    # A row of zeros stays one: EDM2's own epsilon divides it.
    preserved["out_conv.weight"] = torch.zeros(3, 4)
    assert not bake(tessera, tmp_path, preserved, "edm2")["out_conv.weight"].any()
