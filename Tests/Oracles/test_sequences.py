"""Captions and token sequences: the program beside a second implementation in a few lines of Python."""

import hashlib
import io
import json
import pathlib
import tarfile

import jsonschema
import numpy as np
import pytest
from PIL import Image
from referencing import Registry, Resource

from position_references import transformers_ids
from sequence_references import Reference

SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "schemas"
CAPTIONS = {"a": "A cat, sitting.", "b": "zwei Hunde\nim Schnee", "c": "", "d": "猫が好き 🐱 </s>"}


def _photos(folder):
    random = np.random.default_rng(5)
    folder.mkdir()
    for index, (name, text) in enumerate(CAPTIONS.items()):
        height, width = [(64, 96), (48, 48), (8, 8), (96, 64)][index]
        Image.fromarray(random.integers(0, 255, (height, width, 3), np.uint8)).save(folder / f"{name}.png")
        if name != "c":
            (folder / f"{name}.txt").write_text(text + "\n")
    (folder / "broken.png").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return _photos(tmp_path_factory.mktemp("photos") / "in")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A small text tokenizer with the tokens of every layout."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "</s>", "<pad>", "<racm3:break>", "<eoss>", "<sop>", "<eop>", "<image_placeholder>",
               "<begin_of_image>", "<end_of_image>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"]
    special += [f"<reserved{8799 + i:05}>" for i in range(64)]
    trainer = trainers.BpeTrainer(vocab_size=800, special_tokens=special, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([*CAPTIONS.values(), "12*8 8 12 cats and dogs"] * 4, trainer)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture(scope="module")
def dataset(tessera, photos, tmp_path_factory):
    output = tmp_path_factory.mktemp("dataset") / "d"
    tessera("tokenize", photos, "-o", output, "--captions", "sidecar", "--resize", "none", "--crop", "none",
            "--vocabulary-offset", 7, "--quiet")
    return output


def _samples(folder):
    """Every sample of tar shards: key, then member by extension."""
    samples = {}
    for shard in sorted((folder / "shards").glob("*.tar")):
        for member in (tar := tarfile.open(shard)).getmembers():
            key, _, column = member.name.partition(".")
            data = tar.extractfile(member).read()
            samples.setdefault(key, {})[column] = (
                np.load(io.BytesIO(data)) if column.endswith(".npy") else data.decode()
            )
    return samples


def _validate(value, name):
    resources = [(path.name, Resource.from_contents(json.loads(path.read_text()))) for path in SCHEMAS.glob("*.json")]
    schema = json.loads((SCHEMAS / name).read_text())
    jsonschema.Draft202012Validator(schema, registry=Registry().with_resources(resources)).validate(value)


def _manifest(folder):
    manifest = json.loads((folder / "dataset.json").read_text())
    _validate(manifest, "dataset.schema.json")
    return manifest


def _rejected(folder):
    return [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]


# --- captions


def test_sidecars(dataset):
    samples = _samples(dataset)
    assert {key: sample["txt"] for key, sample in samples.items()} == CAPTIONS
    manifest = _manifest(dataset)
    assert manifest["captions"] == "sidecar" and "txt" in manifest["columns"]
    assert manifest["rejected"] == 1


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_manifests(tessera, photos, tmp_path, kind):
    import csv

    file = tmp_path / f"captions.{kind}"
    with open(file, "w", newline="") as stream:
        if kind == "jsonl":
            for name, text in CAPTIONS.items():
                stream.write(json.dumps({"file_name": f"{name}.png", "text": text}) + "\n")
        else:
            writer = csv.writer(stream, delimiter="," if kind == "csv" else "\t")
            writer.writerows([["id", "image", "caption"]] + [[i, f"./{n}.png", t] for i, (n, t) in enumerate(CAPTIONS.items())])
    tessera("tokenize", photos, "-o", tmp_path / "d", "--captions", file, "--resize", "none", "--crop", "none")
    assert {key: sample["txt"] for key, sample in _samples(tmp_path / "d").items()} == CAPTIONS
    assert _manifest(tmp_path / "d")["captions"] == "manifest"


def test_members_and_json(tessera, photos, tmp_path):
    archive = tmp_path / "in.tar"
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(photos / "a.png", "x/a.png")
        for name, data in (("x/a.json", b'{"caption": "from json"}'), ("b.txt", b"plain")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        tar.add(photos / "b.png", "b.png")
    tessera("tokenize", archive, "-o", tmp_path / "d", "--captions", "sidecar", "--resize", "none", "--crop", "none")
    assert {k: s["txt"] for k, s in _samples(tmp_path / "d").items()} == {"x/a": "from json", "b": "plain"}


def test_captions_that_are_refused(tessera, photos, tmp_path):
    bad = tmp_path / "in"
    bad.mkdir()
    Image.new("RGB", (8, 8)).save(bad / "a.png")
    Image.new("RGB", (8, 8)).save(bad / "b.png")
    (bad / "a.txt").write_bytes(b"\xff\xfe")
    (bad / "b.json").write_text("[1]")
    tessera("tokenize", bad, "-o", tmp_path / "d", "--captions", "sidecar", "--resize", "none", "--crop", "none", code=1)
    assert [line["source"] for line in _rejected(tmp_path / "d")] == ["a.png", "b.png"]
    for name, text, code, part in (
        ("a.csv", "x,y\n1,2\n", 3, "columns"), ("b.csv", 'image,caption\na.png,"x\n', 3, "quoted"),
        ("c.csv", "image,caption\na.png\n", 3, "fields"), ("d.jsonl", "{}\n", 3, "image"),
        ("e.csv", "image,caption\na,1\na,2\n", 3, "already"), ("f.parquet", "PAR1", 3, "Parquet"), ("g.xls", "", 3, "csv"),
    ):
        (tmp_path / name).write_text(text)
        message = tessera("tokenize", photos, "-o", tmp_path / "e", "--captions", tmp_path / name, code=code).stderr
        assert part in message, message
    tessera("tokenize", photos, "-o", tmp_path / "e", "--captions", tmp_path / "absent.csv", code=6)


# --- sequences


EMU3 = {
    "name": "emu3", "begin_of_document": [151849], "end_of_document": [151850], "pad": 151643,
    "begin_of_image": [151852], "size": {"text": "{height}*{width}"}, "begin_of_codes": [151851],
    "end_of_line": {"token": 151846, "policy": "every"}, "end_of_frame": [151847], "end_of_image": [151853],
    "codes": {"offset": 151854},
}
LUMINA = {
    "name": "lumina-like", "begin_of_document": ["<s>"], "end_of_document": ["</s>"], "pad": "<pad>",
    "begin_of_image": ["<racm3:break>"], "size": {"token": "<reserved{}>", "base": 8800, "divisor": 1, "digits": 5},
    "end_of_line": {"token": "<reserved08799>", "policy": "between"}, "end_of_image": ["<eoss>"],
    "codes": {"offset": 2000}, "loss": "codes",
}
GLM = {
    "name": "glm-image", "begin_of_image": ["<sop>"], "size": {"text": "{height} {width}"},
    "begin_of_codes": ["<eop>", 70000], "end_of_image": [70001], "codes": {"offset": 0}, "caption": "required", "pad": 70002,
}


@pytest.fixture
def export(tessera, dataset, tokenizer, tmp_path):
    counter = iter(range(100))

    def run(layout, *options, code=0, source=dataset):
        if isinstance(layout, dict):
            _validate(layout, "sequence.schema.json")
            path = tmp_path / f"{layout['name']}.json"
            path.write_text(json.dumps(layout))
            layout = path
        output = tmp_path / f"out{next(counter)}"
        result = tessera("export", source, "-o", output, "--format", "webdataset", "--sequence", layout,
                         "--text-tokenizer", tokenizer, *options, code=code)
        return result.stderr if code else output

    return run


def _codes(dataset, offset=7):
    return {key: sample["codes.npy"].astype(np.int64) - offset for key, sample in _samples(dataset).items()}


@pytest.mark.parametrize("layout", [EMU3, LUMINA, GLM])
@pytest.mark.parametrize("order", ["caption-first", "image-first"])
def test_layouts(export, dataset, tokenizer, layout, order):
    output = export(layout, "--order", order, "--positions", "mrope")
    reference, codes, samples = Reference(tokenizer), _codes(dataset), _samples(output)
    expected = [key for key in CAPTIONS if CAPTIONS[key] or layout.get("caption") != "required"]
    assert list(samples) == expected
    for key in expected:
        parts = [CAPTIONS[key], codes[key]] if order == "caption-first" else [codes[key], CAPTIONS[key]]
        ids, spans, grids = reference.document(layout, parts)
        sample = samples[key]
        assert sample["input_ids.npy"].tolist() == ids and sample["input_ids.npy"].dtype == np.int32
        assert sample["image_spans.npy"].tolist() == spans and sample["image_grid_thw.npy"].tolist() == grids
        assert sample["doc_ends.npy"].tolist() == [len(ids)]
        kinds = np.zeros(len(ids), np.uint8)
        kinds[spans[0][0]:spans[0][1]] = 1
        np.testing.assert_array_equal(sample["mm_token_type_ids.npy"], kinds)
        assert sample["text_position_ids.npy"].tolist() == list(range(len(ids)))
        labels = np.array(ids)
        if layout.get("loss") == "codes":
            inside = np.zeros(len(ids), bool)
            inside[spans[0][0]:spans[0][1]] = True
            inside &= np.array(ids) >= layout["codes"]["offset"]
            labels[~inside] = -100
        np.testing.assert_array_equal(sample["labels.npy"], labels)
        np.testing.assert_array_equal(sample["loss_mask.npy"], labels != -100)
        assert sample["txt"] == CAPTIONS[key]
        # Ends of rows stand in the column behind the codes.
        height, width = codes[key].shape
        wide = width + ("end_of_line" in layout)
        segments = [{"text": spans[0][0]}, {"image": [height, wide]}, {"text": len(ids) - spans[0][1]}]
        positions, _ = transformers_ids("mrope", segments)
        if layout.get("end_of_line", {}).get("policy") == "between":
            positions = np.delete(positions, spans[0][0] + height * wide - 1, axis=1)
        np.testing.assert_array_equal(sample["position_ids.npy"], positions)
    sequence = _manifest(output)["export"]["sequence"]
    assert sequence["order"] == order and sequence["positions"] == "mrope"
    assert sequence["text_tokenizer"] == hashlib.sha256(tokenizer.read_bytes()).hexdigest()
    if layout.get("caption") == "required":
        assert {"source": "c.png", "stage": "sequence"}.items() <= _rejected(output)[-1].items()


def test_named_layouts(export, dataset, tokenizer, tessera, tmp_path):
    """Every model's layout by name, where the tokenizer has its tokens."""
    reference, codes = Reference(tokenizer), _codes(dataset)
    sample = _samples(export("llamagen", "--positions", "rope2d"))["a"]
    assert sample["input_ids.npy"].tolist() == codes["a"].ravel().tolist()
    assert sample["position_ids.npy"].tolist() == np.indices(codes["a"].shape).reshape(2, -1).tolist()
    janus = _samples(export("janus"))["a"]
    assert janus["image_codes.npy"].tolist() == codes["a"].ravel().tolist()
    slots = janus["input_ids.npy"] == reference.id("<image_placeholder>")
    np.testing.assert_array_equal(slots, janus["mm_token_type_ids.npy"] == 1)
    assert "emu3" in export("emu3", code=4)  # 64,000 codes are more than its vocabulary holds
    for layout in ("chameleon", "lumina", "emu3.5"):
        assert "has no token" in export(layout, code=4)
    failed = tessera("export", dataset, "-o", tmp_path / "x", "--format", "jsonl", "--sequence", "chameleon", code=4)
    assert "--text-tokenizer" in failed.stderr


def test_codes_by_name(tessera, dataset, tmp_path):
    """Chameleon's letters and Emu3.5's numbers, from the names of a vocabulary in no order."""
    codes = _codes(dataset)
    count = 64_000
    order = np.random.default_rng(1).permutation(count)
    base = ["<s>", "</s>", "<pad>", "<racm3:break>", "<eoss>", "<|extra_203|>", "<|extra_204|>", "<|endoftext|>",
            "<|image start|>", "<|image token|>", "<|extra_200|>", "<|image end|>", "*", *"0123456789"]
    for layout, name in (("chameleon", lambda i: "IMGIMG" + "".join(chr(65 + int(c)) for c in str(i)) + "Z"),
                         ("emu3.5", lambda i: f"<|visual token {i:06}|>")):
        vocabulary = {token: index for index, token in enumerate(base)}
        vocabulary |= {name(int(code)): len(base) + place for place, code in enumerate(order)}
        path = tmp_path / f"{layout}.json"
        added = [{"id": vocabulary[t], "content": t, "special": True, "normalized": False, "single_word": False,
                  "lstrip": False, "rstrip": False} for t in base if t[0] == "<"]
        path.write_text(json.dumps({"added_tokens": added, "model": {"type": "BPE", "vocab": vocabulary, "merges": []}}))
        output = tmp_path / f"out-{layout}"
        tessera("export", dataset, "-o", output, "--format", "webdataset", "--sequence", layout, "--text-tokenizer", path,
                "--order", "image-first")
        sample = _samples(output)["a"]
        (start, end), = sample["image_spans.npy"]
        found = [int(i) for i in sample["input_ids.npy"][start:end] if i >= len(base)]
        assert found == [vocabulary[name(int(code))] for code in codes["a"].ravel()]
        if layout == "emu3.5":
            lines = (sample["input_ids.npy"][start:end] == vocabulary["<|extra_200|>"]).sum()
            assert lines == codes["a"].shape[0] - 1


def test_codes_of_a_configuration(tessera, dataset, photos, tmp_path):
    """transformers' ChameleonConfig keeps the ids of codes and marks in `vocabulary_map`, in no order."""
    from transformers import ChameleonConfig

    codes, order = _codes(dataset), np.random.default_rng(3).permutation(64_000)
    names = ["<pad>", "<s>", "</s>", "<racm3:break>", "<eoss>", "<image>", "cat"]
    vocabulary = {token: index for index, token in enumerate(names)}
    vocabulary |= {"IMGIMG" + "".join(chr(65 + int(c)) for c in str(code)) + "Z": len(names) + place
                   for place, code in enumerate(order)}
    ChameleonConfig(vocabulary_map=vocabulary).save_pretrained(tmp_path / "model")
    options = ["--sequence", "chameleon", "--vocabulary-map", tmp_path / "model" / "config.json"]
    tessera("export", dataset, "-o", tmp_path / "out", "--format", "webdataset", *options, "--columns",
            "input_ids,image_spans", "--documents", _pictures(tmp_path))
    places = np.empty(64_000, np.int64)
    places[order] = np.arange(64_000) + len(names)
    samples = _samples(tmp_path / "out")
    assert len(samples) == 4
    for sample, key in zip(samples.values(), "abcd"):
        assert sample["input_ids.npy"].tolist() == [1, 3, *places[codes[key].ravel()], 4, 2]
    recorded = _manifest(tmp_path / "out")["export"]["sequence"]["vocabulary_map"]
    assert recorded == hashlib.sha256((tmp_path / "model" / "config.json").read_bytes()).hexdigest()
    # tokenize keeps the file's place in its plan.
    tessera("tokenize", photos, "-o", tmp_path / "direct", "--resize", "none", "--crop", "none", *options, "--quiet")
    assert _samples(tmp_path / "direct")["a"]["input_ids.npy"].tolist() == samples["document-00000001"]["input_ids.npy"].tolist()
    for text, code, part in (
        ("{}", 3, "vocabulary_map"), ('{"vocabulary_map": {"<s>": "one"}}', 3, "vocabulary_map"),
        ('{"vocabulary_map": {"<s>": 1, "</s>": 1}}', 3, "twice"), ('{"vocabulary_map": {"<s>": 4294967296}}', 5, "int32"),
        ('{"vocabulary_map": {"<s>": 1}}', 4, "'</s>'"),
        (json.dumps({"vocabulary_map": {name: index for name, index in vocabulary.items() if index != 70}}), 4, "63999 of the 64000"),
    ):
        (tmp_path / "config.json").write_text(text)
        failed = tessera("export", dataset, "-o", tmp_path / "no", "--format", "jsonl", *options[:3], tmp_path / "config.json",
                         code=code)
        assert part in failed.stderr and failed.stderr.count("\n") == 1, failed.stderr
    tessera("export", dataset, "-o", tmp_path / "no", "--format", "jsonl", *options[:3], tmp_path / "absent.json", code=6)


def _pictures(folder):
    """Documents of a picture each."""
    path = folder / "pictures.jsonl"
    path.write_text("".join(json.dumps([{"image": f"{name}.png"}]) + "\n" for name in CAPTIONS))
    return path


def test_names_that_two_files_contradict(export, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"vocabulary_map": {"<s>": 7000}}))
    assert "take both of one model" in export(LUMINA, "--vocabulary-map", tmp_path / "config.json", code=4)


# --- packing


def _documents(tmp_path, count=40):
    random = np.random.default_rng(2)
    documents = []
    for index in range(count):
        parts = []
        for _ in range(int(random.integers(1, 4))):
            if random.random() < 0.5:
                parts.append({"text": "cats and dogs " * int(random.integers(1, 5))})
            else:
                parts.append({"image": str(random.choice(["a.png", "./b.png", "c", "d.png"]))})
        documents.append(parts)
    documents[3] = [{"text": "only text"}]
    documents[5].append({"image": "broken.png"})
    path = tmp_path / "docs.jsonl"
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    for document in documents:
        _validate(document, "document.schema.json")
    return path, documents


@pytest.fixture
def interleaved(dataset, tokenizer, tmp_path):
    path, documents = _documents(tmp_path)
    reference, codes = Reference(tokenizer), _codes(dataset)

    def image(name):
        return codes[pathlib.PurePosixPath(name).stem]

    sequences = {}
    for line, parts in enumerate(documents, 1):
        if line != 6:
            sequences[f"document-{line:08}"] = reference.document(
                LUMINA, [part["text"] if "text" in part else image(part["image"]) for part in parts]
            )
    return path, sequences


def test_interleaved_documents(export, interleaved):
    path, sequences = interleaved
    output = export(LUMINA, "--documents", path)
    samples = _samples(output)
    assert list(samples) == list(sequences)
    for key, (ids, spans, grids) in sequences.items():
        assert samples[key]["input_ids.npy"].tolist() == ids
        assert samples[key]["image_spans.npy"].reshape(-1, 2).tolist() == spans
    last = _rejected(output)[-1]
    assert last["source"] == "docs.jsonl:6" and last["stage"] == "sequence" and "broken.png" in last["reason"]
    manifest = _manifest(output)
    assert manifest["rejected"] == 2 and manifest["samples"] == 39
    assert manifest["export"]["sequence"]["documents"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("pack", ["concatenate", "best-fit", "fixed"])
def test_packing(export, interleaved, tokenizer, pack):
    import torch
    from transformers import DataCollatorWithFlattening
    from transformers.masking_utils import find_packed_sequence_indices

    path, sequences = interleaved
    length = 300
    alone = _samples(export(LUMINA, "--documents", path, "--positions", "mrope"))
    output = export(LUMINA, "--documents", path, "--pack", pack, "--length", length, "--positions", "mrope")
    rows = _samples(output)
    pad = Reference(tokenizer).id("<pad>")
    seen = []
    for key, row in rows.items():
        ids, ends = row["input_ids.npy"].tolist(), row["doc_ends.npy"].tolist()
        keys = json.loads(row["json"]).get("documents")
        assert len(row["labels.npy"]) == len(ids) == row["position_ids.npy"].shape[1] <= length
        if pack == "fixed":
            assert len(ids) == length and keys is None or True
            assert all(i == pad for i in ids[ends[0]:]) and (row["labels.npy"][ends[0]:] == -100).all()
            assert ids[: ends[0]] == sequences[key][0]
            seen.append(key)
        if pack == "best-fit":
            starts = [0] + ends[:-1]
            assert ends[-1] == len(ids)
            for name, start, end in zip(keys, starts, ends, strict=True):
                assert ids[start:end] == sequences[name][0], "a document is whole"
                seen.append(name)
            found = find_packed_sequence_indices(torch.tensor(row["text_position_ids.npy"][None].astype(np.int64)))
            if len(ends) > 1:
                np.testing.assert_array_equal(found[0], np.repeat(np.arange(len(ends)), np.diff([0] + ends)))
            assert (row["position_ids.npy"][:, starts] == 0).all()
            collated = DataCollatorWithFlattening(return_position_ids=True)(
                [{"input_ids": alone[name]["input_ids.npy"].tolist(), "labels": alone[name]["labels.npy"].tolist()} for name in keys])
            np.testing.assert_array_equal(row["input_ids.npy"], collated["input_ids"][0])
            np.testing.assert_array_equal(row["labels.npy"], collated["labels"][0])
            np.testing.assert_array_equal(row["text_position_ids.npy"], collated["position_ids"][0])
        if pack != "fixed":
            # What attention without padding is cut by: 0 at each part's start, from 0 to the row's length in all.
            starts = [0] + ends[:-1]
            assert ends[-1] == len(ids) and np.flatnonzero(row["text_position_ids.npy"] == 0).tolist() == starts
            wanted = np.concatenate([np.arange(end - start) for start, end in zip(starts, ends)])
            np.testing.assert_array_equal(row["text_position_ids.npy"], wanted)
            assert (row["labels.npy"][starts] == -100).all() and (row["loss_mask.npy"][starts] == 0).all()
        np.testing.assert_array_equal(row["loss_mask.npy"], row["labels.npy"] != -100)
        if pack == "concatenate":
            seen += [ids]
    short = [key for key, (ids, _, _) in sequences.items() if len(ids) <= length]
    if pack == "concatenate":
        assert all(len(ids) == length for ids in seen[:-1])
        assert sum(seen, []) == sum((ids for ids, _, _ in sequences.values()), [])
    else:
        assert sorted(seen) == short
        dropped = [line["source"] for line in _rejected(output) if "--length" in line["reason"]]
        assert len(dropped) == len(sequences) - len(short)


def test_shuffles_and_repeats(export, interleaved):
    path, sequences = interleaved
    options = ["--documents", path, "--pack", "best-fit", "--length", 400]
    first, second, other = (export(LUMINA, *options, "--shuffle", seed) for seed in (1, 1, 2))
    data = [(folder / "shards" / "00000.tar").read_bytes() for folder in (first, second, other)]
    assert data[0] == data[1] != data[2]
    plain = _samples(export(LUMINA, "--documents", path, "--shuffle", 3))
    assert sorted(plain) == sorted(sequences) and list(plain) != list(sequences)


def test_tokenize_writes_sequences(tessera, photos, tokenizer, export, dataset, tmp_path):
    layout = tmp_path / "layout.json"
    layout.write_text(json.dumps(LUMINA))
    for name, options in (("webdataset", []), ("parquet", [])):
        tessera("tokenize", photos, "-o", tmp_path / name, "--captions", "sidecar", "--resize", "none", "--crop", "none",
                "--sequence", layout, "--text-tokenizer", tokenizer, "--positions", "mrope", "--format", name,
                "--pack", "best-fit", "--length", 2000, *options)
    expected = _samples(export(LUMINA, "--positions", "mrope", "--pack", "best-fit", "--length", 2000))
    found = _samples(tmp_path / "webdataset")
    assert list(found) == list(expected)
    for key in found:
        for column in expected[key]:
            np.testing.assert_array_equal(found[key][column], expected[key][column])
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(sorted((tmp_path / "parquet").rglob("*.parquet"))[0])
    first = next(iter(expected.values()))
    assert table["input_ids"][0].as_py() == first["input_ids.npy"].tolist()


@pytest.mark.parametrize(
    "layout, options, code, part",
    [
        (EMU3 | {"odd": 1}, [], 3, "odd"),
        ({"name": "x"}, [], 3, "codes"),
        (LUMINA | {"codes": {"offset": 0, "table": [1]}}, [], 3, "one of offset"),
        (LUMINA | {"codes": {"offset": 0, "ofset": 1}}, [], 3, "ofset"),
        (LUMINA | {"size": {"token": "<r{}>", "base": 2**63 - 1}}, [], 3, "size"),
        (LUMINA | {"size": {"token": "<r{}>", "digits": 10**15}}, [], 3, "size"),
        (LUMINA | {"size": {"token": "<r{}>", "text": "{height}"}}, [], 3, "size is"),
        (LUMINA | {"size": {}}, [], 3, "size is"),
        (LUMINA | {"end_of_line": {"token": 1, "policy": "every", "odd": 1}}, [], 3, "odd"),
        (LUMINA | {"codes": {"offset": 2**31 - 5}}, [], 5, "int32"),
        (LUMINA | {"codes": {"table": [1, 2, 3]}}, [], 4, "table"),
        (LUMINA | {"vocabulary_size": 1000}, [], 4, "vocabulary"),
        (LUMINA | {"begin_of_image": ["<nowhere>"]}, [], 4, "<nowhere>"),
        ({k: v for k, v in LUMINA.items() if k != "pad"}, ["--pack", "fixed", "--length", 50], 4, "pad"),
        (LUMINA, ["--pack", "best-fit"], 64, "--length"),
        (LUMINA, ["--vocabulary-offset", 5], 64, "--vocabulary-offset"),
        (LUMINA, ["--length", 0], 64, "--length"),
        (LUMINA, ["--pack", "fixed", "--length", 2], 3, "not one document"),
        ("spiral", [], 6, "spiral"),
    ],
)
def test_what_is_refused(tessera, dataset, tokenizer, tmp_path, layout, options, code, part):
    if isinstance(layout, dict):
        path = tmp_path / "layout.json"
        path.write_text(json.dumps(layout))
        layout = path
    failed = tessera("export", dataset, "-o", tmp_path / "x", "--format", "jsonl", "--sequence", layout,
                     "--text-tokenizer", tokenizer, *options, code=code)
    assert part in failed.stderr and not (tmp_path / "x" / "dataset.json").exists()


def test_views_are_no_grid(tessera, photos, tmp_path):
    """Codes [views, tokens] must not become sequences of that many rows."""
    layout = ["--sequence", "llamagen", "--format", "jsonl"]
    failed = tessera("tokenize", photos, "-o", tmp_path / "x", "--augment", "flip", *layout, code=64)
    assert "--augment" in failed.stderr
    tessera("tokenize", photos, "-o", tmp_path / "views", "--augment", "flip", "--quiet")
    failed = tessera("export", tmp_path / "views", "-o", tmp_path / "x", *layout, code=4)
    assert "--augment" in failed.stderr and not (tmp_path / "x").exists()


def test_sequences_keep_their_origin(tessera, dataset, tmp_path):
    """The manifest says how sequences were made, in every layout that they are exported to."""
    tessera("export", dataset, "-o", tmp_path / "a", "--format", "jsonl", "--sequence", "llamagen", "--quiet")
    tessera("export", tmp_path / "a", "-o", tmp_path / "b", "--format", "parquet", "--quiet")
    made = [json.loads((tmp_path / name / "dataset.json").read_text())["export"]["sequence"] for name in "ab"]
    assert made[0] == made[1] and made[0]["layout"]["name"] == "llamagen"


def test_documents_that_are_refused(export, tmp_path):
    for text, part in (("", "no document"), ('[{"text": "a"}]\n{"text": "b"}\n', "line 2"), ("[]\n", "line 1"),
                       ('[{"text": "a", "image": "b"}]', "line 1"), ('[{"sound": "a"}]', "line 1")):
        (tmp_path / "docs.jsonl").write_text(text)
        assert part in export(LUMINA, "--documents", tmp_path / "docs.jsonl", code=3)
