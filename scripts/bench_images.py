"""JPEG to a 256 px tensor on one core: tessera, Pillow and OpenCV in turns over the same files.

    pip install pillow numpy opencv-python-headless
    python scripts/bench_images.py FOLDER [--pairs 5] [--files 40]

Pillow: decode, convert, bicubic resize, centre crop, float32. OpenCV: imdecode, INTER_AREA, crop, float32.
Times are processor time; the medians over all pairs are printed. Files are read beforehand.
"""

import argparse
import io
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import cv2
import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[1]
cv2.setNumThreads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")


def target(width, height):
    scale = 256 / min(width, height)
    return round(width * scale), round(height * scale)


def with_pillow(data):
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image = image.resize(target(*image.size), Image.Resampling.BICUBIC)
    left, top = (image.width - 256) // 2, (image.height - 256) // 2
    return np.asarray(image.crop((left, top, left + 256, top + 256)), dtype=np.float32) / 127.5 - 1


def with_opencv(data):
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    size = target(image.shape[1], image.shape[0])
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    left, top = (size[0] - 256) // 2, (size[1] - 256) // 2
    return image[top : top + 256, left : left + 256, ::-1].astype(np.float32) / 127.5 - 1


def milliseconds(convert, files):
    start = time.process_time()
    for data in files:
        convert(data)
    return (time.process_time() - start) * 1000 / len(files)


def with_tessera(program, listing):
    run = [f"{program}-bench", "images", listing, "--rounds", "1", "--orientation", "ignore"]
    return json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)["millisecondsPerImage"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--program", default=str(ROOT / ".build/release/tessera"))
    arguments = parser.parse_args()
    paths = sorted(p for p in arguments.folder.resolve().rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    paths = [path for path in paths if Image.open(path).mode == "RGB"][: arguments.files]
    files = [path.read_bytes() for path in paths]
    results = {"tessera": [], "pillow": [], "opencv": []}
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listing:
        listing.write("".join(f"{path}\n" for path in paths))
        listing.flush()
        for _ in range(arguments.pairs):
            results["pillow"].append(milliseconds(with_pillow, files))
            results["tessera"].append(with_tessera(arguments.program, listing.name))
            results["opencv"].append(milliseconds(with_opencv, files))
    ours = statistics.median(results["tessera"])
    print(f"{len(files)} files, medians of {arguments.pairs} rounds, processor time an image")
    for name, times in results.items():
        median = statistics.median(times)
        print(f"{name:8} {median:7.2f} ms  {1000 / median:7.1f} images/s  {median / ours:5.2f} x tessera's time")


if __name__ == "__main__":
    main()
