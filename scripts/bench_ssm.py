#!/usr/bin/env python3
"""Times `tessera ssm encode`, `ssm kernel` and `soften` beside numpy, torch and the entmax library.

    python scripts/bench_ssm.py .build/release/tessera [--only encode|kernel|soften] [--quick]

Each part prints one JSON line. The peers do a share of the work (stated) and are scaled up; they run with as many
threads as torch takes by default. Peak memory is that of our process. Inputs and outputs lie in a temporary folder,
which needs about 130 GB without --quick (`--rows N` takes fewer).
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np


def run(*command):
    """Seconds and peak memory in MiB, as a small process sees them: a child's peak begins at its parent's."""
    done = subprocess.run([sys.executable, "-S", "-c", CLOCK, *map(str, command)], capture_output=True, text=True, check=True)
    seconds, peak = done.stdout.split()
    return float(seconds), float(peak)


CLOCK = """
import os, sys, time
start = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
_, status, usage = os.wait4(child, 0)
assert status == 0
print(time.perf_counter() - start, usage.ru_maxrss / 1024)
"""


def make(code, *arguments):
    """Makes an input in another process: a child's peak begins at its parent's."""
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True)


SIGNAL = "import sys, numpy as np; np.save(sys.argv[1], np.random.default_rng(0).standard_normal(int(sys.argv[2])))"

LOGITS = """
import sys, numpy as np
rows, columns = int(sys.argv[2]), int(sys.argv[3])
out = np.lib.format.open_memmap(sys.argv[1], "w+", np.float16, (rows, columns))
random = np.random.default_rng(0)
for start in range(0, rows, 256):
    part = random.standard_normal((min(256, rows - start), columns), np.float32)
    out[start:start + 256] = part * 2 + 8 * (part > 3.6)
"""

SYSTEM = """
import sys, numpy as np
from safetensors.numpy import save_file
channels, modes = int(sys.argv[2]), int(sys.argv[3])
random = np.random.default_rng(0)
values = np.stack([-np.full(modes, 0.5), np.pi * np.arange(modes)], -1)
save_file({"Lambda": values, "B": np.stack([np.ones(modes), np.zeros(modes)], -1), "C": random.standard_normal((channels, modes, 2))},
          sys.argv[1], {"tessera.ssm.system": "diagonal"})
np.save(sys.argv[1] + ".dt.npy", np.geomspace(1e-3, 1e-1, channels))
"""


def numpy_loop(samples, order):
    """Seconds a step of the same recurrence, (I - A/2k) x' = (I + A/2k) x + B u / k, in O(N) numpy calls.

    The solve is a first-order recurrence, which numpy has only as cumulative products and sums.
    """
    n, r = np.arange(order), np.sqrt(2 * np.arange(order) + 1.0)
    signal, x = np.random.default_rng(0).standard_normal(samples + 1), np.zeros(order)
    x[0] = signal[0]
    start = time.perf_counter()
    for k in range(1, samples + 1):
        h = 0.5 / k
        v = x + h * (n * x - r * np.cumsum(r * x)) + r * (signal[k] / k)
        inverse = 1 / (1 + h * (n + 1))
        products = np.cumprod((1 - h * n) * inverse)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            sums = products * np.cumsum(r * v * inverse / products)
        x = (v - h * r * np.concatenate([[0.0], sums[:-1]])) * inverse
    return (time.perf_counter() - start) / samples


def numpy_exact_loop(samples, order, last):
    """Seconds a step of x' = u e0 + e^(A ln(1 + 1/k)) (x - u e0), the exponential as a Taylor sum of O(N) products, at
    the middle of a run of `last` samples: terms are fewer there than at its start."""
    n, r = np.arange(order), np.sqrt(2 * np.arange(order) + 1.0)
    signal, x = np.random.default_rng(0).standard_normal(samples), np.zeros(order)
    first = last // 2
    start = time.perf_counter()
    for k in range(first, first + samples):
        h, u = np.log1p(1 / k), signal[k - first]
        x[0] -= u
        term, j = x.copy(), 0
        while True:
            j += 1
            term = (h / j) * (n * term - r * np.cumsum(r * term))
            x += term
            if np.abs(term).max() < 1e-17:
                break
        x[0] += u
    return (time.perf_counter() - start) / samples


def encode(program, folder, quick):
    order, every = 256, 1000
    path = folder / "signal.npy"
    # The exact step costs several times as much: a tenth of the samples.
    for convention, samples in (("hippo-c", 10 ** 6 if quick else 10 ** 7), ("optimal", 10 ** 6)):
        make(SIGNAL, path, samples)
        seconds, peak = run(program, "ssm", "encode", path, "--measure", "legs", "--order", order, "--convention", convention,
                            "--every", every, "-o", folder / "states.npy")
        # A tenth of the samples: memory must not grow with them.
        short = folder / "short.npy"
        make(SIGNAL, short, samples // 10)
        _, short_peak = run(program, "ssm", "encode", short, "--measure", "legs", "--order", order, "--convention", convention,
                            "--every", every, "-o", folder / "states.npy")
        one = {"hippo-c": lambda: numpy_loop(3000, order), "optimal": lambda: numpy_exact_loop(3000, order, samples)}
        peer = min(one[convention]() for _ in range(3)) * samples
        print(json.dumps({
            "bench": f"ssm encode {convention}", "samples": samples, "order": order, "seconds": round(seconds, 2),
            "numpy_seconds": round(peer, 1), "numpy_share": 3000 / samples, "times_faster": round(peer / seconds, 1),
            "peak_mebibytes": round(peak), "peak_mebibytes_of_a_tenth": round(short_peak),
        }), flush=True)
    # Every state to the disk.
    seconds, peak = run(program, "ssm", "encode", short, "--measure", "legs", "--order", order, "--convention", "hippo-c",
                        "--dtype", "float32", "-o", folder / "states.npy")
    print(json.dumps({"bench": "ssm encode, all states", "samples": samples // 10, "seconds": round(seconds, 2),
                      "peak_mebibytes": round(peak)}), flush=True)


def kernel(program, folder, quick):
    import torch

    channels, modes, length = (128 if quick else 1024), 64, 16384
    path = folder / "system.safetensors"
    make(SYSTEM, path, channels, modes)
    seconds, peak = run(program, "ssm", "kernel", path, "--method", "zoh", "--dt", f"{path}.dt.npy", "--length", length,
                        "--dtype", "float32", "-o", folder / "K.npy")
    # state-spaces/s4's way without its CUDA extension: exp of an outer product, in complex64, a few channels at a time.
    values = torch.complex(-0.5 * torch.ones(modes), torch.pi * torch.arange(modes))
    weights, share = torch.randn(16, modes, dtype=torch.complex64), 16
    dt = torch.logspace(-3, -1, share)
    best = min(_timed(lambda: _vandermonde(weights, values, dt, length)) for _ in range(3))
    peer = best * channels / share
    print(json.dumps({
        "bench": "ssm kernel", "channels": channels, "modes": modes, "length": length, "seconds": round(seconds, 2),
        "torch_seconds": round(peer, 2), "torch_share": share / channels, "torch_threads": torch.get_num_threads(),
        "times_faster": round(peer / seconds, 1), "peak_mebibytes": round(peak),
    }), flush=True)


def _vandermonde(weights, values, dt, length):
    import torch

    powers = torch.exp((dt[:, None] * values)[..., None] * torch.arange(length))
    return 2 * torch.einsum("hn,hnl->hl", weights, powers).real


def _timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def soften(program, folder, quick, count):
    import entmax
    import torch

    rows, columns = count or (4_000 if quick else 1_000_000), 32_000
    path = folder / "logits.npy"
    make(LOGITS, path, rows, columns)
    peers = {
        "sparsemax": lambda x: entmax.sparsemax(x, dim=-1), "entmax:1.5": lambda x: entmax.entmax15(x, dim=-1),
        "entmax:1.25": lambda x: entmax.entmax_bisect(x, 1.25, dim=-1),
    }
    share = 512
    part = np.load(path, mmap_mode="r")[:share]
    for name, function in peers.items():
        seconds, peak = run(program, "soften", path, "--map", name, "-o", folder / "targets.safetensors")
        with torch.no_grad():
            best = min(_timed(lambda: function(torch.from_numpy(np.array(part)).float())) for _ in range(2))
        peer = best * rows / share
        print(json.dumps({
            "bench": f"soften {name}", "rows": rows, "classes": columns, "seconds": round(seconds, 2),
            "entmax_seconds": round(peer, 1), "entmax_share": share / rows, "torch_threads": torch.get_num_threads(),
            "times_faster": round(peer / seconds, 1), "peak_mebibytes": round(peak),
        }), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--only", choices=["encode", "kernel", "soften"])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", type=int, help="rows of logits for soften (default: 1,000,000; 4,000 with --quick)")
    arguments = parser.parse_args()
    for part in (encode, kernel, soften):
        if arguments.only in (None, part.__name__):
            with tempfile.TemporaryDirectory() as folder:
                more = [arguments.rows] if part is soften else []
                part(arguments.program, pathlib.Path(folder), arguments.quick, *more)


if __name__ == "__main__":
    main()
