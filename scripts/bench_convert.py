#!/usr/bin/env python3
"""Times `tessera convert` beside an h5py + safetensors script, in alternating pairs.

    python scripts/bench_convert.py .build/release/tessera [--mebibytes 1024] [--pairs 5]

Prints one JSON line: medians in seconds, their ratio, processor time, which a busy machine changes
less, and the peak memory of both in MiB.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

PEER = """
import sys, h5py
from safetensors.numpy import save_file
with h5py.File(sys.argv[1]) as file:
    tensors = {}
    file.visititems(lambda n, o: tensors.update({n: o[()]}) if isinstance(o, h5py.Dataset) else None)
save_file(tensors, sys.argv[2], {"format": "pt"})
"""

MAKER = """
import sys, h5py, numpy as np
random = np.random.default_rng(0)
rows = int(sys.argv[2]) * (1 << 20) // 8 // 4 // 4096
with h5py.File(sys.argv[1], "w") as file:
    for number in range(8):
        file[f"layer_{number}/kernel"] = random.random((rows, 4096), dtype=np.float32)
"""


def make(path, mebibytes):
    """Eight contiguous float32 tensors, made in another process: a child's peak begins at its parent's."""
    subprocess.run([sys.executable, "-c", MAKER, str(path), str(mebibytes)], check=True)


def run(command):
    """Seconds, peak memory in MiB, and seconds of processor time."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    assert status == 0, command
    return seconds, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, out = pathlib.Path(folder, "in.h5"), pathlib.Path(folder, "out.safetensors")
        make(source, arguments.mebibytes)
        ours, theirs = [], []
        for _ in range(arguments.pairs):
            for results, command in (
                (ours, [arguments.program, "convert", source, "-o", out]),
                (theirs, [sys.executable, "-c", PEER, source, out]),
            ):
                out.unlink(missing_ok=True)
                results.append(run([str(part) for part in command]))
        seconds, peer = (statistics.median(r[0] for r in results) for results in (ours, theirs))
        print(json.dumps({
            "bench": "convert", "mebibytes": arguments.mebibytes, "pairs": arguments.pairs,
            "seconds": round(seconds, 3), "peer_seconds": round(peer, 3),
            "times_faster": round(peer / seconds, 2),
            "processor_seconds": round(statistics.median(r[2] for r in ours), 3),
            "peer_processor_seconds": round(statistics.median(r[2] for r in theirs), 3),
            "peak_mebibytes": round(max(r[1] for r in ours)),
            "peer_peak_mebibytes": round(max(r[1] for r in theirs)),
        }))


if __name__ == "__main__":
    main()
