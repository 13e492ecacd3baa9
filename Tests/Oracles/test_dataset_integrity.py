"""`verify DATASET` finds every byte that differs, every file that is missing or too many, in every layout; names in
manifests and rows never leave a folder; damaged manifests end in one line."""

import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import tarfile

import numpy as np
import pytest
import torch
from dataset_files import with_small_codes
from family_references import Taming
from layouts import LAYOUTS
from PIL import Image
from safetensors.torch import save_file



@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three pictures of one size, and a file that is none."""
    folder = tmp_path_factory.mktemp("integrity") / "pictures"
    for index, name in enumerate(("a", "b/c", "b/d")):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (40 * index, 255 - 40 * index, 7)).save(path)
        path.with_suffix(".txt").write_text(f"caption {index}")
    (folder / "no.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def source(tessera, pictures):
    folder = pictures.parent / "source"
    tessera("tokenize", pictures, "-o", folder, "--captions", "sidecar", "--resize", "none", "--crop", "none",
            "--shard-samples", 2, "--quiet")
    return folder


@pytest.fixture(scope="module")
def few(source):
    """The same with codes below 1000, which 4M's int16 holds."""
    return with_small_codes(source, source.parent / "few")


@pytest.fixture(scope="module")
def exported(tessera, source, few):
    """One dataset per layout, made once."""
    made = {}

    def export(layout):
        if layout not in made:
            folder = source.parent / f"as-{layout}"
            tessera("export", few if layout == "4m" else source, "-o", folder, "--format", layout, "--shard-samples", 2,
                    "--quiet")
            made[layout] = folder
        return made[layout]

    return export


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*") if path.is_file())


def with_digest(told):
    """dataset.json with the digest of its own bytes, as whoever forges one would write it."""
    told = dict(told, manifest_sha256="0" * 64)
    text = json.dumps(told, indent=2, separators=(",", " : "), sort_keys=True)
    return text.replace('"manifest_sha256" : "' + "0" * 64, '"manifest_sha256" : "' + hashlib.sha256(text.encode()).hexdigest())


def names_them(tessera, folder, names, codes=(4,)):
    result = tessera("verify", folder, "--json", code=None)
    assert result.returncode in codes, (names, result.returncode, result.stderr)
    assert not [name for name in names if name not in result.stderr], (names, result.stderr)


@pytest.mark.parametrize("layout", ["tokenize", *LAYOUTS])
def test_verify_finds_every_change(tessera, source, exported, layout, tmp_path):
    """A byte turned in every file, all files missing, files too many: each is named. A few of them alone, too."""
    folder = source if layout == "tokenize" else exported(layout)
    report = json.loads(tessera("verify", folder, "--json", "--quiet").stdout)
    assert report["verified"] and report["unlisted"] == []
    names = files_of(folder)
    assert len(report["files"]) + report["listed"] + 1 == len(names)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    chance = random.Random(layout)
    lists = {"dataset.json", "files.jsonl"}  # they say of all others what they were

    def turn(name):
        data = bytearray((folder / name).read_bytes())
        data[chance.choice([0, len(data) - 1, chance.randrange(len(data))])] ^= 1 << chance.randrange(8)
        (copy / name).write_bytes(data)

    plain = [name for name in names if name not in lists and (folder / name).stat().st_size]
    for name in plain:
        turn(name)
    names_them(tessera, copy, plain)
    for name in set(names) - lists:
        (copy / name).unlink()
    names_them(tessera, copy, set(names) - lists)
    shutil.rmtree(copy)
    shutil.copytree(folder, copy)
    for name in [*chance.sample(plain, 2), *lists.intersection(names)]:
        turn(name)
        # What is no JSON any more is malformed; all else is a mismatch.
        names_them(tessera, copy, [name], (3, 4) if name == "dataset.json" else (4,))
        (copy / name).write_bytes((folder / name).read_bytes() + b"\n")
        names_them(tessera, copy, [name])
        (copy / name).write_bytes((folder / name).read_bytes())
    extra = ["more.npy", "shards/00009.tar", "data/a.codes.npy.bak", ".hidden", "deep/er/x"]
    for name in extra:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(b"x")
    (copy / "a-link").symlink_to("dataset.json")
    names_them(tessera, copy, [*extra, "a-link"])
    for name in [*extra, "a-link"]:
        (copy / name).unlink()
    # Folders in which nothing is any more are too much, too.
    left = {path for path in copy.rglob("*") if path.is_dir()} - {copy / path.relative_to(folder) for path in folder.rglob("*") if path.is_dir()}
    names_them(tessera, copy, [f"{path.relative_to(copy)}/: " for path in left if not any(path.iterdir())])
    for path in sorted(left, reverse=True):
        path.rmdir()
    tessera("verify", copy, "--quiet")


@pytest.mark.parametrize("layout", ["tokenize", "npy", "parquet"])
def test_verify_says_what_became_of_the_manifest(tessera, source, exported, layout, tmp_path):
    """Missing is a mismatch, as for every other file; what cannot be understood, or leads elsewhere, is malformed."""
    folder = source if layout == "tokenize" else exported(layout)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    manifest = copy / "dataset.json"
    whole = manifest.read_bytes()
    manifest.unlink()
    names_them(tessera, copy, ["dataset.json"])
    manifest.symlink_to(tmp_path / "nowhere")
    names_them(tessera, copy, ["dataset.json"])
    for place, code in ((tmp_path / "elsewhere.json", 3), (copy / "inside.json", 4), (copy / "shards" / "deep.json", 4)):
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(whole)
        manifest.unlink()
        manifest.symlink_to(place)
        names_them(tessera, copy, ["dataset.json", *([] if code == 3 else [place.name])], (code,))
        place.unlink()
    manifest.unlink()
    for damage in (b"", whole[: len(whole) // 2], b"[]", b"{}", whole.replace(b'"samples"', b'"simples"'), b"\0" * 100):
        manifest.write_bytes(damage)
        names_them(tessera, copy, ["dataset.json"], (3,))
    for name in ("rejected.jsonl", "dataset.json"):
        (copy / name).unlink()
    for path in copy.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "no finished dataset" in tessera("verify", copy, code=3).stderr
    tessera("verify", tmp_path / "nowhere", code=6)


def test_verify_needs_the_list_of_loose_files(tessera, exported, tmp_path):
    """A manifest that names no list of an npy folder's files proves nothing of them."""
    copy = tmp_path / "copy"
    shutil.copytree(exported("npy"), copy)
    told = json.loads((copy / "dataset.json").read_text())
    told["layout"]["files"] = [entry for entry in told["layout"]["files"] if entry["name"] != "files.jsonl"]
    (copy / "dataset.json").write_text(with_digest(told))
    (copy / "files.jsonl").unlink()
    shutil.rmtree(copy / "data")
    result = tessera("verify", copy, code=4)
    assert "export the dataset again" in result.stderr


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """A tokenizer whose codes the layout holds: 4M's int16 has no place for those of the embedded one."""
    path = tmp_path_factory.mktemp("tokenizer") / "taming.safetensors"
    with torch.no_grad():
        save_file({name: value.contiguous() for name, value in Taming(codes=128).state.items()}, path)
    return lambda layout: ["--tokenizer", f"taming:{path}"] if layout == "4m" else []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tokenize_writes_what_export_writes(tessera, pictures, tokenizers, layout, tmp_path):
    """All files but dataset.json, whose plan covers the layout, byte for byte; indices among them."""
    clean = tmp_path / "clean"
    shutil.copytree(pictures, clean)
    (clean / "no.png").unlink()
    arguments = [clean, "--captions", "sidecar", "--resize", "none", "--crop", "none", "--shard-samples", 2, "--quiet"]
    arguments += tokenizers(layout)
    tessera("tokenize", *arguments, "-o", tmp_path / "direct", "--format", layout)
    tessera("tokenize", *arguments, "-o", tmp_path / "plain")
    tessera("export", tmp_path / "plain", "-o", tmp_path / "exported", "--format", layout, "--shard-samples", 2, "--quiet")
    ours, wanted = files_of(tmp_path / "direct"), files_of(tmp_path / "exported")
    assert ours == wanted
    for name in set(ours) - {"dataset.json"}:
        assert (tmp_path / "direct" / name).read_bytes() == (tmp_path / "exported" / name).read_bytes(), name
    tessera("verify", tmp_path / "direct", "--quiet")


def test_indices_of_tokenize_with_rejects(tessera, source):
    """Shards of fewer samples than inputs: what wids and Energon read is true of each."""
    told = json.loads((source / "wids.json").read_text())["shardlist"]
    shards = [shard for shard in json.loads((source / "dataset.json").read_text())["shards"] if shard["samples"]]
    assert [(entry["url"], entry["nsamples"]) for entry in told] == [(shard["name"], shard["samples"]) for shard in shards]
    for entry in told:
        data = (source / entry["url"]).read_bytes()
        assert (hashlib.md5(data).hexdigest(), len(data)) == (entry["md5sum"], entry["filesize"])
        offsets = np.fromfile(f"{source / entry['url']}.idx", dtype=np.uint64).tolist()
        with tarfile.open(source / entry["url"]) as archive:
            first = {}
            for member in archive:
                first.setdefault(member.name.split(".")[0], member.offset)
        assert offsets == [*first.values(), len(data) - 1024]
    info = json.loads((source / ".nv-meta" / ".info.json").read_text())
    assert info["shard_counts"] == {entry["url"]: entry["nsamples"] for entry in told}


# MARK: names that leave a folder

BAD_NAMES = ["../out", "../../x/y", "/tmp/tessera-out", "a/../../b", "", "a//b", "./a", "a/./b", "..", ".", "a\u0000b", "a\nb",
             "a\u001bb", "n" * 300, "a/" * 3000 + "a"]
# The last is the key of another sample.
BAD_KEYS = BAD_NAMES + ["a.b", "käse", "a\u007fb", "k" * 230, "b/c"]


@pytest.mark.parametrize("layout, verb", [
    ("jsonl", "decode"), ("jsonl", "export"), ("npy", "decode"), ("npy", "export"), ("megatron", "decode"),
    ("litdata", "export"), ("webdataset", "decode"),
])
def test_keys_never_leave_the_folder(tessera, source, exported, layout, verb, tmp_path):
    """Keys of rows: refused where they are read, whichever verb would make paths of them, and nothing is written."""
    chance = random.Random(layout + verb)
    # Every key once; beside the first case a few are enough. A key of the same length changes no offset of binary files.
    keys = BAD_KEYS if (layout, verb) == ("jsonl", "decode") else chance.sample(BAD_KEYS, 4)
    keys = ["../", "b/d"] if layout in ("litdata", "webdataset") else keys
    for key in keys:
        copy, box = tmp_path / "copy", tmp_path / "box" / "deep"
        shutil.copytree(exported(layout), copy)
        box.mkdir(parents=True)
        if layout in ("litdata", "webdataset"):
            [path] = [path for path in copy.rglob("*") if path.is_file() and path.suffix in (".bin", ".tar") and b"b/c" in path.read_bytes()][:1]
            path.write_bytes(path.read_bytes().replace(b"b/c", key.encode()))
            if layout == "webdataset":
                resum(path)
        else:
            path = copy / ("data/train-00000-of-00002.jsonl" if layout == "jsonl" else "samples.jsonl")
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            rows[0]["key"] = key
            path.write_text("".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n" for row in rows))
        arguments = ["decode", copy, "-o", box / "out"] if verb == "decode" else [
            "export", copy, "-o", box / "out", "--format", chance.choice(["npy", "webdataset", "jsonl"])]
        result = tessera(*arguments, "--quiet", code=3)
        assert result.stderr.count("\n") == 1, (key, result.stderr)
        assert not [path for path in (tmp_path / "box").rglob("*") if path.is_file()]
        shutil.rmtree(copy)
        shutil.rmtree(tmp_path / "box")


def resum(path):
    """Headers of a tar whose names were changed, with their sums right again."""
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 512):
        if data[at + 257 : at + 262] == b"ustar":
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 155] = b"%06o\0" % sum(data[at : at + 512])
    path.write_bytes(data)


@pytest.mark.parametrize("place", ["shards", "files", "layout.files", "column", "renamed"])
def test_names_in_a_manifest_never_leave_the_folder(tessera, exported, place, tmp_path):
    for name in BAD_NAMES:
        copy = tmp_path / "copy"
        shutil.copytree(exported("jsonl"), copy)
        told = json.loads((copy / "dataset.json").read_text())
        if place == "shards":
            told["shards"][1]["name"] = name
        elif place == "files":
            told["files"][0]["name"] = name
        elif place == "layout.files":
            told["layout"]["files"].append({"name": name, "bytes": 1, "sha256": "0" * 64})
        elif place == "column":
            told["layout"]["table"]["columns"][0]["name"] = name
        else:
            told["layout"]["renamed"] = {"codes": name}
        (copy / "dataset.json").write_text(json.dumps(told))
        verb = random.Random(place + name).choice([["inspect"], ["verify"], ["export", "-o", tmp_path / "out", "--format", "npy"]])
        result = tessera(verb[0], copy, *verb[1:], code=3)
        assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1, result.stderr
        shutil.rmtree(copy)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_links_never_leave_the_folder(tessera, exported, layout, tmp_path):
    """Each file of a layout as a link to the same file elsewhere; links inside, and those of a download cache, are good."""
    copy, outside = tmp_path / "copy", tmp_path / "outside"
    shutil.copytree(exported(layout), copy)
    outside.mkdir()
    told = json.loads((copy / "dataset.json").read_text())
    names = [shard["name"] for shard in told["shards"]]
    names += [name for name in files_of(copy) if name.endswith(".npy")][:2]
    for name in names:
        shutil.move(copy / name, outside / "file")
        (copy / name).symlink_to(outside / "file")
        result = tessera("export", copy, "-o", tmp_path / "out", "--format", "jsonl", "--quiet", code=None)
        if "crop_settings" not in name and "labels" not in name:
            assert result.returncode == 3 and "leaves the folder" in result.stderr, (name, result.stderr)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        names_them(tessera, copy, [name])
        (copy / name).unlink()
        shutil.move(outside / "file", copy / name)
    # Hugging Face's cache: snapshots/<id>/… are links into blobs/.
    cache = tmp_path / "cache"
    (cache / "blobs").mkdir(parents=True)
    for index, name in enumerate(files_of(copy)):
        (cache / "snapshots" / "1" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(copy / name, cache / "blobs" / str(index))
        (cache / "snapshots" / "1" / name).symlink_to(cache / "blobs" / str(index))
    tessera("verify", cache / "snapshots" / "1", "--quiet")
    tessera("export", cache / "snapshots" / "1", "-o", tmp_path / "out", "--format", "jsonl", "--quiet")


def test_mosaic_index_names(tessera, exported, tmp_path):
    for name in BAD_NAMES:
        copy = tmp_path / "copy"
        shutil.copytree(exported("mds"), copy)
        index = json.loads((copy / "index.json").read_text())
        index["shards"][0]["raw_data"]["basename"] = name
        (copy / "index.json").write_text(json.dumps(index))
        result = tessera("export", copy, "-o", tmp_path / "out", "--format", "jsonl", "--quiet", code=3)
        assert result.stderr.count("\n") == 1
        shutil.rmtree(copy)


def test_a_description_names_nothing_outside(tessera, root, tmp_path):
    """Checkpoints of tokenizers and arrays of quantizers: paths and links."""
    (tmp_path / "t").mkdir()
    (tmp_path / "outside").mkdir()
    shutil.copy(root / "Sources/CTesseraF8/tessera-f8.h5", tmp_path / "outside" / "own.h5")
    np.save(tmp_path / "outside" / "book.npy", np.zeros((4, 2), np.float32))
    (tmp_path / "t" / "link.h5").symlink_to("../outside/own.h5")
    (tmp_path / "t" / "link.npy").symlink_to("../outside/book.npy")
    profile = {"orientation": "apply", "resize": "bicubic:short=256", "crop": "center:256x256", "pad": "none", "alpha": "drop",
               "truncation": "refuse", "range": "x/127.5-1"}
    for name in ["link.h5", *BAD_NAMES, str(tmp_path / "outside" / "own.h5")]:
        (tmp_path / "t" / "tokenizer.json").write_text(json.dumps({
            "name": "x", "family": "cosmos", "checkpoint": name, "preprocessing": profile,
            "quantizer": {"kind": "fsq", "variant": "atanh", "levels": [8, 8, 8, 5, 5, 5]}}))
        result = tessera("tokenizers", tmp_path / "t", code=3)
        assert result.stderr.count("\n") == 1 and "checkpoint" in result.stderr, result.stderr
    np.save(tmp_path / "latents.npy", np.zeros((3, 2), np.float32))
    # The ending .npy may be left out, and makes good names of some.
    for name in ["link.npy", "link", str(tmp_path / "outside" / "book.npy"), *(name for name in BAD_NAMES if "/" in name or "\n" in name)]:
        (tmp_path / "t" / "q.json").write_text(json.dumps({"kind": "vq", "rule": "l2", "codebook": name}))
        result = tessera("quantize", tmp_path / "latents.npy", "--quantizer", tmp_path / "t" / "q.json", "-o",
                         tmp_path / "codes.npy", code=None)
        assert result.returncode in (3, 4), (name, result.stderr)
        assert result.stderr.count("\n") == 1 and not (tmp_path / "codes.npy").exists(), (name, result.stderr)


# MARK: damaged manifests


def places(value, path=()):
    """Every field of a JSON value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from places(item, (*path, key))
    elif isinstance(value, list) and value:
        yield (*path, 0)
        yield from places(value[0], (*path, 0))


def mutated(value, path, change):
    value = json.loads(json.dumps(value))
    at = value
    for key in path[:-1]:
        at = at[key]
    if change == "delete":
        del at[path[-1]]
    else:
        at[path[-1]] = change
    return value


CHANGES = ["delete", None, "x", "", -1, 2**70, 1.5, [], {}, True, [1, "x"], "../x"]


def is_one_line(result):
    assert result.returncode in (0, 1, 3, 4, 5, 6), (result.returncode, result.stderr)
    if result.returncode not in (0, 4):
        assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1, result.stderr
    assert not re.search("DecodingError|codingPath|debugDescription|Swift\\.|NSCocoa|Index 0", result.stderr), result.stderr


@pytest.mark.parametrize("layout", ["tokenize", "npy"])
def test_each_field_of_a_manifest_may_be_damaged(tessera, source, exported, layout, tmp_path):
    folder = source if layout == "tokenize" else exported(layout)
    told = json.loads((folder / "dataset.json").read_text())
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    chance = random.Random(layout)
    for path in places(told):
        for change in chance.sample(CHANGES, 1):
            (copy / "dataset.json").write_text(json.dumps(mutated(told, path, change)))
            verb = chance.choice(["inspect", "export", "decode", "verify", "tokenize"])
            arguments = {
                "inspect": [copy], "verify": [copy], "export": [copy, "-o", tmp_path / "out", "--format", "jsonl"],
                "decode": [copy, "-o", tmp_path / "out"], "tokenize": ["-o", copy, "--finish"],
            }[verb]
            result = tessera(verb, *arguments, "--quiet", code=None)
            is_one_line(result)
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
            if result.returncode == 3 and verb == "inspect":
                assert "dataset.json" in result.stderr


@pytest.mark.parametrize("name", ["plan/plan.json", "plan/0.jsonl", "journal/0.json"])
def test_each_field_of_a_plan_may_be_damaged(tessera, pictures, name, tmp_path):
    """The work of an unfinished run: whatever is damaged in it is one line that names the file."""
    begun = tmp_path / "begun"
    tessera("tokenize", pictures, "-o", begun, "--resize", "none", "--crop", "none", "--shard-samples", 2, "--plan-only",
            "--sequence", "llamagen", "--format", "jsonl", "--quiet")
    tessera("tokenize", "-o", begun, "--shards", 0, "--quiet")
    first = (begun / ".tessera" / name).read_text().splitlines() if name.endswith("l") else [
        (begun / ".tessera" / name).read_text()]
    told = json.loads(first[0])
    chance = random.Random(name)
    copy = tmp_path / "copy"
    for path in places(told):
        for change in chance.sample(CHANGES, 1):
            shutil.copytree(begun, copy)
            text = json.dumps(mutated(told, path, change), separators=(",", ":"))
            (copy / ".tessera" / name).write_text("\n".join([text, *first[1:]]) + "\n")
            verb = chance.choice([["--shards", 0], ["--shards", "1-2"], ["--finish"]])
            is_one_line(tessera("tokenize", "-o", copy, *verb, "--quiet", code=None))
            shutil.rmtree(copy)


@pytest.mark.parametrize("layout, name", [
    ("mds", "index.json"), ("npy", "samples.jsonl"), ("npy", "files.jsonl"), ("jsonl", "data/train-00000-of-00002.jsonl"),
    ("jsonl", "rejected.jsonl"),
])
def test_each_field_of_a_list_may_be_damaged(tessera, exported, layout, name, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(exported(layout), copy)
    text = (copy / name).read_text()
    lines = text.splitlines() if name.endswith("l") else [text]
    told = json.loads(lines[0])
    chance = random.Random(layout + name)
    for path in places(told):
        for change in chance.sample(CHANGES, 2):
            (copy / name).write_text("\n".join([json.dumps(mutated(told, path, change), separators=(",", ":")), *lines[1:]]) + "\n")
            is_one_line(tessera("export", copy, "-o", tmp_path / "out", "--format", "tfrecord", "--quiet", code=None))
            is_one_line(tessera("verify", copy, "--quiet", code=4))
            shutil.rmtree(tmp_path / "out", ignore_errors=True)


def test_a_large_manifest_opens_everywhere(tessera, exported, tmp_path):
    """White space is legal JSON: one limit for all verbs that read the file."""
    copy = tmp_path / "copy"
    shutil.copytree(exported("jsonl"), copy)
    with open(copy / "dataset.json", "a") as file:
        file.write(" " * (270 << 20))
    tessera("inspect", copy)
    tessera("export", copy, "-o", tmp_path / "out", "--format", "jsonl", "--quiet")
    assert "dataset.json" in tessera("verify", copy, code=4).stderr


# MARK: what is no dataset of ours


def test_datasets_of_other_programs_are_refused_by_name(tessera, source, tmp_path):
    plain = tmp_path / "plain"
    shutil.copytree(source / "shards", plain / "shards")
    for path in (plain, plain / "shards" / "00000.tar", plain / "shards"):
        for verb in (["export", path, "-o", tmp_path / "out", "--format", "parquet"], ["decode", path, "-o", tmp_path / "out"]):
            result = tessera(*verb, code=3)
            assert "dataset.json is missing" in result.stderr and "tokenize or export" in result.stderr
            assert result.stderr.count("\n") == 1 and not (tmp_path / "out").exists()
    tessera("export", tmp_path / "nowhere", "-o", tmp_path / "out", "--format", "parquet", code=6)


def test_inspect_names_the_columns_that_files_have(tessera, source, tmp_path):
    import pyarrow.parquet

    options = ["--rename", "codes=input_ids", "--columns", "codes,caption"]
    for layout in LAYOUTS:
        if layout in ("4m", "llamagen"):
            continue
        out = tmp_path / layout
        tessera("export", source, "-o", out, "--format", layout, *options, "--quiet")
        told = json.loads(tessera("inspect", out, "--json").stdout)["columns"]
        assert told == json.loads((out / "dataset.json").read_text())["columns"]
        assert "codes" not in told and "input_ids" in told and "source" not in told
        assert f"columns: {', '.join(told)}" in tessera("inspect", out).stdout
        if layout == "parquet":
            [first, *_] = sorted((out / "data").glob("*.parquet"))
            assert pyarrow.parquet.read_schema(first).names == ["key", *told]
    assert json.loads(tessera("inspect", source, "--json").stdout)["columns"] == ["codes.npy", "json", "positions.npy", "txt"]


def test_lists_have_the_name_that_every_version_of_datasets_reads(tessera, exported):
    """`List` came with `datasets` 4.0, whose readers take `Sequence`, too; 2.21 and 3.6 know nothing else."""
    import datasets
    import pyarrow.ipc
    import pyarrow.parquet

    [path, *_] = sorted((exported("parquet") / "data").glob("*.parquet"))
    [stream, *_] = sorted(exported("arrow").glob("*.arrow"))
    schemas = [pyarrow.parquet.read_schema(path), pyarrow.ipc.open_stream(str(stream)).schema]
    for schema in schemas:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        assert {found for found in re.findall('"_type": "([A-Za-z]+)"', json.dumps(features))} == {"Value", "Sequence"}
        assert features["codes"] == {"_type": "Sequence", "feature": {
            "_type": "Sequence", "feature": {"_type": "Value", "dtype": "int32"}}}
        assert list(features) == schema.names
        read = datasets.Features.from_dict(features)
        assert read.arrow_schema.remove_metadata().equals(schema.remove_metadata())


NUMBERS = """0 -0 1 10 01 -01 00 1. .5 0.5 -0.5e3 1e5 1E+5 1e-05 1e 1e+ e5 +1 - -- 1-2 0x10 1_000 1.5.2 1e5.5 inf NaN Infinity nul true True
null 123456789012345678901234567890 0.1e400 ١ 1\u0301 1f 1L""".split()


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_are_those_of_json(tessera, exported, number, tmp_path):
    """What a field of a sample may be, by JSON's own grammar."""
    copy = tmp_path / "copy"
    shutil.copytree(exported("jsonl"), copy)
    path = copy / "data" / "train-00000-of-00002.jsonl"
    path.write_text(re.sub('"margin":[^,}]*', lambda _: f'"margin":{number}', path.read_text(), count=1))
    good = re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false|null", number, re.ASCII)
    tessera("export", copy, "-o", tmp_path / "out", "--format", "jsonl", "--quiet", code=0 if good else 3)
