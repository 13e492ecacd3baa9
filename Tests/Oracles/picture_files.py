"""Pictures with every byte chosen: chunks of a PNG, segments of a JPEG, Exif data, packets of XMP."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
EXIF = b"Exif\0\0"
PACKET = b"http://ns.adobe.com/xap/1.0/\0"


def picture(height=24, width=40, seed=0):
    """Smooth colors with noise: [height, width, 3]."""
    y, x = np.mgrid[0:height, 0:width]
    ramp = np.stack([x * 5, y * 7, (x + y) * 3], -1)
    return (ramp + np.random.default_rng(seed).integers(0, 9, ramp.shape)).astype(np.uint8)


def chunk(name, data, checksum=None):
    checksum = zlib.crc32(name + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def png(pixels, before=b"", after=b"", depth=8, color=2, interlace=0, data=None, data_checksum=None, end=True):
    """`data` takes the place of the packed rows."""
    height, width = pixels.shape[:2]
    if data is None:
        data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))
    return SIGNATURE + head + before + chunk(b"IDAT", data, data_checksum) + after + (chunk(b"IEND", b"") if end else b"")


def jpeg(pixels, *segments, at=20):
    """`segments` behind the first `at` bytes, which hold the start and JFIF's segment."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    data = stream.getvalue()
    return data[:at] + b"".join(segments) + data[at:]


def segment(marker, data):
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


# The form of one value of each type of TIFF.
FORMS = {1: "B", 2: "c", 3: "H", 4: "I", 5: "II", 6: "b", 7: "B", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d", 13: "I", 14: "H", 16: "Q"}


def entry(order, tag, kind, values, place):
    """An entry, and what stands at `place` where its values need more than four bytes."""
    form = FORMS[kind]
    data = b"".join(struct.pack(order + form, *value) if len(form) > 1 else struct.pack(order + form, value) for value in values)
    head = struct.pack(order + "HHI", tag, kind, len(values))
    return (head + data.ljust(4, b"\0"), b"") if len(data) <= 4 else (head + struct.pack(order + "I", place), data)


def tiff(entries, order="<", head=None, tail=b"\0\0\0\0"):
    """Exif data: `entries` are (tag, type, values); offsets point behind the directory."""
    head = head or (b"II*\0" if order == "<" else b"MM\0*")
    place = 8 + 2 + 12 * len(entries) + len(tail)
    rows, extra = b"", b""
    for tag, kind, values in entries:
        row, data = entry(order, tag, kind, values, place + len(extra))
        rows, extra = rows + row, extra + data
    return head + struct.pack(order + "IH", 8, len(entries)) + rows + tail + extra


def orientation(value, order="<", kind=3):
    return tiff([(0x0112, kind, [value])], order)


def xmp(value, element=False):
    space = 'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
    inner = (
        f"<rdf:Description {space}><tiff:Orientation>{value}</tiff:Orientation></rdf:Description>"
        if element else f'<rdf:Description {space} tiff:Orientation="{value}"/>'
    )
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>{inner}</rdf:RDF></x:xmpmeta>'.encode()


def profile(data, width=72):
    """Exif data as ImageMagick writes them into a text."""
    digits = data.hex()
    lines = "\n".join(digits[i : i + width] for i in range(0, len(digits), width))
    return f"\nexif\n{len(data):8d}\n{lines}\n".encode()


def text(keyword, value):
    return chunk(b"tEXt", keyword + b"\0" + value)


def packed_text(keyword, value):
    return chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(value))


def unicode_text(keyword, value, packed=False):
    value = zlib.compress(value) if packed else value
    return chunk(b"iTXt", keyword + b"\0" + bytes([packed, 0]) + b"en\0\0" + value)
