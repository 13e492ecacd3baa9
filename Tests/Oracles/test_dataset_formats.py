"""Every layout of `export`, read by the library that its trainers use: every array equal, equal bytes twice, and back."""

import hashlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from dataset_files import tar_samples, with_small_codes
from layouts import ANY_CODES, LAYOUTS

# LlamaGen takes pictures of one size: it has tests of its own.
VARYING = [name for name in ANY_CODES if name != "llamagen"]
LOSSY = {"datatrove", "nanogpt", "llmc"}  # they hold no position ids
METADATA = ["source", "sha256", "orig_width", "orig_height", "exif_orientation", "resized", "crop", "grid"]


def tree(folder):
    """Every file below a folder with its digest."""
    files = [path for path in pathlib.Path(folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def arrays(members):
    """What a sample's members hold, under the names of columns."""
    sample = {}
    for name, data in members.items():
        if name.endswith(".npy"):
            sample[name[:-4]] = np.load(io.BytesIO(data))
        elif name == "txt":
            sample["caption"] = data.decode()
        else:
            told = json.loads(data)
            sample.update(told)
            if "size" in told:
                sample["orig_width"], sample["orig_height"] = told["size"]
                sample["exif_orientation"] = told["orientation"]
    return sample


CASES = [
    ("a", (1, 1), "a cat"), ("folder/b", (2, 3), "long " * 3000), ("folder/c", (16, 9), ""),
    ("folder/d", (32, 32), 'quotes " and \\, a tab\t, two\nlines'), ("e", (3, 2), "日本語のキャプション"),
    ("f", (8, 8), "naïve café \U0001f600"), ("g", (1, 7), "x"), ("h/i/j", (7, 1), "y"), ("k", (8, 8), "z"),
    ("l", (5, 4), "the last"),
]


@pytest.fixture(scope="module")
def source(tessera, tmp_path_factory):
    """A dataset as `tokenize` writes it: two resolutions and more, one code, long and empty captions, UTF-8."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("formats")
    (folder / "pictures").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "pictures" / "a.png")
    tessera("tokenize", folder / "pictures", "-o", folder / "one", "--quiet", "--resize", "none", "--crop", "none")
    told = json.loads((folder / "one" / "dataset.json").read_text())
    random = np.random.default_rng(5)
    dataset = folder / "dataset"
    (dataset / "shards").mkdir(parents=True)
    told.update(samples=len(CASES), tokens=0, rejected=1, shards=[])
    for first in range(0, len(CASES), 4):
        name, tokens = f"shards/{first // 4:05d}.tar", 0
        cases = CASES[first : first + 4]
        with tarfile.open(dataset / name, "w", format=tarfile.USTAR_FORMAT) as archive:
            for key, (height, width), caption in cases:
                rows, columns = np.mgrid[1 : height + 1, 1 : width + 1]
                described = {
                    "crop": [0, 0, 8 * width, 8 * height], "grid": [height, width], "key": key, "orientation": 6,
                    "resized": [8 * width, 8 * height], "sha256": hashlib.sha256(key.encode()).hexdigest(),
                    "size": [640, 480], "source": key + ".jpg",
                }
                members = {
                    "codes.npy": random.integers(0, 64000, (height, width), dtype=np.uint16),
                    "json": (json.dumps(described, separators=(",", ":")) + "\n").encode(),
                    "positions.npy": np.stack([(rows * (width + 1)).ravel(), (columns * (height + 1)).ravel()]).astype(np.int32),
                    "txt": caption.encode(),
                }
                tokens += height * width
                for column, data in members.items():
                    if isinstance(data, np.ndarray):
                        buffer = io.BytesIO()
                        np.save(buffer, data)
                        data = buffer.getvalue()
                    member = tarfile.TarInfo(f"{key}.{column}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
        data = (dataset / name).read_bytes()
        told["shards"].append({"name": name, "samples": len(cases), "tokens": tokens, "bytes": len(data),
                               "sha256": hashlib.sha256(data).hexdigest()})
        told["tokens"] += tokens
    (dataset / "dataset.json").write_text(json.dumps(told))
    (dataset / "rejected.jsonl").write_text('{"reason":"no image","source":"x.jpg","stage":"decode"}\n')
    return dataset


@pytest.fixture(scope="module")
def samples(source):
    return {key: arrays(members) for key, members in tar_samples(source).items()}


@pytest.fixture(scope="module")
def exported(tessera, source, tmp_path_factory):
    """Exports once a format and set of options."""
    made = {}

    def export(layout, *options):
        if (layout, options) not in made:
            folder = tmp_path_factory.mktemp("export") / layout
            tessera("export", source, "-o", folder, "--format", layout, "--shard-samples", 4, "--quiet", *options)
            made[layout, options] = folder
        return made[layout, options]

    return export


def check(found, samples, columns=("codes", "positions", "caption", *METADATA)):
    """Compares samples by key: the arrays' values and shapes, and the texts."""
    assert list(found) == list(samples)
    for key, sample in found.items():
        for column in columns:
            ours, wanted = sample[column], samples[key][column]
            if isinstance(wanted, str):
                assert ours == wanted, (key, column)
            else:
                np.testing.assert_array_equal(np.asarray(ours), np.asarray(wanted), err_msg=f"{key} {column}")


def test_source_has_more_than_one_resolution(samples):
    assert len({sample["codes"].shape for sample in samples.values()}) > 1


# MARK: readers


def test_webdataset(exported, samples):
    import webdataset

    folder = exported("webdataset")
    urls = [str(path) for path in sorted((folder / "shards").glob("*.tar"))]
    found = {}
    for sample in webdataset.WebDataset(urls, shardshuffle=False).decode():
        found[sample["__key__"]] = {
            "codes": sample["codes.npy"], "positions": sample["positions.npy"], "caption": sample["txt"],
            **sample["json"],
        }
    check(found, samples, ["codes", "positions", "caption", "source", "sha256", "crop", "grid"])
    assert all(found[key]["codes"].dtype == samples[key]["codes"].dtype for key in found)


def test_wids(exported, samples, monkeypatch, tmp_path):
    import wids

    folder = exported("webdataset")
    monkeypatch.setenv("WIDS_CACHE", str(tmp_path))
    dataset = wids.ShardListDataset(str(folder / "wids.json"), base=str(folder), keep=True)
    assert len(dataset) == len(samples)
    found = {}
    for index in range(len(dataset)):
        sample = dataset[index]
        found[sample["__key__"]] = {"codes": sample[".codes.npy"], "positions": sample[".positions.npy"],
                                    "caption": sample[".txt"]}
    check(found, samples, ["codes", "positions", "caption"])
    for entry in json.loads((folder / "wids.json").read_text())["shardlist"]:
        data = (folder / entry["url"]).read_bytes()
        assert hashlib.md5(data).hexdigest() == entry["md5sum"] and len(data) == entry["filesize"]


def test_energon(exported, samples):
    import megatron.energon as energon

    @energon.stateless
    def cook(sample):
        return {**energon.basic_sample_keys(sample), "codes": sample["codes.npy"]}

    class Encoder(energon.DefaultTaskEncoder):
        cookers = [energon.Cooker(cook)]

        def batch(self, batch):
            return batch

    folder = exported("webdataset")
    dataset = energon.get_train_dataset(
        str(folder), split_part="train", worker_config=energon.WorkerConfig(rank=0, world_size=1, num_workers=0),
        batch_size=None, shuffle_buffer_size=None, max_samples_per_sequence=None, task_encoder=Encoder(),
        repeat=False,
    )
    found = {sample["__key__"].split(".tar/")[-1]: sample["codes"] for sample in energon.get_loader(dataset)}
    assert set(found) == set(samples)
    for key, codes in found.items():
        np.testing.assert_array_equal(codes, samples[key]["codes"])
    # The offsets are those of the samples' first headers, then the end.
    for shard in sorted((folder / "shards").glob("*.tar")):
        offsets = np.fromfile(f"{shard}.idx", dtype=np.uint64)
        with tarfile.open(shard) as archive:
            first = {}
            for member in archive:
                first.setdefault(member.name.split(".")[0], member.offset)
        assert offsets[:-1].tolist() == list(first.values())
        assert int(offsets[-1]) == shard.stat().st_size - 1024


@pytest.mark.parametrize("zstd", [0, 3])
def test_parquet(exported, samples, zstd, tmp_path):
    import datasets
    import duckdb
    import pyarrow.parquet

    folder = exported("parquet", "--zstd", zstd)
    files = sorted(str(path) for path in (folder / "data").glob("*.parquet"))
    assert [os.path.basename(path) for path in files] == [f"train-{i:05d}-of-00003.parquet" for i in range(3)]
    rows = [row for path in files for row in pyarrow.parquet.read_table(path).to_pylist()]
    check({row["key"]: row for row in rows}, samples)
    codec = pyarrow.parquet.ParquetFile(files[0]).metadata.row_group(0).column(1).compression
    assert codec == ("ZSTD" if zstd else "UNCOMPRESSED")
    for streaming in (False, True):
        loaded = datasets.load_dataset(str(folder), split="train", streaming=streaming, cache_dir=str(tmp_path))
        assert loaded.features["codes"] == datasets.List(datasets.List(datasets.Value("int32")))
        assert loaded.features["source"] == datasets.Value("string")
        check({row["key"]: row for row in loaded}, samples)
    rows = duckdb.sql(f"select key, codes, grid from read_parquet({files}) order by file_row_number, filename").fetchall()
    assert len(rows) == len(samples)
    for key, codes, grid in rows:
        np.testing.assert_array_equal(np.array(codes), samples[key]["codes"])
        assert grid == samples[key]["grid"]


def test_arrow(exported, samples):
    import datasets
    import pyarrow

    folder = exported("arrow")
    loaded = datasets.load_from_disk(str(folder))
    assert loaded.features["positions"] == datasets.List(datasets.List(datasets.Value("int32")))
    check({row["key"]: row for row in loaded}, samples)
    for path in sorted(folder.glob("*.arrow")):
        with pyarrow.ipc.open_stream(str(path)) as stream:
            for batch in stream:
                batch.validate(full=True)


def test_megatron(exported, samples):
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    folder = exported("megatron")
    tokens = IndexedDataset(str(folder / "tokens"))
    sides = [IndexedDataset(str(folder / f"position_{axis}")) for axis in range(2)]
    keys = [json.loads(line)["key"] for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert len(tokens) == len(samples) and keys == list(samples)
    assert tokens.index.dtype == np.uint16 and list(tokens.document_indices) == list(range(len(keys) + 1))
    for index, key in enumerate(keys):
        np.testing.assert_array_equal(tokens[index], samples[key]["codes"].ravel())
        for axis, side in enumerate(sides):
            np.testing.assert_array_equal(side[index], samples[key]["positions"][axis])


def test_megatron_gpt_dataset_keeps_sides_aligned(exported, samples):
    """The same seed and number of samples cut tokens and positions alike."""
    import torch
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.indexed_dataset import IndexedDataset
    from megatron.core.datasets.utils import Split

    class Tokenizer:
        vocab_size, eod, pad = 64000, 63999, -1
        unique_identifiers = {"class": "test"}

    folder = exported("megatron")

    def dataset(prefix):
        path = str(folder / prefix)
        low = IndexedDataset(path)
        config = GPTDatasetConfig(
            random_seed=5, sequence_length=50, blend=([path], None), split="1,0,0", tokenizer=Tokenizer(),
            reset_position_ids=False, reset_attention_mask=False, eod_mask_loss=False,
            path_to_cache=str(folder.parent / "cache"), mmap_bin_files=True, create_attention_mask=False,
        )
        return GPTDataset(low, path, np.arange(len(low), dtype=np.int32), 20, Split.train, config)

    lookup = {}
    for sample in samples.values():
        for code, row in zip(sample["codes"].ravel(), sample["positions"][0]):
            lookup.setdefault(int(code), set()).add(int(row))
    tokens, rows = dataset("tokens"), dataset("position_0")
    for index in range(20):
        for code, row in zip(tokens[index]["tokens"].tolist(), rows[index]["tokens"].tolist()):
            assert row in lookup[code]


@pytest.mark.parametrize("options", [(), ("--zstd", 3)])
def test_mds(exported, samples, options, tmp_path):
    import streaming

    folder = exported("mds", *options)
    dataset = streaming.StreamingDataset(
        remote=str(folder), local=str(tmp_path / "local"), validate_hash="sha1", shuffle=False, batch_size=1,
    )
    found = {}
    for index in range(len(dataset)):
        sample = dataset[index]
        found[sample["key"]] = sample
        assert sample["codes"].dtype == np.int32
    check(found, samples)


def test_tfrecord(exported, samples):
    from tfrecord.torch.dataset import TFRecordDataset

    folder = exported("tfrecord")
    found = {}
    for path in sorted(folder.glob("*.tfrecord")):
        for sample in TFRecordDataset(str(path), None):
            found[bytes(sample["key"]).decode()] = {
                "codes": np.asarray(sample["codes"]).reshape(sample["codes_shape"]),
                "positions": np.asarray(sample["positions"]).reshape(sample["positions_shape"]),
                "source": bytes(sample["source"]).decode(), "caption": bytes(sample["caption"]).decode(),
                "crop": sample["crop"],
            }
    check(found, samples, ["codes", "positions", "caption", "source", "crop"])


def test_arrayrecord(exported, samples):
    import grain
    from tfrecord import example_pb2

    folder = exported("arrayrecord")
    files = sorted(str(path) for path in folder.glob("*.arrayrecord"))
    source = grain.sources.ArrayRecordDataSource(files)
    assert len(source) == len(samples)
    found = {}
    for index in range(len(source)):
        example = example_pb2.Example()
        example.ParseFromString(source[index])
        feature = example.features.feature
        numbers = {name: np.array(value.int64_list.value) for name, value in feature.items()}
        found[feature["key"].bytes_list.value[0].decode()] = {
            "codes": numbers["codes"].reshape(numbers["codes_shape"]),
            "positions": numbers["positions"].reshape(numbers["positions_shape"]),
            "caption": feature["caption"].bytes_list.value[0].decode(),
        }
    check(found, samples, ["codes", "positions", "caption"])


def test_litdata_tree(exported, samples, tmp_path):
    import litdata

    dataset = litdata.StreamingDataset(str(exported("litdata")), shuffle=False, drop_last=False)
    found = {}
    for index in range(len(dataset)):
        sample = dataset[index]
        found[sample["key"]] = sample
    check(found, samples)


def test_litdata_tokens(exported, samples):
    import litdata
    from litdata.streaming.item_loader import TokensLoader

    folder = exported("litdata", "--columns", "codes", "--variant", "tokens")
    dataset = litdata.StreamingDataset(str(folder), item_loader=TokensLoader(block_size=64), shuffle=False, drop_last=False)
    flat = np.concatenate([sample["codes"].ravel() for sample in samples.values()])
    found = []
    for index in range(len(dataset)):
        found.append(np.asarray(dataset[index]))
    found = np.concatenate(found)
    # Every chunk is cut on its own and loses what is left of a block.
    chunks = json.loads((folder / "index.json").read_text())["chunks"]
    start, wanted = 0, []
    for chunk in chunks:
        wanted.append(flat[start : start + chunk["dim"] // 64 * 64])
        start += chunk["dim"]
    assert start == len(flat)
    np.testing.assert_array_equal(found, np.concatenate(wanted))


def test_datatrove(exported, samples):
    from datatrove.utils.dataset import DatatroveFolderDataset

    folder = exported("datatrove")
    dataset = DatatroveFolderDataset(str(folder), seq_len=63, recursive=False, token_size=2, return_positions=True)
    flat = np.concatenate([sample["codes"].ravel() for sample in samples.values()])
    places = np.concatenate([np.arange(sample["codes"].size) for sample in samples.values()])
    assert len(dataset) == len(flat) // 64
    for index in range(len(dataset)):
        item = dataset[index]
        np.testing.assert_array_equal(item["input_ids"], flat[64 * index : 64 * index + 64])
        np.testing.assert_array_equal(item["positions"][1:], np.where(
            places[64 * index : 64 * index + 64] > np.arange(64), np.arange(64), places[64 * index : 64 * index + 64])[1:])
    assert (folder / "00000_tokens.ds.metadata").read_text().split("\n")[1] == str(len(flat))


def test_nanogpt_and_llmc(exported, samples):
    flat = np.concatenate([sample["codes"].ravel() for sample in samples.values()])
    np.testing.assert_array_equal(np.memmap(exported("nanogpt") / "train.bin", dtype=np.uint16, mode="r"), flat)
    data = (exported("llmc") / "train_000000.bin").read_bytes()
    header = np.frombuffer(data[:1024], dtype=np.int32)
    assert header[:3].tolist() == [20240520, 1, len(flat)] and not header[3:].any()
    np.testing.assert_array_equal(np.frombuffer(data[1024:], dtype=np.uint16), flat)


def test_safetensors(exported, samples):
    import safetensors.torch

    tensors = safetensors.torch.load_file(exported("safetensors") / "data.safetensors")
    offsets = tensors["offsets"].tolist()
    assert len(offsets) == len(samples) + 1 and tensors["tokens"].dtype.itemsize == 4
    for index, sample in enumerate(samples.values()):
        part = slice(offsets[index], offsets[index + 1])
        np.testing.assert_array_equal(tensors["tokens"][part], sample["codes"].ravel())
        np.testing.assert_array_equal(tensors["positions"][:, part], sample["positions"])


def test_hdf5(exported, samples, tmp_path):
    import datasets
    import h5py

    folder = exported("hdf5")
    with h5py.File(folder / "data.h5") as file:
        found = {}
        for index, key in enumerate(file["key"].asstr()):
            row = {name: file[name].asstr()[index] if h5py.check_string_dtype(file[name].dtype) else file[name][index]
                   for name in file}
            for name in ("codes", "positions"):
                assert row[name].dtype == np.int32
                row[name] = row[name].reshape(row[f"{name}_shape"])
            found[key] = row
    check(found, samples)
    loaded = datasets.load_dataset("hdf5", data_files=str(folder / "data.h5"), split="train", cache_dir=str(tmp_path))
    assert len(loaded) == len(samples)
    for row, sample in zip(loaded, samples.values()):
        np.testing.assert_array_equal(np.array(row["codes"]), sample["codes"].ravel())


def test_jsonl(exported, samples, tmp_path):
    import datasets

    folder = exported("jsonl")
    lines = [line for path in sorted((folder / "data").glob("*.jsonl")) for line in path.read_text().splitlines()]
    check({row["key"]: row for row in map(json.loads, lines)}, samples)
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path))
    check({row["key"]: row for row in loaded}, samples)


def test_npy(exported, samples):
    folder = exported("npy") / "data"
    for key, sample in samples.items():
        for column in ("codes", "positions"):
            found = np.load(folder / f"{key}.{column}.npy")
            assert found.dtype == sample[column].dtype
            np.testing.assert_array_equal(found, sample[column])


# MARK: every layout


@pytest.mark.parametrize("layout", VARYING)
def test_two_runs_give_equal_bytes(tessera, source, exported, layout, tmp_path):
    folder = exported(layout)
    tessera("export", source, "-o", tmp_path / "again", "--format", layout, "--shard-samples", 4, "--quiet")
    assert tree(tmp_path / "again") == tree(folder)
    assert not [name for name in os.listdir(tmp_path / "again") if name.startswith(".tessera")]


@pytest.mark.parametrize("layout", VARYING)
def test_export_reads_it_back(tessera, source, exported, layout, tmp_path):
    """Back to tars: every member byte for byte, but for columns that the layout says it left out."""
    folder = exported(layout)
    told = json.loads((folder / "dataset.json").read_text())
    tessera("export", folder, "-o", tmp_path / "back", "--format", "webdataset", "--quiet")
    wanted = tar_samples(source)
    assert (told["layout"]["omitted"] == ["positions"]) == (layout in LOSSY)
    for members in wanted.values():
        for column in told["layout"]["omitted"]:
            del members[f"{column}.npy"]
    assert tar_samples(tmp_path / "back") == wanted
    assert (tmp_path / "back" / "rejected.jsonl").read_bytes() == (source / "rejected.jsonl").read_bytes()


def test_manifest_is_valid_and_true(exported, root):
    import jsonschema
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012

    files = {p.name: json.loads(p.read_text()) for p in (root / "schemas").glob("*.json")}
    registry = Registry().with_resources(
        (name, Resource.from_contents(text, default_specification=DRAFT202012)) for name, text in files.items()
    )
    for layout in VARYING:
        folder = exported(layout)
        told = json.loads((folder / "dataset.json").read_text())
        contents = registry.contents("dataset.schema.json")
        jsonschema.Draft202012Validator(contents, registry=registry).validate(told)
        for line in (folder / "samples.jsonl").read_text().splitlines() if (folder / "samples.jsonl").exists() else []:
            samples = registry.contents("samples.schema.json")
            jsonschema.Draft202012Validator(samples, registry=registry).validate(json.loads(line))
        assert told["format"] == layout and sum(shard["samples"] for shard in told["shards"]) == told["samples"] == len(CASES)
        for entry in told["shards"] + told["layout"]["files"]:
            data = (folder / entry["name"]).read_bytes()
            assert len(data) == entry["bytes"] and hashlib.sha256(data).hexdigest() == entry["sha256"]


def test_llamagen(tessera, root, tmp_path):
    tessera("tokenize", root / "fixtures" / "photos", "-o", tmp_path / "dataset", "--quiet")
    tessera("export", tmp_path / "dataset", "-o", tmp_path / "out", "--format", "llamagen", "--quiet")
    wanted = {key: arrays(members) for key, members in tar_samples(tmp_path / "dataset").items()}
    names = (tmp_path / "out" / "classes.txt").read_text().split("\n")[:-1]
    assert names == ["", "turned"]
    for index, (key, sample) in enumerate(wanted.items()):
        codes = np.load(tmp_path / "out" / "imagenet256_codes" / f"{index}.npy")
        label = np.load(tmp_path / "out" / "imagenet256_labels" / f"{index}.npy")
        assert codes.dtype == np.int64 and codes.shape == (1, 1, 1024) and label.shape == (1,)
        np.testing.assert_array_equal(codes[0, 0], sample["codes"].ravel())
        assert names[label[0]] == (key.split("/")[0] if "/" in key else "")
    tessera("export", tmp_path / "dataset", "-o", tmp_path / "again", "--format", "llamagen", "--quiet")
    assert tree(tmp_path / "again") == tree(tmp_path / "out")
    tessera("export", tmp_path / "out", "-o", tmp_path / "back", "--format", "webdataset", "--quiet")
    for key, members in tar_samples(tmp_path / "back").items():
        np.testing.assert_array_equal(arrays(members)["codes"], wanted[key]["codes"])


def test_llamagen_views(tessera, root, tmp_path):
    """[1, views, tokens], as LlamaGen's extract_codes_c2i.py writes --augment's views."""
    photos = root / "fixtures" / "photos" / "turned"
    tessera("tokenize", photos, "-o", tmp_path / "dataset", "--augment", "flip", "--quiet")
    tessera("export", tmp_path / "dataset", "-o", tmp_path / "out", "--format", "llamagen", "--quiet")
    samples = tar_samples(tmp_path / "dataset")
    for index, members in enumerate(samples.values()):
        codes = np.load(tmp_path / "out" / "imagenet256_codes" / f"{index}.npy")
        assert codes.shape == (1, 2, 1024)
        np.testing.assert_array_equal(codes[0], arrays(members)["codes"])
    tessera("export", tmp_path / "out", "-o", tmp_path / "back", "--format", "webdataset", "--quiet")
    for key, members in tar_samples(tmp_path / "back").items():
        np.testing.assert_array_equal(arrays(members)["codes"], arrays(samples[key])["codes"])


def test_4m_refuses_codes_beyond_int16(tessera, source, tmp_path):
    result = tessera("export", source, "-o", tmp_path / "out", "--format", "4m", code=5)
    assert "int16" in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_4m(tessera, source, samples, tmp_path):
    """Folders of a modality each: int16 [crops, codes], and the crop as top, left, height, width, flip."""
    few = with_small_codes(source, tmp_path / "few")
    tessera("export", few, "-o", tmp_path / "out", "--format", "4m", "--quiet")
    for key, sample in samples.items():
        codes = np.load(tmp_path / "out" / "tok_rgb" / f"{key}.npy")
        assert codes.dtype == np.int16 and codes.shape == (1, sample["codes"].size)
        np.testing.assert_array_equal(codes[0], sample["codes"].ravel() % 1000)
        left, top, right, bottom = sample["crop"]
        crop = np.load(tmp_path / "out" / "crop_settings" / f"{key}.npy")
        assert crop.tolist() == [[top, left, bottom - top, right - left, 0]]
    tessera("export", tmp_path / "out", "-o", tmp_path / "back", "--format", "webdataset", "--quiet")
    back = tar_samples(tmp_path / "back")
    assert list(back) == list(samples)
    for key, members in back.items():
        np.testing.assert_array_equal(arrays(members)["codes"], samples[key]["codes"] % 1000)
        assert arrays(members)["caption"] == samples[key]["caption"]


def test_shuffle_is_the_seeds(tessera, source, samples, tmp_path):
    def keys(name, seed):
        tessera("export", source, "-o", tmp_path / name, "--format", "jsonl", "--shuffle", seed, "--quiet")
        told = json.loads((tmp_path / name / "dataset.json").read_text())
        assert told["export"]["shuffle"] == seed
        files = sorted((tmp_path / name / "data").glob("*.jsonl"))
        rows = [json.loads(line) for path in files for line in path.read_text().splitlines()]
        check({key: {row["key"]: row for row in rows}[key] for key in samples}, samples)
        return [row["key"] for row in rows]

    first = keys("a", 7)
    assert first == keys("b", 7) != list(samples)
    assert first != keys("c", 8)


def test_columns_without_a_place_are_named(tessera, source, root, tmp_path):
    """Also where they were asked for by name, and where tokenize writes the layout itself."""
    told = tessera("export", source, "-o", tmp_path / "out", "--format", "nanogpt", "--columns", "codes,positions")
    assert "no place for positions: left out" in told.stderr
    told = tessera("tokenize", root / "fixtures" / "photos" / "turned", "-o", tmp_path / "soft", "--format", "megatron",
                   "--resize", "bicubic:exact=32x32", "--crop", "none", "--soft", "sparsemax")
    assert "no place for soft_values: left out" in told.stderr


def test_rename_and_columns(tessera, source, samples, tmp_path):
    import pyarrow.parquet

    tessera("export", source, "-o", tmp_path / "out", "--format", "parquet", "--quiet",
            "--columns", "codes,source", "--rename", "codes=tokens")
    [path] = (tmp_path / "out" / "data").glob("*.parquet")
    table = pyarrow.parquet.read_table(path)
    assert table.column_names == ["key", "tokens", "source"]
    tessera("export", tmp_path / "out", "-o", tmp_path / "back", "--format", "webdataset", "--quiet")
    for key, members in tar_samples(tmp_path / "back").items():
        assert set(members) == {"codes.npy", "json"}
        np.testing.assert_array_equal(arrays(members)["codes"], samples[key]["codes"])


@pytest.mark.parametrize("offset,dtype", [(1536, np.uint16), (1537, np.uint32)])
def test_vocabulary_offset(tessera, source, samples, tmp_path, offset, dtype):
    tessera("export", source, "-o", tmp_path / "out", "--format", "webdataset", "--vocabulary-offset", offset, "--quiet")
    for key, members in tar_samples(tmp_path / "out").items():
        codes = arrays(members)["codes"]
        assert codes.dtype == dtype
        np.testing.assert_array_equal(codes.astype(np.int64), samples[key]["codes"].astype(np.int64) + offset)
    if dtype == np.uint32:
        refusal = tessera("export", tmp_path / "out", "-o", tmp_path / "no", "--format", "nanogpt", code=5)
        assert "65537" in refusal.stderr
        tessera("export", tmp_path / "out", "-o", tmp_path / "llmc", "--format", "llmc", "--quiet")
        data = (tmp_path / "llmc" / "train_000000.bin").read_bytes()
        assert np.frombuffer(data[:8], np.int32).tolist() == [20240801, 7]
    tessera("export", tmp_path / "out", "-o", tmp_path / "megatron", "--format", "megatron", "--quiet")
    # uint16 only below 65,500: two of Megatron's readers disagree above.
    assert (tmp_path / "megatron" / "tokens.idx").read_bytes()[17] == 4


@pytest.mark.parametrize("layout", ["mds", "megatron", "parquet"])
def test_tokenize_writes_a_layout_directly(tessera, root, layout, tmp_path):
    """Byte for byte what tokenize and then export write, the seed of the order among the settings."""
    arguments = [root / "fixtures" / "photos" / "turned", "--shard-samples", 4, "--quiet"]
    tessera("tokenize", *arguments, "-o", tmp_path / "plain")
    tessera("tokenize", *arguments, "-o", tmp_path / "out", "--format", layout, "--shuffle", 3)
    tessera("export", tmp_path / "plain", "-o", tmp_path / "wanted", "--format", layout, "--shuffle", 3,
            "--shard-samples", 4, "--quiet")
    ours, wanted = tree(tmp_path / "out"), tree(tmp_path / "wanted")
    del ours["dataset.json"], wanted["dataset.json"]  # the plan's digest covers the layout
    assert ours == wanted
    again = tessera("tokenize", *arguments[:-1], "-o", tmp_path / "out", "--format", layout, "--shuffle", 3)
    assert "already complete" in again.stderr


# MARK: damage


@pytest.mark.parametrize("layout", VARYING[1:])
def test_damaged_files_end_in_one_line(tessera, exported, layout, tmp_path):
    """Cut short, emptied, bits turned: a clear line and no trap; a copy that is still right may pass."""
    import random
    import shutil

    folder = exported(layout)
    told = json.loads((folder / "dataset.json").read_text())
    names = [entry["name"] for entry in told["shards"] + told["layout"]["files"]]
    random = random.Random(layout)
    for turn in range(12):
        name = names[turn % len(names)]
        copy = tmp_path / f"copy-{turn}"
        shutil.copytree(folder, copy)
        data = bytearray((copy / name).read_bytes())
        if turn % 3 == 0:
            del data[random.randrange(len(data)) :]
        else:
            for _ in range(1 + turn % 4):
                data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        (copy / name).write_bytes(data)
        result = tessera("export", copy, "-o", tmp_path / f"out-{turn}", "--format", "jsonl", "--quiet", code=None)
        assert result.returncode in (0, 3, 4, 5, 6), (name, turn, result.stderr)
        if result.returncode:
            assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1, result.stderr
            assert not (tmp_path / f"out-{turn}").exists()


@pytest.fixture(scope="module")
def small(tessera, root, tmp_path_factory):
    """A few photographs at 32 x 32 with soft codes, and their reconstructions."""
    folder = tmp_path_factory.mktemp("small")
    tessera("tokenize", root / "fixtures" / "photos", "-o", folder / "dataset", "--quiet", "--resize",
            "bicubic:exact=32x32", "--crop", "none", "--soft", "entmax:1.5", "--shard-samples", 2)
    tessera("decode", folder / "dataset", "-o", folder / "decoded", "--quiet")
    return folder


@pytest.mark.parametrize("layout", ANY_CODES)
def test_decode_takes_every_layout(tessera, root, small, layout, tmp_path):
    tessera("export", small / "dataset", "-o", tmp_path / "out", "--format", layout, "--quiet")
    result = tessera("decode", tmp_path / "out", "-o", tmp_path / "decoded", "--originals",
                     root / "fixtures" / "photos", "--json")
    ours, wanted = tree(tmp_path / "decoded"), tree(small / "decoded")
    # The sheet shows the originals, too.
    assert ours.pop("contact-sheet.png") != wanted.pop("contact-sheet.png")
    assert ours == wanted
    # Streams keep what is known of the pictures in their list of samples.
    assert json.loads(result.stdout)["compared"] == len(ours)


def test_decode_takes_the_first_samples_and_needs_codes(tessera, small, tmp_path):
    tessera("export", small / "dataset", "-o", tmp_path / "tokens", "--format", "litdata", "--variant", "tokens",
            "--columns", "codes,grid", "--quiet")
    tessera("decode", tmp_path / "tokens", "-o", tmp_path / "out", "--limit", 2, "--sheet", 0, "--quiet")
    decoded, wanted = tree(tmp_path / "out"), tree(small / "decoded")
    assert len(decoded) == 2 and decoded.items() <= wanted.items()
    tessera("export", small / "dataset", "-o", tmp_path / "ids", "--format", "parquet", "--sequence", "llamagen", "--quiet")
    result = tessera("decode", tmp_path / "ids", "-o", tmp_path / "no", code=3)
    assert "codes" in result.stderr and result.stderr.count("\n") == 1 and not (tmp_path / "no").exists()


@pytest.mark.parametrize("layout", VARYING)
def test_soft_codes_are_kept_or_named(tessera, small, layout, tmp_path):
    """Rows of probabilities survive every layout that has a place for them; the others say that they have none."""
    told = tessera("export", small / "dataset", "-o", tmp_path / "out", "--format", layout)
    tessera("export", tmp_path / "out", "-o", tmp_path / "back", "--format", "webdataset", "--quiet")
    wanted, back = tar_samples(small / "dataset"), tar_samples(tmp_path / "back")
    soft = ["soft_indices", "soft_indptr", "soft_values"]
    kept = [name for name in soft if f"{name}.npy" in next(iter(back.values()))]
    # Streams beside a list of samples hold no floats; bare streams hold nothing else.
    assert kept == (soft[:2] if layout in LOSSY | {"megatron", "safetensors"} else soft)
    lost = [name for name in soft if name not in kept]
    assert all(name in told.stderr for name in lost) and ("no place for" in told.stderr or not lost)
    for key, members in wanted.items():
        for name in kept:
            assert back[key][f"{name}.npy"] == members[f"{name}.npy"], (key, name)


@pytest.mark.parametrize("offset", [0, 100000])
def test_litdata_tokens_come_back(tessera, source, offset, tmp_path):
    """Ids of 16 and of 32 bits, their shapes and what is known of the pictures."""
    tessera("export", source, "-o", tmp_path / "out", "--format", "litdata", "--variant", "tokens", "--columns",
            "codes,caption," + ",".join(METADATA), "--vocabulary-offset", offset, "--shard-samples", 4, "--quiet")
    tessera("export", tmp_path / "out", "-o", tmp_path / "back", "--format", "webdataset", "--vocabulary-offset", 0, "--quiet")
    wanted = tar_samples(source)
    for members in wanted.values():
        del members["positions.npy"]
    assert tar_samples(tmp_path / "back") == wanted
    result = tessera("export", source, "-o", tmp_path / "no", "--format", "litdata", "--variant", "tokens", code=4)
    assert "'positions'" in result.stderr and "--columns" in result.stderr


@pytest.mark.parametrize("verb, options, code", [
    ("export", ("--format", "webdataset", "--vocabulary-offset", 5), 3),
    ("export", ("--format", "jsonl", "--sequence", "llamagen"), 3), ("decode", (), 3),
])
def test_codes_beyond_the_vocabulary(tessera, source, tmp_path, verb, options, code):
    """A dataset whose manifest speaks of fewer codes than its shards hold: named, and nothing written."""
    few = tmp_path / "few"
    (few / "shards").mkdir(parents=True)
    told = json.loads((source / "dataset.json").read_text())
    if verb == "export":
        told["tokenizer"]["vocabulary_size"] = 1000
    for shard in told["shards"]:
        data = (source / shard["name"]).read_bytes()
        if verb == "decode":  # the tokenizer's vocabulary is fixed: codes of 16 bits above its 64,000
            with tarfile.open(source / shard["name"]) as archive:
                for member in archive:
                    if member.name.endswith("codes.npy"):
                        end = member.offset_data + member.size
                        data = data[: end - 2] + b"\xff\xff" + data[end:]
        (few / shard["name"]).write_bytes(data)
    (few / "dataset.json").write_text(json.dumps(told))
    (few / "rejected.jsonl").write_bytes((source / "rejected.jsonl").read_bytes())
    result = tessera(verb, few, "-o", tmp_path / "out", *options, "--quiet", code=code)
    assert "vocabulary" in result.stderr or "beyond the tokenizer's 1000" in result.stderr, result.stderr
    assert result.stderr.count("\n") == 1 and not list(tmp_path.glob("out/*.png"))


@pytest.mark.parametrize("options", [
    ("--columns", "nothing"), ("--rename", "nothing=a"), ("--rename", "codes=positions"), ("--rename", "codes=size"),
])
def test_columns_that_do_not_exist(tessera, source, tmp_path, options):
    result = tessera("export", source, "-o", tmp_path / "out", "--format", "jsonl", *options, code=4)
    assert result.stderr.count("\n") == 1 and not (tmp_path / "out").exists()


def test_outputs_of_others_are_left_alone(tessera, source, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    result = tessera("export", source, "-o", tmp_path / "out", "--format", "jsonl", code=4)
    assert "mine.txt" in result.stderr
    assert os.listdir(tmp_path / "out") == ["mine.txt"]


def test_a_killed_export_is_begun_again(tessera, program, source, exported, tmp_path):
    import time

    out = tmp_path / "out"
    for wait in (0.02, 0.05, 0.1):
        child = subprocess.Popen([program, "export", source, "-o", out, "--format", "npy", "--quiet"])
        time.sleep(wait)
        child.kill()
        child.wait()
    if not (out / "dataset.json").exists():
        tessera("export", source, "-o", out, "--format", "npy", "--shard-samples", 4, "--quiet")
        assert tree(out) == tree(exported("npy"))


def test_the_training_script_of_the_documentation(tessera, root, tmp_path):
    """The script as it stands there: one step from each of three layouts, with the same loss."""
    tessera("tokenize", root / "fixtures" / "photos", "-o", tmp_path / "dataset", "--quiet")
    for layout in ("parquet", "megatron"):
        tessera("export", tmp_path / "dataset", "-o", tmp_path / layout, "--format", layout, "--quiet")
    blocks = (root / "docs" / "DATASETS.md").read_text().split("```python\n")[1:]
    [script] = [block.split("```")[0] for block in blocks if "optimizer.step()" in block]
    assert len(script.splitlines()) <= 20
    environment = dict(os.environ, HF_HOME=str(tmp_path / "cache"), OMP_NUM_THREADS="1")
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    losses = dict(line.split() for line in result.stdout.splitlines() if len(line.split()) == 2)
    assert list(losses) == ["webdataset", "parquet", "megatron"] and len(set(losses.values())) == 1


def test_every_layout_is_read_by_its_own_reader():
    """LlamaGen and 4M have no library to import: their folders are compared file by file above."""
    text = pathlib.Path(__file__).read_text()
    own = {name for name in LAYOUTS if f'exported("{name}"' in text} | {"llamagen", "4m"}
    assert own == set(LAYOUTS)
