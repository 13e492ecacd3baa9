"""Every file of the HDF Group's own test suite opens or is refused in one line; what opens equals h5py's arrays."""

import json
import struct
import subprocess
import time

import h5py
import numpy as np
import pytest


def tensors(path):
    """Name → (dtype name, shape, bytes) of a safetensors file, without a type that numpy lacks getting lost."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    begin = 8 + length
    return {
        name: (info["dtype"], tuple(info["shape"]), data[begin + info["data_offsets"][0] : begin + info["data_offsets"][1]])
        for name, info in header.items()
    }


def test_every_file_of_the_hdf_group(program, shared_data, tmp_path):
    files = sorted((shared_data / "hdf5/hdfgroup").rglob("*.h5"))
    assert len(files) > 100
    opened = refused = compared = 0
    for number, path in enumerate(files):
        start = time.monotonic()
        shown = subprocess.run([program, "inspect", path, "--json"], capture_output=True, text=True, timeout=60)
        assert time.monotonic() - start < 5, path
        assert shown.returncode in (0, 3), (path, shown.stderr)
        if shown.returncode == 3:
            assert shown.stderr.startswith("Error: ") and shown.stderr.count("\n") == 1, (path, shown.stderr)
            refused += 1
            continue
        opened += 1
        assert set(json.loads(shown.stdout)) == {"format", "tensors", "attributes", "notes"}
        output = tmp_path / f"{number}.safetensors"
        converted = subprocess.run([program, "convert", path, "-o", output, "--quiet"], capture_output=True, text=True, timeout=60)
        assert converted.returncode in (0, 3, 4), (path, converted.stderr)
        if converted.returncode:
            assert not output.exists() and converted.stderr.count("\n") == 1, (path, converted.stderr)
            continue
        with h5py.File(path) as reference:
            for name, (dtype, shape, data) in tensors(output).items():
                expected = reference[name][()]
                expected = np.asarray(expected)
                little = expected.astype(expected.dtype.newbyteorder("<"))
                assert shape == expected.shape, (path, name)
                assert data == little.tobytes(), (path, name, dtype, expected.dtype)
                compared += 1
    print(f"{opened} opened, {refused} refused, {compared} tensors equal to h5py's")
    assert opened > 80 and compared > 200


def test_damaged_bytes_end_in_one_line(program, root, tmp_path):
    """libhdf5 itself crashes on a few of these files; the program must still end as for any bad input."""
    draw = np.random.default_rng(3)
    files = [path.read_bytes() for path in sorted((root / "fixtures/weights").rglob("*.h5")) if path.stat().st_size < 50_000]
    damaged, output = tmp_path / "damaged.h5", tmp_path / "out.safetensors"
    codes = {}
    for _ in range(200):
        data = bytearray(files[draw.integers(len(files))])
        for _ in range(draw.choice([1, 3, 12])):
            data[draw.integers(len(data))] = draw.choice([0, 255, draw.integers(256)])
        damaged.write_bytes(data)
        run = subprocess.run([program, "convert", damaged, "-o", output, "--quiet"], capture_output=True, text=True, timeout=20)
        assert run.returncode in (0, 3, 4), (run.returncode, run.stderr[-500:])
        if run.returncode:
            assert run.stderr.splitlines()[-1].startswith("Error: ") and not output.exists(), run.stderr
        output.unlink(missing_ok=True)
        codes[run.returncode] = codes.get(run.returncode, 0) + 1
    assert codes[3] > 25 and codes[0] > 10, codes


@pytest.mark.parametrize("filters", [{"compression": "gzip"}, {"shuffle": True}, {"fletcher32": True}])
def test_newer_formats_say_what_to_write(program, tmp_path, filters):
    """Chunks with filters have a layout since HDF5 2.0 that 1.10 does not know; written as advised, they are read."""
    if h5py.version.hdf5_version_tuple < (2, 0, 0):
        pytest.fail("h5py writes no newer format: draw another instance")
    array = np.arange(600, dtype="f4").reshape(20, 30)

    def convert(libver):
        with h5py.File(tmp_path / "a.h5", "w", libver=libver) as file:
            file.create_dataset("dense/kernel", data=array, chunks=(10, 10), **filters)
        return subprocess.run([program, "convert", tmp_path / "a.h5", "-o", tmp_path / "o.safetensors", "--quiet"], capture_output=True, text=True)

    run = convert("latest")
    if run.returncode:  # a newer library reads it
        assert run.returncode == 4 and run.stderr.count("\n") == 1, run.stderr
        assert "dense/kernel" in run.stderr and "libver='v110'" in run.stderr and "newer than HDF5 " in run.stderr, run.stderr
    assert convert("v110").returncode == 0
    ((dtype, shape, data),) = tensors(tmp_path / "o.safetensors").values()
    assert (dtype, shape, data) == ("F32", (20, 30), array.tobytes())


@pytest.mark.parametrize("place, byte", [(8, 9), (8, 200)])
def test_versions_of_superblocks(program, tmp_path, place, byte):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = np.zeros(3)
    data = bytearray((tmp_path / "a.h5").read_bytes())
    data[place] = byte
    (tmp_path / "a.h5").write_bytes(data)
    run = subprocess.run([program, "convert", tmp_path / "a.h5", "-o", tmp_path / "o.safetensors"], capture_output=True, text=True)
    assert run.returncode == 3 and run.stderr.count("\n") == 1 and "libver='v110'" in run.stderr, run.stderr


def test_many_tensors_are_written(tessera, tmp_path):
    """Writing takes seconds of the processor's time in libhdf5: no sign of a file without end."""
    from safetensors.numpy import load_file, save_file

    count = 60_000
    save_file({f"g{n % 50}.layer{n}": np.full(1, n, np.float32) for n in range(count)}, tmp_path / "in.safetensors")
    tessera("convert", tmp_path / "in.safetensors", "-o", tmp_path / "out.h5", "--quiet")
    tessera("convert", tmp_path / "out.h5", "-o", tmp_path / "again.safetensors", "--quiet")
    again = load_file(tmp_path / "again.safetensors")
    assert len(again) == count and all(again[f"g{n % 50}.layer{n}"] == n for n in range(0, count, 97))
