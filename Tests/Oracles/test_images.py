"""Pixels against Pillow: decoding, orientation, resampling, crops. Every comparison wants 0 differing values."""

import json
import pathlib
import re
import time

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

FILTERS = {name: getattr(Image.Resampling, name.upper()) for name in "nearest box bilinear hamming bicubic lanczos".split()}
AS_STORED = ["--resize", "none", "--crop", "none", "--orientation", "ignore"]


@pytest.fixture(scope="session")
def photographs(shared_data):
    found = sorted((shared_data / "photos").rglob("*.jpg"))[:60]
    assert len(found) >= 50
    return found


@pytest.fixture(scope="session")
def prepare(tessera, tmp_path_factory):
    """Runs `prepare --as npy` over a folder; returns {file name: array's path} and {file name: reason}."""

    def run(folder, *flags):
        output = tmp_path_factory.mktemp("prepared")
        result = tessera("prepare", folder, "-o", output, "--as", "npy", "--json", "--quiet", *flags, code=None)
        assert result.returncode in (0, 1), result.stderr
        summary = json.loads(result.stdout)
        lines = (output / "rejected.jsonl").read_text().splitlines()
        rejected = {line["source"]: line["reason"] for line in map(json.loads, lines)}
        names = [path.name for path in folder.iterdir()]
        arrays = {name: output / f"{pathlib.Path(name).stem}.npy" for name in names if name not in rejected}
        assert all(path.exists() for path in arrays.values())
        assert summary == {"inputs": len(names), "samples": len(arrays), "rejected": len(rejected)}
        return arrays, rejected

    return run


def differing(ours, pillow):
    expected = np.asarray(pillow)
    assert ours.dtype == np.uint8 and ours.shape == expected.shape, (ours.shape, expected.shape)
    return int((ours != expected).sum())


def copies(files, folder):
    """Copies under names that are keys; returns {name: original}."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {}
    for index, path in enumerate(files):
        name = f"i{index:04d}{path.suffix.lower()}"
        (folder / name).write_bytes(path.read_bytes())
        named[name] = path
    return named


def compare(prepare, files, folder, flags, expected):
    """{file: differing values} where there are any, and the files that were rejected."""
    named = copies(files, folder)
    arrays, rejected = prepare(folder, *flags)
    different = {}
    for name, array in arrays.items():
        count = differing(np.load(array), expected(named[name]))
        if count:
            different[str(named[name])] = count
    return different, [str(named[name]) for name in rejected]


def rgb(path):
    return Image.open(path).convert("RGB")


# -- Resampling


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("size", ["256x256", "97x341", "1x1", "700x3", "1100x1500", "2x1031"])
def test_filters_equal_pillow(prepare, photographs, tmp_path, name, size):
    files = photographs if size in ("256x256", "97x341") else photographs[:6]
    height, width = map(int, size.split("x"))
    flags = ["--resize", f"{name}:exact={size}", "--crop", "none", "--orientation", "ignore"]
    different, rejected = compare(
        prepare, files, tmp_path / "in", flags, lambda path: rgb(path).resize((width, height), FILTERS[name])
    )
    assert not different and not rejected


def test_one_side_only(prepare, photographs, tmp_path):
    """A pass whose size stays is skipped, as Pillow skips it."""
    for path in photographs[:4]:
        image = rgb(path)
        for width, height in [(image.width, 100), (100, image.height), image.size]:
            flags = ["--resize", f"lanczos:exact={height}x{width}", "--crop", "none", "--orientation", "ignore"]
            different, rejected = compare(
                prepare, [path], tmp_path / path.stem, flags, lambda _: image.resize((width, height), Image.Resampling.LANCZOS)
            )
            assert not different and not rejected


def short(image, side):
    scale = side / min(image.size)
    return round(image.width * scale), round(image.height * scale)


def middle(image, height, width):
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def adm(image, side):
    """guided-diffusion's center_crop_arr, as LlamaGen and Janus have it."""
    while min(image.size) >= 2 * side:
        image = image.resize(tuple(x // 2 for x in image.size), Image.Resampling.BOX)
    return image.resize(short(image, side), Image.Resampling.BICUBIC)


def area(image, pixels, multiple):
    """Emu3.5's smart_resize."""
    aspect = image.width / image.height
    height = int((pixels / aspect) ** 0.5)
    width = int(height * aspect)
    size = [(side + multiple // 2) // multiple * multiple for side in (width, height)]
    return image.resize(size, Image.Resampling.BICUBIC)


def torchvision_short(image, side):
    w, h = image.size
    size = (side, int(side * h / w)) if w <= h else (int(side * w / h), side)
    return image.resize(size, Image.Resampling.BILINEAR)


def torchvision_center(image, side):
    left, top = int(round((image.width - side) / 2.0)), int(round((image.height - side) / 2.0))
    return image.crop((left, top, left + side, top + side))


def square(image, side):
    return middle(image, min(image.size), min(image.size)).resize((side, side), Image.Resampling.BICUBIC)


def padded(image, multiple):
    width, height = (-(-side // multiple) * multiple for side in image.size)
    canvas = Image.new("RGB", (width, height))
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas


RULES = {
    "short": (["--resize", "bicubic:short=256", "--crop", "center:256x256"],
              lambda im: middle(im.resize(short(im, 256), Image.Resampling.BICUBIC), 256, 256)),
    "chameleon": (["--resize", "lanczos:short=512", "--crop", "center:512x512"],
                  lambda im: middle(im.resize(short(im, 512), Image.Resampling.LANCZOS), 512, 512)),
    "uncropped": (["--resize", "hamming:short=200", "--crop", "none"],
                  lambda im: im.resize(short(im, 200), Image.Resampling.HAMMING)),
    "odd crop": (["--resize", "bicubic:short=301", "--crop", "center:101x233"],
                 lambda im: middle(im.resize(short(im, 301), Image.Resampling.BICUBIC), 101, 233)),
    "stored crop": (["--resize", "none", "--crop", "center:201x305"], lambda im: middle(im, 201, 305)),
    "adm": (["--resize", "bicubic:adm=256", "--crop", "center:256x256"], lambda im: middle(adm(im, 256), 256, 256)),
    "adm small": (["--resize", "bicubic:adm=64", "--crop", "center:64x64"], lambda im: middle(adm(im, 64), 64, 64)),
    "area": (["--resize", "bicubic:area=262144/16", "--crop", "none"], lambda im: area(im, 262144, 16)),
    "square": (["--resize", "bicubic:square=256", "--crop", "none"], lambda im: square(im, 256)),
    "torchvision": (["--resize", "bilinear:short=255:torchvision", "--crop", "center:224x224:torchvision"],
                    lambda im: torchvision_center(torchvision_short(im, 255), 224)),
    "pad": (["--resize", "none", "--crop", "none", "--pad", "16"], lambda im: padded(im, 16)),
}


@pytest.mark.parametrize("rule", RULES)
def test_rules_equal_their_reference(prepare, photographs, tmp_path, rule):
    flags, reference = RULES[rule]
    flags = [*flags, "--orientation", "ignore"]
    different, rejected = compare(prepare, photographs[:25], tmp_path / "in", flags, lambda path: reference(rgb(path)))
    assert not different and not rejected


# -- Decoding

# Files of the suites that Pillow and we treat differently, each with its reason.
KNOWN = {
    # Pillow parses segments itself and refuses an APP0 of length 1, over which libjpeg steps.
    "a7326ba8f3f4559991126474dd30083d.jpg",
    # Lossless: read by libjpeg-turbo 3, refused by name with Debian's 2.1.5.
    "jpeg_lossless_sel1-8bit.jpg",
    # Damaged progressive files, in which libjpeg-turbo 3 (in Pillow's wheel) smooths blocks otherwise than
    # Debian's 2.1.5: with the wheel's library in its place we give Pillow's pixels.
    "8e5e74dbf9b68a322fbb9512db837329.jpg",
    "f6b4389c3cf0f5997b2e5a4b905aea8d.jpg",
}


def pillow_reads(path):
    try:
        return rgb(path), None
    except Exception as error:  # Pillow raises half a dozen kinds
        return None, f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("suite", ["reftest", "pillow", "orientation", "turbo", "exif-samples", "icc", "crashtest"])
def test_decoded_pixels_equal_pillow(prepare, shared_data, tmp_path, suite):
    files = [
        path for path in sorted((shared_data / "jpeg" / suite).rglob("*"))
        if path.suffix.lower() in (".jpg", ".jpeg", ".png")
    ]
    readable = {path: image for path in files if (image := pillow_reads(path)[0])}
    named = copies(files, tmp_path / "in")
    arrays, rejected = prepare(tmp_path / "in", *AS_STORED)
    problems = []
    for name, path in named.items():
        image = readable.get(path)
        if (name in arrays) != (image is not None):
            if path.name not in KNOWN:
                who = "we read it, Pillow: " if name in arrays else "Pillow reads it, we: "
                problems.append(f"{path}: {who}{rejected.get(name) or pillow_reads(path)[1]}")
        elif image is not None:
            if Image.open(path).mode == "I;16":
                image = Image.fromarray((np.asarray(Image.open(path)) >> 8).astype(np.uint8)).convert("RGB")
            count = differing(np.load(arrays[name]), image)
            if count and path.name not in KNOWN:
                problems.append(f"{path}: {count} values differ")
    assert not problems, "\n".join(problems)


def test_orientation(prepare, shared_data, tmp_path):
    files = sorted((shared_data / "jpeg" / "orientation").rglob("*.jpg")) + sorted(
        path for path in (shared_data / "jpeg" / "exif-samples").rglob("*.jpg") if pillow_reads(path)[0]
    )
    flags = ["--resize", "none", "--crop", "none", "--orientation", "apply"]

    def upright(path):
        image = Image.open(path)
        try:
            return ImageOps.exif_transpose(image).convert("RGB")
        except Exception:  # damaged metadata: the pixels as stored
            return image.convert("RGB")

    different, rejected = compare(prepare, files, tmp_path / "in", flags, upright)
    assert not different and not rejected


def test_orientation_with_resize(prepare, shared_data, tmp_path):
    files = sorted((shared_data / "jpeg" / "orientation").rglob("*.jpg"))
    flags = ["--resize", "bicubic:short=101", "--crop", "center:100x100", "--orientation", "apply"]

    def reference(path):
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        return middle(image.resize(short(image, 101), Image.Resampling.BICUBIC), 100, 100)

    different, rejected = compare(prepare, files, tmp_path / "in", flags, reference)
    assert not different and not rejected


@pytest.fixture(scope="session")
def png_files(tmp_path_factory):
    """PNGs of every mode that Pillow writes, of photograph-like noise."""
    folder = tmp_path_factory.mktemp("png")
    random = np.random.default_rng(7)
    color = Image.fromarray(random.integers(0, 256, (37, 53, 3), dtype=np.uint8))
    alpha = Image.fromarray(random.integers(0, 256, (37, 53), dtype=np.uint8))
    gray = color.convert("L")
    color.save(folder / "rgb.png")
    gray.save(folder / "gray.png")
    color.convert("1").save(folder / "bilevel.png")
    Image.merge("RGBA", (*color.split(), alpha)).save(folder / "rgba.png")
    Image.merge("LA", (gray, alpha)).save(folder / "gray-alpha.png")
    for bits in (1, 2, 4, 8):
        color.quantize(2**bits).save(folder / f"palette{bits}.png", bits=bits)
    color.quantize(16).save(folder / "palette-transparent.png", transparency=3)
    color.quantize(16).save(folder / "palette-alphas.png", transparency=bytes(range(0, 256, 16)))
    gray.save(folder / "gray-transparent.png", transparency=17)
    color.save(folder / "rgb-transparent.png", transparency=color.getpixel((0, 0)))
    return sorted(folder.glob("*.png"))


def test_png_pixels_equal_pillow(prepare, png_files, tmp_path):
    different, rejected = compare(prepare, png_files, tmp_path / "in", AS_STORED, rgb)
    assert not different and not rejected


def test_png_on_white_equals_chameleon(prepare, png_files, tmp_path):
    def whitened(path):
        image = Image.open(path)
        if image.mode == "RGB":
            return image
        values = np.array(image.convert("RGBA"))
        if not (values[:, :, 3] < 255).any():
            return image.convert("RGB")
        alpha = values[:, :, 3] / 255.0
        blended = (1 - alpha[:, :, None]) * 255 + alpha[:, :, None] * values[:, :, :3]
        return Image.fromarray(blended.astype("uint8"), "RGB")

    flags = [*AS_STORED, "--alpha", "white"]
    different, rejected = compare(prepare, png_files, tmp_path / "in", flags, whitened)
    assert not different and not rejected


def test_png_composited_equals_transformers(prepare, png_files, tmp_path):
    """Every kind of transparency, the transparent color of an RGB picture among them."""
    from transformers.image_transforms import convert_to_rgb

    def composited(path):
        return Image.fromarray(convert_to_rgb(Image.open(path), return_numpy=True))

    flags = [*AS_STORED, "--alpha", "composite"]
    different, rejected = compare(prepare, png_files, tmp_path / "in", flags, composited)
    assert not different and not rejected
    keyed = tmp_path / "keyed"
    keyed.mkdir()
    stripes = np.zeros((40, 50, 3), np.uint8)
    stripes[::3] = (9, 200, 77)
    Image.fromarray(stripes).save(keyed / "rgb.png", transparency=(9, 200, 77))
    arrays, _ = prepare(keyed, *flags)
    pixels = np.load(arrays["rgb.png"])
    assert (pixels[::3] == 255).all() and (pixels[1::3] == 0).all()


def test_16_bit_png_keeps_the_high_byte(prepare, tmp_path):
    values = np.random.default_rng(5).integers(0, 65536, (20, 30), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "gray16.png")
    arrays, _ = prepare(tmp_path, *AS_STORED)
    assert (np.load(arrays["gray16.png"]) == (values >> 8).astype(np.uint8)[:, :, None]).all()


def test_prepared_png_equals_npy(tessera, prepare, photographs, tmp_path):
    named = copies(photographs[:5], tmp_path / "in")
    tessera("prepare", tmp_path / "in", "-o", tmp_path / "png", "--quiet")
    arrays, _ = prepare(tmp_path / "in")
    assert len(arrays) == len(named)
    for array in arrays.values():
        assert (np.asarray(Image.open(tmp_path / "png" / f"{array.stem}.png")) == np.load(array)).all()


# -- Bad input


def test_cut_files(prepare, photographs, tmp_path):
    """A cut file is an error where Pillow says so, at any cut; with partial rows both give the same pixels."""
    data = photographs[0].read_bytes()
    third = len(data) // 3
    for count in [0, 1, 20, 100, 300, 900, third, 2 * third, len(data) - 1000]:
        (tmp_path / f"cut{count}.jpg").write_bytes(data[:count])
    arrays, rejected = prepare(tmp_path, *AS_STORED)
    assert not arrays and len(rejected) == 9
    assert all("the file ends before" in reason or "empty" in reason or "by its first bytes" in reason for reason in rejected.values())
    arrays, _ = prepare(tmp_path, *AS_STORED, "--truncated", "partial")
    assert {f"cut{third}.jpg", f"cut{2 * third}.jpg"} <= set(arrays)
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        assert not any(differing(np.load(array), rgb(tmp_path / name)) for name, array in arrays.items())
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def test_every_file_is_an_image_or_one_line(tessera, shared_data, tmp_path):
    """Each of ../shared/data/jpeg alone: an image or one clear line, no signal, within a second."""
    files = [p for p in sorted((shared_data / "jpeg").rglob("*")) if p.suffix.lower() in (".jpg", ".jpeg", ".png")]
    images, lines, slow = 0, 0, []
    for path in files:
        start = time.monotonic()
        result = tessera("prepare", path, "-o", tmp_path / "out", "--workers", 1, "--quiet", code=None)
        if time.monotonic() - start > 1:
            slow.append((path, time.monotonic() - start))
        assert result.returncode in (0, 1), (path, result.returncode, result.stderr)
        rejected = (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()
        assert len(rejected) == result.returncode
        images += 1 - len(rejected)
        lines += len(rejected)
    print(f"{len(files)} files: {images} images, {lines} lines")
    assert images + lines == len(files) and images > 200
    assert not slow


def test_every_encoding_that_the_help_names_equals_pillow(tessera, prepare, root, tmp_path):
    """A file of each ending as Pillow writes it, in color and gray; half of its bytes are no picture."""
    words = " ".join(tessera("tokenize", "--help").stdout.split())
    endings = re.findall(r"\.(\w+)", re.search(r"picture's ending \(([^()]*)\)", words)[1])
    assert {"jpg", "png"} <= set(endings)
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    for ending in endings:
        for mode in ("RGB", "L"):
            path = tmp_path / "whole" / f"{ending}-{mode}.{ending}"
            Image.open(root / "fixtures/photos/coffee.png").convert(mode).crop((31, 17, 168, 116)).save(path)
            data = path.read_bytes()
            (tmp_path / "cut" / path.name).write_bytes(data[: len(data) // 2])
    arrays, rejected = prepare(tmp_path / "whole", *AS_STORED)
    assert len(arrays) == 2 * len(endings) and not rejected
    for name, array in arrays.items():
        assert not differing(np.load(array), rgb(tmp_path / "whole" / name)), name
    arrays, rejected = prepare(tmp_path / "cut", *AS_STORED)
    assert not arrays and all("\n" not in reason for reason in rejected.values())
