"""Names and shapes of the references' checkpoints, as fixtures/families/names.json holds them for the Swift tests.

    python Tests/Oracles/family_names.py        writes the file anew
"""

import json
import pathlib
import re

import family_references as references
import torch

FILE = pathlib.Path(__file__).resolve().parents[2] / "fixtures/families/names.json"

# What no code depends on, or what is compared by value (test_family_files.py).
PASSED_OVER = re.compile(
    r"^(state_dict\.)?loss\.|\.codebook_used$|^optimizer\.|^language_model\.|^model\.layers\.|ema_vocab_hit|num_batches_tracked"
    r"|model_ema\.(decay|num_updates)$|patcher\.|quantize\.(mask|power_vals|embedding)$"
)


def classic():
    """The VQ-VAE of the tutorials, with two residual layers and normalized weights."""
    convolutions = {"_encoder._conv_1": (32, 3, 4), "_encoder._conv_2": (32, 32, 4), "_encoder._conv_3": (32, 32, 3),
                    "_decoder._conv_1": (32, 8, 3), "_decoder._conv_trans_1": (32, 16, 4), "_decoder._conv_trans_2": (16, 3, 4)}
    names = {"_pre_vq_conv.weight": [8, 32, 1, 1], "_pre_vq_conv.bias": [8], "_vq_vae._embedding.weight": [64, 8]}
    for name, (first, second, kernel) in convolutions.items():
        names[f"{name}.weight_v"], names[f"{name}.weight_g"] = [first, second, kernel, kernel], [first, 1, 1, 1]
        names[f"{name}.bias"] = [second if "trans" in name else first]
    for half in ("_encoder", "_decoder"):
        for layer in range(2):
            block = f"{half}._residual_stack._layers.{layer}._block"
            names |= {f"{block}.1.weight": [16, 32, 3, 3], f"{block}.3.weight": [32, 16, 1, 1]}
    return names


def names(kind):
    state = {k: v for k, v in kind().state.items() if not PASSED_OVER.search(k)}
    # Of a second set of weights the averages alone are looked at elsewhere.
    return {k: list(v.shape) for k, v in state.items() if "model_ema." not in k}


def prefix(names):
    """What stands before the tokenizer's own names."""
    anchors = ("encoder.conv_in.weight", "blocks.input.weight", "blocks.input.w", "_pre_vq_conv.weight")
    return next(name.removesuffix(anchor) for anchor in anchors for name in names if name.endswith(anchor))


def document():
    with torch.no_grad():
        samples = {title: names(kind) for title, kind in references.KINDS.items()} | {"vqvae": classic()}
    return {title: {"prefix": prefix(tensors), "tensors": tensors} for title, tensors in samples.items()}


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    text = json.dumps(document(), separators=(",", ":"))
    FILE.write_text(text.replace('},"', '},\n"') + "\n")
