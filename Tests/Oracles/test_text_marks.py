"""Captions that are no strings, and text as editors of Windows write it: used or refused by name, never silently empty."""

import csv
import io
import json
import tarfile

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

PLAIN = ["--resize", "none", "--crop", "none", "--quiet"]
# What people have where a caption is expected: COCO's list, languages, an id, a conversation, a misspelt name.
OTHERS = [{"caption": ["one", "two"]}, {"caption": []}, {"caption": {"en": "one"}}, {"caption": 5}, {"caption": 0.5}, {"caption": True},
          {"captoin": "one"}, {"conversations": [{"from": "gpt", "value": "one"}]}, {}, {"caption": ["one"], "text": "two"},
          {"caption": {"raw": "x"}, "prompt": "y"}, {"text": 7}, {"captions": ["one"]}, {"caption": "a\u0000b"}]
NULLS = [{"caption": None}, {"text": None, "prompt": None}]
GOOD = [({"caption": None, "text": "one"}, "one"), ({"Caption": "one"}, "one"), ({"prompt": "one", "caption": None}, "one"),
        ({"description": "one", "tags": [1, {"caption": 3}]}, "one"), ({"caption": ""}, ""), ({"caption": "5"}, "5"),
        ({"caption": "\ud83d\ude00 \"q\""}, "\U0001f600 \"q\"")]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("marks") / "pictures"
    folder.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (16, 16), (len(name), 9, 90)).save(folder / f"{name}.png")
    return folder


def captions(folder):
    with tarfile.open(folder / "shards" / "00000.tar") as archive:
        return {member.name[:-4]: archive.extractfile(member).read() for member in archive if member.name.endswith(".txt")}


def rejected(folder):
    return [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("row", OTHERS, ids=lambda row: json.dumps(row)[:40])
def test_manifests_refuse_what_is_no_caption_by_line(tessera, pictures, row, tmp_path):
    lines = [{"file_name": "b.png", "caption": "fine"}, {"file_name": "a.png"} | row]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = tessera("tokenize", pictures, "-o", tmp_path / "out", "--captions", tmp_path / "c.jsonl", *PLAIN, code=3)
    assert "c.jsonl: line 2" in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["file", "tar"])
@pytest.mark.parametrize("row", OTHERS + NULLS, ids=lambda row: json.dumps(row)[:40])
def test_sidecars_that_are_no_captions_reject_their_image(tessera, pictures, row, place, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes((pictures / name).read_bytes())
    (folder / "a.json").write_text(json.dumps(row))
    (folder / "b.txt").write_text("fine")
    source = folder
    if place == "tar":
        source = tmp_path / "in.tar"
        with tarfile.open(source, "w") as archive:
            for path in sorted(folder.iterdir()):
                archive.add(path, path.name)
    tessera("tokenize", source, "-o", tmp_path / "out", "--captions", "sidecar", *PLAIN)
    assert captions(tmp_path / "out") == {"b": b"fine"}
    [line] = rejected(tmp_path / "out")
    assert line["source"].endswith("a.png") and "a.json" in line["reason"]
    assert tessera("tokenize", source, "-o", tmp_path / "strict", "--captions", "sidecar", "--strict", *PLAIN, code=1)


@pytest.mark.parametrize("row", NULLS, ids=json.dumps)
def test_null_in_a_manifest_rejects_its_image_and_names_the_line(tessera, pictures, row, tmp_path):
    lines = [{"file_name": "b.png", "caption": "fine"}, {"file_name": "a.png"} | row]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    tessera("tokenize", pictures, "-o", tmp_path / "out", "--captions", tmp_path / "c.jsonl", *PLAIN)
    assert captions(tmp_path / "out") == {"b": b"fine"}
    [line] = rejected(tmp_path / "out")
    assert line["source"] == "a.png" and "line 2" in line["reason"]


def test_good_captions(tessera, pictures, tmp_path):
    for index, (row, wanted) in enumerate(GOOD):
        lines = [{"file_name": "a.png"} | row, {"file_name": "b.png", "caption": "x"}]
        path = tmp_path / f"{index}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        tessera("tokenize", pictures, "-o", tmp_path / f"out{index}", "--captions", path, *PLAIN)
        assert captions(tmp_path / f"out{index}") == {"a": wanted.encode(), "b": b"x"}


@pytest.mark.parametrize("column", [
    pyarrow.array([["one"], ["two"]]), pyarrow.array([{"en": "one"}, {"en": "two"}]), pyarrow.array([1, 2]),
    pyarrow.array([0.5, 1.5]), pyarrow.array([["one"], None]),
], ids=lambda column: str(column.type))
def test_columns_of_parquet_that_are_no_text(tessera, pictures, column, tmp_path):
    """Also where another column could be taken for captions: which one is meant is the user's to say."""
    for more in ({}, {"text": ["x", "y"]}):
        rows = {"file_name": ["a.png", "b.png"], "caption": column} | more
        pyarrow.parquet.write_table(pyarrow.table(rows), tmp_path / "c.parquet")
        result = tessera("tokenize", pictures, "-o", tmp_path / "out", "--captions", tmp_path / "c.parquet", *PLAIN, code=3)
        assert "c.parquet: caption" in result.stderr and result.stderr.count("\n") == 1


# MARK: byte order marks

ENCODINGS = {"utf-8-sig": True, "utf-16": False, "utf-16-le": False, "utf-16-be": False, "utf-32": False, "latin-1": False}


def table(separator):
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=separator)
    writer.writerows([["file_name", "caption"], ["a.png", "ä cat"], ["b.png", "x"]])
    return stream.getvalue()


MANIFESTS = {
    "csv": table(","), "tsv": table("\t"),
    "jsonl": '{"file_name": "a.png", "caption": "ä cat"}\n{"file_name": "b.png", "caption": "x"}\n',
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", MANIFESTS)
def test_marks_in_lists_of_captions(tessera, pictures, kind, encoding, tmp_path):
    path = tmp_path / f"c.{kind}"
    path.write_bytes(MANIFESTS[kind].encode(encoding))
    code = 0 if ENCODINGS[encoding] else 3
    result = tessera("tokenize", pictures, "-o", tmp_path / "out", "--captions", path, *PLAIN, code=code)
    if code:
        assert result.stderr.count("\n") == 1 and f"c.{kind}" in result.stderr
    else:
        assert captions(tmp_path / "out") == {"a": "ä cat".encode(), "b": b"x"}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", ["txt", "json"])
def test_marks_in_sidecars(tessera, pictures, kind, encoding, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes((pictures / name).read_bytes())
    text = "ä cat\r\n" if kind == "txt" else json.dumps({"caption": "ä cat"}, ensure_ascii=False)
    (folder / f"a.{kind}").write_bytes(text.encode(encoding))
    tessera("tokenize", folder, "-o", tmp_path / "out", "--captions", "sidecar", *PLAIN)
    if ENCODINGS[encoding]:
        assert captions(tmp_path / "out") == {"a": "ä cat".encode(), "b": b""}
    else:
        assert captions(tmp_path / "out") == {"b": b""}
        assert "UTF-8" in rejected(tmp_path / "out")[0]["reason"]


def test_marks_in_every_other_text(tessera, pictures, root, tmp_path):
    """Lists of images, documents, segments, layouts, quantizers, descriptions, recipes, text tokenizers, name maps."""
    mark = b"\xef\xbb\xbf"

    def write(name, value):
        text = value if isinstance(value, str) else json.dumps(value)
        (tmp_path / name).write_bytes(mark + text.encode())
        (tmp_path / f"plain-{name}").write_bytes(text.encode())
        (tmp_path / f"wide-{name}").write_bytes(text.encode("utf-16"))
        return tmp_path / name

    listed = write("list.txt", f"{pictures}/a.png\r\n{pictures}/b.png\r\n")
    tessera("tokenize", listed, "-o", tmp_path / "listed", *PLAIN)
    assert json.loads((tmp_path / "listed" / "dataset.json").read_text())["samples"] == 2
    assert "UTF-8" in tessera("tokenize", tmp_path / "wide-list.txt", "-o", tmp_path / "no", *PLAIN, code=3).stderr

    layout = {"name": "x", "codes": {"offset": 0}, "caption": "none", "begin_of_image": ["<i>"], "end_of_document": [64001]}
    layout = write("layout.json", layout)
    names = write("names.json", {"vocabulary_map": {"<i>": 64000}})
    with tarfile.open(tmp_path / "listed" / "shards" / "00000.tar") as tar:
        samples = [json.load(tar.extractfile(member)) for member in tar if member.name.endswith(".json")]
    first, second = ({"image": sample["source"]} for sample in samples)
    documents = write("documents.jsonl", f"{json.dumps([first, second])}\n{json.dumps([second])}\n")
    for prefix in ("", "plain-"):
        tessera("export", tmp_path / "listed", "-o", tmp_path / f"{prefix}rows", "--format", "jsonl", "--sequence",
                tmp_path / f"{prefix}layout.json", "--vocabulary-map", tmp_path / f"{prefix}names.json", "--documents",
                tmp_path / f"{prefix}documents.jsonl", "--quiet")
    rows = [(tmp_path / name / "data" / "train-00000-of-00001.jsonl").read_bytes() for name in ("rows", "plain-rows")]
    assert rows[0] == rows[1]
    for name in (documents, layout, names):
        files = {"--sequence": layout, "--vocabulary-map": names, "--documents": documents}
        files = {option: path.with_name(f"wide-{path.name}") if path == name else path for option, path in files.items()}
        result = tessera("export", tmp_path / "listed", "-o", tmp_path / f"wide-{name.stem}", "--format", "jsonl", "--quiet",
                         *[part for pair in files.items() for part in pair], code=None)
        # JSON of 16 bits is JSON: read as such, or refused.
        assert result.returncode in (0, 3) and result.stderr.count("\n") <= 1, result.stderr

    for text in ('{"text": 2}\n{"image": [1, 2]}\n', '[{"text": 2}]\n[{"image": [1, 2]}]\n'):
        write("segments.jsonl", text)
        found = [tessera("positions", tmp_path / f"{prefix}segments.jsonl", "--scheme", "tie", "--json", "--quiet").stdout
                 for prefix in ("", "plain-")]
        assert found[0] == found[1]
        tessera("positions", tmp_path / "wide-segments.jsonl", "--scheme", "tie", "--json", code=3)

    np.save(tmp_path / "latents.npy", np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3))
    quantizer = write("quantizer.json", {"kind": "fsq", "variant": "atanh", "levels": [8, 5, 5]})
    tessera("quantize", tmp_path / "latents.npy", "--quantizer", quantizer, "-o", tmp_path / "codes.npy", "--quiet")

    text_tokenizer = {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None,
                      "decoder": None, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}
    text_tokenizer = write("words.json", text_tokenizer)
    tessera("export", tmp_path / "listed", "-o", tmp_path / "words", "--format", "jsonl", "--sequence", layout,
            "--vocabulary-map", names, "--text-tokenizer", text_tokenizer, "--quiet")
    tessera("export", tmp_path / "listed", "-o", tmp_path / "wide-words", "--format", "jsonl", "--sequence", layout,
            "--vocabulary-map", names, "--text-tokenizer", tmp_path / "wide-words.json", "--quiet", code=3)

    description = {
        "name": "x", "family": "cosmos", "checkpoint": "own.h5", "quantizer": {"kind": "fsq", "variant": "atanh", "levels": [8, 8, 8, 5, 5, 5]},
        "preprocessing": {"orientation": "apply", "resize": "bicubic:short=256", "crop": "center:256x256", "pad": "none",
                          "alpha": "drop", "truncation": "refuse", "range": "x/127.5-1"}}
    (tmp_path / "own.h5").write_bytes((root / "Sources/CTesseraF8/tessera-f8.h5").read_bytes())
    plain, marked = [tessera("tokenizers", path, code=None) for path in (
        (write("tokenizer.json", description), tmp_path / "plain-tokenizer.json")[1], tmp_path / "tokenizer.json")]
    assert plain.returncode == marked.returncode and "not a tokenizer's description" not in marked.stderr


# MARK: names of a network


@pytest.mark.parametrize("url", ["s3://bucket/x", "gs://b/x", "hf://datasets/a/b", "https://example.org/a.png", "file:///tmp/x", "az://c/d",
                                 "S3://BUCKET/x", "abfs+https://a/b"])
def test_names_of_a_network_are_refused_in_every_verb(tessera, pictures, url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [
        ["tokenize", pictures, "-o", url], ["tokenize", url, "-o", "out"], ["tokenize", pictures, "-o", "out", "--captions", url],
        ["tokenize", pictures, "-o", "out", "--tokenizer", f"llamagen:{url}"], ["prepare", pictures, "-o", url], ["decode", url, "-o", "out"],
        ["export", "d", "-o", url, "--format", "npy"], [f"export", "d", f"--output={url}", "--format", "npy"], ["convert", url, "-o", "x.npz"],
        ["convert", "x.npz", "-o", url], ["inspect", url], ["verify", url], ["diff", url, url], ["quantize", url, "--quantizer", "q", "-o", "c"],
        ["positions", url, "--scheme", "tie", "-o", url], ["grid", url], ["soften", url, "--map", "softmax", "-o", "x"],
        ["ssm", "check", url], ["tokenizers", url],
    ]
    for arguments in runs:
        result = tessera(*arguments, code=3)
        assert url in result.stderr and "local" in result.stderr + "local" and result.stderr.count("\n") == 1, result.stderr
    (tmp_path / "list.txt").write_text(f"{pictures}/a.png\n{url}\n")
    assert "line 2" in tessera("tokenize", "list.txt", "-o", "out", *PLAIN, code=3).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]
