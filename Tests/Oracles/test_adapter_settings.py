"""adapter_config.json: every field that peft knows is followed, harmless, or refused by name."""

import dataclasses
import json

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_adapters import CONFIGURATIONS, Model, compare, converted, merged_by_peft, randomised

KINDS = {"LORA": peft.LoraConfig, "LOHA": peft.LoHaConfig, "LOKR": peft.LoKrConfig}
# Fields that say which modules are meant, how the adapter was trained, or what the merge follows.
FOLLOWED = {
    "r", "lora_alpha", "alpha", "use_rslora", "fan_in_fan_out", "use_dora", "alpha_pattern", "rank_pattern",
    "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "peft_type",
}  # fmt: skip
HARMLESS = {
    "task_type": "CAUSAL_LM", "auto_mapping": {"base_model_class": "Model"}, "peft_version": "0.1", "revision": "main",
    "base_model_name_or_path": "somewhere", "inference_mode": True, "lora_dropout": 0.3, "rank_dropout": 0.3, "module_dropout": 0.3,
    "rank_dropout_scale": True, "megatron_core": "megatron", "loftq_config": {"loftq_bits": 4}, "eva_config": {"rho": 2.0},
    "corda_config": {"corda_method": "kpm"}, "lora_ga_config": {"direction": "ArB2r"}, "qalora_group_size": 8,
    "init_weights": "lycoris", "use_effective_conv2d": True, "decompose_both": True, "decompose_factor": 4, "ensure_weight_tying": True,
}  # fmt: skip


def fields():
    for kind, configuration in KINDS.items():
        for field in dataclasses.fields(configuration):
            if field.init and field.name in configuration().to_dict() and field.name not in FOLLOWED:
                yield kind, field.name


def other(value):
    """A value that is not the default."""
    if isinstance(value, bool):
        return not value
    return {"str": "other", "int": 7, "float": 0.5}.get(type(value).__name__, {"some": 1})


def adapter(folder, kind, **changes):
    folder.mkdir(exist_ok=True)
    name = {"LORA": "lora", "LOHA": "loha", "LOKR": "lokr"}[kind]
    expected = merged_by_peft(CONFIGURATIONS[name], folder)
    path = folder / "adapter/adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return expected


@pytest.mark.parametrize("kind, field", list(fields()))
def test_every_field_is_harmless_or_refused_by_name(kind, field, tessera, tmp_path):
    changed = HARMLESS[field] if field in HARMLESS else other(KINDS[kind]().to_dict()[field])
    changed = "pissa" if field == "init_lora_weights" else changed
    expected = adapter(tmp_path, kind, **{field: changed})
    if field in HARMLESS:
        compare(converted(tessera, tmp_path, "--lora", tmp_path / "adapter"), expected)
        return
    for path in ("adapter", "adapter/adapter_model.safetensors"):
        said = tessera("convert", tmp_path / "base.safetensors", "-o", tmp_path / "o.safetensors", "--lora", tmp_path / path, code=4)
        assert f"'{field}'" in said.stderr and said.stderr.count("\n") == 1 and not (tmp_path / "o.safetensors").exists()


@pytest.mark.parametrize("changes, named", [
    ({"peft_type": "IA3"}, "peft_type"), ({"peft_type": "ADALORA"}, "peft_type"), ({"from_the_future": 1}, "from_the_future"),
    ({"use_dora": True}, "use_dora"), ({"r": 5}, "rank 4"), ({"rank_pattern": {"q_proj": 3}}, "rank 4"),
    ({"target_modules": ["k_proj"]}, "target_modules"), ({"target_modules": ".*k_proj"}, "target_modules"),
    ({"exclude_modules": ["q_proj"]}, "exclude_modules"), ({"lora_bias": True}, "lora_bias"), ({"bias": "all"}, "bias"),
    ({"modules_to_save": ["lm_head"]}, "modules_to_save"), ({"trainable_token_indices": [1]}, "trainable_token_indices"),
    ({"layer_replication": [[0, 1]]}, "layer_replication"), ({"target_parameters": ["w"]}, "target_parameters"),
    *[({"init_lora_weights": v}, "init_lora_weights") for v in ("pissa", "pissa_niter_16", "PiSSA", "olora", "OLoRA", "corda", "loftq", "lora_ga", "new")],
])  # fmt: skip
def test_what_peft_would_do_otherwise_is_named(changes, named, tessera, tmp_path):
    adapter(tmp_path, "LORA", **changes)
    said = tessera("convert", tmp_path / "base.safetensors", "-o", tmp_path / "o.safetensors", "--lora", tmp_path / "adapter", code=4)
    assert named in said.stderr and said.stderr.count("\n") == 1


@pytest.mark.parametrize("start", [True, False, "gaussian", "eva"])
def test_starts_that_leave_the_base_alone_are_merged_as_peft_reloads(start, tessera, tmp_path):
    adapter(tmp_path, "LORA", init_lora_weights=start)
    base = randomised(Model(), 0)
    # eva and others are for Linear alone; the reload is of what it was saved with.
    loaded = peft.PeftModel.from_pretrained(base, tmp_path / "adapter") if start != "eva" else None
    found = converted(tessera, tmp_path, "--lora", tmp_path / "adapter")
    if loaded:
        compare(found, {k: v for k, v in loaded.merge_and_unload().state_dict().items()}, 1e-5)


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_adapters_of_a_changed_base_convert_once_peft_has_made_them_plain(start, tessera, tmp_path):
    """The next step that the refusal names."""
    torch.manual_seed(0)
    base = randomised(Model(), 2)
    save_file({k: v.contiguous().clone() for k, v in base.state_dict().items()}, tmp_path / "base.safetensors")
    model = peft.get_peft_model(base, peft.LoraConfig(r=4, lora_alpha=6, init_lora_weights=start, target_modules=["q_proj", "k_proj"]))
    model.peft_config["default"].init_lora_weights = True
    model.save_pretrained(tmp_path / "start")
    model.peft_config["default"].init_lora_weights = start
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(tmp_path / "raw")
    said = tessera("convert", tmp_path / "base.safetensors", "-o", tmp_path / "out.safetensors", "--lora", tmp_path / "raw", code=4)
    assert "path_initial_model_for_weight_conversion" in said.stderr
    model.save_pretrained(tmp_path / "plain", path_initial_model_for_weight_conversion=str(tmp_path / "start"))
    found = converted(tessera, tmp_path, "--lora", tmp_path / "plain")
    compare(found, dict(model.merge_and_unload().state_dict()), 1e-5)


def packed(folder, settings):
    """An adapter as diffusers saves it: what peft's configuration says stands in the metadata."""
    base = {k: v.clone() for k, v in randomised(Model(), 6).state_dict().items()}
    save_file(base, folder / "base.safetensors")
    a, b = torch.ones(4, 24) * 0.1, torch.ones(40, 4) * 0.1
    save_file({"transformer.q_proj.lora_A.weight": a, "transformer.q_proj.lora_B.weight": b}, folder / "a.safetensors",
              {"format": "pt", "lora_adapter_metadata": json.dumps(settings)})  # fmt: skip
    return base, b @ a


def test_the_metadata_of_diffusers_are_followed(tessera, tmp_path):
    base, change = packed(tmp_path, {"transformer.r": 4, "transformer.lora_alpha": 10, "transformer.target_modules": ["q_proj"]})
    compare(converted(tessera, tmp_path, "--lora", tmp_path / "a.safetensors"), base | {"q_proj.weight": base["q_proj.weight"] + 2.5 * change})
    packed(tmp_path, {"transformer.r": 4, "transformer.lora_alpha": 10, "transformer.init_lora_weights": "pissa"})
    said = tessera("convert", tmp_path / "base.safetensors", "-o", tmp_path / "o.safetensors", "--lora", tmp_path / "a.safetensors", code=4)
    assert "init_lora_weights" in said.stderr


def test_an_adapter_in_diffusers_names_for_the_original_s_file(tessera, tmp_path):
    save_file({"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight": torch.ones(8, 8)}, tmp_path / "base.safetensors")
    stem = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    save_file({f"{stem}.lora_down.weight": torch.ones(2, 8), f"{stem}.lora_up.weight": torch.ones(8, 2)}, tmp_path / "a.safetensors")
    said = tessera("convert", tmp_path / "base.safetensors", "-o", tmp_path / "o.safetensors", "--lora", tmp_path / "a.safetensors", code=4)
    assert "original's names" in said.stderr and "down_blocks_0" in said.stderr
