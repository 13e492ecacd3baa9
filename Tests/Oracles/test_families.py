"""Every family's networks and quantizers against the real classes, on drawn weights and photographs."""

import json

import family_names
import family_references as references
import numpy as np
import pytest
from dataset_files import shard_arrays
from PIL import Image
from safetensors.torch import save_file

pytestmark = pytest.mark.usefixtures("without_gradients")

# Other namings of a network have tests of their own below.
FAMILIES = [
    *(kind for kind in references.KINDS.values() if kind not in references.OTHER_SPELLINGS.values()), references.AveragedIBQ,
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


# The spelling that each of them has, where the family knows several.
SPELLINGS = {
    "LatentDiffusion": "taming", "LlamaGen": "LlamaGen", "Janus": "LlamaGen", "TransformersJanus": "Transformers (Janus)",
    "Emu35": "taming", "Cosmos": "taming", "Amused": "diffusers", "MoVQ": "diffusers", "Emu3": "Transformers (Emu3)",
    "OriginalEmu3": "Emu3", "DVAE": "FLAVA",
}


def photographs(root, folder, sizes):
    """Crops as PNG, by size: of the first five, of the others one."""
    pixels = {}
    for index, (height, width) in enumerate(sizes):
        pixels[height, width] = {}
        for photo in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "china.jpg")[: 1 if index else 5]:
            image = Image.open(root / "fixtures/photos" / photo).convert("RGB")
            image = image.crop((40, 30, 40 + width, 30 + height))
            key = f"{photo[:-4]}-{height}x{width}"
            image.save(folder / f"{key}.png")
            pixels[height, width][key] = np.array(image)
    return pixels


def store(reference, path):
    save_file({k: v.contiguous() for k, v in reference.state.items()}, path)


def check_codes(reference, pixels, arrays):
    """Latents and codes of images of one size, which the reference takes as one batch; the codes' margins."""
    margins = []
    reference.fit(*next(iter(pixels.values())).shape[:2])
    for (key, _), expected in zip(pixels.items(), reference.latents_of(list(pixels.values())), strict=True):
        latents, codes = arrays[f"{key}.latents.npy"], arrays[f"{key}.codes.npy"].astype(np.int64)
        assert latents.shape == expected.shape, key
        assert np.abs(latents - expected).max() <= 1e-4 * np.abs(expected).max(), key
        wanted, margin = reference.codes_beside(expected, codes)
        assert codes.shape == wanted.shape, key
        differs = codes != wanted
        assert not differs[margin > 1e-4].any(), (key, int(differs.sum()), margin[differs].max())
        margins.append(margin.ravel())
    return margins


def check_pictures(reference, keys, arrays, folder):
    """Decoded pictures; returns the share of values that neither end of a byte's range cuts off."""
    inside = []
    for key in keys:
        picture = np.array(Image.open(folder / f"{key}.png")).astype(np.float64)
        reference.fit(*picture.shape[:2])
        whole = reference.picture(arrays[f"{key}.codes.npy"])
        # 1e-3 of a range of 2 is 0.13 of a byte, beside the half that rounding takes.
        assert np.abs(picture - np.clip(whole, 0, 255)).max() <= 0.5 + 0.1275, key
        inside.append(((whole > 0) & (whole < 255)).ravel())
    return np.concatenate(inside).mean()


@pytest.mark.parametrize("kind", FAMILIES, ids=lambda kind: kind.__name__)
def test_a_family_is_its_reference(kind, references_made, tessera, root, tmp_path):
    """Alone and in a batch of five, at three sizes: latents, codes and what codes are decoded to."""
    reference = references_made(kind)
    store(reference, tmp_path / "own.safetensors")
    for index, (selector, sizes) in enumerate(reference.selections()):
        folder, name = tmp_path / str(index), f"{selector}:{tmp_path}/own.safetensors"
        (folder / "images").mkdir(parents=True)
        pixels = photographs(root, folder / "images", sizes)
        tessera("tokenize", folder / "images", "-o", folder / "dataset", "--tokenizer", name, "--latents", "--quiet",
                *AS_STORED)
        arrays = shard_arrays(folder / "dataset")
        margins = np.concatenate([m for images in pixels.values() for m in check_codes(reference, images, arrays)])
        assert (margins > 1e-4).mean() > 0.9, f"few of {margins.size} codes have a margin"
        manifest = json.loads((folder / "dataset/dataset.json").read_text())
        assert manifest["tokenizer"]["family"] == reference.family
        if reference.decodes:
            tessera("decode", folder / "dataset", "-o", folder / "decoded", "--tokenizer", name, "--sheet", 0, "--quiet")
            keys = [key for images in pixels.values() for key in images]
            inside = check_pictures(reference, keys, arrays, folder / "decoded")
            assert inside > 0.6, f"{inside:.2f} of the values are inside of a byte's range"


@pytest.mark.parametrize("kind", references.OTHER_SPELLINGS.values(), ids=lambda kind: kind.__name__)
def test_other_spellings_are_the_same_network(kind, tessera, root, tmp_path):
    reference = kind()
    store(reference, tmp_path / "own.safetensors")
    (tmp_path / "images").mkdir()
    pixels = photographs(root, tmp_path / "images", [(64, 64)])[64, 64]
    name = f"{reference.family}:{tmp_path}/own.safetensors"
    tessera("tokenize", tmp_path / "images", "-o", tmp_path / "dataset", "--tokenizer", name, "--latents", "--quiet",
            *AS_STORED)
    arrays = shard_arrays(tmp_path / "dataset")
    check_codes(reference, pixels, arrays)
    if reference.decodes:
        tessera("decode", tmp_path / "dataset", "-o", tmp_path / "decoded", "--tokenizer", name, "--sheet", 0, "--quiet")
        check_pictures(reference, list(pixels), arrays, tmp_path / "decoded")


def test_every_naming_that_is_listed_is_opened(tessera):
    """`tessera tokenizers` names what a test opens, no more and no less."""
    opened = {(kind.family, SPELLINGS.get(kind.__name__)) for kind in FAMILIES} | set(references.OTHER_SPELLINGS)
    # Halves whose parts have numbers: test_family_files.py.
    opened |= {("cosmos", "Cosmos encoder"), ("cosmos", "Cosmos decoder")}
    # As their trainers stored them: test_family_files.py.
    families = {family for family, _ in opened} | {"vqvae", "su-fsq"}
    for entry in json.loads(tessera("tokenizers", "--json").stdout)[1:]:
        assert entry["family"] in families
        if len(entry["spellings"]) > 1:
            for spelling in entry["spellings"]:
                assert (entry["family"], spelling) in opened


def test_the_names_of_the_swift_tests_are_those_of_the_references():
    """fixtures/families/names.json: what FamilyDamageTests drops, renames and adds to."""
    assert json.loads(family_names.FILE.read_text()) == family_names.document()
