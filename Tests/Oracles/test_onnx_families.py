"""`convert FAMILY:FILE -o FILE.onnx` for every family: ONNX Runtime gives tokenize's codes and latents."""

import family_references as references
import numpy as np
import pytest
from safetensors.torch import save_file
from dataset_files import shard_arrays
from test_families import AS_STORED, FAMILIES, photographs, store
from test_onnx import run

pytestmark = pytest.mark.usefixtures("without_gradients")


def check(tessera, reference, name, folder, pixels):
    """Codes and latents of images of one size as one batch of the graph's, beside those of `tokenize`."""
    converted = tessera("convert", name, "-o", folder / "encoder.onnx")
    tessera("tokenize", folder / "images", "-o", folder / "dataset", "--tokenizer", name, "--latents", "--quiet", *AS_STORED)
    arrays = shard_arrays(folder / "dataset")
    for images in pixels.values():
        outputs, model = run(folder / "encoder.onnx", np.stack(list(images.values())))
        assert outputs["codes"].dtype == np.int64
        for index, key in enumerate(images):
            latents, codes = arrays[f"{key}.latents.npy"], arrays[f"{key}.codes.npy"]
            found = outputs["latents"][index]
            assert np.abs(found - latents).max() <= 1e-4 * np.abs(latents).max(), key
            assert outputs["codes"][index].shape == codes.shape, key
            differs = outputs["codes"][index] != codes
            _, margin = reference.codes_beside(latents.astype(np.float64), codes.astype(np.int64))
            # In a residual, what follows a code that differs is another one's.
            sure = np.minimum.accumulate(margin.ravel()) if reference.family == "var" else margin.ravel()
            assert not differs.ravel()[sure > 1e-4].any(), (key, int(differs.sum()), margin.ravel()[differs.ravel()].max())
            assert differs.mean() < 0.02, (key, differs.mean())
    return converted, model


@pytest.mark.parametrize("kind", FAMILIES, ids=lambda kind: kind.__name__)
def test_a_familys_graph_gives_its_codes(kind, tessera, root, tmp_path):
    reference = kind()
    store(reference, tmp_path / "own.safetensors")
    (tmp_path / "images").mkdir()
    selector, sizes = next(iter(reference.selections()))
    pixels = photographs(root, tmp_path / "images", [size for size in sizes if size[0] * size[1] < 20_000][::-1])
    converted, model = check(tessera, reference, f"{selector}:{tmp_path}/own.safetensors", tmp_path, pixels)
    # The profile's resampling stands before the graph, and is said to.
    assert "not in the graph" in converted.stderr and "resize" in converted.stderr or reference.family == "cosmos"
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["tessera.tokenizer"] == f"{selector}:own.safetensors"


def compared(tessera, root, name, folder):
    """Latents and codes of ONNX Runtime and of `tokenize` for images of two sizes; latents are close."""
    (folder / "images").mkdir()
    images = photographs(root, folder / "images", [(64, 64), (96, 160)])
    tessera("convert", name, "-o", folder / "encoder.onnx")
    tessera("tokenize", folder / "images", "-o", folder / "dataset", "--tokenizer", name, "--latents", "--quiet", *AS_STORED)
    arrays = shard_arrays(folder / "dataset")
    for pixels in images.values():
        outputs, _ = run(folder / "encoder.onnx", np.stack(list(pixels.values())))
        for index, key in enumerate(pixels):
            latents = arrays[f"{key}.latents.npy"]
            assert np.abs(outputs["latents"][index] - latents).max() <= 1e-4 * np.abs(latents).max()
            yield latents, outputs["codes"][index], arrays[f"{key}.codes.npy"]


def test_the_classic_vqvae(tessera, root, shared_data, tmp_path):
    name = f"vqvae:{shared_data}/weights/vqvae-cifar10/shuffled_model_ema_norm_he-et-al.pth"
    shares = [(found == codes).mean() for _, found, codes in compared(tessera, root, name, tmp_path)]
    assert shares and min(shares) > 0.998


def test_sus_network(tessera, root, tmp_path):
    from test_family_files import Su

    Su().save(tmp_path / "train_model.weights")
    shares = []
    for latents, found, codes in compared(tessera, root, f"su-fsq:{tmp_path}/train_model.weights", tmp_path):
        scaled = 5 / (1 + np.exp(-latents.astype(np.float64)))
        sure = (0.5 - np.abs(scaled - np.rint(scaled))).min(-1) > 1e-3
        assert np.array_equal(found[sure], codes[sure])
        shares.append(sure.mean())
    assert shares and min(shares) > 0.9


def test_weights_in_shards(tessera, root, tmp_path):
    """An index beside its shards: the same graph, but for the digest, as from one file."""
    import json

    import onnx

    reference = references.LlamaGen()
    store(reference, tmp_path / "own.safetensors")
    names = sorted(reference.state)
    files = {"own-00001-of-00002.safetensors": names[::2], "own-00002-of-00002.safetensors": names[1::2]}
    for file, members_ in files.items():
        save_file({name: reference.state[name].contiguous() for name in members_}, tmp_path / file)
    weight_map = {name: file for file, members_ in files.items() for name in members_}
    (tmp_path / "own.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    models = []
    for file in ("own.safetensors", "own.safetensors.index.json"):
        tessera("convert", f"llamagen:{tmp_path}/{file}", "-o", tmp_path / "encoder.onnx")
        models.append(onnx.load(tmp_path / "encoder.onnx"))
    whole, shards = models
    assert whole.graph.node == shards.graph.node and whole.graph.initializer == shards.graph.initializer
    digests = [{e.key: e.value for e in model.metadata_props}["tessera.sha256"] for model in models]
    assert digests[0] != digests[1] and all(len(digest) == 64 for digest in digests)
