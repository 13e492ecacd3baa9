"""Compressed files convert whatever their bytes pack into: .npz, re-zipped .pt and filtered .h5.

TESSERA_COMPRESSED is how many files are drawn; each ends its packed bytes at another place.
"""

import os
import zipfile

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

COUNT = int(os.environ.get("TESSERA_COMPRESSED", "60"))
TYPES = ["f4", "f8", "f2", "i4", "i8", "u1", "i2"]


def drawn(random):
    """Arrays from constant to noise, many with a tail of zeros that packs into a few bits."""
    shape = tuple(int(n) for n in np.maximum(1, random.integers(1, 400, random.integers(1, 4)) // random.integers(1, 9)))
    if np.prod(shape) > 1 << 20:
        shape = shape[:2]
    kind = random.choice(TYPES)
    values = {
        0: lambda: np.zeros(shape), 1: lambda: np.ones(shape), 2: lambda: random.integers(0, 3, shape),
        3: lambda: random.standard_normal(shape), 4: lambda: np.arange(np.prod(shape)).reshape(shape) % 251,
    }[int(random.integers(5))]()
    array = np.asarray(values).astype(kind).ravel()
    array[len(array) - int(random.integers(0, len(array) + 1)):] = 0
    return array.reshape(shape)


def write_npz(path, arrays, random):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=int(random.integers(1, 10))) as archive:
        for name, array in arrays.items():
            with archive.open(name + ".npy", "w", force_zip64=bool(random.integers(2))) as member:
                np.save(member, array)


def write_pt(path, arrays, random):
    plain = path.with_suffix(".plain")
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=int(random.integers(1, 10))) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    plain.unlink()


def write_h5(path, arrays, random):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            chunks = tuple(int(random.integers(1, n + 1)) for n in array.shape)
            if array.size / np.prod(chunks) > 300:
                chunks = array.shape
            file.create_dataset(
                name, data=array, chunks=chunks, compression="gzip", compression_opts=int(random.integers(1, 10)),
                shuffle=bool(random.integers(2)), fletcher32=bool(random.integers(2)))


WRITERS = {"npz": write_npz, "pt": write_pt, "h5": write_h5}


@pytest.mark.parametrize("kind", WRITERS)
def test_compressed_files_convert(tessera, tmp_path, kind):
    random = np.random.default_rng([11, list(WRITERS).index(kind)])
    for number in range(COUNT // len(WRITERS)):
        arrays = {f"w{n}": drawn(random) for n in range(int(random.integers(1, 4)))}
        source, out = tmp_path / f"in.{kind}", tmp_path / "out.safetensors"
        WRITERS[kind](source, arrays, random)
        tessera("convert", source, "-o", out, "--quiet")
        found = load_file(out)
        assert found.keys() == arrays.keys(), number
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype and np.array_equal(found[name], array), (number, name)
        source.unlink()
