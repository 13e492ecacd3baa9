"""Trains tessera-f8 on a CPU. Needs torch, Pillow, numpy.

    python train.py --photos DIR --out RUN --steps 14000 --decay 3500

Every photograph is kept at a few sizes (short side 224 ... 512, Pillow's bicubic); a step draws square
crops and mirrors half of them. Loss: mean squared error plus a little absolute error. Learning rate:
warm-up, constant, then a half cosine to zero over the last --decay steps. Convolutions run in bfloat16,
but in float32 over the last quarter of the decay. RUN/state.pt resumes; --steps may then be another
number. The weights that count are the moving average.
"""

import argparse
import json
import math
import pathlib
import time

import numpy as np
import torch
from PIL import Image

from model import CONFIG, LEVELS, Autoencoder

parser = argparse.ArgumentParser()
parser.add_argument("--photos", type=pathlib.Path, required=True)
parser.add_argument("--out", type=pathlib.Path, required=True)
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--decay", type=int, required=True)
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--crop", type=int, default=128)
parser.add_argument("--rate", type=float, default=1e-3)
parser.add_argument("--average", type=float, default=0.999)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seed", type=int, default=1)
arguments = parser.parse_args()

torch.manual_seed(arguments.seed)
torch.set_num_threads(arguments.threads)
arguments.out.mkdir(parents=True, exist_ok=True)


def pyramid(path):
    photo = Image.open(path).convert("RGB")
    for side in (224, 256, 320, 400, 512):
        scale = side / min(photo.size)
        if scale <= 1:
            size = (round(photo.width * scale), round(photo.height * scale))
            yield torch.from_numpy(np.array(photo.resize(size, Image.Resampling.BICUBIC)))


photos = [list(pyramid(p)) for p in sorted(arguments.photos.glob("*.jpg"))]
print(f"{len(photos)} photographs, {sum(len(p) for p in photos)} sizes", flush=True)


def batch(generator):
    crops = []
    for _ in range(arguments.batch):
        sizes = photos[generator.integers(len(photos))]
        image = sizes[generator.integers(len(sizes))]
        y = generator.integers(image.shape[0] - arguments.crop + 1)
        x = generator.integers(image.shape[1] - arguments.crop + 1)
        crop = image[y : y + arguments.crop, x : x + arguments.crop].permute(2, 0, 1)
        crops.append(crop.flip(2) if generator.integers(2) else crop)
    return torch.stack(crops).float() / 127.5 - 1


model = Autoencoder()
average = {k: v.detach().clone() for k, v in model.state_dict().items()}
optimizer = torch.optim.Adam(model.parameters(), arguments.rate, betas=(0.9, 0.99))
step, state = 0, arguments.out / "state.pt"
if state.exists():
    saved = torch.load(state, weights_only=True)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    average, step = saved["average"], saved["step"]


def rate(step):
    warm = min(1, (step + 1) / 300)
    left = (arguments.steps - step) / arguments.decay
    return arguments.rate * warm * (1 if left >= 1 else 0.5 * (1 - math.cos(math.pi * left)))


def save():
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": average, "step": step},
        state.with_suffix(".tmp"),
    )
    state.with_suffix(".tmp").replace(state)


log = (arguments.out / "train.log").open("a", buffering=1)
start, errors = time.time(), []
while step < arguments.steps:
    precise = step >= arguments.steps - arguments.decay // 4
    for group in optimizer.param_groups:
        group["lr"] = rate(step)
    x = batch(np.random.default_rng([arguments.seed, step]))
    with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
        y = model(x)
    error = (y.float() - x).square().mean()
    loss = error + 0.02 * (y.float() - x).abs().mean()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    keep = min(arguments.average, (step + 1) / (step + 10))
    with torch.no_grad():
        for k, v in model.state_dict().items():
            average[k].lerp_(v, 1 - keep)
    errors.append(error.item())
    step += 1
    if step % 100 == 0:
        psnr = 10 * math.log10(4 / np.mean(errors))
        line = {"step": step, "crop_psnr": round(psnr, 3), "rate": rate(step - 1), "seconds": round(time.time() - start)}
        print(json.dumps(line), file=log)
        errors = []
    if step % 500 == 0 or step == arguments.steps:
        save()
torch.save({"model": average, "step": step, "config": CONFIG, "levels": LEVELS}, arguments.out / "final.pt")
