"""What Pillow reads of PNGs that are not quite right, is read; what it refuses, is refused; partial rows as with LOAD_TRUNCATED_IMAGES."""

import io
import struct
import zlib

import numpy as np
import picture_files as files
import pytest
from PIL import Image, ImageFile
from test_images import AS_STORED, differing, pillow_reads, prepare  # noqa: F401


def with_window(packed, bits):
    """A zlib stream whose head claims a window of 2^bits bytes."""
    head = ((bits - 8) << 4 | 8) << 8
    return struct.pack(">H", head + -head % 31) + packed[2:]


def lenient_files():
    """{name: file}: some are fine for Pillow and some are not."""
    pixels = files.picture(60, 61, 1)
    repeated = np.tile(np.random.default_rng(0).integers(0, 256, (20, 61, 3), dtype=np.uint8), (3, 1, 1))
    rows = b"".join(b"\0" + row.tobytes() for row in repeated)
    packed = zlib.compress(rows, 9)
    text = files.text(b"Comment", b"words")
    bad = files.chunk(b"tEXt", b"Comment\0words", 7)
    body = files.png(pixels)
    at = body.index(b"IDAT") - 4
    idat = body[at:]
    palette = files.chunk(b"PLTE", bytes(range(9)))
    indices = np.random.default_rng(2).integers(0, 3, (20, 30), dtype=np.uint8)
    made = {f"window-{bits}": files.png(repeated, data=with_window(packed, bits)) for bits in range(8, 16)}
    halves = [packed[: len(packed) // 2], packed[len(packed) // 2 :]]
    split = files.png(repeated, data=halves[0], end=False)
    made |= {
        "wrong-adler": files.png(repeated, data=packed[:-1] + bytes([packed[-1] ^ 1])),
        "no-adler": files.png(repeated, data=packed[:-4]),
        "more-behind": files.png(repeated, data=packed + b"more and more"),
        "more-rows": files.png(repeated, data=zlib.compress(rows + rows)),
        "too-few-rows": files.png(repeated, data=zlib.compress(rows[:-50])),
        "data-checksum": files.png(pixels, data_checksum=3),
        "text-checksum-before": files.png(pixels, before=bad),
        "text-checksum-behind": files.png(pixels, after=bad),
        "unknown-checksum-before": files.png(pixels, before=files.chunk(b"prVt", b"x", 7)),
        "unknown-checksum-behind": files.png(pixels, after=files.chunk(b"prVt", b"x", 7)),
        "head-checksum": body[:29] + b"\0\0\0\0" + body[33:],
        "palette-checksum": files.png(indices, before=files.chunk(b"PLTE", bytes(range(9)), 7), color=3),
        "palette": files.png(indices, before=palette, color=3),
        "palette-alpha-checksum": files.png(indices, before=palette + files.chunk(b"tRNS", b"\1\2", 7), color=3),
        "end-checksum": body[:-4] + b"\0\0\0\0",
        "no-end": files.png(pixels, end=False),
        "half-an-end": body[:-9],
        "cut-text-behind": files.png(pixels, after=text, end=False)[:-9],
        "cut-head-behind": files.png(pixels, after=text, end=False)[: -len(text) + 6],
        "unknown-critical": files.png(pixels, before=files.chunk(b"Abcd", b"xy")),
        "unknown-critical-behind": files.png(pixels, after=files.chunk(b"Abcd", b"xy")),
        "nameless-before": files.png(pixels, before=files.chunk(b"a-b!", b"xy")),
        "nameless-behind": files.png(pixels, after=files.chunk(b"a-b!", b"xy")),
        "text-between-data": split + text + files.chunk(b"IDAT", halves[1]) + files.chunk(b"IEND", b""),
        "two-data": split + files.chunk(b"IDAT", halves[1]) + files.chunk(b"IEND", b""),
        "empty-data": split + files.chunk(b"IDAT", b"") + files.chunk(b"IDAT", halves[1]) + files.chunk(b"IEND", b""),
        "late-data-checksums": split + files.chunk(b"IDAT", halves[1], 5) + files.chunk(b"IEND", b"", 5),
        "profile-damaged": files.png(pixels, before=files.chunk(b"iCCP", b"name\0\0" + b"no zlib")),
        "profile-twice": files.png(pixels, before=2 * files.chunk(b"iCCP", b"n\0\0" + zlib.compress(b"x"))),
        "gamma-zero": files.png(pixels, before=files.chunk(b"gAMA", b"\0\0\0\0")),
        "size-only": body[:33],
        "nothing": body[:8],
    }
    for place in (3, len(packed) // 3, len(packed) // 2):
        made[f"damaged-{place}"] = files.png(repeated, data=packed[:place] + b"\xff\xff\xff\xff" + packed[place + 4 :])
    return made


def interlaced_and_modes():
    """Files of all kinds of pixels, from which parts are cut."""
    random = np.random.default_rng(7)
    color = Image.fromarray(files.picture(37, 53))
    alpha = Image.fromarray(random.integers(0, 256, (37, 53), dtype=np.uint8))
    gray = color.convert("L")
    images = {
        "rgb": (color, {}), "gray": (gray, {}), "bilevel": (color.convert("1"), {}),
        "rgba": (Image.merge("RGBA", (*color.split(), alpha)), {}), "gray-alpha": (Image.merge("LA", (gray, alpha)), {}),
        "palette": (color.quantize(16), {}), "palette-alphas": (color.quantize(16), {"transparency": bytes(range(9, 249, 15))}),
        "gray-key": (gray, {"transparency": 0}), "rgb-key": (color, {"transparency": (0, 0, 0)}),
    }
    for name, (image, options) in images.items():
        stream = io.BytesIO()
        image.save(stream, "PNG", **options)
        yield name, stream.getvalue()
    # Pillow writes no interlaced files: the seven passes by hand.
    pixels = np.asarray(color)
    rows = b""
    for y, x, down, right in ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)):
        rows += b"".join(b"\0" + row.tobytes() for row in pixels[y::down, x::right])
    yield "interlaced", files.png(pixels, data=zlib.compress(rows), interlace=1)


def refused_by_pillow(path):
    return pillow_reads(path)[0] is None


@pytest.mark.filterwarnings("ignore")
def test_read_and_refused_as_pillow_does(prepare, tmp_path):  # noqa: F811
    for name, data in lenient_files().items():
        (tmp_path / f"{name}.png").write_bytes(data)
    arrays, rejected = prepare(tmp_path, *AS_STORED)
    odd = [name for name in arrays if refused_by_pillow(tmp_path / name)]
    odd += [f"{name}: {reason}" for name, reason in rejected.items() if not refused_by_pillow(tmp_path / name)]
    assert not odd, odd
    assert not [name for name, path in arrays.items() if differing(np.load(path), pillow_reads(tmp_path / name)[0])]
    assert len(arrays) > 25 and len(rejected) > 8
    assert all(reason.count("\n") == 0 for reason in rejected.values())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("alpha", ["drop", "composite"])
def test_partial_rows_of_cut_and_damaged_files(prepare, tmp_path, monkeypatch, alpha):  # noqa: F811
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for name, data in interlaced_and_modes():
        start = data.index(b"IDAT") + 4
        for part in (0, 0.1, 0.5, 0.9, 0.99):
            (tmp_path / f"{name}-{int(part * 100)}.png").write_bytes(data[: start + int(part * (len(data) - start))])
        middle = start + (len(data) - start) // 2
        (tmp_path / f"{name}-damaged.png").write_bytes(data[:middle] + b"\xff" * 9 + data[middle + 9 :])
    for name, data in lenient_files().items():
        if not name.startswith("cut-"):  # what is behind the pixels does not matter here
            (tmp_path / f"{name}.png").write_bytes(data)
    arrays, rejected = prepare(tmp_path, *AS_STORED, "--truncated", "partial", "--alpha", alpha)

    def reference(path):
        image = Image.open(path)
        if alpha == "drop":
            return image.convert("RGB")
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")

    odd = []
    for path in sorted(tmp_path.iterdir()):
        try:
            expected = reference(path)
        except Exception:
            expected = None
        if (expected is None) != (path.name in rejected):
            odd.append(f"{path.name}: {rejected.get(path.name, 'read')}")
        elif expected is not None and (count := differing(np.load(arrays[path.name]), expected)):
            odd.append(f"{path.name}: {count} values differ")
    assert not odd, odd
    assert len(arrays) > 80
