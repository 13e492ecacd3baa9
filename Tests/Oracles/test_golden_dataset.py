"""One golden dataset through every writer and its real reader: every array equal, whichever of them a layout carries.

The documents are caption-first, image-first, interleaved, text alone, an image alone, a picture of one code, with a long
caption, an empty one, and UTF-8, over pictures of two resolutions and more. What a reader must find was made by the real
text tokenizer, transformers' `get_rope_index` and `sequence_references`, not by the program.
"""

import copy
import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from sequence_references import Reference

SIZES = {"wide": (64, 96), "tall": (96, 64), "dot": (8, 8), "square": (48, 48), "folder/wide": (64, 96)}
CAPTIONS = {
    "wide": "a cat, sitting", "tall": "a very long caption " * 300, "dot": "", "square": "日本語のキャプション 🐱 naïve",
    "folder/wide": 'quotes " and \\, a tab\t, two\nlines </s> <|endoftext|>',
}
DOCUMENTS = [
    [{"text": CAPTIONS["wide"]}, {"image": "wide.png"}],
    [{"image": "square.png"}, {"text": CAPTIONS["square"]}],
    [{"text": "first "}, {"image": "tall.png"}, {"text": " then "}, {"image": "dot.png"}, {"text": " and end"}],
    [{"text": "no picture at all"}],
    [{"image": "dot.png"}],
    [{"text": CAPTIONS["tall"]}, {"image": "tall.png"}],
    [{"text": ""}, {"image": "wide.png"}],
    [{"image": "dot"}, {"image": "square"}],
    [{"text": CAPTIONS["folder/wide"]}, {"image": "folder/wide.png"}],
    [{"text": "the last"}],
]
# The codes lie behind the text: 64,000 and 1,200 ids fit every layout's own type, nanoGPT's too.
LAYOUT = {
    "name": "golden", "begin_of_document": ["<s>"], "end_of_document": ["</s>"], "pad": "<pad>",
    "begin_of_image": ["<image>"], "size": {"text": "{height}*{width}"}, "begin_of_codes": ["<codes>"],
    "end_of_line": {"token": "<line>", "policy": "between"}, "end_of_image": ["</image>"],
    "codes": {"offset": 1200}, "loss": "codes",
}
STREAMS = ["input_ids", "labels", "loss_mask", "text_position_ids", "mm_token_type_ids"]
SEQUENCES = STREAMS + ["position_ids", "image_grid_thw", "image_spans", "doc_ends"]


@pytest.fixture(scope="module")
def made(tessera, tmp_path_factory):
    """The dataset of pictures, the text tokenizer and the layout."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    folder = tmp_path_factory.mktemp("golden")
    random = np.random.default_rng(11)
    for name, size in SIZES.items():
        path = folder / "pictures" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (*size, 3), np.uint8)).save(path)
        path.with_suffix(".txt").write_text(CAPTIONS[name])
    (folder / "pictures" / "broken.png").write_text("no picture")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1000, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<s>", "</s>", "<pad>", "<image>", "<codes>", "<line>", "</image>"],
    )
    tokenizer.train_from_iterator([*CAPTIONS.values(), "8*12 12*8 cats and dogs"] * 4, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "layout.json").write_text(json.dumps(LAYOUT))
    (folder / "documents.jsonl").write_text("".join(json.dumps(document) + "\n" for document in DOCUMENTS))
    tessera("tokenize", folder / "pictures", "-o", folder / "dataset", "--captions", "sidecar", "--resize", "none",
            "--crop", "none", "--shard-samples", 2, "--quiet")
    return folder


@pytest.fixture(scope="module")
def pictures(made):
    """The samples of the dataset, by Python's tarfile and numpy."""
    samples = {}
    for shard in sorted((made / "dataset" / "shards").glob("*.tar")):
        with tarfile.open(shard) as archive:
            for member in archive:
                key, _, column = member.name.partition(".")
                data = archive.extractfile(member).read()
                if column.endswith(".npy"):
                    samples.setdefault(key, {})[column[:-4]] = np.load(io.BytesIO(data))
                else:
                    samples.setdefault(key, {})[{"txt": "caption"}.get(column, column)] = data.decode()
    for sample in samples.values():
        sample["source"] = json.loads(sample.pop("json"))["source"]
    assert {key: sample["caption"] for key, sample in samples.items()} == CAPTIONS
    assert {key: sample["codes"].shape for key, sample in samples.items()} == {
        name: (height // 8, width // 8) for name, (height, width) in SIZES.items()
    }
    return samples


@pytest.fixture(scope="module")
def documents(made, pictures):
    """What the sequences have to be."""
    reference = Reference(made / "tokenizer.json")
    return {
        f"document-{line:08}": reference.arrays(LAYOUT, [
            part["text"] if "text" in part else pictures[part["image"].removesuffix(".png")]["codes"].astype(np.int64)
            for part in parts
        ])
        for line, parts in enumerate(DOCUMENTS, 1)
    }


@pytest.fixture(scope="module")
def packed(documents):
    """The packs that hold the documents, by the list of those in each; the positions of each begin anew."""

    def pack(keys):
        start, row = 0, {}
        for key in keys:
            document = documents[key]
            for name in [*STREAMS, "position_ids", "image_grid_thw"]:
                row.setdefault(name, []).append(document[name].copy())
            # As transformers' DataCollatorWithFlattening: no document teaches the first token of another.
            row["labels"][-1][0], row["loss_mask"][-1][0] = -100, 0
            row.setdefault("image_spans", []).append(document["image_spans"] + start)
            start += len(document["input_ids"])
            row.setdefault("doc_ends", []).append(np.array([start]))
        return {name: np.concatenate(parts, axis=1 if name == "position_ids" else 0) for name, parts in row.items()}

    return pack


VIEWS = {
    "pictures": [],
    "documents": ["--sequence", "layout.json", "--text-tokenizer", "tokenizer.json", "--positions", "mrope",
                  "--documents", "documents.jsonl"],
}
VIEWS["packs"] = [*VIEWS["documents"], "--pack", "best-fit", "--length", 1400]


@pytest.fixture(scope="module")
def exported(tessera, made, tmp_path_factory):
    """Exports once a layout, view and set of options."""
    folders = {}

    def export(layout, view, *options, again=False):
        if again or (layout, view, options) not in folders:
            folder = tmp_path_factory.mktemp("export") / layout
            arguments = [made / part if str(part).endswith((".json", ".jsonl")) else part for part in VIEWS[view]]
            tessera("export", made / "dataset", "-o", folder, "--format", layout, "--shard-samples", 4, "--quiet",
                    *arguments, *options)
            if again:
                return folder
            folders[layout, view, options] = folder
        return folders[layout, view, options]

    return export


# MARK: the real readers, each a dictionary of samples by key


def decoded(sample):
    """Members by name, without extensions; the JSON's fields among them."""
    fields = {name.removeprefix(".").removesuffix(".npy"): value for name, value in sample.items() if name[0] != "_"}
    fields |= fields.pop("json", {})
    return {**fields, "caption": fields.pop("txt", None)}


def webdataset(folder, _):
    import webdataset

    urls = [str(path) for path in sorted((folder / "shards").glob("*.tar"))]
    return {sample["__key__"]: decoded(sample) for sample in webdataset.WebDataset(urls, shardshuffle=False).decode()}


def wids(folder, cache):
    import wids

    dataset = wids.ShardListDataset(str(folder / "wids.json"), base=str(folder), keep=True, cache_dir=str(cache))
    # Its arrays lie in maps of the shards, which end with the dataset.
    return {sample["__key__"]: copy.deepcopy(decoded(sample)) for sample in map(dataset.__getitem__, range(len(dataset)))}


def energon(folder, _):
    import megatron.energon as energon

    @energon.stateless
    def cook(sample):
        return {**energon.basic_sample_keys(sample), **{name: sample[name] for name in sample if name[0] != "_"}}

    class Encoder(energon.DefaultTaskEncoder):
        cookers = [energon.Cooker(cook)]

        def batch(self, batch):
            return batch

    dataset = energon.get_train_dataset(
        str(folder), split_part="train", worker_config=energon.WorkerConfig(rank=0, world_size=1, num_workers=0),
        batch_size=None, shuffle_buffer_size=None, max_samples_per_sequence=None, task_encoder=Encoder(), repeat=False,
    )
    samples = {sample["__key__"].split(".tar/")[-1]: decoded(sample) for sample in energon.get_loader(dataset)}
    return {key: samples[key] for key in sorted(samples)}


def hugging_face(layout, streaming=False):
    def read(folder, cache):
        import datasets

        if layout == "arrow":
            rows = datasets.load_from_disk(str(folder))
        elif layout == "webdataset":
            files = sorted(str(path) for path in (folder / "shards").glob("*.tar"))
            rows = datasets.load_dataset("webdataset", data_files=files, split="train", cache_dir=str(cache))
            return {row["__key__"]: decoded(row) for row in rows}
        else:
            rows = datasets.load_dataset(str(folder), split="train", streaming=streaming, cache_dir=str(cache))
        return {row["key"]: row for row in rows}

    return read


def pyarrow(folder, _):
    import pyarrow.parquet

    files = sorted((folder / "data").glob("*.parquet"))
    return {row["key"]: row for path in files for row in pyarrow.parquet.read_table(path).to_pylist()}


def duckdb(folder, _):
    import duckdb

    files = sorted(str(path) for path in (folder / "data").glob("*.parquet"))
    table = duckdb.sql(f"select * from read_parquet({files}) order by filename, file_row_number")
    return {row[0]: dict(zip(table.columns, row)) for row in table.fetchall()}


def megatron(folder, _):
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    prefixes = {path.stem: IndexedDataset(str(path.with_suffix(""))) for path in sorted(folder.glob("*.idx"))}
    assert all(len(dataset) == len(lines) for dataset in prefixes.values())
    samples = {}
    # Arrays are copied: they lie in maps of the files, which end with the datasets.
    for index, line in enumerate(lines):
        axes = [name for name in sorted(prefixes) if name.startswith("position_")]
        sample = {name: np.array(dataset[index]) for name, dataset in prefixes.items() if name not in axes}
        positions = np.stack([prefixes[name][index] for name in axes])
        tokens = sample.pop("tokens")
        # Text, grids, spans and ends stand in the list of samples.
        samples[line["key"]] = {
            **line, **sample, "input_ids": tokens, "position_ids": positions, "positions": positions,
            "codes": tokens.reshape(line["shape"]),
        }
    return samples


def mosaic(folder, cache):
    import streaming

    dataset = streaming.StreamingDataset(
        remote=str(folder), local=str(cache), validate_hash="sha1", shuffle=False, batch_size=1)
    return {sample["key"]: sample for sample in map(dataset.__getitem__, range(len(dataset)))}


def litdata(folder, _):
    import litdata

    dataset = litdata.StreamingDataset(str(folder), shuffle=False, drop_last=False)
    return {sample["key"]: sample for sample in map(dataset.__getitem__, range(len(dataset)))}


def example(features):
    """Features of a `tf.train.Example` by name, as arrays of their shape."""
    sample = {}
    for name, values in features.items():
        shape = features.get(f"{name}_shape")
        sample[name] = values if shape is None else np.reshape(values, [int(extent) for extent in shape])
    return sample


def grain(folder, _):
    import grain
    from tfrecord import example_pb2

    source = grain.sources.ArrayRecordDataSource(sorted(str(path) for path in folder.glob("*.arrayrecord")))
    samples = {}
    for index in range(len(source)):
        message = example_pb2.Example()
        message.ParseFromString(source[index])
        features = {}
        for name, value in message.features.feature.items():
            kind = value.WhichOneof("kind")
            values = getattr(value, kind).value if kind else []
            features[name] = values[0].decode() if kind == "bytes_list" else np.array(values)
        samples[features["key"]] = example(features)
    return samples


def tfrecord(folder, _):
    from tfrecord.torch.dataset import TFRecordDataset

    samples = {}
    for path in sorted(folder.glob("*.tfrecord")):
        for features in TFRecordDataset(str(path), None):
            sample = example(features)
            for name in {"key", "caption", "source", "documents"} & set(sample):
                sample[name] = bytes(sample[name]).decode()
            samples[sample["key"]] = sample
    return samples


def h5py(folder, _):
    import h5py

    samples = {}
    with h5py.File(folder / "data.h5") as file:
        for index, key in enumerate(file["key"].asstr()):
            sample = {name: file[name].asstr()[index] if h5py.check_string_dtype(file[name].dtype) else file[name][index]
                      for name in file}
            samples[key] = example(sample)
    return samples


def safetensors(folder, _):
    import safetensors.torch

    tensors = {name: tensor.numpy() for name, tensor in
               safetensors.torch.load_file(folder / "data.safetensors").items()}
    offsets, samples = tensors.pop("offsets"), {}
    for index, line in enumerate((folder / "samples.jsonl").read_text().splitlines()):
        line, part = json.loads(line), slice(*offsets[index : index + 2])
        sample = {name: tensor[..., part] for name, tensor in tensors.items()}
        samples[line["key"]] = {
            **line, **sample, "input_ids": sample["tokens"], "codes": sample["tokens"].reshape(line["shape"])}
    return samples


def numpy_files(folder, _):
    samples = {}
    for line in (folder / "samples.jsonl").read_text().splitlines():
        sample = json.loads(line)
        for path in (folder / "data").rglob(f"{sample['key'].split('/')[-1]}.*.npy"):
            key, name, _ = str(path.relative_to(folder / "data")).split(".")
            if key == sample["key"]:
                sample[name] = np.load(path)
        caption = folder / "data" / f"{sample['key']}.txt"
        sample |= {"caption": caption.read_text()} if caption.exists() else {}
        samples[sample["key"]] = sample
    return samples


def json_lines(folder, _):
    files = sorted((folder / "data").glob("*.jsonl"))
    rows = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    return {row["key"]: row for row in rows}


READERS = {
    "webdataset": ("webdataset", webdataset), "wids": ("webdataset", wids), "energon": ("webdataset", energon),
    "datasets-webdataset": ("webdataset", hugging_face("webdataset")),
    "datasets": ("parquet", hugging_face("parquet")),
    "datasets-streaming": ("parquet", hugging_face("parquet", streaming=True)),
    "pyarrow": ("parquet", pyarrow), "duckdb": ("parquet", duckdb), "load_from_disk": ("arrow", hugging_face("arrow")),
    "megatron-core": ("megatron", megatron), "streaming": ("mds", mosaic), "litdata": ("litdata", litdata),
    "grain": ("arrayrecord", grain), "tfrecord": ("tfrecord", tfrecord), "h5py": ("hdf5", h5py),
    "safetensors": ("safetensors", safetensors), "numpy": ("npy", numpy_files), "jsonl": ("jsonl", json_lines),
    "datasets-jsonl": ("jsonl", hugging_face("jsonl")),
}


def check(found, wanted, columns):
    assert list(found) == list(wanted)
    for key, sample in wanted.items():
        for column in columns:
            if isinstance(sample[column], str):
                assert found[key][column] == sample[column], (key, column)
            else:
                array = np.asarray(found[key][column]).reshape(sample[column].shape)
                np.testing.assert_array_equal(array, sample[column], err_msg=f"{key} {column}")


@pytest.mark.parametrize("reader", READERS)
def test_pictures(exported, pictures, reader, tmp_path):
    layout, read = READERS[reader]
    found = read(exported(layout, "pictures"), tmp_path)
    check(found, pictures, ["codes", "positions", "caption", "source"])


@pytest.mark.parametrize("reader", READERS)
def test_documents(exported, documents, reader, tmp_path):
    layout, read = READERS[reader]
    found = read(exported(layout, "documents"), tmp_path)
    check(found, documents, SEQUENCES)


@pytest.mark.parametrize("reader", READERS)
def test_packs(exported, documents, packed, reader, tmp_path):
    """Best-fit rows: whole documents behind each other, their ends beside them."""
    layout, read = READERS[reader]
    found = read(exported(layout, "packs"), tmp_path)
    lists = {key: sample["documents"] for key, sample in found.items()}
    lists = {key: json.loads(names) if isinstance(names, str) else names for key, names in lists.items()}
    assert 1 < len(found) < len(documents) and max(map(len, lists.values())) > 2
    assert sorted(sum(lists.values(), [])) == list(documents)
    check(found, {key: packed(names) for key, names in lists.items()}, SEQUENCES)


# MARK: readers of streams


def stream(documents, column="input_ids"):
    return np.concatenate([document[column] for document in documents.values()])


def test_gpt_dataset(exported, documents, tmp_path):
    """The samples that Megatron's GPTDataset cuts of the tokens and of every column beside them."""
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.indexed_dataset import IndexedDataset
    from megatron.core.datasets.utils import Split

    class Tokenizer:
        vocab_size, eod, pad = 65200, 1, -1
        unique_identifiers = {"class": "test"}

    folder, length, count = exported("megatron", "documents"), 60, 300
    for prefix in ["tokens", *STREAMS[1:], "position_0", "position_1", "position_2"]:
        path = str(folder / prefix)
        low = IndexedDataset(path)
        config = GPTDatasetConfig(
            random_seed=5, sequence_length=length, blend=([path], None), split="1,0,0", tokenizer=Tokenizer(),
            reset_position_ids=False, reset_attention_mask=False, eod_mask_loss=False, path_to_cache=str(tmp_path),
            mmap_bin_files=True, create_attention_mask=False,
        )
        dataset = GPTDataset(low, path, np.arange(len(low), dtype=np.int32), count, Split.train, config)
        column = {"tokens": "input_ids"}.get(prefix, prefix)
        order = [list(documents.values())[index] for index in dataset.document_index]
        arrays = [d["position_ids"][int(prefix[-1])] if prefix[:9] == "position_" else d[column] for d in order]
        flat, place = np.concatenate(arrays), np.cumsum([0] + [len(array) for array in arrays])
        for index in range(count):
            document, offset = dataset.sample_index[dataset.shuffle_index[index]]
            start = place[document] + offset
            np.testing.assert_array_equal(dataset[index]["tokens"].numpy(), flat[start : start + length])


def test_datatrove(exported, documents):
    from datatrove.utils.dataset import DatatroveFolderDataset

    folder = exported("datatrove", "documents")
    dataset = DatatroveFolderDataset(str(folder), seq_len=63, recursive=False, token_size=2, return_positions=True)
    flat, places = stream(documents), stream(documents, "text_position_ids")
    assert len(dataset) == len(flat) // 64
    for index in range(len(dataset)):
        part = slice(64 * index, 64 * index + 64)
        np.testing.assert_array_equal(dataset[index]["input_ids"], flat[part])
        # Positions count from the document's start, or from the window's where the document began before it.
        np.testing.assert_array_equal(dataset[index]["positions"][1:], np.minimum(places[part], np.arange(64))[1:])
    loss = np.fromfile(folder / "00000_tokens.ds.loss", np.uint8)
    np.testing.assert_array_equal(loss, stream(documents, "loss_mask"))
    ends = np.fromfile(folder / "00000_tokens.ds.index", np.uint64)
    np.testing.assert_array_equal(ends, np.cumsum([len(document["input_ids"]) for document in documents.values()]))


def test_numpy_streams(exported, documents):
    flat = stream(documents)
    np.testing.assert_array_equal(np.memmap(exported("nanogpt", "documents") / "train.bin", np.uint16, "r"), flat)
    data = (exported("llmc", "documents") / "train_000000.bin").read_bytes()
    assert np.frombuffer(data[:1024], np.int32)[:3].tolist() == [20240520, 1, len(flat)]
    np.testing.assert_array_equal(np.frombuffer(data[1024:], np.uint16), flat)


def test_tokens_loader(exported, documents):
    import litdata
    from litdata.streaming.item_loader import TokensLoader

    folder = exported("litdata", "documents", "--columns", "input_ids", "--variant", "tokens")
    dataset = litdata.StreamingDataset(str(folder), item_loader=TokensLoader(block_size=64), shuffle=False, drop_last=False)
    found = np.concatenate([np.asarray(dataset[index]) for index in range(len(dataset))])
    flat, start, wanted = stream(documents), 0, []
    for chunk in json.loads((folder / "index.json").read_text())["chunks"]:
        wanted.append(flat[start : start + chunk["dim"] // 64 * 64])  # what is left of a block is lost a chunk
        start += chunk["dim"]
    assert start == len(flat)
    np.testing.assert_array_equal(found, np.concatenate(wanted))


# MARK: bytes


@pytest.mark.parametrize("view", ["documents", "packs"])
@pytest.mark.parametrize("layout", sorted({layout for layout, _ in READERS.values()} | {"datatrove", "nanogpt", "llmc"}))
def test_two_runs_give_equal_bytes(exported, layout, view):
    first, second = exported(layout, view), exported(layout, view, again=True)

    def tree(folder):
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert tree(first) == tree(second)
