"""Datasets read by the libraries that trainers use: webdataset, Python's tarfile, GNU tar, jsonschema."""

import glob
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile

import jsonschema
import numpy as np
import pytest
import webdataset
from PIL import Image
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

SHARD_SAMPLES = 4


@pytest.fixture(scope="module")
def photos(root):
    return root / "fixtures" / "photos"


@pytest.fixture(scope="module")
def dataset(tessera, photos, tmp_path_factory):
    """The fixture photographs: ten samples in three shards, two damaged files."""
    folder = tmp_path_factory.mktemp("dataset") / "out"
    tessera("tokenize", photos, "-o", folder, "--shard-samples", SHARD_SAMPLES, "--latents", "--quiet")
    return folder


@pytest.fixture(scope="module")
def validator(root):
    """Validates against a file of schemas/; references between them are resolved there alone."""
    files = {p.name: json.loads(p.read_text()) for p in (root / "schemas").glob("*.json")}
    registry = Registry().with_resources(
        (name, Resource.from_contents(text, default_specification=DRAFT202012)) for name, text in files.items()
    )

    def validate(instance, schema):
        contents = registry.contents(f"{schema}.schema.json")
        jsonschema.Draft202012Validator(contents, registry=registry).validate(instance)

    return validate


def tree(folder):
    """Every file below a folder with its bytes."""
    files = [p for p in glob.glob(f"{folder}/**", recursive=True, include_hidden=True) if os.path.isfile(p)]
    return {os.path.relpath(p, folder): open(p, "rb").read() for p in files}


def manifest(folder):
    return json.loads((folder / "dataset.json").read_text())


def rejected(folder):
    return [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]


def photographs(folder):
    names = [p for p in folder.rglob("*") if p.is_file()]
    return [p for p in names if p.suffix.lower() in (".jpg", ".jpeg", ".png")]


def test_webdataset_reads_it_unmodified(dataset):
    urls = f"{dataset}/shards/{{00000..00002}}.tar"
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert len(samples) == manifest(dataset)["samples"] == 10
    for sample in samples:
        assert {k for k in sample if not k.startswith("__")} == {
            "codes.npy", "json", "latents.npy", "positions.npy",
        }
        codes, positions = sample["codes.npy"], sample["positions.npy"]
        assert codes.dtype == np.uint16 and codes.shape == tuple(sample["json"]["grid"]) == (32, 32)
        assert codes.max() < 64000
        assert positions.dtype == np.int32 and positions.shape == (2, 1024)
        assert sample["latents.npy"].dtype == np.float32 and sample["latents.npy"].shape == (32, 32, 6)
        assert sample["__key__"] == sample["json"]["key"]


def test_positions_are_rope_tie(dataset):
    """spaces.ac.cn/archives/10040: L + i(w+1), L + j(h+1) with L = 0 before the first token."""
    for sample in webdataset.WebDataset(f"{dataset}/shards/00000.tar", shardshuffle=False).decode():
        height, width = sample["json"]["grid"]
        rows, columns = np.mgrid[1 : height + 1, 1 : width + 1]
        expected = np.stack([(rows * (width + 1)).ravel(), (columns * (height + 1)).ravel()])
        np.testing.assert_array_equal(sample["positions.npy"], expected)


def test_tar_is_plain_ustar(dataset):
    for shard in sorted((dataset / "shards").glob("*.tar")):
        listed = subprocess.run(["tar", "-tf", shard], capture_output=True, text=True)
        assert listed.returncode == 0 and listed.stderr == ""
        with tarfile.open(shard) as archive:
            members = archive.getmembers()
        assert [m.name for m in members] == listed.stdout.split()
        for member in members:
            assert member.type == tarfile.REGTYPE and member.pax_headers == {}
            assert len(member.name.encode("ascii")) <= 100
            assert (member.mtime, member.uid, member.gid, member.mode) == (946684800, 0, 0, 0o644)
        keys = [m.name.split(".")[0] for m in members]
        assert keys == sorted(keys) and all(keys.count(key) == 4 for key in keys)


def test_headers_equal_those_of_python(dataset):
    """Each header, byte for byte, as tarfile writes it for the same member."""
    data = (dataset / "shards" / "00000.tar").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            header = data[member.offset : member.offset + 512]
            assert header == member.tobuf(format=tarfile.USTAR_FORMAT)


def test_json_is_valid_under_the_schemas(dataset, validator):
    validator(manifest(dataset), "dataset")
    for rejection in rejected(dataset):
        validator(rejection, "rejected")
    for sample in webdataset.WebDataset(f"{dataset}/shards/{{00000..00002}}.tar", shardshuffle=False).decode():
        validator(sample["json"], "sample")


def test_manifest_says_what_is_there(dataset, photos):
    told = manifest(dataset)
    assert told["samples"] + told["rejected"] == len(photographs(photos))
    assert told["tokens"] == 1024 * told["samples"]
    for shard in told["shards"]:
        data = (dataset / shard["name"]).read_bytes()
        assert len(data) == shard["bytes"] and hashlib.sha256(data).hexdigest() == shard["sha256"]
    assert str(photos) not in (dataset / "dataset.json").read_text()
    assert sorted(os.listdir(dataset)) == [".nv-meta", "dataset.json", "rejected.jsonl", "shards", "wids.json"]
    for entry in told["files"]:
        data = (dataset / entry["name"]).read_bytes()
        assert len(data) == entry["bytes"] and hashlib.sha256(data).hexdigest() == entry["sha256"]
    named = [entry["name"] for entry in told["shards"] + told["files"]]
    assert sorted([*named, "dataset.json"]) == sorted(tree(dataset))


def test_samples_say_where_they_come_from(dataset, photos):
    for sample in webdataset.WebDataset(f"{dataset}/shards/{{00000..00002}}.tar", shardshuffle=False).decode():
        told = sample["json"]
        source = photos / told["source"]
        assert hashlib.sha256(source.read_bytes()).hexdigest() == told["sha256"]
        with Image.open(source) as image:
            assert list(image.size) == told["size"]
            assert told["orientation"] == image.getexif().get(0x0112, 1)
        left, top, right, bottom = told["crop"]
        assert (right - left, bottom - top) == (256, 256)


def test_rejections_name_the_damaged_files(dataset):
    assert [(r["source"], r["stage"]) for r in rejected(dataset)] == [
        ("damaged/cut.jpg", "decode"), ("damaged/text.jpg", "decode"),
    ]
    assert "/" not in "".join(r["reason"] for r in rejected(dataset))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_change_no_byte(tessera, photos, dataset, tmp_path, workers):
    arguments = ["--shard-samples", SHARD_SAMPLES, "--latents", "--quiet", "--workers", workers]
    tessera("tokenize", photos, "-o", tmp_path / "out", *arguments)
    assert tree(tmp_path / "out") == tree(dataset)


def test_steps_give_the_same_bytes(tessera, photos, dataset, tmp_path):
    """Plan, shards in any order from another folder, finish: as one run."""
    out = tmp_path / "out"
    plan = tessera(
        "tokenize", photos, "-o", out, "--shard-samples", SHARD_SAMPLES, "--latents", "--plan-only", "--json"
    )
    assert json.loads(plan.stdout)["shards"] == 3
    tessera("tokenize", "-o", out, "--shards", "2")
    refusal = tessera("tokenize", "-o", out, "--finish", code=4)
    assert "2 shards are not done: 0, 1" in refusal.stderr
    tessera("tokenize", "-o", out, "--shards", "0-1")
    tessera("tokenize", "-o", out, "--shards", "1")
    assert json.loads(tessera("tokenize", "-o", out, "--finish", "--json").stdout)["samples"] == 10
    assert tree(out) == tree(dataset)


def test_vocabulary_offset_widens_the_codes(tessera, photos, dataset, tmp_path):
    plain = {s["__key__"]: s["codes.npy"] for s in samples_of(dataset)}
    for offset, dtype in [(1535, np.uint16), (1536 + 64000, np.uint32)]:
        out = tmp_path / str(offset)
        tessera("tokenize", photos, "-o", out, "--vocabulary-offset", offset, "--positions", "none", "--quiet")
        for sample in samples_of(out):
            assert "positions.npy" not in sample
            assert sample["codes.npy"].dtype == dtype
            np.testing.assert_array_equal(sample["codes.npy"].astype(np.int64), plain[sample["__key__"]] + np.int64(offset))
        decoded = tmp_path / f"decoded-{offset}"
        tessera("decode", out, "-o", decoded, "--limit", 1, "--quiet")
        assert (decoded / "astronaut.png").read_bytes() == first_picture(tessera, dataset, tmp_path / f"plain-{offset}")


def first_picture(tessera, dataset, folder):
    tessera("decode", dataset, "-o", folder, "--limit", 1, "--quiet")
    return (folder / "astronaut.png").read_bytes()


def samples_of(folder):
    shards = [str(folder / shard["name"]) for shard in manifest(folder)["shards"]]
    return list(webdataset.WebDataset(shards, shardshuffle=False).decode())


def test_decode_reports_psnr(tessera, photos, dataset, tmp_path):
    out, seen = tmp_path / "decoded", tmp_path / "seen"
    report = json.loads(
        tessera("decode", dataset, "-o", out, "--originals", photos, "--json", "--quiet").stdout
    )
    tessera("prepare", photos, "-o", seen, "--quiet")
    assert report["decoded"] == report["compared"] == 10
    ratios = []
    for told in report["images"]:
        decoded = np.asarray(Image.open(out / f"{told['key']}.png")).astype(float)
        original = np.asarray(Image.open(seen / f"{told['key']}.png")).astype(float)
        ratios.append(10 * np.log10(255**2 / np.mean((decoded - original) ** 2)))
        assert told["psnr"] == pytest.approx(ratios[-1], abs=1e-9)
    assert report["psnr"] == pytest.approx(np.mean(ratios), abs=1e-9)
    with Image.open(out / "contact-sheet.png") as sheet:
        assert sheet.size == (4 * 2 * 260 + 4, 3 * 260 + 4)
        left = np.asarray(sheet.crop((4, 4, 260, 260)))
    np.testing.assert_array_equal(left, np.asarray(Image.open(seen / "astronaut.png")))


def test_decode_refuses_codes_of_another_tokenizer(tessera, dataset, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    text = (copy / "dataset.json").read_text().replace(manifest(copy)["tokenizer"]["sha256"], "0" * 64)
    (copy / "dataset.json").write_text(text)
    assert "made by tessera-f8, sha256 000000000000" in tessera("decode", copy, "-o", tmp_path / "x", code=4).stderr


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("samples", 2**63 - 1, "out of range"), ("rejected", -1, "out of range"), ("tokens", 2**70, "manifest"),
        ("vocabulary_offset", -5, "out of range"), ("shard_samples", 0, "out of range"),
        ("shards", [{"name": "../x.tar", "samples": 1, "tokens": 1, "bytes": 1, "sha256": ""}], "not below the folder"),
        ("shards", 3, "another type"), ("plan", None, "plan"), ("tokenizer", {}, "missing"),
    ],
)
def test_decode_refuses_a_hostile_manifest(tessera, dataset, tmp_path, field, value, words):
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    (copy / "dataset.json").write_text(json.dumps({**manifest(copy), field: value}))
    error = tessera("decode", copy, "-o", tmp_path / "x", code=3).stderr
    assert error.startswith(f"Error: {copy}/dataset.json: ") and words in error and error.count("\n") == 1


def test_decode_opens_no_path_that_a_manifest_names(tessera, dataset, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    text = (copy / "dataset.json").read_text().replace('"tessera-f8"', '"/etc/hostname"')
    (copy / "dataset.json").write_text(text)
    assert "name its file with --tokenizer" in tessera("decode", copy, "-o", tmp_path / "x", code=4).stderr


@pytest.mark.parametrize("length", [0, 100, 511, 512, 700, 5000])
def test_decode_refuses_cut_shards(tessera, dataset, tmp_path, length):
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    with open(copy / "shards" / "00000.tar", "r+b") as shard:
        shard.truncate(length)
    error = tessera("decode", copy, "-o", tmp_path / "x", code=3).stderr
    assert error.startswith("Error: ") and "00000.tar" in error and error.count("\n") == 1


def test_decode_keeps_inside_its_folder(tessera, dataset, tmp_path):
    """A shard whose key climbs out is refused before anything is written."""
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    shard = copy / "shards" / "00000.tar"
    with tarfile.open(shard) as archive:
        members = [(m, archive.extractfile(m).read()) for m in archive]
    with tarfile.open(shard, "w", format=tarfile.USTAR_FORMAT) as archive:
        for member, data in members:
            member.name = f"../../{member.name}"
            archive.addfile(member, io.BytesIO(data))
    error = tessera("decode", copy, "-o", tmp_path / "x", code=3).stderr
    assert "belongs to no sample" in error
    assert not [p for p in tmp_path.rglob("*.png")]


def test_every_bad_jpeg_is_counted(tessera, shared_data, tmp_path, validator):
    """Every conformance and crash file ends as a sample or as one line; nothing is lost."""
    folder = shared_data / "jpeg"
    result = tessera("tokenize", folder, "-o", tmp_path / "out", "--json", "--quiet", timeout=600)
    summary = json.loads(result.stdout)
    inputs = len(photographs(folder))
    assert inputs > 200
    files = [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]
    assert summary["inputs"] == summary["samples"] + summary["rejected"] >= inputs
    assert summary["inputs"] + summary.get("passed_over", 0) == len(files)
    lines = rejected(tmp_path / "out")
    assert len(lines) == summary["rejected"] > 0
    for line in lines:
        validator(line, "rejected")
    keys = [s["__key__"] for s in samples_of(tmp_path / "out")]
    assert len(keys) == len(set(keys)) == summary["samples"]
    assert sorted(line["source"] for line in lines) == sorted({line["source"] for line in lines})


# What `verify` says of a dataset -----------------------------------------------------------------------------


def test_verify_confirms_a_dataset_and_finds_what_changed(tessera, root, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted((root / "fixtures/photos").glob("*.jpg"))[:5]:
        shutil.copy(path, photos)
    data = tmp_path / "dataset"
    tessera("tokenize", photos, "-o", data, "--shard-samples", 2, "--resize", "bicubic:exact=64x64", "--crop", "none", "--vocabulary-offset", 100, "--quiet")
    schema = json.loads((root / "schemas/verify-dataset.schema.json").read_text())

    def verify(*arguments, code=0):
        report = json.loads(tessera("verify", data, "--json", *arguments, code=code).stdout)
        jsonschema.validate(report, schema)
        assert report["verified"] == (code == 0)
        return report

    report = verify("--originals", photos)
    assert report["samples"] == report["encoded"] == 5 and len(report["files"]) == 11 and report["problems"] == []
    assert verify("--originals", photos, "--samples", 2)["encoded"] == 2
    assert "encoded" not in verify()
    # An original that is another file, then one that is gone.
    first, second = sorted(photos.iterdir())[:2]
    first.write_bytes(second.read_bytes())
    assert "another file" in verify("--originals", photos, code=4)["problems"][0]
    first.unlink()
    assert len(verify("--originals", photos, code=4)["problems"]) == 1
    # Codes that are others than the original's, in a shard whose hash is right again.
    manifest = json.loads((data / "dataset.json").read_text())
    shard = data / manifest["shards"][1]["name"]
    whole = bytearray(shard.read_bytes())
    at = whole.index(b"\x93NUMPY")
    start = at + 10 + int.from_bytes(whole[at + 8 : at + 10], "little")
    whole[start] ^= 1
    shard.write_bytes(whole)
    assert "SHA-256" in verify(code=4)["files"][1]["problem"]
    manifest["shards"][1]["sha256"] = hashlib.sha256(whole).hexdigest()
    # dataset.json says of itself, too, what it was.
    (data / "dataset.json").write_text(json.dumps(manifest, indent=2, separators=(",", " : "), sort_keys=True))
    assert "manifest_sha256" in verify(code=4)["problems"][0]
    manifest["manifest_sha256"] = "0" * 64
    text = json.dumps(manifest, indent=2, separators=(",", " : "), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    (data / "dataset.json").write_text(text.replace('"manifest_sha256" : "' + "0" * 64, f'"manifest_sha256" : "{digest}'))
    # The indices still speak of the shard that was there, and nobody reads them here.
    verify()
    problems = verify("--originals", photos, code=4)["problems"]
    assert any("1 of 64 codes differ" in problem for problem in problems)
    shard.write_bytes(whole[:-512])
    assert "bytes where the manifest says" in verify(code=4)["files"][1]["problem"]
    shard.unlink()
    assert "cannot be read" in verify(code=4)["files"][1]["problem"]
    # Totals, and what is no dataset.
    (data / "rejected.jsonl").write_text('{"source": "x", "stage": "read", "reason": "y"}\n')
    assert any("rejected.jsonl" in problem for problem in verify(code=4)["problems"])
    assert "no finished dataset" in tessera("verify", photos, code=3).stderr
    tessera("verify", data, "--samples", 3, code=64)
    tessera("verify", data, data, "--originals", photos, code=64)
