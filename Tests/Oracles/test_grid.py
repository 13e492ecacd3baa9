"""`tessera grid` beside the image processors of transformers and beside what `prepare` makes."""

import json
import pathlib
import struct
import tarfile

import jsonschema
import numpy as np
import pytest
from PIL import Image

SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "schemas"


def _headers(folder, sizes):
    """Pictures that are headers alone: a PNG's signature, size and an empty IDAT."""
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for index, (height, width) in enumerate(sizes):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")
        (folder / f"{index:05}.png").write_bytes(data)


@pytest.fixture
def grid(tessera):
    def run(*arguments, code=0):
        result = tessera("grid", *arguments, "--json", code=code)
        report = json.loads(result.stdout)
        jsonschema.validate(report, json.loads((SCHEMAS / "grid.schema.json").read_text()))
        return report, result.stderr

    return run


def _reference(name):
    import importlib

    modules = {
        "qwen2-vl": ("qwen2_vl", {}),
        "qwen2.5-vl": ("qwen2_vl", {"max_pixels": 12845056}),
        "qwen3-vl": ("qwen2_vl", {"factor": 32, "min_pixels": 65536, "max_pixels": 16777216}),
        "emu3": ("emu3", {"factor": 8, "min_pixels": 512 * 512, "max_pixels": 1024 * 1024}),
        "glm4v": ("glm4v", {"num_frames": 2}),
        "paddleocr": ("paddleocr_vl", {}),
        "glm-image": ("glm_image", {}),
    }
    module, options = modules[name]
    function = importlib.import_module(
        f"transformers.models.{module}.image_processing_{module}"
    ).smart_resize
    return lambda height, width: function(height=height, width=width, **options)


@pytest.mark.parametrize("name", ["qwen2-vl", "qwen2.5-vl", "qwen3-vl", "emu3", "glm4v", "paddleocr", "glm-image"])
def test_smart_resize(grid, tmp_path, name):
    random = np.random.default_rng(28)
    sizes = [(1, 1), (1, 200), (201, 1), (28, 28), (14, 2800), (30000, 300), (4000, 5000), (16, 65)]
    sizes += [tuple(int(x) for x in np.exp(random.uniform(0, 9, 2)) + 1) for _ in range(400)]
    _headers(tmp_path, sizes)
    report, errors = grid(tmp_path, "--smart-resize", name)
    planned = {int(image["key"]): image for image in report["images"]}
    reference = _reference(name)
    refused = 0
    for index, (height, width) in enumerate(sizes):
        try:
            expected = reference(height, width)
        except ValueError:
            refused += 1
            assert index not in planned, (height, width)
            continue
        image = planned[index]
        assert tuple(reversed(image["resized"])) == expected, (height, width)
        factor = {"qwen3-vl": 32, "emu3": 8, "glm-image": 16}.get(name, 28)
        assert image["grid"] == [side // factor for side in expected]
        assert image["tokens"] == image["grid"][0] * image["grid"][1]
    assert report["total"]["rejected"] == refused > 0
    assert errors.count("rejected ") >= refused


def test_numbers_in_place_of_a_name(grid, tmp_path):
    _headers(tmp_path, [(480, 640), (100, 100)])
    report, _ = grid(tmp_path, "--smart-resize", "28/3136/1003520")
    assert report["images"] == grid(tmp_path, "--resize", "bicubic:smart=28/3136/1003520", "--stride", 28)[0]["images"]
    assert [image["grid"] for image in report["images"]] == [[17, 23], [4, 4]]


def test_the_grid_of_qwen_counts_patches(grid, tmp_path):
    from transformers import Qwen2VLImageProcessorPil

    Image.new("RGB", (300, 200)).save(tmp_path / "a.png")
    made = Qwen2VLImageProcessorPil(min_pixels=3136, max_pixels=1003520)(Image.open(tmp_path / "a.png"))
    image = grid(tmp_path, "--smart-resize", "qwen2-vl")[0]["images"][0]
    assert image["grid_thw"] == np.asarray(made["image_grid_thw"]).tolist()[0]
    assert image["tokens"] == np.prod(image["grid_thw"]) // 4


def test_what_prepare_makes(grid, tessera, root, tmp_path):
    """The plan's sizes are those of the pixels, whatever the rule."""
    photos = root / "fixtures" / "photos"
    for options in (
        [], ["--resize", "bicubic:area=65536/16", "--crop", "none"],
        ["--resize", "lanczos:short=100:torchvision", "--crop", "center:96x64:torchvision"],
        ["--resize", "bicubic:smart=28/3136/100352", "--crop", "none", "--orientation", "ignore"],
        ["--resize", "box:adm=64", "--crop", "none", "--pad", "64"],
    ):
        stride = ["--stride", 1] if options else []
        report, _ = grid(photos, *options, *stride, *(["--tokenizer", "tessera-f8"] if options else []))
        output = tmp_path / f"pixels{len(list(tmp_path.iterdir()))}"
        tessera("prepare", photos, "-o", output, "--truncated", "partial", *options)
        for image in report["images"]:
            with Image.open(output / f"{image['key']}.png") as made:
                assert list(made.size) == image["canvas"]
            with Image.open(photos / image["source"]) as original:
                assert list(original.size) == image["size"]


def test_headers_alone(grid, tmp_path):
    """Long metadata in front of the size, pictures cut behind it, members of an archive."""
    pixels = Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 48, 3), np.uint8))
    pixels.save(tmp_path / "plain.jpg")
    plain = (tmp_path / "plain.jpg").read_bytes()
    comment = b"".join(b"\xff\xfe" + struct.pack(">H", 65535) + bytes(65533) for _ in range(20))
    (tmp_path / "long.jpg").write_bytes(plain[:2] + comment + plain[2:])
    (tmp_path / "cut.jpg").write_bytes(plain[:700])
    (tmp_path / "early.jpg").write_bytes(plain[:50])
    report, errors = grid(tmp_path, "--stride", 8)
    assert {image["key"]: image["grid"] for image in report["images"]} == {
        "plain": [8, 6], "long": [8, 6], "cut": [8, 6]
    }
    assert "early.jpg" in errors and report["total"] == {
        "images": 3, "tokens": 144, "most_tokens": 48, "rejected": 1
    }
    archive = tmp_path / "photos.tar"
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(tmp_path / "long.jpg", "a/long.jpg")
        tar.add(tmp_path / "plain.jpg", "a/plain.jpg")
    assert [image["grid"] for image in grid(archive, "--stride", 8)[0]["images"]] == [[8, 6], [8, 6]]


def test_what_is_refused(grid, tessera, tmp_path):
    _headers(tmp_path, [(480, 641)])
    report, errors = grid(tmp_path, "--stride", 8, code=1)
    assert report["images"] == [] and "multiples of 8" in errors
    for options in (["--stride", 0], ["--smart-resize", "qwen9"], ["--smart-resize", "28/0/5"],
                    ["--smart-resize", "qwen2-vl", "--resize", "none"]):
        assert tessera("grid", tmp_path, *options, code=64).stderr.startswith("Error: ")
    tessera("grid", tmp_path / "absent", code=6)
