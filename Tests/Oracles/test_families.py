"""Every family's networks and quantizers against the real classes, on drawn weights and photographs."""

import io
import json
import subprocess
import tarfile

import family_references as references
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

pytestmark = pytest.mark.usefixtures("without_gradients")

FAMILIES = [
    references.Taming, references.Gumbel, references.LatentDiffusion, references.LlamaGen, references.Janus,
    references.TransformersJanus, references.TransformersChameleon, references.Chameleon, references.IBQ,
    references.AveragedIBQ, references.Emu35, references.Cosmos, references.ShowO, references.Amused, references.MoVQ,
    references.OpenMAGVIT2, references.MaskGIT, references.Emu3, references.OriginalEmu3, references.VAR, references.DVAE,
]
AS_STORED = ["--resize", "none", "--crop", "none", "--pad", "none"]


@pytest.fixture(scope="module")
def references_made():
    made = {}

    def make(kind):
        if kind not in made:
            made[kind] = kind()
        return made[kind]

    return make


def photographs(root, folder, sizes):
    """Crops as PNG: of the first size five, of the others one."""
    pixels = {}
    for index, (height, width) in enumerate(sizes):
        for photo in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "china.jpg")[: 1 if index else 5]:
            image = Image.open(root / "fixtures/photos" / photo).convert("RGB")
            image = image.crop((40, 30, 40 + width, 30 + height))
            key = f"{photo[:-4]}-{height}x{width}"
            image.save(folder / f"{key}.png")
            pixels[key] = np.array(image)
    return pixels


def store(reference, path):
    save_file({k: v.contiguous() for k, v in reference.state.items()}, path)


def members(folder):
    arrays = {}
    for shard in sorted((folder / "shards").glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar.getmembers():
                if member.name.endswith(".npy"):
                    arrays[member.name] = np.load(io.BytesIO(tar.extractfile(member).read()))
    return arrays


def check(reference, name, tessera, pixels, images, folder):
    """Latents, codes and pictures of a dataset; returns how many codes had a margin."""
    tessera("tokenize", images, "-o", folder / "dataset", "--tokenizer", name, "--latents", "--quiet", *AS_STORED)
    arrays = members(folder / "dataset")
    sure = total = 0
    for key, image in pixels.items():
        latents, codes = arrays[f"{key}.latents.npy"], arrays[f"{key}.codes.npy"].astype(np.int64)
        expected = reference.latents(image)
        assert latents.shape == expected.shape, key
        assert np.abs(latents - expected).max() <= 1e-4 * np.abs(expected).max(), key
        wanted, margin = reference.codes_beside(expected, codes)
        assert codes.shape == wanted.shape, key
        differs = codes != wanted
        assert not differs[margin > 1e-4].any(), (key, int(differs.sum()), margin[differs].max())
        sure, total = sure + int((margin > 1e-4).sum()), total + margin.size
    if reference.decodes:
        tessera("decode", folder / "dataset", "-o", folder / "decoded", "--tokenizer", name, "--sheet", 0, "--quiet")
        for key in pixels:
            picture = np.array(Image.open(folder / "decoded" / f"{key}.png")).astype(np.float64)
            expected = np.clip(reference.picture(arrays[f"{key}.codes.npy"]), 0, 255)
            # 1e-3 of a range of 2 is 0.13 of a byte, beside the half that rounding takes.
            assert np.abs(picture - expected).max() <= 0.5 + 0.1275, key
    return sure, total


@pytest.mark.parametrize("kind", FAMILIES, ids=lambda kind: kind.__name__)
def test_a_family_is_its_reference(kind, references_made, tessera, root, tmp_path):
    reference = references_made(kind)
    store(reference, tmp_path / "own.safetensors")
    (tmp_path / "images").mkdir()
    pixels = photographs(root, tmp_path / "images", reference.sizes)
    name = f"{getattr(reference, 'selector', reference.family)}:{tmp_path}/own.safetensors"
    sure, total = check(reference, name, tessera, pixels, tmp_path / "images", tmp_path)
    assert sure > 0.7 * total, f"only {sure} of {total} codes had a margin"
    manifest = json.loads((tmp_path / "dataset/dataset.json").read_text())
    assert manifest["tokenizer"]["family"] == reference.family
