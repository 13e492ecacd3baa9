"""The first frame of GIFs against Pillow: pixels, tables of colors, transparency, frames beside the screen, damage."""

import io
import itertools
import struct

import numpy as np
import picture_files as files
import pytest
from PIL import Image, ImageFile
from test_images import AS_STORED, differing, pillow_reads, prepare, rgb  # noqa: F401

COLORS = bytes([9, 8, 7, 100, 0, 0, 0, 100, 0, 0, 0, 100])
GRAYS = bytes(i // 3 for i in range(12))
CONTROL = b"!\xf9\x04\x01\0\0\x02\0"


def table_bits(table):
    return max(1, (len(table) // 3 - 1).bit_length()) - 1


def packed(indices, bits, end=True):
    """LZW whose table never grows."""
    clear, width = 1 << bits, bits + 1
    codes = []
    for place, index in enumerate(indices):
        codes += [clear] if place % (clear - 2) == 0 else []
        codes.append(int(index))
    codes += [clear + 1] if end else []
    number = sum(code << (width * place) for place, code in enumerate(codes))
    data = number.to_bytes(-(-width * len(codes) // 8), "little")
    return b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))


def gif(indices, table=COLORS, own=b"", before=b"", screen=None, place=(0, 0), interlaced=False, bits=3, data=None, end=b"\0;", version=b"GIF89a"):
    height, width = indices.shape
    order = indices
    if interlaced:
        order = np.concatenate([indices[0::8], indices[4::8], indices[2::4], indices[1::2]])
    screen = screen or (width, height)
    head = version + struct.pack("<HHBBB", *screen, 0x80 | table_bits(table) if table else 0, 1, 0) + table
    flags = (0x80 | table_bits(own) if own else 0) | (0x40 if interlaced else 0)
    frame = b"," + struct.pack("<HHHHB", *place, width, height, flags) + own
    return head + before + frame + bytes([bits]) + (packed(order.ravel(), bits) if data is None else data) + end


def gif_files():
    made = {}
    for (width, height), colors in itertools.product([(1, 1), (2, 3), (17, 5), (61, 47), (97, 80), (300, 200)], (2, 3, 16, 17, 128, 256)):
        for interlace in (0, 1):
            stream = io.BytesIO()
            image = Image.fromarray(files.picture(height, width, colors)).quantize(colors)
            image.save(stream, "GIF", interlace=interlace, **({"transparency": colors // 2} if colors == 16 else {}))
            made[f"drawn-{width}x{height}-{colors}-{interlace}"] = stream.getvalue()
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (150, 170), dtype=np.uint8))
    frames = [Image.fromarray(files.picture(40, 50, seed)) for seed in range(3)]
    for name, (image, options) in {
        "noise": (noise, {}), "gray": (frames[0].convert("L"), {}), "bilevel": (frames[0].convert("1"), {}),
        "animation": (frames[0], dict(save_all=True, append_images=frames[1:], disposal=2)),
        "comment": (frames[0], dict(comment=b"word " * 200)), "flat": (Image.new("P", (500, 400), 3), {}),
    }.items():
        stream = io.BytesIO()
        image.save(stream, "GIF", **options)
        made[name] = stream.getvalue()
    few = np.random.default_rng(2).integers(0, 4, (11, 13))
    many = np.random.default_rng(3).integers(0, 8, (11, 13))
    for (name, table), (kind, indices), control in itertools.product(
        {"colors": COLORS, "grays": GRAYS, "none": b""}.items(), {"few": few, "many": many}.items(), (b"", CONTROL)
    ):
        made[f"table-{name}-{kind}-{len(control)}"] = gif(indices, table, before=control)
        made[f"own-colors-{name}-{kind}-{len(control)}"] = gif(indices, table, COLORS[::-1], control)
        made[f"own-grays-{name}-{kind}-{len(control)}"] = gif(indices, table, GRAYS, control)
        made[f"part-{name}-{kind}-{len(control)}"] = gif(indices, table, b"", control, (20, 30), (3, 7))
        made[f"outside-{name}-{kind}-{len(control)}"] = gif(indices, table, b"", control, (10, 10), (3, 7), True)
    twice = CONTROL + b"!\xf9\x04\0\0\0\x01\0" + b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0" + b"!\xfe\x03abc\0"
    made |= {"controls": gif(few, before=twice), "87a": gif(few, version=b"GIF87a"), "interlaced": gif(many, interlaced=True)}
    return made


def damaged_files():
    indices = np.random.default_rng(2).integers(0, 4, (11, 13))
    data = packed(indices.ravel(), 3)
    return {
        "no-end-code": gif(indices, data=packed(indices.ravel(), 3, False)),
        "no-trailer": gif(indices, end=b"\0"),
        "no-end": gif(indices, end=b""),
        "more-pixels": gif(indices, data=packed(np.tile(indices, (2, 1)).ravel(), 3)),
        "early-end": gif(indices, data=packed(indices.ravel()[:50], 3)),
        "cut-data": gif(indices, data=data[:-9], end=b""),
        "no-picture": gif(indices)[:25] + b";",
        "no-pixels": gif(np.zeros((0, 0), int)),
        "head": gif(indices)[:12],
        "unknown-code": gif(indices, data=packed([1, 15, 1, 1], 3)),
    }


def composited(path):
    image = Image.open(path).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


@pytest.mark.parametrize("alpha", ["drop", "composite"])
def test_pixels_equal_pillow(prepare, tmp_path, alpha):  # noqa: F811
    for name, data in gif_files().items():
        # Pillow cannot convert these to RGBA: their own table is one of grays.
        if alpha == "drop" or not name.startswith("own-grays-colors"):
            (tmp_path / f"{name}.gif").write_bytes(data)
    arrays, rejected = prepare(tmp_path, *AS_STORED, "--alpha", alpha)
    reference = rgb if alpha == "drop" else composited
    assert not rejected and len(arrays) > 130
    odd = [name for name, path in arrays.items() if differing(np.load(path), reference(tmp_path / name))]
    assert not odd, odd


def test_damage_is_refused_where_pillow_refuses_it(prepare, tmp_path):  # noqa: F811
    for name, data in damaged_files().items():
        (tmp_path / f"{name}.gif").write_bytes(data)
    arrays, rejected = prepare(tmp_path, *AS_STORED)
    odd = [name for name, path in arrays.items() if pillow_reads(tmp_path / name)[0] is None or differing(np.load(path), rgb(tmp_path / name))]
    odd += [f"{name}: {reason}" for name, reason in rejected.items() if pillow_reads(tmp_path / name)[0] is not None]
    assert not odd, odd
    assert len(arrays) >= 4 and all("\n" not in reason for reason in rejected.values())


def test_partial_rows(prepare, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    indices = np.random.default_rng(2).integers(0, 4, (60, 70))
    for interlaced, control in itertools.product((False, True), (b"", CONTROL)):
        data = gif(indices, interlaced=interlaced, before=control)
        for part in (0.2, 0.5, 0.9):
            (tmp_path / f"{interlaced}{len(control)}-{int(part * 100)}.gif").write_bytes(data[: int(part * len(data))])
    arrays, rejected = prepare(tmp_path, *AS_STORED, "--truncated", "partial")
    assert not rejected and len(arrays) == 12
    assert not [name for name, path in arrays.items() if differing(np.load(path), rgb(tmp_path / name))]


def test_a_bomb_is_refused_by_its_head(prepare, tmp_path):  # noqa: F811
    indices = np.zeros((2, 2), int)
    (tmp_path / "screen.gif").write_bytes(gif(indices, screen=(65535, 65535)))
    (tmp_path / "place.gif").write_bytes(gif(indices, place=(65000, 65000)))
    _, rejected = prepare(tmp_path, *AS_STORED)
    assert len(rejected) == 2 and all("limit" in reason for reason in rejected.values())
