"""Codes are numbers only with their scales: `convert` copies both as they are, and refuses everything else."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch

F8, F5 = torch.float8_e4m3fn, torch.float8_e5m2


def codes(dtype=torch.int8, *shape):
    return torch.randint(0, 100, shape or (8, 16), generator=torch.Generator().manual_seed(0)).to(dtype)


SCALE = torch.full((8, 1), 0.01)
# The tensors of one module as the libraries name them; the first is the codes.
SCHEMES = {
    "deepseek": {"weight": codes(F8), "weight_scale_inv": torch.ones(2, 4)},
    "deepseek_inference": {"weight": codes(F8), "scale": torch.ones(2, 4)},
    "fbgemm_e5m2": {"weight": codes(F5), "weight_scale": SCALE, "input_scale_ub": torch.ones(1)},
    "comfy": {"weight": codes(F8), "scale_weight": torch.ones(())},
    "compressed_int8": {"weight": codes(), "weight_scale": SCALE.bfloat16()},
    "compressed_int4": {"weight_packed": codes(torch.int32, 8, 2), "weight_scale": SCALE, "weight_shape": torch.tensor([8, 16])},
    "nvfp4": {"weight": codes(torch.uint8, 8, 8), "weight_scale": torch.ones(8, 1).to(F8), "weight_scale_2": torch.ones(())},
    "gptq": {"qweight": codes(torch.int32, 2, 8), "qzeros": codes(torch.int32, 1, 1), "scales": torch.ones(1, 8).half(), "g_idx": codes(torch.int32, 16)},
    "awq": {"qweight": codes(torch.int32, 16, 1), "qzeros": codes(torch.int32, 1, 1), "scales": torch.ones(1, 8).half()},
    "bnb_int8": {"weight": codes(), "SCB": torch.ones(8), "weight_format": torch.tensor(0, dtype=torch.uint8)},
    "bnb_nf4": {"weight": codes(torch.uint8, 64, 1), "weight.absmax": torch.ones(2), "weight.quant_map": torch.ones(16),
                "weight.quant_state.bitsandbytes__nf4": codes(torch.uint8, 80)},
    "hqq": {"W_q": codes(torch.uint8), "scale": SCALE, "zero": SCALE.clone()},
    "eetq": {"weight": codes(), "weight_scales": torch.ones(8).half()},
    "mlx": {"weight": codes(torch.uint32, 8, 2), "scales": SCALE, "biases": SCALE.clone()},
    "mxfp4": {"gate_up_proj_blocks": codes(torch.uint8, 2, 8, 2, 16), "gate_up_proj_scales": codes(torch.uint8, 2, 8, 2)},
    "quanto": {"weight._data": codes(), "weight._scale": SCALE},
    "exl2": {"q_weight": codes(torch.int32, 2, 8), "q_scale": codes(torch.int32, 1, 1), "q_scale_max": torch.ones(1).half()},
    "experts": {"up_proj": codes(F8, 2, 8, 16), "up_proj_scale_inv": torch.ones(2, 1, 1)},
}  # fmt: skip


def module(name, settings=None):
    return {f"model.layers.0.mlp.{k}": v for k, v in SCHEMES[name].items()} | {"model.norm.weight": torch.ones(16)}


@pytest.mark.parametrize("name", SCHEMES)
def test_codes_are_only_copied(name, tessera, tmp_path):
    state = module(name)
    source, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    safetensors.torch.save_file(state, source, {"format": "pt"})
    first = next(iter(state))
    for dtype in ("bf16", "f16", "f32", "f64"):
        said = tessera("convert", source, "-o", out, "--dtype", dtype, code=None)
        scales = [t for k, t in state.items() if k != first and "norm" not in k and t.dtype.is_floating_point and t.dtype not in (F8, F5)]
        wanted = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32, "f64": torch.float64}[dtype]
        untouched = state[first].dtype not in (F8, F5) and all(t.dtype == wanted for t in scales) and name != "nvfp4"
        assert said.returncode == (0 if untouched else 4), said.stderr
        if said.returncode:
            assert "model.layers.0.mlp." in said.stderr and said.stderr.count("\n") == 1 and not out.exists()
        else:
            out.unlink()
    # What the codes depend on is not left out either.
    scale = [k for k in state if k != first and "norm" not in k][0]
    assert first in tessera("convert", source, "-o", out, "--strip", f"*{scale[-12:]}", code=4).stderr or "*" in scale
    tessera("convert", source, "-o", out)
    found = safetensors.torch.load_file(out)
    assert found.keys() == state.keys()
    for key, tensor in state.items():
        assert found[key].dtype == tensor.dtype and found[key].flatten().view(torch.uint8).equal(tensor.flatten().view(torch.uint8)), key


def test_adapters_are_not_merged_beside_codes(tessera, tmp_path):
    base = {"q.weight": torch.ones(8, 8), **{f"k.{n}": t for n, t in SCHEMES["deepseek"].items()}}
    safetensors.torch.save_file(base, tmp_path / "base.safetensors")
    safetensors.torch.save_file({"q.lora_A.weight": torch.ones(2, 8), "q.lora_B.weight": torch.ones(8, 2)}, tmp_path / "a.safetensors")
    said = tessera("convert", tmp_path / "base.safetensors", "-o", tmp_path / "o.safetensors", "--lora", tmp_path / "a.safetensors", code=4)
    assert "k.weight" in said.stderr and "FP8" in said.stderr


@pytest.mark.parametrize("settings", [
    {"quantization_config": {"quant_method": "fp8"}}, {"quantization": {"bits": 4, "group_size": 64}},
    {"compression_config": {"format": "pack-quantized"}}, {"text_config": {"quantization_config": {"quant_method": "awq"}}},
])  # fmt: skip
def test_settings_that_say_quantized_are_believed(settings, tessera, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    safetensors.torch.save_file({"a.weight": codes(F8), "b.weight": torch.ones(3)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "x", "dtype": "bfloat16", **settings}))
    for source in (folder, folder / "model.safetensors"):
        tessera("convert", source, "-o", f"{tmp_path}/o.safetensors", "--dtype", "bf16", code=4)
    tessera("convert", folder, "-o", f"{tmp_path}/out/")
    assert json.loads((tmp_path / "out/config.json").read_text()) == json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize("dtype", [F8, F5])
def test_floats_of_eight_bits_without_scales_are_floats(dtype, tessera, tmp_path):
    """All 256, as torch converts them; a scale of something else is none of theirs."""
    values = torch.arange(256, dtype=torch.uint8).view(dtype)
    finite = values[values.float().isfinite()]
    state = {"m.weight": finite.clone(), "m.bias": finite[:3].clone(), "logit_scale": torch.ones(()), "n.position_ids": torch.arange(4)[None]}
    safetensors.torch.save_file(state, tmp_path / "in.safetensors")
    for name, wanted in (("bf16", torch.bfloat16), ("f16", torch.float16), ("f32", torch.float32)):
        tessera("convert", tmp_path / "in.safetensors", "-o", tmp_path / "o.safetensors", "--dtype", name)
        found = safetensors.torch.load_file(tmp_path / "o.safetensors")["m.weight"]
        assert found.dtype == wanted and np.array_equal(found.view(torch.uint8).numpy(), finite.to(wanted).view(torch.uint8).numpy())


def test_whole_numbers_beside_a_scale_of_another_module_are_none(tessera, tmp_path):
    """Buffers of ordinary models: counters, indices, masks."""
    state = {
        "attn.relative_position_index": torch.arange(16).reshape(4, 4), "attn.logit_scale": torch.ones(2, 1, 1),
        "bn.num_batches_tracked": torch.tensor(3), "bn.weight": torch.ones(3), "mask": torch.ones(4, dtype=torch.uint8),
        "gamma_scale": torch.ones(3),
    }  # fmt: skip
    safetensors.torch.save_file(state, tmp_path / "in.safetensors")
    tessera("convert", tmp_path / "in.safetensors", "-o", tmp_path / "o.safetensors", "--dtype", "bf16")
