"""config.json says what shapes say: models whose every size is unusual come back through each layout and load strictly."""

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from test_recipes import logits, run, rwkv6_file, rwkv7_file, saved

torch.set_num_threads(1)


def mamba(name, biased=None, **more):
    sizes = dict(vocab_size=56, hidden_size=24, state_size=6, num_hidden_layers=3, expand=3, conv_kernel=5) | more
    if biased is not None:
        sizes |= dict(use_bias=biased, use_conv_bias=not biased)
    return lambda: getattr(transformers, f"{name}ForCausalLM")(getattr(transformers, f"{name}Config")(**sizes))


def qwen3_next():
    return transformers.Qwen3NextForCausalLM(transformers.Qwen3NextConfig(
        vocab_size=50, hidden_size=32, intermediate_size=40, num_hidden_layers=5, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, linear_num_value_heads=4, linear_num_key_heads=2, linear_key_head_dim=6, linear_value_head_dim=10,
        linear_conv_kernel_dim=3, moe_intermediate_size=12, shared_expert_intermediate_size=14, num_experts=4, num_experts_per_tok=2,
        layer_types=["full_attention", "linear_attention", "linear_attention", "full_attention", "linear_attention"]))  # fmt: skip


def recurrent_gemma():
    model = transformers.RecurrentGemmaForCausalLM(transformers.RecurrentGemmaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
        lru_width=48, conv1d_width=3, block_types=["attention", "recurrent", "attention", "attention"]))  # fmt: skip
    torch.nn.init.normal_(model.model.layers[0].temporal_block.k_proj.weight)
    return model


def llama():
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=44, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=16))  # fmt: skip


def rwkv4():
    return transformers.RwkvForCausalLM(transformers.RwkvConfig(
        vocab_size=50, hidden_size=24, num_hidden_layers=3, attention_hidden_size=24, intermediate_size=40))  # fmt: skip


def retnet():
    from fla.models import RetNetConfig, RetNetForCausalLM

    return RetNetForCausalLM(RetNetConfig(vocab_size=50, hidden_size=32, num_hidden_layers=3, num_heads=2, expand_v=3, intermediate_size=40))


TWO = dict(n_groups=2, num_heads=9, head_dim=8)
MODELS = {
    "mamba.hf-gguf": (mamba("Mamba", expand=2, time_step_rank=7), "gguf", []),
    "falcon-mamba.hf-gguf": (mamba("FalconMamba", expand=2, time_step_rank=7), "gguf", []),
    "mamba2.hf-gguf": (mamba("Mamba2", **TWO), "gguf", []),
    "mamba.mamba_ssm-hf": (mamba("Mamba", time_step_rank=7), "mamba_ssm", []),
    "mamba.mamba_ssm-hf, biased": (mamba("Mamba", True, time_step_rank=7), "mamba_ssm", []),
    "mamba.mamba_ssm-hf, of the convolution": (mamba("Mamba", False, time_step_rank=7), "mamba_ssm", []),
    "mamba2.mamba_ssm-hf": (mamba("Mamba2", True, **TWO), "mamba_ssm", ["--set", "g=2"]),
    "mamba2.codestral-hf": (mamba("Mamba2", True, **TWO), "codestral", ["--set", "g=2", "--set", "n=6"]),
    "qwen3-next.hf-gguf": (qwen3_next, "gguf", []),
    "recurrentgemma.deepmind-hf": (recurrent_gemma, "deepmind", []),
    "llama.hf-gguf": (llama, "gguf", []),
    "llama.meta-hf": (llama, "meta", ["--set", "h=4", "--set", "g=2"]),
    "rwkv4.pth-hf": (rwkv4, "pth", []),
    "retnet.torchscale-fla": (retnet, "torchscale", ["--set", "h=2"]),
}
# Layouts whose library is elsewhere, tested by name below or in test_recipes.
OTHERS = {"rwkv6.pth-hf", "rwkv6.hf-gguf", "rwkv6.pth-fla", "rwkv7.pth-fla", "rwkv7.pth-gguf", "rope.adjacent-half"}


def test_every_recipe_with_settings_is_here():
    names = [row["name"] for row in json.loads(run("recipes", "list", "--json"))]
    with_settings = {name for name in names if "config" in json.loads(run("recipes", "show", name, "--json"))}
    assert with_settings == {name.split(",")[0] for name in MODELS} | (OTHERS & with_settings)


@pytest.mark.parametrize("name", MODELS)
def test_models_of_unusual_sizes_load_strictly_by_the_settings_alone(name, tmp_path):
    make, layout, options = MODELS[name]
    torch.manual_seed(3)
    model = saved(make(), tmp_path / "hf") and make
    recipe = name.split(",")[0]
    there = tmp_path / ("there.gguf" if layout == "gguf" else "there.safetensors")
    to_hf = ["--recipe", recipe] if recipe.split(".")[1].startswith(layout) else ["--recipe", recipe, "--inverse"]
    from_hf = ["--recipe", recipe, "--inverse"] if len(to_hf) == 2 else ["--recipe", recipe]
    run("convert", tmp_path / "hf", "-o", there, *from_hf)
    if layout != "gguf":
        # What stands in no tensor's shape is all that the user says: no settings are left beside the file.
        save_file(load_file(there), tmp_path / "alone.safetensors")
        there = tmp_path / "alone.safetensors"
        for file in tmp_path.glob("*.json"):
            file.unlink()
    run("convert", there, "-o", f"{tmp_path}/back/", *to_hf, *options)
    kind = type(model())
    theirs = kind.from_pretrained(tmp_path / "hf")
    ours, report = kind.from_pretrained(tmp_path / "back", output_loading_info=True)
    assert not any(report[part] for part in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")), report
    shapes = {k: v.shape for k, v in theirs.state_dict().items()}
    assert {k: v.shape for k, v in ours.state_dict().items()} == shapes
    if recipe not in ("retnet.torchscale-fla", "falcon-mamba.hf-gguf"):
        assert torch.allclose(logits(ours), logits(theirs), rtol=0, atol=1e-4)


@pytest.mark.parametrize("first", [False, True])
def test_ranks_of_rwkv7_are_in_its_settings(first, tmp_path):
    """fla opens the folder as it is; GGUF has llama.cpp's four keys, and the first layer's spare matrices its rank."""
    from fla.models import RWKV7ForCausalLM
    from gguf import GGUFReader
    from gguf.constants import Keys

    state = rwkv7_file(tmp_path / "rwkv7.pth")
    if first:
        # Published files may hold matrices that the first layer does not use.
        state |= {f"blocks.0.att.v{n}": state[f"blocks.1.att.v{n}"].clone() for n in range(3)}
        torch.save(state, tmp_path / "rwkv7.pth")
    run("convert", tmp_path / "rwkv7.pth", "-o", f"{tmp_path}/fla/", "--to", "fla")
    config = json.loads((tmp_path / "fla/config.json").read_text())
    ranks = dict(decay_low_rank_dim=8, a_low_rank_dim=10, v_low_rank_dim=12, gate_low_rank_dim=14)
    assert {k: config[k] for k in ranks} == ranks
    _, report = RWKV7ForCausalLM.from_pretrained(tmp_path / "fla", output_loading_info=True)
    assert not any(report[part] for part in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    run("convert", tmp_path / "rwkv7.pth", "-o", tmp_path / "rwkv7.gguf", "--to", "gguf")
    reader = GGUFReader(tmp_path / "rwkv7.gguf")
    for part, rank in (("DECAY", 8), ("ICLR", 10), ("VALUE_RESIDUAL_MIX", 12), ("GATE", 14)):
        key = getattr(Keys.Attention, f"{part}_LORA_RANK").format(arch="rwkv7")
        assert reader.fields[key].contents() == rank, key
    shapes = {tensor.name: tensor.shape.tolist() for tensor in reader.tensors}
    assert shapes["blk.0.time_mix_v1.weight"] == shapes["blk.0.time_mix_a1.weight"] == [64, 10]
    assert shapes["blk.1.time_mix_v1.weight"] == [64, 12]
    run("convert", tmp_path / "rwkv7.gguf", "-o", tmp_path / "back.pth", "--to", "pth")
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert back.keys() == {k for k in state if not k.startswith("blocks.0.att.v") or k.endswith("value.weight")}


def test_ranks_of_rwkv6_are_in_its_settings(tmp_path):
    from fla.models import RWKV6ForCausalLM
    from gguf import GGUFReader

    rwkv6_file(tmp_path / "rwkv6.pth", mixing=7, decay=9)
    run("convert", tmp_path / "rwkv6.pth", "-o", f"{tmp_path}/fla/", "--to", "fla")
    _, report = RWKV6ForCausalLM.from_pretrained(tmp_path / "fla", output_loading_info=True)
    assert not any(report[part] for part in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    run("convert", tmp_path / "rwkv6.pth", "-o", tmp_path / "hf.safetensors", "--recipe", "rwkv6.pth-hf")
    run("convert", tmp_path / "hf.safetensors", "-o", tmp_path / "rwkv6.gguf", "--recipe", "rwkv6.hf-gguf")
    fields = GGUFReader(tmp_path / "rwkv6.gguf").fields
    assert fields["rwkv6.time_mix_extra_dim"].contents() == 7 and fields["rwkv6.time_decay_extra_dim"].contents() == 9
