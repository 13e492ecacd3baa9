"""The kept corpora: python Tests/Fuzzing/corpus.py pack TARGET FOLDER [SEEDS] | unpack TARGET FOLDER.

corpus/TARGET.npz holds `inputs`, all inputs one after the other, and `sizes`, the bytes of each, so that the replay
reads them with the program's own readers.
"""

import hashlib
import pathlib
import sys

import numpy as np

KEPT = pathlib.Path(__file__).parent / "corpus"
# The most that is kept of a target.
MOST_INPUTS, MOST_BYTES, MOST_PACKED = 400, 1 << 21, 150_000


def pack(target, folder, seeds=None):
    """Keeps the seeds, which are read to their end, and of the others the smallest."""
    first = [path.read_bytes() for path in sorted(pathlib.Path(seeds).glob("*"))] if seeds else []
    rest = sorted((path.read_bytes() for path in pathlib.Path(folder).glob("*")), key=lambda data: (len(data), data))
    inputs = list(dict.fromkeys(data for data in first if len(data) <= 1 << 15))
    known = set(inputs)
    total = sum(map(len, inputs))
    for data in rest:
        if data in known or len(inputs) >= MOST_INPUTS or total + len(data) > MOST_BYTES:
            continue
        inputs.append(data)
        known.add(data)
        total += len(data)
    while True:
        save(target, inputs)
        if (KEPT / f"{target}.npz").stat().st_size <= MOST_PACKED or len(inputs) < 8:
            break
        inputs = inputs[: len(inputs) * 9 // 10]
    print(f"{target}: {len(inputs)} of {len(first)} seeds and {len(rest)} inputs kept, {(KEPT / f'{target}.npz').stat().st_size} bytes")


def save(target, inputs):
    KEPT.mkdir(exist_ok=True)
    arrays = {"inputs": np.frombuffer(b"".join(inputs), np.uint8), "sizes": np.array([len(data) for data in inputs], "<u4")}
    np.savez_compressed(KEPT / f"{target}.npz", **arrays)


def unpack(target, folder):
    path = KEPT / f"{target}.npz"
    if not path.exists():
        return
    with np.load(path) as arrays:
        inputs, sizes = arrays["inputs"].tobytes(), arrays["sizes"]
    end = 0
    for size in map(int, sizes):
        data = inputs[end : end + size]
        end += size
        (pathlib.Path(folder) / hashlib.sha1(data).hexdigest()).write_bytes(data)


{"pack": pack, "unpack": unpack}[sys.argv[1]](*sys.argv[2:])
