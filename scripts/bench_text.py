"""Measures text tokenization beside `tokenizers` (Rust), one thread each, in turns over the same lines.

    scripts/bench_text.py [PROGRAM] [--tokenizer tokenizer.json] [--lines FILE]
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

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Tests" / "Oracles"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", nargs="?", default=ROOT / ".build" / "release" / "tessera")
    parser.add_argument("--tokenizer", default=ROOT.parent / "shared" / "data" / "tokenizers" / "20B_tokenizer.json")
    parser.add_argument("--lines", help="UTF-8, a text a line; otherwise drawn lines in 16 scripts")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()

    from text_references import lines
    from tokenizers import Tokenizer

    texts = pathlib.Path(options.lines).read_text().split("\n") if options.lines else lines(40_000, seed=1)
    size = len("\n".join(texts).encode())
    tokenizer = Tokenizer.from_file(str(options.tokenizer))
    tokenizer.encode_special_tokens = True
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "lines.txt"
        file.write_bytes("\n".join(texts).encode())
        for _ in range(options.pairs):
            command = [f"{options.program}-bench", "text", file, "--text-tokenizer", options.tokenizer]
            ours.append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["seconds"])
            start = time.perf_counter()
            tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            theirs.append(time.perf_counter() - start)
    mine, peer = statistics.median(ours), statistics.median(theirs)
    print(f"{size / 1e6:.1f} MB in {len(texts)} lines, medians of {options.pairs} pairs, one thread")
    print(f"tessera {size / mine / 1e6:.1f} MB/s, tokenizers {size / peer / 1e6:.1f} MB/s: {peer / mine:.2f} x")


if __name__ == "__main__":
    main()
