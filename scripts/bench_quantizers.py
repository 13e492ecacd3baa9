"""The nearest code beside faiss and torch: the same codebook, the same latents, in turns.

    python scripts/bench_quantizers.py [--pairs 7] [--threads 1] [--program PATH] [--json]

Codebook and latents are drawn from the same hash (fixtures/network/make.py); codes must agree but for near ties. Each
pair is one `tessera-bench quantizer` and the peer's median of as many runs; times are processor time, the ratio is the
median of the pairs. faiss searches with IndexFlatL2 or IndexFlatIP, torch with |z|^2 + |e|^2 - 2 z e and argmin.
"""

import argparse
import importlib.util
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
SIZES = [("l2", 16384, 8, 256), ("l2", 16384, 32, 256), ("l2", 16384, 64, 256), ("l2", 16384, 256, 256),
         ("dot", 16384, 256, 256), ("dot", 131072, 256, 64)]


def draw():
    specification = importlib.util.spec_from_file_location("make", ROOT / "fixtures/network/make.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.draw


def median(body, runs):
    times = []
    for _ in range(runs + 1):
        begin = time.process_time()
        result = body()
        times.append(1e3 * (time.process_time() - begin))
    return statistics.median(times[1:]), result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--program", default=str(ROOT / ".build/release/tessera"))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    import faiss
    import torch

    faiss.omp_set_num_threads(1)
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    numbers = draw()
    for rule, codes, dimensions, positions in SIZES:
        codebook = numbers("codebook", codes * dimensions).reshape(codes, dimensions)
        latents = numbers("latents", positions * dimensions).reshape(positions, dimensions)
        index = (faiss.IndexFlatL2 if rule == "l2" else faiss.IndexFlatIP)(dimensions)
        index.add(codebook)
        e, z = torch.from_numpy(codebook), torch.from_numpy(latents)
        norms = e.pow(2).sum(1)

        def tessera(*more):
            command = [f"{arguments.program}-bench", "quantizer", "--codes", codes, "--dimensions", dimensions,
                       "--positions", positions, "--rule", rule, "--runs", arguments.runs, *more]
            lines = subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout
            return json.loads(lines.splitlines()[0])

        def by_torch():
            scores = z @ e.T
            return (z.pow(2).sum(1, keepdim=True) + norms - 2 * scores).argmin(1) if rule == "l2" else scores.argmax(1)

        with tempfile.TemporaryDirectory() as folder:
            tessera("-o", pathlib.Path(folder) / "codes.npy")
            ours = np.load(pathlib.Path(folder) / "codes.npy")
        theirs = index.search(latents, 1)[1][:, 0]
        assert (ours == theirs).mean() > 0.99, "the codes differ"
        pairs = [(tessera(), median(lambda: index.search(latents, 1), arguments.runs)[0],
                  median(by_torch, arguments.runs)[0]) for _ in range(arguments.pairs)]
        result = {
            "rule": rule, "codes": codes, "dimensions": dimensions, "positions": positions,
            "tessera_milliseconds": round(statistics.median(a["milliseconds"] for a, _, _ in pairs), 3),
            "share_of_peak": round(statistics.median(a["share_of_peak"] for a, _, _ in pairs), 3),
            "faiss_milliseconds": round(statistics.median(b for _, b, _ in pairs), 3),
            "torch_milliseconds": round(statistics.median(c for _, _, c in pairs), 3),
            "faiss_ratio": round(statistics.median(b / a["milliseconds"] for a, b, _ in pairs), 2),
            "torch_ratio": round(statistics.median(c / a["milliseconds"] for a, _, c in pairs), 2),
            "equal_codes": float((ours == theirs).mean()), "faiss": faiss.__version__, "torch": torch.__version__,
        }
        print(json.dumps(result) if arguments.json else
              f"{rule} {positions} latents over {codes} codes of {dimensions}: tessera {result['tessera_milliseconds']} ms "
              f"({100 * result['share_of_peak']:.0f} % of the multiply-add loop), faiss {result['faiss_milliseconds']} ms "
              f"({result['faiss_ratio']} times), torch {result['torch_milliseconds']} ms ({result['torch_ratio']} times); "
              f"equal codes {result['equal_codes']:.4f}")


if __name__ == "__main__":
    main()
