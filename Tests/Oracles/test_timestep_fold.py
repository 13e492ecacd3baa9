"""SiD-LSG: pickles of a diffusers UNet, and `--fold-timestep` against the unfolded forward pass."""

import math
import pickle

import diffusers
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.usefixtures("without_gradients")


def unet(**options):
    torch.manual_seed(3)
    network = diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=16,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=8, norm_num_groups=8, **options,
    )  # fmt: skip
    for parameter in network.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.05)
    return network.eval()


def sample(network, latents, text, timestep, prediction):
    """SiD-LSG's one step: x_t = sqrt(1 - a) z, and the estimate of x_0 by diffusers' own schedule."""
    schedule = diffusers.DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
        prediction_type={"epsilon": "epsilon", "v-prediction": "v_prediction"}[prediction], clip_sample=False,
    )  # fmt: skip
    signal = schedule.alphas_cumprod[timestep].double()
    noisy = (1 - signal).sqrt() * latents
    output = network(noisy, timestep, text).sample
    if prediction == "epsilon":
        return (noisy - (1 - signal).sqrt() * output) / signal.sqrt()
    return signal.sqrt() * noisy - (1 - signal).sqrt() * output


def test_a_pickled_unet_has_the_names_of_its_state_dict(tessera, tmp_path):
    network = unet()
    with open(tmp_path / "batch512_t625_v2.pkl", "wb") as file:
        pickle.dump({"ema": network}, file)
    out = tmp_path / "out.safetensors"
    tessera("convert", tmp_path / "batch512_t625_v2.pkl", "-o", out, "--pick", "ema")
    found, expected = load_file(out), network.state_dict()
    assert found.keys() == expected.keys() and all(torch.equal(found[k], v) for k, v in expected.items())


@pytest.mark.parametrize("timestep, prediction", [(625, "epsilon"), (625, "v-prediction"), (40, "epsilon")])
def test_a_folded_unet_is_the_unfolded_one(tessera, tmp_path, timestep, prediction):
    network = unet()
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, tmp_path / "in.safetensors")
    out = tmp_path / "out.safetensors"
    fold = ("--fold-timestep", timestep, "--prediction", prediction)
    tessera("convert", tmp_path / "in.safetensors", "-o", out, *fold)
    with safe_open(out, "pt") as file:
        metadata = file.metadata()
    if (timestep, prediction) == (625, "epsilon"):
        assert math.isclose(float(metadata["tessera.fold.sigma"]), 2.501704, rel_tol=1e-6)
        assert math.isclose(float(metadata["tessera.fold.c_in"]), 0.928564, rel_tol=1e-6)
    latents, text = torch.randn(3, 4, 8, 8, dtype=torch.float64), torch.randn(3, 5, 16, dtype=torch.float64)
    expected = sample(network.double(), latents, text, timestep, prediction)
    folded = load_file(out)
    assert not any("time_emb" in name for name in folded)
    # The same class with nothing added for time: what a port runs.
    silent = {k: torch.zeros_like(v) for k, v in network.state_dict().items() if "time_emb_proj" in k}
    missing, unexpected = network.load_state_dict(folded | silent, strict=False)
    assert not unexpected and all(name.startswith("time_embedding.") for name in missing)
    found = network(latents, 0, text).sample + float(metadata["tessera.fold.skip"]) * latents
    assert (found - expected).abs().max() <= 2e-6 * max(1, expected.abs().max())


def test_what_time_alone_does_not_fix_is_refused(tessera, tmp_path):
    def complaint(network, *options, code=4):
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, tmp_path / "in.safetensors")
        arguments = ("convert", tmp_path / "in.safetensors", "-o", tmp_path / "out.safetensors")
        result = tessera(*arguments, *options, code=code)
        assert not (tmp_path / "out.safetensors").exists()
        return result.stderr

    fold = ("--fold-timestep", 625, "--prediction", "epsilon")
    assert "'time_embedding.cond_proj.weight'" in complaint(unet(time_cond_proj_dim=8), *fold)
    assert "'class_embedding.weight'" in complaint(unet(num_class_embeds=3), *fold)
    assert "time_emb_proj.weight'" in complaint(unet(resnet_time_scale_shift="scale_shift"), *fold)
    assert "'conv_in.weight'" in complaint(torch.nn.ModuleDict({"conv": torch.nn.Conv2d(1, 1, 1)}), *fold)
    assert "map_layer0" in complaint(unet(), "--fold-sigma", 2.5, "--sigma-data", 0.5)
    assert "--prediction" in complaint(unet(), "--fold-timestep", 625, code=64)
    assert "0 to 999" in complaint(unet(), "--fold-timestep", 1000, "--prediction", "epsilon", code=64)
