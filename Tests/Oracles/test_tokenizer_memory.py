"""Peak memory of tokenizers, at sizes where holding what must not be held would show."""

import family_references as references
import numpy as np
import pytest
from PIL import Image
from test_families import AS_STORED, store

pytestmark = pytest.mark.usefixtures("without_gradients")


def noise(path, height, width, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def test_attention_holds_no_matrix_of_scores(peak, tmp_path):
    """Over 9,216 positions all scores are 324 MiB; a tile of queries has a hundredth of it."""
    store(references.Chameleon(), tmp_path / "own.safetensors")
    sizes = {}
    for side in (64, 384):
        (tmp_path / str(side)).mkdir()
        noise(tmp_path / str(side) / "p.png", side, side)
        sizes[side] = peak("tokenize", tmp_path / str(side), "-o", tmp_path / f"out-{side}", "--quiet", "--workers", 1,
                           "--tokenizer", f"chameleon:{tmp_path}/own.safetensors", *AS_STORED)
    # Three activations of 384 x 384 x 32 floats and their scratch are 70 MiB.
    assert sizes[384] - sizes[64] < 150, sizes


@pytest.mark.parametrize("rule", ["dot", "l2"])
def test_nearest_codes_hold_no_matrix_of_scores(peak, tmp_path, rule):
    """8,192 positions by 65,536 codes are 2 GiB of scores; the codebook is 16 MiB."""
    random = np.random.default_rng(1)
    np.save(tmp_path / "codebook.npy", random.normal(size=(65536, 64)).astype("f4"))
    np.save(tmp_path / "latents.npy", random.normal(size=(8192, 64)).astype("f4"))
    (tmp_path / "vq.json").write_text(f'{{"kind": "vq", "rule": "{rule}", "codebook": "codebook.npy"}}')
    size = peak("quantize", tmp_path / "latents.npy", "--quantizer", tmp_path / "vq.json", "-o", tmp_path / "codes.npy",
                "--quiet")
    assert size < 160, size


def test_workers_share_the_weights(peak, tmp_path):
    """34 MiB of the encoder's weights, four times as many where Winograd transforms them: six workers hold them once."""
    store(references.Taming(ch=128, mult=(1, 2, 2), nrb=2), tmp_path / "own.safetensors")
    (tmp_path / "images").mkdir()
    for index in range(12):
        noise(tmp_path / "images" / f"{index}.png", 16, 16, index)
    sizes = [
        peak("tokenize", tmp_path / "images", "-o", tmp_path / f"out-{workers}", "--quiet", "--workers", workers,
             "--tokenizer", f"taming:{tmp_path}/own.safetensors", *AS_STORED)
        for workers in (1, 6)
    ]
    assert sizes[0] > 100, "the transformed weights are in memory"
    assert sizes[1] - sizes[0] < 60, sizes
