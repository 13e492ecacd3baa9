"""`convert --lora` against peft's own merge, for its names, diffusers' and kohya's, and against LyCORIS' formulas."""

import json

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn


class Model(nn.Module):
    """Layers of every kind that an adapter changes; no two extents alike."""

    def __init__(self):
        super().__init__()
        self.q_proj = nn.Linear(24, 40)
        self.k_proj = nn.Linear(24, 56, bias=False)
        self.embed = nn.Embedding(30, 24)
        self.conv = nn.Conv2d(6, 10, 3, padding=1)
        self.point = nn.Conv2d(10, 14, 1)
        self.block = nn.ModuleDict({"to_out": nn.ModuleList([nn.Linear(40, 24)])})

    def forward(self, x):
        return self.block["to_out"][0](self.q_proj(x))


def randomised(module, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return module


def merged_by_peft(config, folder, seed=0, dtype=torch.float32):
    """Saves base and adapter; returns what peft makes of them."""
    base = randomised(Model(), seed).to(dtype)
    save_file({k: v.contiguous().clone() for k, v in base.state_dict().items()}, folder / "base.safetensors")
    model = peft.get_peft_model(base, config)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name or "hada_" in name or "lokr_" in name:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(noise.abs() + 0.5 if "magnitude" in name else noise * 0.2)
    model.save_pretrained(folder / "adapter")
    return {k: v.clone() for k, v in model.merge_and_unload().state_dict().items()}


def converted(tessera, folder, *options):
    tessera("convert", folder / "base.safetensors", "-o", folder / "out.safetensors", *options)
    return load_file(folder / "out.safetensors")


def compare(found, expected, tolerance=1e-6):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        difference = (found[name].float() - tensor.float()).abs().max()
        assert difference <= tolerance * max(1, tensor.float().abs().max()), (name, difference)


LAYERS = ["q_proj", "k_proj", "conv", "point", "to_out.0"]
CONFIGURATIONS = {
    "lora": peft.LoraConfig(r=4, lora_alpha=6, target_modules=LAYERS),
    "embedding": peft.LoraConfig(r=3, lora_alpha=5, target_modules=["embed", "q_proj"]),
    "rslora": peft.LoraConfig(r=4, lora_alpha=6, use_rslora=True, target_modules=LAYERS),
    "patterns": peft.LoraConfig(
        r=4, lora_alpha=6, target_modules=LAYERS, rank_pattern={"q_proj": 2}, alpha_pattern={"to_out.0": 9}
    ),
    "dora": peft.LoraConfig(r=4, lora_alpha=6, use_dora=True, target_modules=["q_proj", "conv", "to_out.0"]),
    "loha": peft.LoHaConfig(r=4, alpha=6, target_modules=["q_proj", "k_proj", "conv", "point"]),
    "loha-tucker": peft.LoHaConfig(r=4, alpha=6, use_effective_conv2d=True, target_modules=["q_proj", "conv"]),
    "lokr": peft.LoKrConfig(r=2, alpha=6, target_modules=["q_proj", "k_proj", "conv", "to_out.0"]),
    "lokr-both": peft.LoKrConfig(r=2, alpha=6, decompose_both=True, target_modules=["q_proj", "conv"]),
    "lokr-tucker": peft.LoKrConfig(r=2, alpha=6, use_effective_conv2d=True, target_modules=["conv"]),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_merge_is_that_of_peft(tessera, tmp_path, name):
    expected = merged_by_peft(CONFIGURATIONS[name], tmp_path)
    compare(converted(tessera, tmp_path, "--lora", tmp_path / "adapter"), expected)


def test_half_precision_is_rounded_once(tessera, tmp_path):
    """Float32 arithmetic, then one rounding: within half a unit in the last place of the exact merge."""
    config = CONFIGURATIONS["lora"]
    exact = merged_by_peft(config, tmp_path)
    base = load_file(tmp_path / "base.safetensors")
    halves = {k: v.to(torch.bfloat16) for k, v in base.items()}
    save_file(halves, tmp_path / "base.safetensors")
    found = converted(tessera, tmp_path, "--lora", tmp_path / "adapter")
    for name, tensor in found.items():
        change = exact[name] - base[name]
        assert tensor.dtype == torch.bfloat16
        assert torch.equal(tensor, (halves[name].float() + change).to(torch.bfloat16)) or (
            (tensor.float() - halves[name].float() - change).abs().max() <= 0.005 * exact[name].abs().max()
        )


def low_rank(base, rank, seed=3):
    """Kohya's parts for each weight matrix of a state dict."""
    generator = torch.Generator().manual_seed(seed)
    parts = {}
    for name, weight in base.items():
        if name.endswith("weight") and "embed" not in name:
            module = name.removesuffix(".weight")
            down = torch.randn(rank, *weight.shape[1:], generator=generator) * 0.2
            up = torch.randn(weight.shape[0], rank, *[1] * (weight.ndim - 2), generator=generator) * 0.2
            parts[module] = (down, up)
    return parts


def expected_low_rank(base, parts, scale):
    merged = dict(base)
    for module, (down, up) in parts.items():
        weight = base[f"{module}.weight"]
        merged[f"{module}.weight"] = weight + scale * (up.flatten(1) @ down.flatten(1)).view(weight.shape)
    return merged


@pytest.mark.parametrize("strength", [1.0, -0.75])
def test_kohya_names_resolve_against_the_list_of_names(tessera, tmp_path, strength):
    base = {k: v.clone() for k, v in randomised(Model(), 5).state_dict().items()}
    save_file({f"unet.{k}": v for k, v in base.items()}, tmp_path / "base.safetensors")
    parts = low_rank(base, 4)
    adapter = {}
    for module, (down, up) in parts.items():
        stem = "lora_unet_" + module.replace(".", "_")
        adapter |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up, f"{stem}.alpha": torch.tensor(2.0)}
    save_file(adapter, tmp_path / "kohya.safetensors")
    found = converted(tessera, tmp_path, "--lora", f"{tmp_path / 'kohya.safetensors'}:{strength}")
    expected = {f"unet.{k}": v for k, v in expected_low_rank(base, parts, strength * 2 / 4).items()}
    compare(found, expected)


@pytest.mark.parametrize(
    "down, up",
    [
        ("unet.{}.lora_A.weight", "unet.{}.lora_B.weight"),
        ("{}.lora.down.weight", "{}.lora.up.weight"),
        ("{}.lora_linear_layer.down.weight", "{}.lora_linear_layer.up.weight"),
    ],
)
def test_diffusers_names(tessera, tmp_path, down, up):
    base = {k: v.clone() for k, v in randomised(Model(), 6).state_dict().items()}
    save_file(base, tmp_path / "base.safetensors")
    parts = low_rank(base, 3)
    adapter = {}
    for module, (a, b) in parts.items():
        adapter |= {down.format(module): a, up.format(module): b}
    save_file(adapter, tmp_path / "diffusers.safetensors")
    found = converted(tessera, tmp_path, "--lora", tmp_path / "diffusers.safetensors")
    compare(found, expected_low_rank(base, parts, 1))


def test_the_norms_of_the_changes_are_reported(tessera, tmp_path):
    expected = merged_by_peft(CONFIGURATIONS["loha"], tmp_path)
    base = load_file(tmp_path / "base.safetensors")
    options = ["--lora", tmp_path / "adapter", "--json"]
    report = tessera("convert", tmp_path / "base.safetensors", "-o", tmp_path / "out.safetensors", *options)
    merged = {module["tensor"]: module for module in json.loads(report.stdout)["merged"]}
    assert len(merged) == 4
    for name, module in merged.items():
        assert module["rank"] == 4 and module["scale"] == 1.5
        assert np.isclose(module["delta_norm"], (expected[name] - base[name]).norm(), rtol=1e-4)


def test_two_adapters_are_merged_one_after_the_other(tessera, tmp_path):
    base = {k: v.clone() for k, v in randomised(Model(), 7).state_dict().items()}
    save_file(base, tmp_path / "base.safetensors")
    expected = base
    options = []
    for seed in (1, 2):
        parts = low_rank(base, 2, seed)
        adapter = {f"{m}.lora_A.weight": a for m, (a, _) in parts.items()}
        adapter |= {f"{m}.lora_B.weight": b for m, (_, b) in parts.items()}
        save_file(adapter, tmp_path / f"{seed}.safetensors")
        options += ["--lora", f"{tmp_path / str(seed)}.safetensors:0.5"]
        expected = expected_low_rank(expected, parts, 0.5)
    compare(converted(tessera, tmp_path, *options), expected)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda a: a.update({"other.lora_A.weight": a["q_proj.lora_A.weight"].clone()}), "matches no weight"),
        (lambda a: a.update({"q_proj.dropout": torch.zeros(3)}), "no part of a LoRA"),
        (lambda a: a.pop("q_proj.lora_B.weight"), "no complete LoRA"),
        (lambda a: a.update({"q_proj.lora_B.weight": torch.zeros(40, 5)}), "ranks of its parts differ"),
        (lambda a: a.update({"q_proj.lora_B.weight": torch.zeros(41, 4)}), "changes a matrix of 41 x 24"),
    ],
)
def test_what_does_not_fit_is_named(tessera, tmp_path, change, message):
    base = {k: v.clone() for k, v in randomised(Model(), 8).state_dict().items()}
    save_file(base, tmp_path / "base.safetensors")
    adapter = {"q_proj.lora_A.weight": torch.zeros(4, 24), "q_proj.lora_B.weight": torch.zeros(40, 4)}
    change(adapter)
    save_file(adapter, tmp_path / "adapter.safetensors")
    result = tessera(
        "convert", tmp_path / "base.safetensors", "-o", tmp_path / "out.safetensors",
        "--lora", tmp_path / "adapter.safetensors", code=4,
    )
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "out.safetensors").exists()


def test_a_peft_file_without_its_configuration_is_refused(tessera, tmp_path):
    merged_by_peft(CONFIGURATIONS["lora"], tmp_path)
    (tmp_path / "adapter" / "adapter_config.json").unlink()
    result = tessera(
        "convert", tmp_path / "base.safetensors", "-o", tmp_path / "out.safetensors",
        "--lora", tmp_path / "adapter", code=4,
    )
    assert "adapter_config.json" in result.stderr


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda a: a.update({"q_proj.alpha": torch.tensor(float("nan"))}), "multiplied by nan"),
        (lambda a: a.update({"q_proj.alpha": torch.tensor(float("inf"))}), "multiplied by inf"),
        (lambda a: a["q_proj.lora_B.weight"].fill_(float("nan")), "has the norm nan"),
        (lambda a: a.update({"q_proj.lora_magnitude_vector.weight": torch.full((40,), float("inf"))}), "magnitudes"),
        (lambda a: a.update({"q_proj.lora_magnitude_vector.weight": torch.ones(40)}), "row 0 has the norm 0.0"),
    ],
)
def test_numbers_that_are_not_finite_are_named(tessera, tmp_path, change, message):
    base = {k: v.clone() for k, v in randomised(Model(), 8).state_dict().items()}
    base["q_proj.weight"][0] = 0
    save_file(base, tmp_path / "base.safetensors")
    adapter = {"q_proj.lora_A.weight": torch.zeros(4, 24), "q_proj.lora_B.weight": torch.zeros(40, 4)}
    change(adapter)
    save_file(adapter, tmp_path / "adapter.safetensors")
    result = tessera(
        "convert", tmp_path / "base.safetensors", "-o", tmp_path / "out.safetensors",
        "--lora", tmp_path / "adapter.safetensors", code=5,
    )
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "out.safetensors").exists()
