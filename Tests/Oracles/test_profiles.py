"""Each family's preprocessing: the network's float32 input equals the published code's, bit for bit.

Pixels come from `prepare` with the rules that `tokenizers --json` lists; the values of their bytes from the table that
`convert -o FILE.onnx` writes. Transformers' and diffusers' processors are the real ones, on Pillow where there are two;
the scripts of other authors are written down here, on Pillow, torchvision's transforms and OpenCV.
"""

import json

import family_references as references
import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from PIL import Image
from dataset_files import shard_arrays
from test_families import AS_STORED, store
from torchvision import transforms as T

pytestmark = pytest.mark.usefixtures("without_gradients")

# Sides with odd remainders, upright and lying, larger and smaller than the sizes wanted.
SIZES = [(451, 300), (333, 600), (1100, 701), (150, 177)]


# MARK: What the authors do


def torchvision(size, filter, crop=None, scaled=True):
    steps = [T.Resize(size, interpolation=filter), T.CenterCrop(crop or size)]
    if scaled:
        return T.Compose([*steps, T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])
    return T.Compose([*steps, T.ToTensor()])


BILINEAR, BICUBIC, LANCZOS = T.InterpolationMode.BILINEAR, T.InterpolationMode.BICUBIC, T.InterpolationMode.LANCZOS


def whole_range(image):
    """float64, rounded once."""
    return (np.asarray(image).astype(np.float64) / 127.5 - 1.0).astype(np.float32).transpose(2, 0, 1)


def seed_voken(image):
    return whole_range(T.CenterCrop(256)(T.Resize(256, interpolation=BILINEAR)(image)))


def taming(image):
    """albumentations' SmallestMaxSize and CenterCrop, which are OpenCV's."""
    import cv2

    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    scale = 256 / min(height, width)
    height, width = round(height * scale), round(width * scale)
    pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    y, x = (height - 256) // 2, (width - 256) // 2
    return whole_range(pixels[y : y + 256, x : x + 256])


def latent_diffusion(image):
    pixels = np.asarray(image)
    crop = min(pixels.shape[:2])
    h, w = pixels.shape[:2]
    pixels = pixels[(h - crop) // 2 : (h + crop) // 2, (w - crop) // 2 : (w + crop) // 2]
    return whole_range(Image.fromarray(pixels).resize((256, 256), resample=Image.BICUBIC))


def llamagen(image):
    while min(*image.size) >= 512:
        image = image.resize(tuple(x // 2 for x in image.size), resample=Image.BOX)
    scale = 256 / min(*image.size)
    pixels = np.array(image.resize(tuple(round(x * scale) for x in image.size), resample=Image.BICUBIC))
    y, x = (pixels.shape[0] - 256) // 2, (pixels.shape[1] - 256) // 2
    return T.Compose([T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])(pixels[y : y + 256, x : x + 256])


def chameleon(image):
    scale = 512 / min(image.size)
    image = image.resize((round(scale * image.size[0]), round(scale * image.size[1])), Image.LANCZOS)
    x, y = (image.width - 512) // 2, (image.height - 512) // 2
    pixels = np.array(image.crop((x, y, x + 512, y + 512))) / 255.0
    return torch.from_numpy(pixels * 2 - 1).permute(2, 0, 1).float()


def emu35(image):
    width, height = image.size
    ratio = width / height
    new_height = int((512 * 512 / ratio) ** 0.5)
    new_width = int(new_height * ratio)
    new_height, new_width = ((side + 8) // 16 * 16 for side in (new_height, new_width))
    return whole_range(image.resize((new_width, new_height), Image.BICUBIC))


def emu3(image):
    from transformers import Emu3ImageProcessor

    return Emu3ImageProcessor(image_mean=[0.5] * 3, image_std=[0.5] * 3)(image, return_tensors="np")["pixel_values"]


def cosmos(image):
    pixels = np.asarray(image)
    height, width = ((side + 15) // 16 * 16 for side in pixels.shape[:2])
    y, x = (height - pixels.shape[0]) // 2, (width - pixels.shape[1]) // 2
    padded = np.zeros((height, width, 3), np.uint8)
    padded[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    return (2.0 * padded / 255.0 - 1.0).astype(np.float32).transpose(2, 0, 1)


def amused(image):
    from diffusers.image_processor import VaeImageProcessor

    return VaeImageProcessor(vae_scale_factor=16, do_normalize=False).preprocess(image)[0]


def var(image):
    values = torchvision(288, LANCZOS, 256, scaled=False)(image)
    return values.add(values).add(-1)


def dvae(image):
    import torchvision.transforms.functional as TF

    scale = 256 / min(image.size)
    image = TF.resize(image, [round(scale * image.size[1]), round(scale * image.size[0])], interpolation=LANCZOS)
    return (1 - 2 * 0.1) * T.ToTensor()(TF.center_crop(image, output_size=[256, 256])) + 0.1


ORIGINALS = {
    "taming": (references.Taming, taming), "ldm": (references.LatentDiffusion, latent_diffusion),
    "llamagen": (references.LlamaGen, llamagen), "janus": (references.Janus, torchvision(384, BICUBIC)),
    "chameleon": (references.Chameleon, chameleon), "ibq": (references.IBQ, seed_voken),
    "emu3.5": (references.Emu35, emu35), "cosmos": (references.Cosmos, cosmos),
    "show-o": (references.ShowO, torchvision(256, BICUBIC)), "amused": (references.Amused, amused),
    "open-magvit2": (references.OpenMAGVIT2, seed_voken),
    "maskgit": (references.MaskGIT, torchvision(256, BILINEAR, scaled=False)),
    "movq": (references.MoVQ, torchvision(256, BICUBIC)), "emu3": (references.Emu3, emu3),
    "var": (references.VAR, var), "dvae": (references.DVAE, dvae),
}


# MARK: What Transformers' ports do


def port_of_chameleon(image):
    from transformers.models.chameleon.image_processing_pil_chameleon import ChameleonImageProcessorPil

    return ChameleonImageProcessorPil()(image, return_tensors="np")["pixel_values"]


def port_of_janus(image):
    from transformers.models.janus.image_processing_pil_janus import JanusImageProcessorPil

    # As the hub's settings have it; the class itself has CLIP's means.
    processor = JanusImageProcessorPil(image_mean=[0.5] * 3, image_std=[0.5] * 3)
    return processor(image, return_tensors="np")["pixel_values"]


def port_of_emu3(image):
    from transformers import Emu3ImageProcessor

    return Emu3ImageProcessor()(image, return_tensors="np")["pixel_values"]


def port_of_flava(image):
    from transformers.models.flava.image_processing_pil_flava import FlavaImageProcessorPil

    return FlavaImageProcessorPil()(image, return_codebook_pixels=True, return_tensors="np")["codebook_pixel_values"]


PORTS = {
    "chameleon": (references.TransformersChameleon, port_of_chameleon),
    "janus": (references.TransformersJanus, port_of_janus),
    "emu3": (references.Emu3, port_of_emu3), "dvae": (references.DVAE, port_of_flava),
}


# MARK: Bit for bit


@pytest.fixture(scope="module")
def listed(tessera):
    entries = json.loads(tessera("tokenizers", "--json").stdout)
    return {entry["family"]: entry["profiles"] for entry in entries if "family" in entry}


@pytest.fixture(scope="module")
def images(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("profiles") / "images"
    folder.mkdir()
    found = {}
    for index, (width, height) in enumerate(SIZES):
        photo = ("coffee.png", "china.jpg", "astronaut.png", "chelsea.png")[index]
        image = Image.open(root / "fixtures/photos" / photo).convert("RGB").resize((width, height), Image.BICUBIC)
        image.save(folder / f"{index}.png")
        found[str(index)] = image
    return folder, found


def flags(rules):
    return [part for name in ("resize", "crop", "pad", "orientation", "alpha") for part in (f"--{name}", rules[name])]


def check(tessera, images, folder, reference, family, profile, expected):
    """The input of the network that Tessera makes, beside the published one."""
    store(reference, folder / "own.safetensors")
    option = "" if profile["name"] == "original" else f"@{profile['name']}"
    tessera("convert", f"{family}{option}:{folder}/own.safetensors", "-o", folder / "encoder.onnx")
    model = onnx.load(folder / "encoder.onnx")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["tessera.preprocessing"]) == profile["preprocessing"]
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    table = numpy_helper.to_array(constants["range.table"]).reshape(3, 256)
    tessera("prepare", images[0], "-o", folder / "prepared", "--as", "npy", "--quiet", *flags(profile["preprocessing"]))
    for key, image in images[1].items():
        pixels = np.load(folder / "prepared" / f"{key}.npy")
        values = np.stack([table[channel][pixels[..., channel]] for channel in range(3)])
        published = np.asarray(expected(image), np.float32)
        published = published.reshape(published.shape[-3:])
        assert values.shape == published.shape, (key, image.size)
        assert np.array_equal(values, published), (key, image.size, np.abs(values - published).max())


@pytest.mark.parametrize("family", ORIGINALS)
def test_the_default_is_the_authors(tessera, images, listed, tmp_path, family):
    reference, expected = ORIGINALS[family]
    check(tessera, images, tmp_path, reference(), family, listed[family][0], expected)


@pytest.mark.parametrize("family", PORTS)
def test_a_ports_profile_is_its_processor(tessera, images, listed, tmp_path, family):
    reference, expected = PORTS[family]
    profile = listed[family][1]
    assert profile["name"] == "hf"
    check(tessera, images, tmp_path, reference(), family, profile, expected)


@pytest.fixture(scope="module")
def transparent(root, tmp_path_factory):
    """Transparency of each kind that a PNG has; every value of a channel meets every alpha."""
    folder = tmp_path_factory.mktemp("transparent") / "images"
    folder.mkdir()
    photo = Image.open(root / "fixtures/photos/coffee.png").convert("RGB").resize((523, 410), Image.BICUBIC)
    alphas = Image.fromarray(np.random.default_rng(6).integers(0, 256, (410, 523)).astype(np.uint8))
    layers = {"RGBA": photo.copy(), "LA": photo.convert("L")}
    for layer in layers.values():
        layer.putalpha(alphas)
    values, levels = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    layers["pairs"] = Image.fromarray(np.stack([values, 255 - values, values // 2, levels], axis=-1))
    for name, layer in layers.items():
        layer.save(folder / f"{name}.png")
    indexed = photo.quantize(40)
    indexed.save(folder / "P-alphas.png", transparency=bytes(range(0, 240, 6)))
    indexed.save(folder / "P-one.png", transparency=indexed.getpixel((200, 200)))
    indexed.convert("RGB").save(folder / "RGB-one.png", transparency=indexed.convert("RGB").getpixel((200, 200)))
    return folder, {path.stem: Image.open(path) for path in folder.glob("*.png")}


@pytest.mark.parametrize("family", ["chameleon", "emu3"])
def test_a_port_composites_transparency(tessera, transparent, listed, tmp_path, family):
    reference, expected = PORTS[family]
    profile = listed[family][1]
    assert profile["preprocessing"]["alpha"] == "composite"
    check(tessera, transparent, tmp_path, reference(), family, profile, expected)


@pytest.mark.parametrize("family", ["janus", "dvae"])
def test_the_other_ports_take_no_transparency(transparent, listed, family):
    """They convert nothing, so that what is transparent fails there; dropped here, as the authors' loaders do."""
    assert listed[family][1]["preprocessing"]["alpha"] == "drop"
    for name in ("RGBA", "LA"):
        with pytest.raises(ValueError, match="elements"):
            PORTS[family][1](transparent[1][name])


def test_every_profile_is_compared(listed):
    """But for the VQ-VAE, which takes pictures as they are, and Su's, which test_family_files.py has."""
    assert set(ORIGINALS) == set(listed) - {"vqvae", "su-fsq"}
    assert set(PORTS) == {family for family, profiles in listed.items() if len(profiles) > 1}


def test_transparency_is_laid_on_white_where_chameleons_code_does(tessera, root, listed, tmp_path):
    image = Image.open(root / "fixtures/photos/coffee.png").convert("RGBA").resize((600, 512), Image.BICUBIC)
    alpha = np.random.default_rng(5).integers(0, 256, (512, 600)).astype(np.uint8)
    image.putalpha(Image.fromarray(alpha))
    (tmp_path / "images").mkdir()
    image.save(tmp_path / "images/p.png")
    rules = listed["chameleon"][0]["preprocessing"]
    assert rules["alpha"] == "white"
    store(references.Chameleon(), tmp_path / "own.safetensors")
    name = f"chameleon:{tmp_path}/own.safetensors"
    tessera("tokenize", tmp_path / "images", "-o", tmp_path / "one", "--tokenizer", name, "--quiet")
    values = np.array(image)
    alpha = values[..., 3:] / 255.0
    pixels = ((1 - alpha) * 255 + alpha * values[..., :3]).astype(np.uint8)
    (tmp_path / "white").mkdir()
    Image.fromarray(pixels).save(tmp_path / "white/p.png")
    tessera("tokenize", tmp_path / "white", "-o", tmp_path / "two", "--tokenizer", name, "--quiet")
    assert np.array_equal(*(shard_arrays(tmp_path / folder)["p.codes.npy"] for folder in ("one", "two")))


def test_emu3_refuses_what_its_own_code_refuses(tessera, listed, tmp_path):
    """More than 5 to 1, and sides below 8; Transformers' port takes both."""
    (tmp_path / "images").mkdir()
    for name, size in {"long": (603, 120), "flat": (600, 120), "thin": (7, 20)}.items():
        Image.new("RGB", size, (90, 120, 30)).save(tmp_path / f"images/{name}.png")
    for index, (profile, written) in enumerate(zip(listed["emu3"], ({"flat"}, {"flat", "long", "thin"}))):
        output = tmp_path / str(index)
        tessera("prepare", tmp_path / "images", "-o", output, "--quiet", *flags(profile["preprocessing"]))
        assert {path.stem for path in output.glob("*.png")} == written
        rejected = (output / "rejected.jsonl").read_text() if (output / "rejected.jsonl").exists() else ""
        assert ("5 to 1" in rejected and "below 8" in rejected) == (index == 0)


def test_latent_diffusion_with_tanh(tessera, root, tmp_path):
    """`tanh_out` stands in no file: an option of the name."""
    reference = references.LatentDiffusion()
    store(reference, tmp_path / "own.safetensors")
    (tmp_path / "images").mkdir()
    Image.open(root / "fixtures/photos/coffee.png").convert("RGB").crop((0, 0, 64, 64)).save(tmp_path / "images/p.png")
    name = f"ldm@tanh-out:{tmp_path}/own.safetensors"
    tessera("tokenize", tmp_path / "images", "-o", tmp_path / "dataset", "--tokenizer", name, "--quiet", *AS_STORED)
    tessera("decode", tmp_path / "dataset", "-o", tmp_path / "decoded", "--tokenizer", name, "--sheet", 0, "--quiet")
    codes = torch.from_numpy(shard_arrays(tmp_path / "dataset")["p.codes.npy"].astype(np.int64))
    expected = (torch.tanh(reference.decode(codes))[0].permute(1, 2, 0).numpy() + 1) * 127.5
    assert np.abs(np.array(Image.open(tmp_path / "decoded/p.png")) - expected).max() <= 0.5 + 0.1275
    error = tessera("tokenizers", f"taming@tanh-out:{tmp_path}/own.safetensors", code=None)
    assert error.returncode and "is no option of taming" in error.stderr
