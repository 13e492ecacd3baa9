"""Recipes: tiny models of the real libraries, converted and loaded by them again."""

import importlib.machinery
import json
import subprocess
import sys
import types

import numpy
import pytest
import torch
from conftest import _program
from safetensors.torch import load_file, save_file


torch.set_num_threads(1)


def run(*arguments, code=0):
    """Runs the program; its standard output, or its complaint where it has to fail."""
    done = subprocess.run([_program(), *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def saved(model, folder):
    model.eval().save_pretrained(folder)
    return folder


def respelled(folder, theta):
    """Transformers before 5 kept the rotary base at the top of config.json."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    assert config.pop("rope_parameters")["rope_theta"] == theta
    path.write_text(json.dumps(config | {"rope_theta": theta}))


def logits(model, vocabulary=50):
    tokens = (torch.arange(12) * 7 % vocabulary)[None]
    with torch.no_grad():
        return model(tokens).logits


def equal(a, b):
    """Whether two files hold the same tensors, bit for bit."""
    a, b = load_file(a), load_file(b)
    assert sorted(a) == sorted(b)
    for name, tensor in a.items():
        assert tensor.dtype == b[name].dtype and torch.equal(tensor, b[name]), name


def mamba(folder, falcon=False):
    import transformers

    kind = "FalconMamba" if falcon else "Mamba"
    settings = getattr(transformers, f"{kind}Config")(
        vocab_size=56, hidden_size=32, state_size=8, num_hidden_layers=3, expand=2, time_step_rank=5
    )
    torch.manual_seed(1)
    model = getattr(transformers, f"{kind}ForCausalLM")(settings)
    with torch.no_grad():
        for block in model.backbone.layers:
            block.mixer.A_log.add_(torch.randn_like(block.mixer.A_log) * 0.1)
            block.mixer.D.add_(torch.randn_like(block.mixer.D))
    return saved(model, folder)


def mamba2(folder):
    import transformers

    torch.manual_seed(2)
    settings = transformers.Mamba2Config(
        vocab_size=56, hidden_size=32, state_size=8, num_hidden_layers=2, expand=2, head_dim=16,
        num_heads=4, n_groups=2, tie_word_embeddings=True,
    )  # fmt: skip
    return saved(transformers.Mamba2ForCausalLM(settings), folder)


def test_mamba_through_gguf_has_the_same_logits(tmp_path):
    import transformers

    mamba(tmp_path / "hf")
    run("convert", tmp_path / "hf", "-o", tmp_path / "model.gguf", "--to", "gguf")
    ours = transformers.MambaForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf")
    theirs = transformers.MambaForCausalLM.from_pretrained(tmp_path / "hf")
    assert torch.equal(logits(ours), logits(theirs))
    # A_log is the logarithm of what the file holds: one rounding up, one down.
    run("convert", tmp_path / "model.gguf", "-o", f"{tmp_path}/back/", "--to", "hf")
    back = transformers.MambaForCausalLM.from_pretrained(tmp_path / "back")
    assert torch.allclose(logits(back), logits(theirs), rtol=0, atol=1e-5)
    for name, tensor in load_file(tmp_path / "hf/model.safetensors").items():
        other = back.state_dict()[name]
        if name.endswith("A_log"):
            assert (tensor - other).abs().max() < 5e-7
        else:
            assert torch.equal(tensor, other), name


def test_falcon_mamba_is_told_from_mamba_by_its_settings(tmp_path):
    from gguf import GGUFReader

    mamba(tmp_path / "hf", falcon=True)
    run("convert", tmp_path / "hf", "-o", tmp_path / "model.gguf", "--to", "gguf")
    fields = GGUFReader(tmp_path / "model.gguf").fields
    assert fields["general.architecture"].contents() == "mamba"
    assert fields["mamba.ssm.dt_b_c_rms"].contents() is True
    assert fields["mamba.ssm.time_step_rank"].contents() == 5


@pytest.mark.parametrize("make", [mamba, mamba2])
def test_mamba_ssm_names_load_in_transformers_and_come_back(make, tmp_path):
    import transformers

    make(tmp_path / "hf")
    run("convert", tmp_path / "hf", "-o", f"{tmp_path}/original/", "--to", "mamba_ssm")
    original = load_file(tmp_path / "original/model.safetensors")
    assert torch.equal(original["lm_head.weight"], original["backbone.embedding.weight"])
    settings = json.loads((tmp_path / "original/config.json").read_text())
    assert settings["d_model"] == 32 and settings["ssm_cfg"]["d_state"] == 8
    run("convert", tmp_path / "original", "-o", f"{tmp_path}/back/", "--to", "hf")
    equal(tmp_path / "hf/model.safetensors", tmp_path / "back/model.safetensors")
    # By its own name: once fla is imported, the automatic classes make fla's model.
    model = getattr(transformers, json.loads((tmp_path / "hf/config.json").read_text())["architectures"][0])
    theirs, back = (model.from_pretrained(tmp_path / name) for name in ("hf", "back"))
    assert torch.equal(logits(back), logits(theirs))


def test_two_recipes_become_one_pass(tmp_path):
    mamba(tmp_path / "hf")
    run("convert", tmp_path / "hf", "-o", tmp_path / "original.safetensors", "--to", "mamba_ssm")
    run("convert", tmp_path / "hf", "-o", tmp_path / "direct.gguf", "--to", "gguf")
    plan = json.loads(
        run("convert", tmp_path / "original.safetensors", "--to", "gguf", "--plan", "--json",
            "--recipe", "mamba.mamba_ssm-hf", "--recipe", "mamba.hf-gguf")
    )  # fmt: skip
    assert plan["recipe"] == "mamba.mamba_ssm-hf/2 + mamba.hf-gguf/1"
    rows = {row["name"]: row for row in plan["outputs"]}
    assert rows["blk.0.ssm_a"]["sources"] == ["backbone.layers.0.mixer.A_log"]
    assert rows["blk.0.ssm_a"]["reversibility"] == "rounding"
    assert rows["blk.0.ssm_in.weight"]["reversibility"] == "exact"


def test_a_second_application_a_missing_and_an_extra_tensor_are_refused(tmp_path):
    mamba(tmp_path / "hf")
    file = tmp_path / "original.safetensors"
    run("convert", tmp_path / "hf", "-o", file, "--to", "mamba_ssm")
    (tmp_path / "hf/config.json").unlink()
    recipe = ("--recipe", "mamba.mamba_ssm-hf", "-o", tmp_path / "out.safetensors")
    run("convert", file, *recipe)
    message = run("convert", tmp_path / "out.safetensors", "--recipe", "mamba.mamba_ssm-hf", "-o",
                  tmp_path / "twice.safetensors", code=4)  # fmt: skip
    assert "layout 'hf' already" in message
    assert "already" in run("convert", file, "--to", "mamba_ssm", "-o", tmp_path / "x.safetensors", code=4)
    tensors = load_file(file)
    for change, expected in [
        (lambda all: all.pop("backbone.layers.1.mixer.D"), "backbone.layers.1.mixer.D: is missing"),
        (lambda all: all.update({"extra": torch.ones(2)}), "extra: is no tensor of the layout"),
        (lambda all: all.update({"backbone.layers.2.mixer.D": torch.ones(7)}), "its axis 0 should be i = 64"),
    ]:
        changed = dict(tensors)
        change(changed)
        save_file(changed, tmp_path / "changed.safetensors")
        message = run("convert", tmp_path / "changed.safetensors", *recipe, code=4)
        assert expected in message, message


def test_s5_of_jax_has_the_same_outputs_in_s5_pytorch(tmp_path, monkeypatch):
    """The formulas of lindermanlab's layer (conjugate halves, ZOH) against s5-pytorch's module."""
    from s5 import S5, s5_model

    generator = numpy.random.default_rng(3)
    width, half, steps = 4, 6, 20
    flax = {
        "params.Lambda_re": -generator.uniform(0.1, 1, half),
        "params.Lambda_im": generator.uniform(0.5, 3, half),
        "params.B": generator.normal(size=(half, width, 2)),
        "params.C": generator.normal(size=(width, half, 2)),
        "params.D": generator.normal(size=width),
        "params.log_step": generator.uniform(-4, -1, (half, 1)),
    }
    save_file({k: torch.from_numpy(v) for k, v in flax.items()}, tmp_path / "flax.safetensors")
    run("convert", tmp_path / "flax.safetensors", "-o", tmp_path / "torch.pt", "--recipe", "s5.jax-torch")
    state = torch.load(tmp_path / "torch.pt", weights_only=True)
    assert state["seq.Lambda"].dtype == torch.complex128 and state["seq.Lambda"].shape == (2 * half,)
    # The package casts B to complex64 by default, which would hide all digits past the seventh.
    monkeypatch.setattr(s5_model.as_complex, "__defaults__", (torch.complex128,))
    module = S5(width, 2 * half).double()
    own = module.state_dict()
    assert {k: tuple(v.shape) for k, v in own.items()} == {k: tuple(v.shape) for k, v in state.items()}
    for name, value in state.items():
        module_name, parameter = name.rsplit(".", 1)
        setattr(module.get_submodule(module_name), parameter, torch.nn.Parameter(value))
    signal = generator.normal(size=(steps, width))
    with torch.no_grad():
        theirs = module(torch.from_numpy(signal)[None])[0].numpy()
    eigenvalues = flax["params.Lambda_re"] + 1j * flax["params.Lambda_im"]
    step = numpy.exp(flax["params.log_step"][:, 0])
    decay = numpy.exp(eigenvalues * step)
    b = flax["params.B"] @ [1, 1j]
    b = ((decay - 1) / eigenvalues)[:, None] * b
    state_vector, expected = numpy.zeros(half, complex), []
    for u in signal:
        state_vector = decay * state_vector + b @ u
        c = flax["params.C"] @ [1, 1j]
        expected.append(2 * (c @ state_vector).real + flax["params.D"] * u)
    assert numpy.abs(theirs - numpy.array(expected)).max() < 1e-12


def test_rwkv4_names_come_back_and_load_in_transformers(tmp_path):
    import transformers

    torch.manual_seed(4)
    settings = transformers.RwkvConfig(
        vocab_size=50, hidden_size=24, num_hidden_layers=2, attention_hidden_size=24,
        intermediate_size=48, context_length=1024,
    )  # fmt: skip
    saved(transformers.RwkvForCausalLM(settings), tmp_path / "hf")
    run("convert", tmp_path / "hf", "-o", tmp_path / "rwkv.pth", "--to", "pth")
    names = torch.load(tmp_path / "rwkv.pth", weights_only=True)
    assert names["blocks.0.ln0.weight"].shape == (24,)
    assert names["blocks.1.att.time_mix_k"].shape == (1, 1, 24)
    (tmp_path / "alone").mkdir()
    (tmp_path / "rwkv.pth").rename(tmp_path / "alone/rwkv.pth")
    run("convert", tmp_path / "alone/rwkv.pth", "-o", f"{tmp_path}/back/", "--to", "hf")
    theirs = transformers.RwkvForCausalLM.from_pretrained(tmp_path / "hf")
    back = transformers.RwkvForCausalLM.from_pretrained(tmp_path / "back")
    assert torch.equal(logits(back), logits(theirs))


def rwkv7_file(path):
    """A small model as training code writes it: seeded values under BlinkDL's names."""
    generator = torch.Generator().manual_seed(7)
    width, heads, layers, hidden = 64, 2, 2, 128

    def draw(*shape):
        return torch.randn(shape, generator=generator) * 0.1

    state = {"emb.weight": draw(50, width), "head.weight": draw(50, width)}
    for name in ["blocks.0.ln0", "ln_out"]:
        state |= {f"{name}.weight": 1 + draw(width), f"{name}.bias": draw(width)}
    for layer in range(layers):
        block = f"blocks.{layer}"
        for name in ["ln1", "ln2", "att.ln_x"]:
            state |= {f"{block}.{name}.weight": 1 + draw(width), f"{block}.{name}.bias": draw(width)}
        for name in "rwkvag":
            state[f"{block}.att.x_{name}"] = draw(1, 1, width)
        for name, rank in {"w": 8, "a": 10, "g": 14, "v": 12}.items():
            if name == "v" and layer == 0:
                continue
            state[f"{block}.att.{name}1"] = draw(width, rank)
            state[f"{block}.att.{name}2"] = draw(rank, width)
            if name != "g":
                state[f"{block}.att.{name}0"] = draw(1, 1, width)
        for name in ["k_k", "k_a"]:
            state[f"{block}.att.{name}"] = draw(1, 1, width)
        state[f"{block}.att.r_k"] = draw(heads, width // heads)
        for name in ["receptance", "key", "value", "output"]:
            state[f"{block}.att.{name}.weight"] = draw(width, width)
        state[f"{block}.ffn.x_k"] = draw(1, 1, width)
        state[f"{block}.ffn.key.weight"] = draw(hidden, width)
        state[f"{block}.ffn.value.weight"] = draw(width, hidden)
    torch.save(state, path)
    return state


def test_rwkv7_has_the_names_and_shapes_of_fla(tmp_path):
    from fla.models import RWKV7Config, RWKV7ForCausalLM

    rwkv7_file(tmp_path / "rwkv7.pth")
    run("convert", tmp_path / "rwkv7.pth", "-o", f"{tmp_path}/fla/", "--to", "fla")
    settings = RWKV7Config(
        vocab_size=50, hidden_size=64, num_hidden_layers=2, head_dim=32, intermediate_size=128,
        decay_low_rank_dim=8, a_low_rank_dim=10, v_low_rank_dim=12, gate_low_rank_dim=14,
    )  # fmt: skip
    RWKV7ForCausalLM(settings).load_state_dict(load_file(tmp_path / "fla/model.safetensors"))
    assert json.loads((tmp_path / "fla/config.json").read_text())["head_dim"] == 32
    run("convert", tmp_path / "fla", "-o", tmp_path / "back.pth", "--to", "pth")
    before = torch.load(tmp_path / "rwkv7.pth", weights_only=True)
    after = torch.load(tmp_path / "back.pth", weights_only=True)
    assert sorted(before) == sorted(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_rwkv7_has_the_names_and_shapes_of_gguf(tmp_path):
    from gguf import GGUFReader
    from gguf.constants import MODEL_ARCH, MODEL_TENSORS, TENSOR_NAMES

    state = rwkv7_file(tmp_path / "rwkv7.pth")
    run("convert", tmp_path / "rwkv7.pth", "-o", tmp_path / "rwkv7.gguf", "--to", "gguf")
    reader = GGUFReader(tmp_path / "rwkv7.gguf")
    known = {TENSOR_NAMES[kind] for kind in MODEL_TENSORS[MODEL_ARCH.RWKV7]}
    stems = {tensor.name.rsplit(".", 1)[0].replace("blk.1.", "blk.{bid}.").replace("blk.0.", "blk.{bid}.")
             for tensor in reader.tensors}  # fmt: skip
    assert stems <= known, stems - known
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    fused = torch.stack([state[f"blocks.1.att.x_{name}"] for name in "rwkvag"])
    assert numpy.array_equal(tensors["blk.1.time_mix_lerp_fused.weight"], fused.numpy())
    assert numpy.array_equal(tensors["blk.1.time_mix_w1.weight"], state["blocks.1.att.w1"].T.numpy())
    assert numpy.array_equal(tensors["blk.0.time_mix_v1.weight"], state["blocks.0.att.a1"].T.numpy())
    assert reader.fields["rwkv7.wkv.head_size"].contents() == 32


def test_retnet_of_fla_differs_by_rotation_and_names_alone(tmp_path):
    from fla.models import RetNetConfig, RetNetForCausalLM

    torch.manual_seed(5)
    settings = RetNetConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=2, num_heads=2, intermediate_size=40
    )
    saved(RetNetForCausalLM(settings), tmp_path / "fla")
    run("convert", tmp_path / "fla", "-o", tmp_path / "scale.safetensors", "--recipe",
        "retnet.fla-torchscale")  # fmt: skip
    scale = load_file(tmp_path / "scale.safetensors")
    query = load_file(tmp_path / "fla/model.safetensors")["model.layers.0.attn.q_proj.weight"]
    halves = query.view(2, 2, 8, 32)
    assert torch.equal(scale["layers.0.retention.q_proj.weight"].view(2, 8, 2, 32), halves.transpose(1, 2))
    run("convert", tmp_path / "scale.safetensors", "-o", f"{tmp_path}/back/", "--recipe",
        "retnet.torchscale-fla", "--set", "h=2")  # fmt: skip
    equal(tmp_path / "fla/model.safetensors", tmp_path / "back/model.safetensors")


def test_recurrentgemma_of_deepmind_has_the_same_logits_in_transformers(tmp_path):
    # Its decorators check types that this Python's typeguard cannot parse; the arithmetic does not need them.
    checker = types.ModuleType("typeguard")
    checker.__spec__ = importlib.machinery.ModuleSpec("typeguard", None)
    checker.typechecked = lambda function: function
    sys.modules["typeguard"] = checker
    import transformers
    from recurrentgemma import common as recurrentgemma
    from recurrentgemma import torch as deepmind

    recurrent = recurrentgemma.TemporalBlockType.RECURRENT
    attention = recurrentgemma.TemporalBlockType.ATTENTION
    settings = recurrentgemma.GriffinConfig(
        vocab_size=50, width=32, mlp_expanded_width=48, num_heads=4, lru_width=32,
        block_types=(recurrent, recurrent, attention), embeddings_scale_by_sqrt_dim=True,
        attention_window_size=2048, logits_soft_cap=30.0,
    )  # fmt: skip
    torch.manual_seed(6)
    model = deepmind.Griffin(settings)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2)
    model.eval()
    torch.save(model.state_dict(), tmp_path / "griffin.pt")
    run("convert", tmp_path / "griffin.pt", "-o", f"{tmp_path}/hf/", "--to", "hf")
    theirs = transformers.RecurrentGemmaForCausalLM.from_pretrained(tmp_path / "hf")
    tokens = (torch.arange(12) * 7 % 50)[None]
    with torch.no_grad():
        expected, _ = model(tokens=tokens, segment_pos=torch.arange(12)[None])
    assert torch.allclose(logits(theirs), expected, rtol=0, atol=1e-4)
    run("convert", tmp_path / "hf", "-o", tmp_path / "back.pt", "--to", "deepmind")
    before, after = (torch.load(tmp_path / n, weights_only=True) for n in ["griffin.pt", "back.pt"])
    assert sorted(before) == sorted(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_qwen3_next_gated_delta_net_in_gguf_order(tmp_path):
    import transformers
    from gguf import GGUFReader

    torch.manual_seed(8)
    settings = transformers.Qwen3NextConfig(
        vocab_size=50, hidden_size=32, intermediate_size=40, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, linear_num_value_heads=4, linear_num_key_heads=2,
        linear_key_head_dim=6, linear_value_head_dim=10, moe_intermediate_size=12,
        shared_expert_intermediate_size=12, num_experts=4, num_experts_per_tok=2,
        rope_parameters={"rope_type": "default", "rope_theta": 1e7, "partial_rotary_factor": 0.25},
    )  # fmt: skip
    model = transformers.Qwen3NextForCausalLM(settings)
    saved(model, tmp_path / "hf")
    run("convert", tmp_path / "hf", "-o", tmp_path / "next.gguf", "--to", "gguf")
    assert GGUFReader(tmp_path / "next.gguf").fields["qwen3next.rope.freq_base"].contents() == 1e7
    respelled(tmp_path / "hf", 1e7)
    run("convert", tmp_path / "hf", "-o", tmp_path / "respelled.gguf", "--to", "gguf")
    assert GGUFReader(tmp_path / "respelled.gguf").fields["qwen3next.rope.freq_base"].contents() == 1e7
    tensors = {tensor.name: tensor.data for tensor in GGUFReader(tmp_path / "next.gguf").tensors}
    layer = model.model.layers[0].linear_attn
    # The module itself says which rows are q, k, v and z.
    q, k, v, z, b, a = layer.fix_query_key_value_ordering(
        layer.in_proj_qkvz.weight.T[None], layer.in_proj_ba.weight.T[None]
    )
    rows = torch.cat([part.reshape(32, -1).T for part in (q, k, v)]).detach().numpy()
    assert numpy.array_equal(tensors["blk.0.attn_qkv.weight"], rows)
    assert numpy.array_equal(tensors["blk.0.attn_gate.weight"], z.reshape(32, -1).T.detach().numpy())
    state = load_file(tmp_path / "hf/model.safetensors")
    assert numpy.array_equal(
        tensors["blk.1.attn_norm.weight"], (state["model.layers.1.input_layernorm.weight"] + 1).numpy()
    )
    experts = [state[f"model.layers.2.mlp.experts.{e}.up_proj.weight"] for e in range(4)]
    assert numpy.array_equal(tensors["blk.2.ffn_up_exps.weight"], torch.stack(experts).numpy())
    expected = -torch.exp(state["model.layers.0.linear_attn.A_log"].double()).float().numpy()
    assert numpy.array_equal(tensors["blk.0.ssm_a"], expected)


def test_llama_rows_are_those_of_transformers(tmp_path):
    import transformers

    torch.manual_seed(9)
    settings = transformers.LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2,
    )  # fmt: skip
    saved(transformers.LlamaForCausalLM(settings), tmp_path / "hf")
    run("convert", tmp_path / "hf", "-o", f"{tmp_path}/meta/", "--to", "meta")
    meta = load_file(tmp_path / "meta/model.safetensors")
    state = load_file(tmp_path / "hf/model.safetensors")
    permuted = meta["layers.0.attention.wq.weight"].view(4, 4, 2, 32).transpose(1, 2).reshape(32, 32)
    assert torch.equal(permuted, state["model.layers.0.self_attn.q_proj.weight"])
    run("convert", tmp_path / "meta", "-o", f"{tmp_path}/back/", "--to", "hf")
    equal(tmp_path / "hf/model.safetensors", tmp_path / "back/model.safetensors")
    back = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "back")
    assert torch.equal(logits(back), logits(transformers.LlamaForCausalLM.from_pretrained(tmp_path / "hf")))
    out = tmp_path / "adjacent.safetensors"
    run("convert", tmp_path / "hf", "-o", out, "--recipe", "rope.half-adjacent")
    assert torch.equal(load_file(out)["model.layers.0.self_attn.q_proj.weight"], meta["layers.0.attention.wq.weight"])
    message = run("convert", out, "-o", tmp_path / "x.safetensors", "--recipe", "rope.half-adjacent",
                  "--set", "h=4", code=4)  # fmt: skip
    assert "already" in message


@pytest.mark.parametrize("spelling", ["rope_parameters", "rope_theta"])
def test_the_rotary_base_is_kept_in_both_spellings(spelling, tmp_path):
    import transformers
    from gguf import GGUFReader

    theta = 500000.0
    settings = transformers.LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
    )  # fmt: skip
    saved(transformers.LlamaForCausalLM(settings), tmp_path / "hf")
    if spelling == "rope_theta":
        respelled(tmp_path / "hf", theta)
    for layout in ["meta", "gguf"]:
        there = f"{tmp_path}/model.gguf" if layout == "gguf" else f"{tmp_path}/{layout}/"
        run("convert", tmp_path / "hf", "-o", there, "--to", layout)
        run("convert", there, "-o", f"{tmp_path}/back-{layout}/", "--to", "hf")
        back = transformers.LlamaForCausalLM.from_pretrained(f"{tmp_path}/back-{layout}")
        assert back.config.rope_parameters["rope_theta"] == theta
        assert torch.equal(logits(back), logits(transformers.LlamaForCausalLM.from_pretrained(tmp_path / "hf")))
        # What we wrote holds both spellings; it is one entry of a GGUF file again.
        run("convert", f"{tmp_path}/back-{layout}", "-o", f"{tmp_path}/again-{layout}.gguf", "--to", "gguf")
        fields = GGUFReader(f"{tmp_path}/again-{layout}.gguf").fields
        assert fields["llama.rope.freq_base"].contents() == theta
    assert json.loads((tmp_path / "meta/config.json").read_text())["rope_theta"] == theta


def vq_model():
    from diffusers import VQModel

    torch.manual_seed(10)
    return VQModel(
        block_out_channels=(32, 64, 64),
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"),
        layers_per_block=1, latent_channels=4, num_vq_embeddings=16, norm_num_groups=8, vq_embed_dim=4,
    )  # fmt: skip


def test_vq_spellings_go_round_and_load(tmp_path):
    from transformers.models.janus.modeling_janus import JanusVQVAE, JanusVQVAEConfig

    model = vq_model()
    save_file(model.state_dict(), tmp_path / "diffusers.safetensors")
    here = "diffusers"
    for there in ["taming", "llamagen", "janus-hf", "diffusers"]:
        run("convert", tmp_path / f"{here}.safetensors", "-o", tmp_path / f"{there}-out.safetensors", "--to", there)
        (tmp_path / f"{there}-out.safetensors").rename(tmp_path / f"{there}.2.safetensors")
        here = f"{there}.2"
    equal(tmp_path / "diffusers.safetensors", tmp_path / "diffusers.2.safetensors")
    taming = load_file(tmp_path / "taming.2.safetensors")
    assert taming["encoder.down.2.attn.0.q.weight"].shape == (64, 64, 1, 1)
    assert "decoder.up.2.upsample.conv.weight" in taming and "decoder.up.0.upsample.conv.weight" not in taming
    settings = JanusVQVAEConfig(
        embed_dim=4, num_embeddings=16, base_channels=32, channel_multiplier=[1, 2, 2], num_res_blocks=1,
        latent_channels=4, num_patches=4,
    )  # fmt: skip
    JanusVQVAE(settings).load_state_dict(load_file(tmp_path / "janus-hf.2.safetensors"))


def test_autoencoder_of_diffusers_in_ldm_names(tmp_path):
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    torch.manual_seed(11)
    model = AutoencoderKL(
        block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1, latent_channels=4, norm_num_groups=8,
    )  # fmt: skip
    save_file(model.state_dict(), tmp_path / "vae.safetensors")
    run("convert", tmp_path / "vae.safetensors", "-o", tmp_path / "ldm.safetensors", "--to", "taming")
    theirs = convert_ldm_vae_checkpoint(load_file(tmp_path / "ldm.safetensors"), model.config)
    assert sorted(theirs) == sorted(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert torch.equal(theirs[name].reshape(tensor.shape), tensor), name


def test_emu3_of_transformers_in_baais_names(tmp_path):
    import transformers

    torch.manual_seed(12)
    # One head as wide as the level: Transformers' own default is that of the large model.
    settings = transformers.Emu3VQVAEConfig(
        codebook_size=16, embed_dim=4, latent_channels=4, base_channels=32, channel_multiplier=[1, 2],
        num_res_blocks=1, attn_resolutions=[1], hidden_size=64, num_attention_heads=1)
    model = transformers.Emu3VQVAE(settings)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape))
    save_file(model.state_dict(), tmp_path / "hf.safetensors")
    out, back = tmp_path / "original.safetensors", tmp_path / "back.safetensors"
    run("convert", tmp_path / "hf.safetensors", "-o", out, "--recipe", "emu3.original-hf", "--inverse")
    names = load_file(out)
    assert names["encoder.down.1.attn.0.q.weight"].shape == (64, 64, 1, 1)
    assert torch.equal(names["decoder.up.1.attn.1.norm.conv_y.weight"],
                       model.state_dict()["decoder.up_block.up.1.attn_norms.1.conv_y.weight"])
    assert torch.equal(names["encoder.mid.attn_1.proj_out.bias"],
                       model.state_dict()["encoder.middle_block.attn_1.out_proj.bias"])
    run("convert", out, "-o", back, "--recipe", "emu3.original-hf")
    equal(tmp_path / "hf.safetensors", back)
    model.load_state_dict(load_file(back))
    # The tokenizer reads both spellings as one network.
    for file in (out, back):
        assert "already" in run("convert", file, "-o", tmp_path / "x.safetensors", "--recipe", "emu3.original-hf",
                                *(["--inverse"] if file == out else []), code=4)


def test_var_attention_is_fused_and_split(tmp_path):
    torch.manual_seed(13)
    state = {f"encoder.down.1.attn.0.{m}.{w}": torch.randn(6, 6, 1, 1) if w == "weight" else torch.randn(6)
             for m in "qkv" for w in ("weight", "bias")}
    state |= {f"decoder.mid.attn_1.{m}.{w}": torch.randn(4, 4, 1, 1) if w == "weight" else torch.randn(4)
              for m in "qkv" for w in ("weight", "bias")}
    state["quantize.embedding.weight"] = torch.randn(5, 3)
    save_file(state, tmp_path / "split.safetensors")
    out, back = tmp_path / "fused.safetensors", tmp_path / "back.safetensors"
    run("convert", tmp_path / "split.safetensors", "-o", out, "--recipe", "var.split-fused")
    fused = load_file(out)["encoder.down.1.attn.0.qkv.weight"]
    assert torch.equal(fused, torch.cat([state[f"encoder.down.1.attn.0.{m}.weight"] for m in "qkv"]))
    run("convert", out, "-o", back, "--recipe", "var.split-fused", "--inverse")
    equal(tmp_path / "split.safetensors", back)


def test_dvae_of_openai_loads_in_flava(tmp_path):
    import transformers

    torch.manual_seed(14)
    codebook = transformers.FlavaImageCodebook(transformers.FlavaImageCodebookConfig(
        num_groups=2, num_blocks_per_group=1, hidden_size=8, vocab_size=16, freeze=False))
    state = codebook.state_dict()
    save_file(state, tmp_path / "flava.safetensors")
    out, back = tmp_path / "openai.safetensors", tmp_path / "back.safetensors"
    run("convert", tmp_path / "flava.safetensors", "-o", out, "--to", "openai")
    assert {name.rsplit(".", 1)[1] for name in load_file(out)} == {"w", "b"}
    assert "blocks.input.w" in load_file(out)
    run("convert", out, "-o", back, "--to", "flava")
    equal(tmp_path / "flava.safetensors", back)


@pytest.mark.parametrize("dtype", [[], ["--dtype", "bf16"], ["--dtype", "q8_0"]])
def test_llama_through_gguf_has_the_same_logits(dtype, tmp_path):
    import transformers

    torch.manual_seed(15)
    settings = transformers.LlamaConfig(
        vocab_size=56, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128)
    theirs = transformers.LlamaForCausalLM(settings)
    saved(theirs, tmp_path / "hf")
    run("convert", tmp_path / "hf", "-o", tmp_path / "model.gguf", "--to", "gguf", *dtype)
    ours = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype=torch.float32)
    assert ours.config.num_key_value_heads == 2 and ours.config.max_position_embeddings == 128
    distance = (logits(ours) - logits(theirs)).abs().max()
    assert distance == 0 if not dtype else distance < 0.05
    if not dtype:
        run("convert", tmp_path / "model.gguf", "-o", f"{tmp_path}/back/", "--to", "hf")
        equal(tmp_path / "hf/model.safetensors", tmp_path / "back/model.safetensors")
        back = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "back")
        assert torch.equal(logits(back), logits(theirs))


SCALINGS = {
    "linear": {"factor": 4.0},
    "yarn": {"factor": 2.5, "original_max_position_embeddings": 4096, "beta_fast": 16.0, "beta_slow": 2.0},
    "llama3": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
    "llama3 of others": {
        "factor": 12.5, "low_freq_factor": 1.5, "high_freq_factor": 3.0, "original_max_position_embeddings": 2048},
}  # fmt: skip


def scaled_llama(folder, kind, **changes):
    """A small LLaMA whose rotary positions are scaled; the changes are made to its config.json alone."""
    import transformers

    torch.manual_seed(16)
    scaling = {"rope_type": kind.split()[0], "rope_theta": 500000.0} | SCALINGS[kind]
    settings = transformers.LlamaConfig(
        vocab_size=50, hidden_size=128, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=131072, rope_parameters=scaling)  # fmt: skip
    saved(transformers.LlamaForCausalLM(settings), folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["rope_parameters"] |= changes
    path.write_text(json.dumps(config))
    return settings


def at_the_end(model):
    """Logits at positions where scaling changes them."""
    tokens = (torch.arange(12) * 7 % 50)[None]
    with torch.no_grad():
        return model(tokens, position_ids=torch.arange(12)[None] * 9001).logits


@pytest.mark.parametrize("spelling", ["rope_parameters", "rope_scaling"])
@pytest.mark.parametrize("kind", SCALINGS)
def test_scaled_rotary_positions_go_through_gguf(kind, spelling, tmp_path):
    import transformers
    from gguf import GGUFReader
    from gguf.constants import MODEL_TENSOR, TENSOR_NAMES, Keys, RopeScalingType
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    settings = scaled_llama(tmp_path / "hf", kind)
    if spelling == "rope_scaling":
        path = tmp_path / "hf/config.json"
        config = json.loads(path.read_text())
        scaling = config.pop("rope_parameters")
        config["rope_theta"] = scaling.pop("rope_theta")
        path.write_text(json.dumps(config | {"rope_scaling": scaling}))
    run("convert", tmp_path / "hf", "-o", tmp_path / "model.gguf", "--to", "gguf", "--dtype", "bf16")
    reader = GGUFReader(tmp_path / "model.gguf")
    stated = {name: field.contents() for name, field in reader.fields.items() if ".rope." in name}
    key = lambda name: getattr(Keys.Rope, name).format(arch="llama")
    given = SCALINGS[kind]
    assert stated.pop(key("FREQ_BASE")) == 500000.0 and stated.pop(key("DIMENSION_COUNT")) == 64
    found = {tensor.name: tensor for tensor in reader.tensors}.get(f"{TENSOR_NAMES[MODEL_TENSOR.ROPE_FREQS]}.weight")
    if kind == "linear":
        expected = {"SCALING_TYPE": RopeScalingType.LINEAR.value, "SCALING_FACTOR": 4.0}
    elif kind == "yarn":
        expected = {"SCALING_TYPE": RopeScalingType.YARN.value, "SCALING_FACTOR": 2.5, "SCALING_ORIG_CTX_LEN": 4096,
                    "SCALING_YARN_BETA_FAST": 16.0, "SCALING_YARN_BETA_SLOW": 2.0}  # fmt: skip
    else:
        # The factor must not be a key here: llama.cpp would divide all positions by it.
        expected = {"SCALING_ORIG_CTX_LEN": given["original_max_position_embeddings"]}
        own = {f"llama.rope.scaling.{name}" for name in ("llama3_factor", "low_freq_factor", "high_freq_factor")}
        assert stated.keys() >= own
        stated = {name: value for name, value in stated.items() if name not in own}
        theirs, _ = ROPE_INIT_FUNCTIONS["llama3"](settings, "cpu")
        plain = 1 / (500000.0 ** (torch.arange(0, 64, 2).double() / 64))
        assert found.tensor_type.name == "F32" and found.shape.tolist() == [32]
        ratio = plain / theirs.double() / torch.from_numpy(found.data.copy()).double()
        assert (ratio - 1).abs().max() < 1e-6
        assert found.data.min() == 1 and found.data.max() == given["factor"] and len(set(found.data.tolist())) >= 4
    assert stated == {key(name): value for name, value in expected.items()}
    assert (found is None) == (not kind.startswith("llama3"))

    run("convert", tmp_path / "hf", "-o", tmp_path / "exact.gguf", "--to", "gguf")
    run("convert", tmp_path / "exact.gguf", "-o", f"{tmp_path}/back/", "--to", "hf")
    equal(tmp_path / "hf/model.safetensors", tmp_path / "back/model.safetensors")
    model, back = (transformers.LlamaForCausalLM.from_pretrained(tmp_path / name) for name in ("hf", "back"))
    parameters = {name: value for name, value in back.config.rope_parameters.items() if name in settings.rope_parameters}
    assert parameters == settings.rope_parameters
    assert torch.equal(model.model.rotary_emb.inv_freq, back.model.rotary_emb.inv_freq)
    assert model.model.rotary_emb.attention_scaling == back.model.rotary_emb.attention_scaling
    assert torch.equal(at_the_end(model), at_the_end(back))
    run("verify", tmp_path / "hf", tmp_path / "exact.gguf", "--to", "gguf")


@pytest.mark.parametrize("kind, changes, cause", [
    ("linear", {"rope_type": "dynamic"}, "the kind 'dynamic'"), ("linear", {"rope_type": "longrope"}, "'longrope'"),
    ("linear", {"factor": 0}, "'factor'"), ("linear", {"partial_rotary_factor": 0.5}, "'partial_rotary_factor'"),
    ("yarn", {"attention_factor": 1.2}, "'attention_factor'"), ("yarn", {"truncate": False}, "'truncate'"),
    ("yarn", {"mscale": 1.0}, "'mscale'"), ("yarn", {"original_max_position_embeddings": -1}, "from 1 to"),
    ("llama3", {"low_freq_factor": None}, "'low_freq_factor'"), ("llama3", {"high_freq_factor": 0.5}, "not below"),
    ("llama3", {"factor": "eight"}, "'factor'"),
])  # fmt: skip
def test_scaled_rotary_positions_without_a_place_are_refused_by_name(kind, changes, cause, tmp_path):
    scaled_llama(tmp_path / "hf", kind, **changes)
    message = run("convert", tmp_path / "hf", "-o", tmp_path / "model.gguf", "--to", "gguf", code=4)
    assert cause in message and "rope_parameters" in message and message.count("\n") == 1
    assert not (tmp_path / "model.gguf").exists()


def test_rotary_divisors_of_other_programs_files(tmp_path):
    """llama.cpp writes the tensor alone: LLaMA 3.1's settings are known by it, others are refused."""
    from gguf import GGUFReader, GGUFValueType, GGUFWriter
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    settings = scaled_llama(tmp_path / "hf", "llama3")
    run("convert", tmp_path / "hf", "-o", tmp_path / "model.gguf", "--to", "gguf")
    reader = GGUFReader(tmp_path / "model.gguf")
    theirs, _ = ROPE_INIT_FUNCTIONS["llama3"](settings, "cpu")
    divisors = (1 / (500000.0 ** (torch.arange(0, 64, 2).float() / 64)) / theirs).numpy()

    def rewritten(path, divisors, **keys):
        writer = GGUFWriter(path, "llama")
        for name, field in reader.fields.items():
            kind = field.types[0] if field.types else None
            if name.startswith("llama.") and ".scaling." not in name and kind != GGUFValueType.ARRAY:
                writer.add_key_value(name, field.contents(), kind)
        for name, value in keys.items():
            writer.add_string(f"llama.rope.scaling.{name}", value)
        for tensor in reader.tensors:
            if tensor.name != "rope_freqs.weight":
                writer.add_tensor(tensor.name, numpy.array(tensor.data))
            elif divisors is not None:
                writer.add_tensor(tensor.name, divisors)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    run("convert", rewritten(tmp_path / "own.gguf", divisors), "-o", f"{tmp_path}/back/", "--to", "hf")
    config = json.loads((tmp_path / "back/config.json").read_text())
    expected = {"rope_type": "llama3"} | SCALINGS["llama3"]
    assert config["rope_scaling"] == expected and config["rope_parameters"] == expected | {"rope_theta": 500000.0}
    equal(tmp_path / "hf/model.safetensors", tmp_path / "back/model.safetensors")
    for changed, keys, cause in [
        (divisors * numpy.linspace(1, 1.01, 32, dtype="float32"), {}, "does not state"),
        (divisors[:31], {}, "shape"), (divisors, {"type": "linear", "factor": "2"}, "another scaling"),
        (None, {"type": "longrope"}, "'longrope'"), (None, {"type": "yarn", "factor": "2"}, "'original_context_length'"),
        (None, {"yarn_attn_factor": "2"}, "'yarn_attn_factor'"),
    ]:  # fmt: skip
        path = rewritten(tmp_path / "other.gguf", changed, **keys)
        message = run("convert", path, "-o", f"{tmp_path}/no/", "--to", "hf", code=4)
        assert cause in message and "rope" in message and message.count("\n") == 1, message


def test_recipes_list_show_check_and_invert(tmp_path):
    names = [row["name"] for row in json.loads(run("recipes", "list", "--json"))]
    assert "mamba.hf-gguf" in names and len(names) > 15
    for name in names:
        assert "each with an inverse" in run("recipes", "check", name)
        once = tmp_path / "once.json"
        once.write_text(run("recipes", "invert", name))
        twice = tmp_path / "twice.json"
        twice.write_text(run("recipes", "invert", once))
        back = json.loads(twice.read_text())
        assert back["left"] == json.loads(run("recipes", "show", name, "--json"))["left"]
        assert back["name"] == name


def rwkv6_file(path, width=64, heads=2, layers=2, hidden=96, mixing=6, decay=10):
    """A small RWKV-6 under BlinkDL's names."""
    generator = torch.Generator().manual_seed(6)
    draw = lambda *shape: torch.randn(shape, generator=generator) * 0.1
    state = {"emb.weight": draw(50, width), "head.weight": draw(50, width)}
    for name in ["blocks.0.ln0", "ln_out"]:
        state |= {f"{name}.weight": 1 + draw(width), f"{name}.bias": draw(width)}
    for layer in range(layers):
        att, ffn = f"blocks.{layer}.att.", f"blocks.{layer}.ffn."
        for name in ["ln1", "ln2", "att.ln_x"]:
            state |= {f"blocks.{layer}.{name}.weight": 1 + draw(width), f"blocks.{layer}.{name}.bias": draw(width)}
        state |= {f"{att}time_maa_{x}": draw(1, 1, width) for x in "xwkvrg"}
        state |= {f"{att}time_maa_w1": draw(width, 5 * mixing), f"{att}time_maa_w2": draw(5, mixing, width)}
        state |= {f"{att}time_decay": draw(1, 1, width), f"{att}time_decay_w1": draw(width, decay)}
        state |= {f"{att}time_decay_w2": draw(decay, width), f"{att}time_faaaa": draw(heads, width // heads)}
        state |= {f"{att}{x}.weight": draw(width, width) for x in ["receptance", "key", "value", "gate", "output"]}
        state |= {f"{ffn}time_maa_{x}": draw(1, 1, width) for x in "kr"}
        state |= {f"{ffn}key.weight": draw(hidden, width), f"{ffn}value.weight": draw(width, hidden)}
        state[f"{ffn}receptance.weight"] = draw(width, width)
    torch.save(state, path)
    return state


def test_rwkv6_mixes_in_fla_as_blinkdl_mixes(tmp_path):
    """fla's class takes the names and shapes, and its modules mix as the published code does: w, k, v, r, g there, r first here."""
    from fla.models import RWKV6Config, RWKV6ForCausalLM

    state = rwkv6_file(tmp_path / "rwkv6.pth")
    run("convert", tmp_path / "rwkv6.pth", "-o", f"{tmp_path}/fla/", "--to", "fla")
    settings = json.loads((tmp_path / "fla/config.json").read_text())
    assert settings["num_heads"] == 2 and settings["proj_low_rank_dim"] == 6 and settings["expand_k"] == 1
    model = RWKV6ForCausalLM(RWKV6Config(**{k: v for k, v in settings.items() if k not in ("model_type", "architectures")}))
    model.load_state_dict(load_file(tmp_path / "fla/model.safetensors"))
    attention, old = model.model.layers[1].attn, {k.removeprefix("blocks.1.att."): v for k, v in state.items()}
    x, shifted = torch.randn(2, 7, 64), torch.randn(2, 7, 64)
    delta = shifted - x
    with torch.no_grad():
        base = torch.tanh((x + delta * old["time_maa_x"]) @ old["time_maa_w1"]).view(14, 5, -1).transpose(0, 1)
        mixed = torch.bmm(base, old["time_maa_w2"]).view(5, 2, 7, 64)
        inside = attention.x_proj[0](x, delta).view(2, 7, -1, 6)
        found = torch.einsum("btnr,hnr->btnh", attention.x_proj[1](inside), attention.x_proj[2].weight.view(64, 5, -1)) + attention.x_bias
        for index, name in enumerate("rwkvg"):
            expected = old[f"time_maa_{name}"] + mixed["wkvrg".index(name)]
            assert torch.allclose(found[:, :, index], expected, atol=1e-6), name
        mu = old["time_maa_w"] + mixed[0]
        decay = old["time_decay"] + torch.tanh((x + delta * mu) @ old["time_decay_w1"]) @ old["time_decay_w2"]
        assert torch.allclose(attention.w_proj(x, found[:, :, 1], delta), decay, atol=1e-6)
    run("convert", tmp_path / "fla", "-o", tmp_path / "back.pth", "--to", "pth")
    after = torch.load(tmp_path / "back.pth", weights_only=True)
    assert after.keys() == state.keys() and all(torch.equal(after[name], state[name]) for name in state)
