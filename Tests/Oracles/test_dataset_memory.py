"""Peak memory of `export`, into each layout: it must not grow with the number of samples."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MEASURE = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
           "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)")
FORMATS = ["webdataset", "parquet", "arrow", "megatron", "mds", "tfrecord", "arrayrecord", "litdata", "datatrove", "nanogpt",
           "llmc", "hdf5", "npy", "llamagen", "safetensors", "jsonl"]
FEW, MANY = 2_000, 32_000


@pytest.fixture(scope="module")
def datasets(program, tmp_path_factory):
    """Two datasets of 1,024 codes and their positions a sample: 10 KiB each, 320 MiB in all."""
    sys.path.insert(0, str(ROOT / "scripts"))
    import bench_datasets

    folder = tmp_path_factory.mktemp("many")
    template = bench_datasets.template(program, folder)
    for count in (FEW, MANY):
        bench_datasets.make(folder / str(count), count, template)
    return folder


@pytest.mark.parametrize("layout", FORMATS)
def test_export_holds_neither_samples_nor_what_they_leave(program, datasets, tmp_path, layout):
    """30,000 more samples are 300 MiB of arrays, 6 MiB of JSON, and 1 MiB of any list of 32 bytes a sample."""
    peaks = []
    for count in (FEW, MANY):
        command = [program, "export", datasets / str(count), "-o", tmp_path / str(count), "--format", layout, "--quiet"]
        if layout in ("mds", "litdata"):
            command += ["--shard-bytes", "4194304"]
        measured = subprocess.run([sys.executable, "-c", MEASURE, *map(str, command)], check=True, capture_output=True, text=True)
        peaks.append(float(measured.stdout))
    few, many = peaks
    assert many < few + 16, peaks
    assert many < 128, peaks


def test_shuffled_export_holds_places_alone(program, datasets, tmp_path):
    """A shuffle needs to know where each sample lies: 8 bytes each, and no sample."""
    command = [program, "export", datasets / str(MANY), "-o", tmp_path / "out", "--format", "parquet", "--shuffle", "7", "--quiet"]
    measured = subprocess.run([sys.executable, "-c", MEASURE, *map(str, command)], check=True, capture_output=True, text=True)
    assert float(measured.stdout) < 128
