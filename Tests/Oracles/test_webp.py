"""WebP against Pillow: pixels, transparency, animations, orientation, damaged and hostile files."""

import io
import itertools
import struct

import numpy as np
import picture_files as files
import pytest
from PIL import Image, ImageOps
from test_images import AS_STORED, differing, pillow_reads, prepare, rgb  # noqa: F401

SIZES = [(1, 1), (2, 3), (16, 16), (17, 5), (61, 47), (97, 80), (131, 129)]
KINDS = {
    "low": dict(quality=5), "usual": dict(quality=75), "high": dict(quality=100, method=6), "fast": dict(quality=60, method=0),
    "lossless": dict(lossless=True), "lossless-best": dict(lossless=True, quality=100, method=6), "exact": dict(lossless=True, exact=True),
}


def transparent(pixels, seed=3):
    alpha = np.random.default_rng(seed).integers(0, 256, pixels.shape[:2], dtype=np.uint8)
    alpha[: len(alpha) // 2] = np.where(alpha[: len(alpha) // 2] > 99, 255, 0)
    return Image.fromarray(np.dstack([pixels, alpha]))


def webp(image, **options):
    stream = io.BytesIO()
    image.save(stream, "WEBP", **options)
    return stream.getvalue()


def riff(*chunks):
    body = b"WEBP" + b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def three(number):
    return struct.pack("<I", number)[:3]


def extended(flags, width, height):
    return b"VP8X", struct.pack("<I", flags) + three(width - 1) + three(height - 1)


def on_canvas(frame, width, height, x, y, alpha):
    """An animation whose first frame, a still file, covers a part of its canvas."""
    inner = frame[12:]
    if inner[:4] == b"VP8X":
        inner = inner[18:]
    size = Image.open(io.BytesIO(frame)).size
    head = three(x // 2) + three(y // 2) + three(size[0] - 1) + three(size[1] - 1) + three(100) + b"\0"
    return riff(extended(2 | (16 if alpha else 0), width, height), (b"ANIM", b"\x10\x20\x30\xff\0\0"), (b"ANMF", head + inner))


def webp_files():
    made = {}
    for (width, height), (name, options) in itertools.product(SIZES, KINDS.items()):
        pixels = files.picture(height, width, width)
        made[f"{name}-{width}x{height}"] = webp(Image.fromarray(pixels), **options)
        made[f"{name}-alpha-{width}x{height}"] = webp(transparent(pixels), **options)
    pixels = files.picture(60, 90)
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (70, 50, 3), dtype=np.uint8))
    color = Image.fromarray(pixels)
    made["noise"], made["noise-lossless"] = webp(noise), webp(noise, lossless=True)
    made["flat"] = webp(Image.new("RGB", (300, 200), (1, 2, 3)), lossless=True)
    for colors in (2, 4, 16, 200):
        made[f"palette-{colors}"] = webp(color.quantize(colors).convert("RGB"), lossless=True)
    frames = [Image.fromarray(files.picture(40, 50, seed)) for seed in range(4)]
    for name, options in {"lossy": {}, "lossless": {"lossless": True}, "mixed": {"allow_mixed": True}}.items():
        made[f"animation-{name}"] = webp(frames[0], save_all=True, append_images=frames[1:], duration=50, **options)
        clear = [transparent(np.asarray(frame), seed) for seed, frame in enumerate(frames)]
        made[f"animation-alpha-{name}"] = webp(clear[0], save_all=True, append_images=clear[1:], background=(9, 8, 7, 255), **options)
    for name, image in {"opaque": color, "alpha": transparent(pixels)}.items():
        for lossless in (False, True):
            frame = webp(image, lossless=lossless)
            for flag in (False, True):
                made[f"part-{name}-{lossless}-{flag}"] = on_canvas(frame, 120, 100, 20, 30, flag)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("webp")
    for name, data in webp_files().items():
        (folder / f"{name}.webp").write_bytes(data)
    return folder


def test_pixels_equal_pillow(prepare, folder):  # noqa: F811
    arrays, rejected = prepare(folder, *AS_STORED)
    assert not rejected and len(arrays) > 115
    assert not [name for name, path in arrays.items() if differing(np.load(path), rgb(folder / name))]


def test_transparency_equals_pillow(prepare, folder):  # noqa: F811
    arrays, _ = prepare(folder, *AS_STORED, "--alpha", "composite")

    def composited(path):
        image = Image.open(path).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")

    assert not [name for name, path in arrays.items() if differing(np.load(path), composited(folder / name))]


@pytest.mark.filterwarnings("ignore")
def test_orientation_equals_pillow(prepare, tmp_path):  # noqa: F811
    image = Image.fromarray(files.picture())
    for n in range(1, 9):
        exif, packet, other = files.orientation(n), files.xmp(n), files.xmp(9 - n)
        places = {
            "exif": dict(exif=exif), "prefix": dict(exif=files.EXIF + exif), "xmp": dict(xmp=packet),
            "element": dict(xmp=files.xmp(n, True)), "both": dict(exif=exif, xmp=other), "broken": dict(exif=b"XX" + exif, xmp=packet),
            "elsewhere": dict(exif=files.tiff([(0x010F, 2, [b"x"])]), xmp=packet),
        }
        for name, options in places.items():
            (tmp_path / f"{name}-{n}.webp").write_bytes(webp(image, **options))
        still = webp(image)[12:]
        inner = (still[:4], still[8 : 8 + struct.unpack("<I", still[4:8])[0]])
        # Chunks that the head does not name are not looked at.
        (tmp_path / f"unnamed-{n}.webp").write_bytes(riff(extended(0, *image.size), inner, (b"EXIF", exif)))
        (tmp_path / f"named-{n}.webp").write_bytes(riff(extended(8, *image.size), inner, (b"EXIF", exif)))
        (tmp_path / f"in-front-{n}.webp").write_bytes(riff(extended(8, *image.size), (b"EXIF", exif), inner))
    arrays, rejected = prepare(tmp_path, "--resize", "none", "--crop", "none", "--orientation", "apply")
    assert not rejected and len(arrays) == 80

    def upright(path):
        try:
            return ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        except Exception:
            return rgb(path)

    assert not [name for name, path in arrays.items() if differing(np.load(path), upright(tmp_path / name))]


def test_every_cut_is_one_line(prepare, tmp_path):  # noqa: F811
    image = Image.fromarray(files.picture(20, 30))
    kinds = {"lossy": webp(image), "lossless": webp(image, lossless=True), "alpha": webp(transparent(np.asarray(image)))}
    for name, data in kinds.items():
        for count in range(12, len(data) - 1, 7):
            (tmp_path / f"{name}{count}.webp").write_bytes(data[:count])
    for flags in ([], ["--truncated", "partial"]):
        arrays, rejected = prepare(tmp_path, *AS_STORED, *flags)
        odd = [name for name in arrays if pillow_reads(tmp_path / name)[0] is None]
        odd += [name for name in rejected if pillow_reads(tmp_path / name)[0] is not None]
        assert not odd and len(rejected) > 100
        assert all("\n" not in reason for reason in rejected.values())


def test_a_bomb_is_refused_by_its_head(prepare, tmp_path):  # noqa: F811
    frame = webp(Image.new("RGB", (2, 2)))
    for side in (1 << 13, 1 << 14, 1 << 24):
        (tmp_path / f"canvas{side}.webp").write_bytes(on_canvas(frame, side, side, 0, 0, False))
    (tmp_path / "long.webp").write_bytes(on_canvas(frame, 1 << 24, 1 << 6, 0, 0, False))
    _, rejected = prepare(tmp_path, *AS_STORED)
    assert len(rejected) == 4, rejected
    reasons = {name: reason for name, reason in rejected.items() if "limit" not in reason}
    # libwebp itself refuses what has more than 2^32 pixels.
    assert list(reasons) == [f"canvas{1 << 24}.webp"]
