#!/usr/bin/env python3
"""Times `tessera convert` on large checkpoints beside `cp`, PyTorch and h5py, in alternating pairs.

    python scripts/bench_checkpoints.py .build/release/tessera [--mebibytes 4096] [--pairs 5] [--only rename]

Prints a JSON line a case: medians in seconds, the ratio of the peer's to ours, and the peak memory of both in
MiB beside what `--plan` estimates. `cp` does not wait for the disk and tessera does, so `peer_synced_seconds`
is `cp` followed by `sync` of the copy; `hashed_seconds` is ours with the SHA-256 of the source in the result.
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

MAKERS = {
    "in.safetensors": """
import sys, json, numpy as np
size, path = int(sys.argv[1]) << 20, sys.argv[2]
rows, names, at, header = size // 8 // 4 // 4096, [f"layer.{n}.weight" for n in range(8)], 0, {}
for name in names:
    header[name] = {"dtype": "F32", "shape": [rows, 4096], "data_offsets": [at, at + rows * 16384]}
    at += rows * 16384
text = json.dumps(header).encode()
block = np.random.default_rng(0).random((1024, 4096), dtype=np.float32)
with open(path, "wb") as file:
    file.write(len(text).to_bytes(8, "little") + text)
    for start in range(0, rows * 8, 1024):
        file.write(block[: min(1024, rows * 8 - start)])
""",
    "in.pt": """
import sys, torch
rows = (int(sys.argv[1]) << 20) // 8 // 4 // 4096
torch.save({f"layer.{n}.weight": torch.rand(rows, 4096) for n in range(8)}, sys.argv[2])
""",
    "in.h5": """
import sys, h5py, numpy as np
rows = (int(sys.argv[1]) << 20) // 8 // 4 // 4096
random = np.random.default_rng(0)
with h5py.File(sys.argv[2], "w") as file:
    for n in range(8):
        data = random.normal(size=(rows, 4096)).astype("f2").astype("f4")
        file.create_dataset(f"layer_{n}/kernel", data=data, compression="gzip", shuffle=True)
""",
}

TORCH = """
import sys, torch
from safetensors.torch import save_file
save_file(torch.load(sys.argv[1], weights_only=True), sys.argv[2], {"format": "pt"})
"""

H5PY = """
import sys, h5py
from safetensors.numpy import save_file
with h5py.File(sys.argv[1]) as file:
    tensors = {}
    file.visititems(lambda n, o: tensors.update({n: o[()]}) if isinstance(o, h5py.Dataset) else None)
save_file(tensors, sys.argv[2], {"format": "pt"})
"""

# Name: input, options, peer, the ratio to reach, the share of the size that is used.
CASES = {
    "rename": ("in.safetensors", ["--strip", "layer."], "cp", 0.9, 1),
    "reshard": ("in.safetensors", ["--shard-size", "1GiB"], "cp", 0.9, 1),
    "bf16": ("in.safetensors", ["--dtype", "bf16"], "cp", 0.8, 1),
    "torch": ("in.pt", [], TORCH, 3, 4),
    "h5-gzip": ("in.h5", [], H5PY, 1, 16),
}


def run(*commands):
    """Seconds of commands one after another, and the greatest peak memory in MiB."""
    start, peak = time.perf_counter(), 0
    for command in commands:
        child = subprocess.Popen([str(part) for part in command], stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        assert status == 0, command
        peak = max(peak, usage.ru_maxrss / 1024)
    return time.perf_counter() - start, peak


def clean(folder, keep):
    for path in folder.iterdir():
        if path != keep:
            path.unlink()


def measure(name, program, folder, mebibytes, pairs):
    file, options, peer, target, share = CASES[name]
    source, out, copy = folder / file, folder / "out.safetensors", folder / "copy"
    if not source.exists():
        clean(folder, source)
        maker = [sys.executable, "-c", MAKERS[file], str(mebibytes // share), str(source)]
        subprocess.run(maker, check=True)
    convert = [program, "convert", source, "-o", out, "--quiet", *options]
    theirs = ["cp", source, copy] if peer == "cp" else [sys.executable, "-c", peer, source, copy]
    results = {"hashed": [], "ours": [], "peer": [], "synced": []}
    for _ in range(pairs):
        for key, commands in (
            ("ours", [[*convert, "--no-source-hash"]]), ("peer", [theirs]), ("hashed", [convert]),
            ("synced", [theirs, ["sync", copy]]),
        ):
            clean(folder, source)
            subprocess.run(["sync"], check=True)
            results[key].append(run(*commands))
    seconds = {key: statistics.median(r[0] for r in found) for key, found in results.items()}
    plan = subprocess.run(
        [program, "convert", source, "--plan", "--json", *options], capture_output=True, check=True)
    ours = max(r[1] for r in results["ours"] + results["hashed"])
    print(json.dumps({
        "bench": name, "mebibytes": mebibytes // share, "pairs": pairs,
        "seconds": round(seconds["ours"], 3), "hashed_seconds": round(seconds["hashed"], 3),
        "peer_seconds": round(seconds["peer"], 3), "peer_synced_seconds": round(seconds["synced"], 3),
        "ratio": round(seconds["peer"] / seconds["ours"], 2),
        "ratio_synced": round(seconds["synced"] / seconds["ours"], 2),
        "ratio_hashed_synced": round(seconds["synced"] / seconds["hashed"], 2), "target": target,
        "peak_mebibytes": round(ours), "peer_peak_mebibytes": round(max(r[1] for r in results["peer"])),
        "foreseen_mebibytes": round(json.loads(plan.stdout)["peak_bytes"] / 2**20),
    }), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--mebibytes", type=int, default=4096)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", choices=list(CASES), action="append")
    parser.add_argument("--folder", type=pathlib.Path, help="where the files go; by default the temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for name in arguments.only or CASES:
            measure(name, arguments.program.resolve(), pathlib.Path(folder), arguments.mebibytes, arguments.pairs)


if __name__ == "__main__":
    main()
