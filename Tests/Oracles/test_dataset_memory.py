"""Peak memory of `export`, into each layout: it must not grow with the number of samples."""

import pathlib
import shutil
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FORMATS = ["webdataset", "parquet", "arrow", "megatron", "mds", "tfrecord", "arrayrecord", "litdata", "datatrove", "nanogpt",
           "llmc", "hdf5", "npy", "llamagen", "safetensors", "jsonl"]
FEW, MANY = 2_000, 16_000


@pytest.fixture(scope="module")
def datasets(program, tmp_path_factory):
    """Two datasets of 1,024 codes and their positions a sample: 10 KiB each, 180 MiB in all."""
    sys.path.insert(0, str(ROOT / "scripts"))
    import bench_datasets

    folder = tmp_path_factory.mktemp("many")
    template = bench_datasets.template(program, folder)
    for count in (FEW, MANY):
        bench_datasets.make(folder / str(count), count, template)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("layout", FORMATS)
def test_export_holds_neither_samples_nor_what_they_leave(peak, datasets, tmp_path, layout):
    """14,000 more samples are 140 MiB of arrays; what is kept of each, say a kilobyte, would be 14 MiB."""
    options = ["--shard-bytes", 4194304] if layout in ("mds", "litdata") else []
    few, many = [peak("export", datasets / str(count), "-o", tmp_path / str(count), "--format", layout, "--quiet", *options)
                 for count in (FEW, MANY)]
    shutil.rmtree(tmp_path)
    assert many < few + 10, (few, many)
    assert many < 128, (few, many)


def test_shuffled_export_holds_places_alone(peak, datasets, tmp_path):
    """A shuffle needs to know where each sample lies: 8 bytes each, and no sample."""
    shuffle = ["--format", "parquet", "--shuffle", 7, "--quiet"]
    assert peak("export", datasets / str(MANY), "-o", tmp_path / "out", *shuffle) < 128
