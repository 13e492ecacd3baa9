"""config.json and GGUF's keys say the ranks that shapes show."""

import json

import pytest
import torch
from test_recipes import run, rwkv6_file, rwkv7_file

torch.set_num_threads(1)


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
    heads = state["blocks.0.att.r_k"].shape[0]
    run("convert", tmp_path / "rwkv7.gguf", "-o", tmp_path / "back.pth", "--to", "pth", "--set", f"h={heads}")
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
