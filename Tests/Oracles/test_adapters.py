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


def refused(tessera, folder, change, message, code):
    """An adapter of zeros for base.safetensors, changed, ends in one line and no file."""
    adapter = {"q_proj.lora_A.weight": torch.zeros(4, 24), "q_proj.lora_B.weight": torch.zeros(40, 4)}
    change(adapter)
    save_file(adapter, folder / "adapter.safetensors")
    result = tessera(
        "convert", folder / "base.safetensors", "-o", folder / "out.safetensors",
        "--lora", folder / "adapter.safetensors", code=code,
    )
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (folder / "out.safetensors").exists()


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
    refused(tessera, tmp_path, change, message, 4)


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
    refused(tessera, tmp_path, change, message, 5)


def sdxl():
    """A UNet and two text encoders with SDXL's parts, tiny."""
    import diffusers
    import transformers

    torch.manual_seed(5)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32, 64), layers_per_block=2, cross_attention_dim=24, attention_head_dim=(2, 4, 8),
        transformer_layers_per_block=(1, 1, 2), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), norm_num_groups=8, use_linear_projection=True,
        addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=48,
    )  # fmt: skip
    settings = lambda width: transformers.CLIPTextConfig(
        vocab_size=30, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2, num_attention_heads=2, projection_dim=width
    )  # fmt: skip
    return unet, transformers.CLIPTextModel(settings(16)), transformers.CLIPTextModelWithProjection(settings(20))


# Modules of SDXL as kohya's files name them, and as diffusers does: counted by hand from the original's `openaimodel.py`.
ORIGINAL = {
    "input_blocks_0_0": "conv_in", "input_blocks_1_0_in_layers_2": "down_blocks.0.resnets.0.conv1",
    "input_blocks_2_0_emb_layers_1": "down_blocks.0.resnets.1.time_emb_proj", "input_blocks_3_0_op": "down_blocks.0.downsamplers.0.conv",
    "input_blocks_4_0_skip_connection": "down_blocks.1.resnets.0.conv_shortcut",
    "input_blocks_4_1_transformer_blocks_0_attn1_to_q": "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
    "input_blocks_5_1_proj_in": "down_blocks.1.attentions.1.proj_in",
    "input_blocks_8_1_transformer_blocks_1_ff_net_0_proj": "down_blocks.2.attentions.1.transformer_blocks.1.ff.net.0.proj",
    "middle_block_0_out_layers_3": "mid_block.resnets.0.conv2",
    "middle_block_1_transformer_blocks_1_attn2_to_out_0": "mid_block.attentions.0.transformer_blocks.1.attn2.to_out.0",
    "middle_block_2_in_layers_2": "mid_block.resnets.1.conv1",
    "output_blocks_0_1_transformer_blocks_0_attn2_to_k": "up_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k",
    "output_blocks_2_2_conv": "up_blocks.0.upsamplers.0.conv", "output_blocks_5_2_conv": "up_blocks.1.upsamplers.0.conv",
    "output_blocks_5_1_proj_out": "up_blocks.1.attentions.2.proj_out", "output_blocks_8_0_in_layers_2": "up_blocks.2.resnets.2.conv1",
    "out_2": "conv_out", "time_embed_2": "time_embedding.linear_2", "label_emb_0_0": "add_embedding.linear_1",
}


def test_an_adapter_for_sdxl_is_merged_into_each_of_its_models(tessera, tmp_path):
    """kohya's names: the original's for the UNet, transformers' for te1 and te2; every key ends in one of three files."""
    models = dict(zip(("unet", "te1", "te2"), sdxl()))
    adapter, expected = {}, {}
    generator = torch.Generator().manual_seed(9)
    for part, model in models.items():
        state = {k: v.contiguous() for k, v in model.state_dict().items()}
        save_file(state, tmp_path / f"{part}.safetensors")
        expected[part] = {k: v.clone() for k, v in state.items()}
        names = ORIGINAL
        if part != "unet":
            modules = [k.removesuffix(".weight") for k, v in state.items() if v.dim() == 2 and "embedding" not in k]
            names = {m.replace(".", "_"): m for m in modules}
            assert len(names) >= 12
        for spelled, module in names.items():
            weight = state[f"{module}.weight"]
            down = torch.randn(3, *weight.shape[1:], generator=generator) * 0.2
            up = torch.randn(weight.shape[0], 3, *[1] * (weight.dim() - 2), generator=generator) * 0.2
            stem = f"lora_{part}_{spelled}"
            adapter |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up, f"{stem}.alpha": torch.tensor(1.5)}
            expected[part][f"{module}.weight"] += 0.5 * (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
    save_file(adapter, tmp_path / "sdxl.safetensors")
    merged = 0
    for part in models:
        report = tessera(
            "convert", tmp_path / f"{part}.safetensors", "-o", tmp_path / "out.safetensors", "--lora", tmp_path / "sdxl.safetensors",
            "--lora-part", part, "--json", "--quiet",
        )  # fmt: skip
        merged += len(json.loads(report.stdout)["merged"])
        compare(load_file(tmp_path / "out.safetensors"), expected[part])
    assert merged == len(adapter) // 3
    convert = ("convert", tmp_path / "unet.safetensors", "-o", tmp_path / "no.safetensors", "--lora", tmp_path / "sdxl.safetensors")
    assert "--lora-part" in tessera(*convert, code=4).stderr
    assert "te1, te2, unet" in tessera(*convert, "--lora-part", "transformer", code=4).stderr
    assert not (tmp_path / "no.safetensors").exists()
    tessera("convert", tmp_path / "unet.safetensors", "-o", tmp_path / "no.safetensors", "--lora-part", "unet", code=64)


def test_the_original_names_are_those_that_diffusers_reads(tmp_path):
    """The table above against diffusers' own reader of kohya's files for SDXL."""
    from types import SimpleNamespace

    from diffusers.loaders.lora_conversion_utils import _maybe_map_sgm_blocks_to_diffusers

    kept = {k: v for k, v in ORIGINAL.items() if k.startswith(("input_blocks", "middle_block", "output_blocks")) and k != "input_blocks_0_0"}
    state = {f"lora_unet_{k}.lora_down.weight": torch.full((1,), float(i)) for i, k in enumerate(kept)}
    mapped = _maybe_map_sgm_blocks_to_diffusers(dict(state), SimpleNamespace(layers_per_block=2))
    by_value = {int(v): k.removeprefix("lora_unet_").removesuffix(".lora_down.weight") for k, v in mapped.items()}
    # What its callers replace afterwards.
    leaves = {"input_blocks": "down_blocks", "middle_block": "mid_block", "output_blocks": "up_blocks", "in_layers_2": "conv1", "out_layers_3": "conv2", "emb_layers_1": "time_emb_proj", "skip_connection": "conv_shortcut"}  # fmt: skip
    for index, module in enumerate(kept.values()):
        found = by_value[index]
        for old, new in leaves.items():
            found = found.replace(old, new)
        assert found.replace("_op", "_conv") == module.replace(".", "_"), (found, module)
