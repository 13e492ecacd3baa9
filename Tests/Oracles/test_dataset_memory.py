"""Peak memory of `export`, into each layout: it must not grow with the number of samples."""

import pathlib
import shutil
import sys
import tempfile

import pytest
from conftest import memory_for
from layouts import ANY_CODES

ROOT = pathlib.Path(__file__).resolve().parents[2]
FEW, MANY = 4_000, 12_000


@pytest.fixture(scope="module")
def datasets(program):
    """Two datasets of 1,024 codes and their positions a sample: 10 KiB each, 160 MiB in all."""
    sys.path.insert(0, str(ROOT / "scripts"))
    import bench_datasets

    with tempfile.TemporaryDirectory(dir=memory_for(500 << 20)) as name:
        folder = pathlib.Path(name)
        template = bench_datasets.template(program, folder)
        for count in (FEW, MANY):
            bench_datasets.make(folder / str(count), count, template)
        yield folder


@pytest.mark.parametrize("layout", ANY_CODES)
def test_export_holds_neither_samples_nor_what_they_leave(peak, datasets, layout):
    """8,000 more samples are 80 MiB of arrays; what is kept of each, say a kilobyte, would be 8 MiB."""
    options = ["--shard-bytes", 4194304] if layout in ("mds", "litdata") else []
    few, many = [peak("export", datasets / str(count), "-o", datasets / f"{layout}-{count}", "--format", layout, "--quiet", *options)
                 for count in (FEW, MANY)]
    for count in (FEW, MANY):
        shutil.rmtree(datasets / f"{layout}-{count}")
    assert many < few + 6, (few, many)
    assert many < 128, (few, many)


def test_shuffled_export_holds_places_alone(peak, datasets):
    """A shuffle needs to know where each sample lies: 8 bytes each, and no sample."""
    shuffle = ["--format", "parquet", "--shuffle", 7, "--quiet"]
    assert peak("export", datasets / str(MANY), "-o", datasets / "shuffled", *shuffle) < 128
