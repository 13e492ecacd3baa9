#!/usr/bin/env python3
"""Times `tessera export` beside the Python writer of each layout on the same samples.

    python scripts/bench_datasets.py .build/release/tessera [--samples 20000] [--pairs 3] [--formats mds,parquet]

The samples are those that `tokenize` wrote of a picture, its codes [32, 32] and RoPE ids [2, 1024] with all their
metadata, the codes drawn anew. Both writers get them out of memory,
the peer's libraries loaded (`tessera-bench export`); Tessera also hashes its files and makes them durable, which
costs the disk's time unless --folder is in memory. `export_seconds` is the whole command: start, reading the
tars, writing. Prints one JSON line per format: medians, ratios, MB/s of the writer, peak memory of the command.
"""

import argparse
import io
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

import numpy as np

SEED, GRID, VOCABULARY = 7, 32, 64000


def make(folder, count, template, has_positions=True):
    """A dataset of `count` samples: the tars and manifest that `tokenize` would write for so many pictures.

    `template` is the manifest of a real run, and what its one sample says of itself.
    """
    manifest, described = template
    random = np.random.default_rng(SEED)
    (folder / "shards").mkdir(parents=True)
    rows, columns = np.mgrid[1 : GRID + 1, 1 : GRID + 1]
    positions = np.stack([(rows * (GRID + 1)).ravel(), (columns * (GRID + 1)).ravel()]).astype(np.int32)
    shards = []
    for first in range(0, count, 1000):
        number = min(1000, count - first)
        name = f"shards/{first // 1000:05d}.tar"
        with tarfile.open(folder / name, "w", format=tarfile.USTAR_FORMAT) as archive:
            for index in range(first, first + number):
                key = f"{index // 1000:05d}/{index:09d}"
                members = {
                    "codes.npy": random.integers(0, VOCABULARY, (GRID, GRID), dtype=np.uint16),
                    "json": (json.dumps(dict(described, key=key, source=key + ".jpg"), separators=(",", ":")) + "\n").encode(),
                }
                if has_positions:
                    members["positions.npy"] = positions
                for column, value in members.items():
                    if isinstance(value, np.ndarray):
                        buffer = io.BytesIO()
                        np.save(buffer, value)
                        value = buffer.getvalue()
                    member = tarfile.TarInfo(f"{key}.{column}")
                    member.size, member.mtime = len(value), 946684800
                    archive.addfile(member, io.BytesIO(value))
        shards.append({"name": name, "samples": number, "tokens": number * GRID * GRID,
                       "bytes": (folder / name).stat().st_size, "sha256": "0" * 64})
    told = dict(manifest, samples=count, tokens=count * GRID * GRID, rejected=0, shards=shards)
    (folder / "dataset.json").write_text(json.dumps(told))
    (folder / "rejected.jsonl").write_text("")


def template(program, folder):
    """The manifest of a real run over one picture, and what its sample says of itself: every field that `tokenize` writes."""
    from PIL import Image

    (folder / "picture").mkdir()
    Image.linear_gradient("L").convert("RGB").save(folder / "picture" / "a.png")
    subprocess.run([program, "tokenize", folder / "picture", "-o", folder / "one", "--quiet"], check=True)
    with tarfile.open(folder / "one" / "shards" / "00000.tar") as archive:
        described = json.load(archive.extractfile("a.json"))
    assert isinstance(described["margin"], float) and described["grid"] == [GRID, GRID]
    return json.loads((folder / "one" / "dataset.json").read_text()), described


def samples(count):
    """What every peer writes: the same numbers, drawn again."""
    random = np.random.default_rng(SEED)
    rows, columns = np.mgrid[1 : GRID + 1, 1 : GRID + 1]
    positions = np.stack([(rows * (GRID + 1)).ravel(), (columns * (GRID + 1)).ravel()]).astype(np.int32)
    for index in range(count):
        key = f"{index // 1000:05d}/{index:09d}"
        yield {
            "key": key, "codes": random.integers(0, VOCABULARY, (GRID, GRID), dtype=np.uint16).astype(np.int32),
            "positions": positions, "source": key + ".jpg", "sha256": "0" * 64, "orig_width": 1024,
            "orig_height": 768, "exif_orientation": 1, "resized": np.array([256, 256], np.int32),
            "crop": np.array([0, 0, 256, 256], np.int32), "grid": np.array([GRID, GRID], np.int32),
            "margin": "0.00012588501",
        }


# MARK: peers


def write_webdataset(out, rows):
    import webdataset

    with webdataset.ShardWriter(f"{out}/%05d.tar", maxcount=1000, verbose=0) as sink:
        for row in rows:
            told = {name: row[name].tolist() if isinstance(row[name], np.ndarray) else row[name]
                    for name in row if name not in ("codes", "positions")}
            sink.write({"__key__": row["key"], "codes.npy": row["codes"].astype(np.uint16),
                        "positions.npy": row["positions"], "json": told})


def arrow_batches(rows):
    import pyarrow as pa

    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == 1000:
            yield pa.table(columns(batch, pa))
            batch = []
    if batch:
        yield pa.table(columns(batch, pa))


def columns(batch, pa):
    """The fastest way in pyarrow: values in one buffer, offsets beside it."""
    def lists(name):
        arrays = [row[name] for row in batch]
        values = pa.array(np.concatenate([array.ravel() for array in arrays]))
        for axis in reversed(range(arrays[0].ndim)):
            lengths = np.concatenate([
                np.full(int(np.prod(array.shape[:axis])), array.shape[axis], np.int32) for array in arrays
            ])
            values = pa.ListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)), values)
        return values

    return {name: lists(name) if isinstance(batch[0][name], np.ndarray) else pa.array([row[name] for row in batch])
            for name in batch[0]}


def write_parquet(out, rows):
    import pyarrow.parquet

    writer = None
    for table in arrow_batches(rows):
        writer = writer or pyarrow.parquet.ParquetWriter(f"{out}/a.parquet", table.schema, compression="zstd", compression_level=3)
        writer.write_table(table)
    writer.close()


def write_arrow(out, rows):
    import datasets

    features = {"codes": datasets.List(datasets.List(datasets.Value("int32"))), "positions": datasets.List(datasets.List(datasets.Value("int32")))}
    for name in ("key", "source", "sha256", "margin"):
        features[name] = datasets.Value("string")
    for name in ("orig_width", "orig_height", "exif_orientation"):
        features[name] = datasets.Value("int32")
    for name in ("resized", "crop", "grid"):
        features[name] = datasets.List(datasets.Value("int32"))
    with datasets.arrow_writer.ArrowWriter(path=f"{out}/a.arrow", features=datasets.Features(features)) as writer:
        for row in rows:
            writer.write(row)
        writer.finalize()


def write_megatron(out, rows):
    import torch
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    builders = {"tokens": IndexedDatasetBuilder(f"{out}/tokens.bin", dtype=np.uint16)}
    builders |= {f"position_{axis}": IndexedDatasetBuilder(f"{out}/position_{axis}.bin", dtype=np.int32) for axis in range(2)}
    for row in rows:
        for name, values in (("tokens", row["codes"].ravel()), ("position_0", row["positions"][0]), ("position_1", row["positions"][1])):
            builders[name].add_item(torch.from_numpy(values))
            builders[name].end_document()
    for name, builder in builders.items():
        builder.finalize(f"{out}/{name}.idx")


def write_mds(out, rows):
    from streaming import MDSWriter

    encodings = {name: "str" for name in ("key", "source", "sha256", "margin")}
    encodings |= {name: "int32" for name in ("orig_width", "orig_height", "exif_orientation")}
    encodings |= {name: "ndarray:int32" for name in ("codes", "positions", "resized", "crop", "grid")}
    with MDSWriter(out=str(out), columns=encodings, hashes=["sha1"]) as writer:
        for row in rows:
            writer.write(row)


def features(row):
    def integers(values):
        return (np.asarray(values).ravel().tolist(), "int")

    described = {name: (value.encode(), "byte") for name, value in row.items() if isinstance(value, str)}
    described |= {name: integers(value) for name, value in row.items() if not isinstance(value, str)}
    return described | {name + "_shape": integers(row[name].shape) for name in ("codes", "positions")}


def write_tfrecord(out, rows):
    from tfrecord.writer import TFRecordWriter

    writer = TFRecordWriter(f"{out}/a.tfrecord")
    for row in rows:
        writer.write(features(row))
    writer.close()


def write_arrayrecord(out, rows):
    from array_record.python import array_record_module
    from tfrecord.writer import TFRecordWriter

    writer = array_record_module.ArrayRecordWriter(f"{out}/a.arrayrecord", "group_size:1,uncompressed")
    for row in rows:
        writer.write(TFRecordWriter.serialize_tf_example(features(row)))
    writer.close()


def write_litdata(out, rows):
    from litdata.streaming.writer import BinaryWriter

    writer = BinaryWriter(str(out), chunk_bytes=1 << 26)
    for index, row in enumerate(rows):
        writer.add_item(index, row)
    writer.done()
    writer.merge()


def write_datatrove(out, rows):
    from datatrove.pipeline.tokens.tokenizer import TokenizedFile

    file = TokenizedFile(str(out), "00000_tokens.ds", save_index=True, token_size=2)
    for row in rows:
        file.write(row["codes"].ravel().tolist(), None)
    file.close()


def write_nanogpt(out, rows):
    with open(f"{out}/train.bin", "wb") as file:
        for row in rows:
            file.write(row["codes"].astype(np.uint16).tobytes())


def write_llmc(out, rows):
    parts = [row["codes"].astype(np.uint16).ravel() for row in rows]
    tokens = np.concatenate(parts)
    header = np.zeros(256, np.int32)
    header[:3] = 20240520, 1, len(tokens)
    with open(f"{out}/train_000000.bin", "wb") as file:
        file.write(header.tobytes())
        file.write(tokens.tobytes())


def write_hdf5(out, rows):
    import h5py

    rows = list(rows)
    with h5py.File(f"{out}/data.h5", "w") as file:
        for name, value in rows[0].items():
            if isinstance(value, str):
                file.create_dataset(name, data=[row[name] for row in rows], dtype=h5py.string_dtype())
            elif isinstance(value, np.ndarray):
                dataset = file.create_dataset(name, (len(rows),), dtype=h5py.vlen_dtype(np.int32))
                for index, row in enumerate(rows):
                    dataset[index] = row[name].ravel()
            else:
                file[name] = np.array([row[name] for row in rows], np.int32)


def write_npy(out, rows):
    for row in rows:
        (out / row["key"]).parent.mkdir(parents=True, exist_ok=True)
        np.save(out / f"{row['key']}.codes.npy", row["codes"])
        np.save(out / f"{row['key']}.positions.npy", row["positions"])


def write_llamagen(out, rows):
    (out / "codes").mkdir()
    (out / "labels").mkdir()
    for index, row in enumerate(rows):
        np.save(out / "codes" / f"{index}.npy", row["codes"].reshape(1, 1, -1).astype(np.int64))
        np.save(out / "labels" / f"{index}.npy", np.array([0], np.int64))


def write_safetensors(out, rows):
    import safetensors.numpy

    rows = list(rows)
    safetensors.numpy.save_file({
        "tokens": np.concatenate([row["codes"].ravel() for row in rows]),
        "positions": np.concatenate([row["positions"] for row in rows], axis=1),
        "offsets": np.arange(len(rows) + 1, dtype=np.int64) * GRID * GRID,
    }, f"{out}/data.safetensors")


def write_jsonl(out, rows):
    with open(f"{out}/a.jsonl", "w") as file:
        for row in rows:
            told = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}
            file.write(json.dumps(told) + "\n")


PEERS = {name[6:]: value for name, value in list(globals().items()) if name.startswith("write_")}


def run_peer(name, out, count):
    """Seconds of the writer alone, the samples being in memory."""
    script = (
        "import sys, time, pathlib; sys.path.insert(0, sys.argv[1]); import bench_datasets as bench\n"
        "rows = list(bench.samples(int(sys.argv[4]))); out = pathlib.Path(sys.argv[3]); out.mkdir()\n"
        "warm = out / 'warm'; warm.mkdir(); bench.PEERS[sys.argv[2]](warm, iter(rows[:2]))  # imports\n"
        "out = out / 'timed'; out.mkdir()\n"
        "start = time.perf_counter(); bench.PEERS[sys.argv[2]](out, iter(rows)); print(time.perf_counter() - start)"
    )
    here = str(pathlib.Path(__file__).parent)
    environment = dict(os.environ, OMP_NUM_THREADS="1", ARROW_NUM_THREADS="1")
    result = subprocess.run([sys.executable, "-c", script, here, name, str(out), str(count)],
                            capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr[-2000:]
    return float(result.stdout.split()[-1])


def run_ours(program, dataset, out, name):
    """Seconds of the writer alone, seconds of the whole command, its peak memory in MiB, and the bytes written."""
    writer = subprocess.run([f"{program}-bench", "export", dataset, "-o", out, "--format", name],
                            capture_output=True, text=True)
    assert writer.returncode == 0, writer.stderr
    alone = json.loads(writer.stdout)
    return (alone["seconds"], *run_export(program, dataset, out, name), alone["bytes"])


def run_export(program, dataset, out, name):
    start = time.perf_counter()
    child = subprocess.Popen([program, "export", dataset, "-o", out, "--format", name, "--quiet"])
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, name
    seconds = time.perf_counter() - start
    shutil.rmtree(out)
    return seconds, usage.ru_maxrss / 1024


def measure(name, arguments, folder):
    ours, theirs = [], []
    for _ in range(arguments.pairs):
        ours.append(run_ours(arguments.program, folder / "dataset", folder / "out", name))
        theirs.append(run_peer(name, folder / "peer", arguments.samples))
        shutil.rmtree(folder / "peer")
    writer, whole, peak, size = (statistics.median(column) for column in zip(*ours))
    peer = statistics.median(theirs)
    return {"bench": "export", "format": name, "samples": arguments.samples, "pairs": arguments.pairs,
            "writer_seconds": round(writer, 3), "peer_seconds": round(peer, 3),
            "times_faster": round(peer / writer, 2), "megabytes_per_second": round(size / 1e6 / writer),
            "export_seconds": round(whole, 3), "export_times_faster": round(peer / whole, 2),
            "peak_mebibytes": round(peak)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--samples", type=int, default=20000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--formats", default=",".join(PEERS))
    parser.add_argument("--folder", help="where everything is written, such as /dev/shm; by default the temporary folder")
    parser.add_argument("--memory", action="store_true",
                        help="only Tessera's peak memory; --samples 1000000 --codes-only is the tested size")
    parser.add_argument("--codes-only", action="store_true", help="samples without position ids")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        folder = pathlib.Path(folder)
        make(folder / "dataset", arguments.samples, template(arguments.program, folder), not arguments.codes_only)
        for name in arguments.formats.split(","):
            if arguments.memory:
                seconds, peak = run_export(arguments.program, folder / "dataset", folder / "out", name)
                line = {"bench": "export", "format": name, "samples": arguments.samples,
                        "seconds": round(seconds, 1), "peak_mebibytes": round(peak)}
            else:
                line = measure(name, arguments, folder)
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
