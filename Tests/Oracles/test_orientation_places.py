"""Orientation from every place where Pillow's `exif_transpose` finds it, and from those where it does not look."""

import struct
import zlib

import numpy as np
import picture_files as files
import pytest
from PIL import Image, ImageOps
from test_images import prepare  # noqa: F401

APPLY = ["--resize", "none", "--crop", "none", "--orientation", "apply"]
TAG = 0x0112
XMP_KEY = b"XML:com.adobe.xmp"
PROFILE_KEY = b"Raw profile type exif"


def jpeg_places(n):
    """{name: segments} of JPEGs whose orientation is, or seems to be, n."""
    exif = files.segment(0xE1, files.EXIF + files.orientation(n))
    packet = files.segment(0xE1, files.PACKET + files.xmp(n))
    element = files.segment(0xE1, files.PACKET + files.xmp(n, True))
    other = 9 - n
    wrapped = lambda data: files.segment(0xE1, files.EXIF + data)
    odd = {
        f"type-{kind}": wrapped(files.tiff([(TAG, kind, [value])], order))
        for order in "<>"
        for kind, value in {
            1: n, 2: str(n).encode(), 4: n, 5: (2 * n, 2), 6: n, 7: n, 8: n, 9: n, 10: (-3 * n, -3), 11: n, 12: n, 13: n, 14: n, 16: n,
        }.items()
    }
    rationals = {
        "rational-none": wrapped(files.tiff([(TAG, 5, [(n, 0)])])),
        "rational-part": wrapped(files.tiff([(TAG, 5, [(2 * n + 1, 2)])])),
        "float-part": wrapped(files.tiff([(TAG, 11, [n + 0.5])])),
    }
    short = files.orientation(n)
    broken = {
        "prefix-twice": wrapped(files.EXIF + short),
        "prefix-thrice": wrapped(files.EXIF * 2 + short),
        "prefix-ff": files.segment(0xE1, b"Exif\0\xff" + short),
        "no-next": wrapped(short[:-4]),
        "cut-value": wrapped(short[:-6]),
        "big-endian-42": wrapped(files.tiff([(TAG, 3, [n])], ">", b"MM*\0")),
        "little-endian-42": wrapped(files.tiff([(TAG, 3, [n])], "<", b"II\0*")),
        "big-tiff-mm": wrapped(files.tiff([(TAG, 3, [n])], ">", b"MM\0+")),
        "big-tiff-ii": wrapped(files.tiff([(TAG, 3, [n])], "<", b"II+\0")),
        "no-tiff": wrapped(b"XX*\0" + short[4:]) + packet,
        "short-head": wrapped(b"II*\0\x08\0") + packet,
        "empty": wrapped(b"") + packet,
        "count-2": wrapped(files.tiff([(TAG, 3, [n, other])])),
        "count-3": wrapped(files.tiff([(TAG, 3, [n, other, other])])),
        "count-0": wrapped(files.tiff([(TAG, 3, [])])) + packet,
        "twice": wrapped(files.tiff([(TAG, 3, [n]), (TAG, 3, [other])])),
        "empty-then-set": wrapped(files.tiff([(TAG, 3, []), (TAG, 3, [n])])),
        "behind-text": wrapped(files.tiff([(0x010F, 2, [b"x"] * 9), (TAG, 3, [n])])),
        "behind-cut-text": wrapped(files.tiff([(0x010F, 2, [b"x"] * 9), (TAG, 3, [n])])[:-4]) + packet,
        "behind-huge-text": wrapped(b"II*\0" + struct.pack("<IHHHII", 8, 2, 0x010F, 2, 1 << 20, 8) + struct.pack("<HHIH2xI", TAG, 3, 1, n, 0)),
        "directory-outside": wrapped(b"II*\0" + struct.pack("<I", 9999) + short[8:]) + packet,
    }
    return {
        "exif": exif,
        "exif-big-endian": wrapped(files.orientation(n, ">")),
        "xmp": packet,
        "xmp-element": element,
        "two-packets": files.segment(0xE1, files.PACKET + files.xmp(other)) + packet,
        "xmp-spaced": files.segment(0xE1, files.PACKET + files.xmp(n).replace(b'="', b' = "')),
        "xmp-named-before": files.segment(0xE1, files.PACKET + b"tiff:Orientation='3' tiff:Orientation " + files.xmp(n)),
        "xmp-two-digits": files.segment(0xE1, files.PACKET + files.xmp(f"{n}1")),
        "xmp-first-exif-later": files.segment(0xE1, files.PACKET + files.xmp(other)) + exif,
        "exif-9-then-xmp": wrapped(files.orientation(9)) + packet,
        "exif-0-then-xmp": wrapped(files.orientation(0)) + packet,
        "exif-other-then-xmp": wrapped(files.tiff([(0x010F, 2, [b"x"])])) + packet,
        "two-segments": exif + wrapped(files.orientation(other)),
        "one-in-two-segments": wrapped(short[:9]) + wrapped(short[9:]),
        "other-app": files.segment(0xE2, files.EXIF + short) + packet,
        "filled": b"\xff\xff\xff" + exif[1:],
        **odd, **rationals, **broken,
    }


def png_places(n):
    """{name: (chunks in front of the pixels, chunks behind them)}."""
    data, other = files.orientation(n), files.orientation(9 - n)
    exif, packet = files.chunk(b"eXIf", data), files.unicode_text(XMP_KEY, files.xmp(n))
    raw = files.profile(data)
    return {
        "exif": (exif, b""),
        "exif-big-endian": (files.chunk(b"eXIf", files.orientation(n, ">")), b""),
        "exif-long": (files.chunk(b"eXIf", files.orientation(n, "<", 4)), b""),
        "exif-byte": (files.chunk(b"eXIf", files.orientation(n, "<", 1)), b""),
        "exif-prefix": (files.chunk(b"eXIf", files.EXIF + data), b""),
        "exif-prefix-twice": (files.chunk(b"eXIf", files.EXIF * 2 + data), b""),
        "exif-behind": (b"", exif),
        "exif-both": (files.chunk(b"eXIf", other), exif),
        "exif-behind-wrong-checksum": (b"", files.chunk(b"eXIf", data, 1)),
        "exif-behind-nameless": (b"", files.chunk(b"a-b!", b"") + exif),
        "exif-behind-end": (b"", files.chunk(b"IEND", b"") + exif),
        "profile-text": (files.text(PROFILE_KEY, raw), b""),
        "profile-packed": (files.packed_text(PROFILE_KEY, raw), b""),
        "profile-unicode": (files.unicode_text(PROFILE_KEY, raw), b""),
        "profile-behind": (b"", files.packed_text(PROFILE_KEY, raw)),
        "profile-prefix": (files.text(PROFILE_KEY, files.profile(files.EXIF + data)), b""),
        "profile-odd-lines": (files.text(PROFILE_KEY, files.profile(data, 7)), b""),
        "profile-capitals": (files.text(PROFILE_KEY, raw.upper()), b""),
        "profile-no-digits": (files.text(PROFILE_KEY, raw + b"zz"), b""),
        "profile-odd-digits": (files.text(PROFILE_KEY, raw + b"1"), b""),
        "profile-three-lines": (files.text(PROFILE_KEY, b"a\nb\nc") + packet, b""),
        "profile-and-exif": (files.text(PROFILE_KEY, files.profile(other)) + exif, b""),
        "profile-damaged": (files.chunk(b"zTXt", PROFILE_KEY + b"\0\0" + b"xyz") + packet, b""),
        "profile-cut": (files.chunk(b"zTXt", PROFILE_KEY + b"\0\0" + zlib.compress(raw)[:-3]), b""),
        "profile-other-key": (files.text(b"Raw profile type APP1", raw), b""),
        "exif-text": (files.text(b"exif", data), b""),
        "exif-packed-text": (files.packed_text(b"exif", data) + packet, b""),
        "xmp": (packet, b""),
        "xmp-element": (files.unicode_text(XMP_KEY, files.xmp(n, True)), b""),
        "xmp-packed": (files.unicode_text(XMP_KEY, files.xmp(n), True), b""),
        "xmp-behind": (b"", packet),
        "xmp-text": (files.text(XMP_KEY, files.xmp(n)), b""),
        "xmp-packed-text": (files.packed_text(XMP_KEY, files.xmp(n)), b""),
        "xmp-no-unicode": (files.unicode_text(XMP_KEY, b"\xff\xfe" + files.xmp(n)), b""),
        "xmp-other-key": (files.unicode_text(b"xmp", files.xmp(n)), b""),
        "xmp-two": (files.unicode_text(XMP_KEY, files.xmp(9 - n)) + packet, b""),
        "exif-other-then-xmp": (files.chunk(b"eXIf", files.tiff([(0x010F, 2, [b"x"])])) + packet, b""),
        "exif-none-then-xmp": (files.chunk(b"eXIf", b"") + packet, b""),
    }


def upright(path):
    image = Image.open(path)
    try:
        return ImageOps.exif_transpose(image).convert("RGB")
    except Exception:  # metadata that Pillow stumbles over: the pixels as stored
        return Image.open(path).convert("RGB")


@pytest.mark.filterwarnings("ignore")
def test_every_place_and_orientation(prepare, tmp_path):  # noqa: F811
    pixels = files.picture()
    for n in range(1, 9):
        for name, segments in jpeg_places(n).items():
            (tmp_path / f"jpeg-{name}-{n}.jpg").write_bytes(files.jpeg(pixels, segments))
        (tmp_path / f"jpeg-first-{n}.jpg").write_bytes(files.jpeg(pixels, jpeg_places(n)["exif"], at=2))
        for name, (before, after) in png_places(n).items():
            (tmp_path / f"png-{name}-{n}.png").write_bytes(files.png(pixels, before, after))
    arrays, rejected = prepare(tmp_path, *APPLY)
    assert not rejected
    wrong = [name for name, path in arrays.items() if not np.array_equal(np.load(path), np.asarray(upright(tmp_path / name)))]
    assert not wrong, wrong
    turned = sum(np.load(path).shape[0] == pixels.shape[1] for path in arrays.values())
    assert len(arrays) > 700 and turned > 200


def test_a_plan_sees_what_stands_behind_the_pixels(tessera, tmp_path):
    """`grid` reads the first bytes of a file, and all of one that may say more."""
    noise = np.random.default_rng(1).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    (tmp_path / "long.png").write_bytes(files.png(noise, after=files.chunk(b"eXIf", files.orientation(6))))
    result = tessera("grid", tmp_path, "--resize", "none", "--crop", "none", "--orientation", "apply", "--json")
    assert '"resized":[240,320]' in result.stdout.replace(" ", "").replace("\n", "")
