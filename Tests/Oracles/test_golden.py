"""`convert --golden` and `distill triple`: outputs of EDM's networks against a twin in PyTorch, and three equal starts."""

import hashlib
import json
import math

import jsonschema
import pytest
import torch
from edm_reference import NETWORKS, Network
from generator_reference import denoised
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from test_generators import save, spiced

pytestmark = pytest.mark.usefixtures("without_gradients")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("sigma", [2.5, 0.4])
def test_golden_outputs_are_those_of_the_unfolded_network(tessera, tmp_path, name, sigma):
    network = spiced(Network(**NETWORKS[name]))
    save(network.state_dict(), tmp_path / "in.safetensors")
    fold = ("--fold-sigma", sigma, "--sigma-data", 0.5, "--golden", 4)
    tessera("convert", tmp_path / "in.safetensors", "-o", tmp_path / "out.safetensors", *fold)
    golden = load_file(tmp_path / "out.golden.safetensors")
    assert golden["latents"].shape == golden["outputs"].shape == (4, 3, 16, 16)
    label = None
    if network.labels:
        assert golden["labels"].tolist() == [index % network.labels for index in range(4)]
        label = torch.eye(network.labels, dtype=torch.float64)[golden["labels"]]
    assert ("labels" in golden) == bool(network.labels)
    latents = golden["latents"].double()
    expected = denoised(network.double(), sigma * latents, sigma, label)
    # The network is evaluated in float64; PyTorch keeps the Fourier features' frequencies in float32.
    assert (golden["outputs"] - expected).abs().max() <= 2e-6 * max(1, expected.abs().max())
    with safe_open(tmp_path / "out.golden.safetensors", "pt") as file:
        assert float(file.metadata()["tessera.golden.sigma"]) == sigma


def test_latents_are_normal_and_the_same_each_time(tessera, tmp_path):
    save(spiced(Network("song", 8, [1], side=32)).state_dict(), tmp_path / "in.safetensors")
    for name in ("a", "b"):
        tessera("convert", tmp_path / "in.safetensors", "-o", f"{tmp_path}/{name}.npz",
                "--fold-sigma", 2.5, "--sigma-data", 0.5, "--golden", 3)  # fmt: skip
    first, second = ((tmp_path / f"{name}.golden.safetensors").read_bytes() for name in "ab")
    assert first == second
    latents = load_file(tmp_path / "a.golden.safetensors")["latents"]
    assert abs(latents.mean()) < 0.04 and abs(latents.std() - 1) < 0.03 and 2.8 < latents.abs().max() < 5.5
    assert not torch.equal(latents[0], latents[1])


def test_what_cannot_be_evaluated_is_named(tessera, tmp_path):
    state = spiced(Network("song", 8, [1, 2])).state_dict()
    fold = ("--fold-sigma", 2.5, "--sigma-data", 0.5)

    def complaint(state, code=4, more=("--golden", 1)):
        save(state, tmp_path / "in.safetensors", "")
        result = tessera("convert", tmp_path / "in.safetensors", "-o", tmp_path / "out.safetensors", *fold, *more, code=code)
        assert not (tmp_path / "out.safetensors").exists() and not (tmp_path / "out.golden.safetensors").exists()
        return result.stderr

    without = {k: v for k, v in state.items() if k != "enc.8x8_down.conv0.resample_filter"}
    assert "enc.8x8_down.conv0.resample_filter" in complaint(without)
    assert "dec.8x8_other0" in complaint(state | {"dec.8x8_other0.weight": torch.zeros(2)})
    assert "enc.8x8_block0.conv1.weight" in complaint(state | {"enc.8x8_block0.conv1.weight": torch.zeros(16, 15, 3, 3)})
    damaged = state | {"enc.8x8_block0.conv1.bias": torch.full((16,), math.nan)}
    assert "not finite" in complaint(damaged, code=5)
    assert "edm-qkv" in complaint(state, code=64, more=("--golden", 1, "--bake", "edm-qkv"))
    assert "1 to 4096" in complaint(state, code=64, more=("--golden", 0))


def test_a_triple_is_the_teacher_three_times(tessera, root, tmp_path):
    network = spiced(Network(**NETWORKS["ddpmpp"]))
    state = {f"model.{k}": v for k, v in network.state_dict().items()}
    torch.save({"ema": state, "optimizer": {"step": torch.tensor(1)}}, tmp_path / "teacher.pt")
    out = tmp_path / "sid"
    printed = tessera("distill", "triple", tmp_path / "teacher.pt", "--pick", "ema", "--sigma-data", 0.5, "-o", out, "--json", "--quiet")
    manifest = json.loads((out / "triple.json").read_text())
    assert manifest == json.loads(printed.stdout)
    jsonschema.validate(manifest, json.loads((root / "schemas/triple.schema.json").read_text()))
    assert [n["role"] for n in manifest["networks"]] == ["teacher", "fake_score", "generator"]
    for entry in manifest["networks"]:
        assert hashlib.sha256((out / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
        found = load_file(out / entry["file"])
        assert found.keys() == state.keys() and all(torch.equal(found[k], v) for k, v in state.items())
        with safe_open(out / entry["file"], "pt") as file:
            assert file.metadata()["tessera.distill.role"] == entry["role"]
    count = sum(v.numel() for v in state.values())
    assert manifest["parameters"] == count and manifest["training_bytes"] == 40 * count
    assert manifest["constants"] | {"sigma_init": 2.5, "alpha": 1.2, "t_max": 800.0, "rho": 7} == manifest["constants"]


def test_triples_refuse_other_networks_and_numbers(tessera, tmp_path):
    save_file({"conv_in.weight": torch.zeros(2, 2, 3, 3)}, tmp_path / "other.safetensors")
    arguments = ["distill", "triple", tmp_path / "other.safetensors", "-o", tmp_path / "sid"]
    assert "map_layer0" in tessera(*arguments, "--sigma-data", 0.5, code=4).stderr
    assert "--sigma-data" in tessera(*arguments, code=4).stderr
    assert "alpha" in tessera(*arguments, "--sigma-data", 0.5, "--alpha", 0, code=5).stderr
    assert "beyond 1000" in tessera(*arguments, "--sigma-data", 0.5, "--t-max", 1001, code=5).stderr
    assert not (tmp_path / "sid").exists()
