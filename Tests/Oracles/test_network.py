"""The embedded tokenizer's network against its PyTorch twin (training/tessera-f8/model.py), same weights, same pixels."""

import importlib.util
import json

import h5py
import numpy as np
import pytest
import torch
from dataset_files import shard_arrays
from PIL import Image

TOLERANCE = 1e-4
# Multiples of 8 whose 4x4 tiles do not divide the grid, down to a single code.
SIZES = [(256, 256), (72, 104), (200, 136), (8, 8), (24, 40), (8, 264)]


@pytest.fixture(scope="module")
def weights(root):
    with h5py.File(root / "Sources/CTesseraF8/tessera-f8.h5") as file:
        arrays = {}
        file.visititems(
            lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
        return arrays, json.loads(file.attrs["tokenizer"])


@pytest.fixture(scope="module")
def twin(root, weights):
    """The twin in double precision, so that the difference is ours alone."""
    spec = importlib.util.spec_from_file_location("model", root / "training/tessera-f8/model.py")
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    net = model.Autoencoder()
    state = {name: torch.from_numpy(array.astype(np.float32)) for name, array in weights[0].items()}
    missing, unexpected = net.load_state_dict(state, strict=False)
    # The quantizer's buffers, if any, are constants of its levels.
    assert not unexpected and all(name.startswith("quantizer.") for name in missing)
    return net.double().eval()


@pytest.fixture(scope="module")
def pictures(root, tmp_path_factory):
    """Crops of the fixture photographs, one of each size and photograph, as PNG: pixels without a decoder's doubt."""
    folder = tmp_path_factory.mktemp("pictures")
    pixels = {}
    for photo in ("astronaut.png", "chelsea.png", "coffee.png"):
        source = Image.open(root / "fixtures" / "photos" / photo).convert("RGB")
        for height, width in SIZES:
            image = source.crop((5, 3, 5 + width, 3 + height))
            key = f"{photo[:-4]}-{height}x{width}"
            image.save(folder / f"{key}.png")
            pixels[key] = np.array(image)
    return folder, pixels


def encode(tessera, folder, output, *more):
    tessera("tokenize", folder, "-o", output, "--latents", "--resize", "none", "--crop", "none",
            "--shard-samples", 5, "--quiet", *more)
    return shard_arrays(output)


@pytest.fixture(scope="module")
def dataset(tessera, pictures, tmp_path_factory):
    return encode(tessera, pictures[0], tmp_path_factory.mktemp("network") / "out")


def twin_latents(twin, pixels):
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].double() / 127.5 - 1
    with torch.no_grad():
        return twin.latents(x)


def test_latents_are_the_twins(dataset, pictures, twin):
    worst = 0.0
    for key, pixels in pictures[1].items():
        expected = twin_latents(twin, pixels)[0].permute(1, 2, 0).numpy()
        ours = dataset[f"{key}.latents.npy"]
        assert ours.dtype == np.float32 and ours.shape == expected.shape, key
        worst = max(worst, float(np.abs(ours - expected).max()))
    print(f"largest difference of {sum(v.size for k, v in dataset.items() if 'latents' in k)} latents: {worst:.2e}")
    assert worst < TOLERANCE


def test_codes_are_the_twins_where_the_margin_allows(dataset, pictures, twin):
    """The margin is the distance of the bounded latent from the nearest rounding boundary."""
    compared = total = 0
    for key, pixels in pictures[1].items():
        latents = twin_latents(twin, pixels)
        with torch.no_grad():
            expected = twin.quantizer.indices(latents)[0].numpy()
            bounded = twin.quantizer.bound(latents)
        margin = (0.5 - (bounded - bounded.round()).abs()).min(dim=1).values[0].numpy()
        ours = dataset[f"{key}.codes.npy"].astype(np.int64)
        assert ours.shape == expected.shape, key
        # A latent's difference is enlarged by the slope of the bound, at most half of the levels.
        sure = margin > 4 * TOLERANCE
        assert np.array_equal(ours[sure], expected[sure]), key
        compared, total = compared + int(sure.sum()), total + sure.size
    assert compared > 0.98 * total, f"only {compared} of {total} codes had a margin"


def test_latents_do_not_depend_on_the_workers(dataset, tessera, pictures, tmp_path):
    for workers in (1, 4):
        again = encode(tessera, pictures[0], tmp_path / str(workers), "--workers", workers)
        assert again.keys() == dataset.keys()
        for name, array in dataset.items():
            assert again[name].tobytes() == array.tobytes(), name
