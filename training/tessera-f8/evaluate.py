"""Measures an exported tessera-f8 on photographs it never saw, with libjpeg at the same size beside it.

    python evaluate.py tessera-f8.h5 PHOTOS [--sheet FILE.png]

Each photograph: Exif orientation applied, short side 256 (bicubic), centre crop 256 x 256. PSNR over RGB,
SSIM (11 x 11 Gaussian, sigma 1.5) over luma. A crop is 1024 codes of 64,000, stored in 2,048 bytes; libjpeg
is Pillow's encoder at the highest quality whose whole file (optimized Huffman tables, 4:2:0, no metadata)
fits in these bytes, and once more with 623 bytes on top: the headers of a baseline JPEG with standard
tables (those of optimized tables are a little smaller, so this favours libjpeg).
"""

import argparse
import io
import json
import math
import pathlib

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps

from model import Autoencoder

parser = argparse.ArgumentParser()
parser.add_argument("weights")
parser.add_argument("photos", type=pathlib.Path)
parser.add_argument("--sheet")
arguments = parser.parse_args()
torch.set_grad_enabled(False)

model = Autoencoder().eval()
with h5py.File(arguments.weights) as file:
    model.load_state_dict({k: torch.from_numpy(file[k][()]).float() for k in file})


def crop(path):
    photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    scale = 256 / min(photo.size)
    photo = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.BICUBIC)
    x, y = (photo.width - 256) // 2, (photo.height - 256) // 2
    return np.array(photo.crop((x, y, x + 256, y + 256)))


def psnr(a, b):
    return 10 * math.log10(255**2 / max(1e-9, ((a.astype(float) - b) ** 2).mean()))


def ssim(a, b):
    luma = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    x, y = (torch.from_numpy(i.astype(float)) @ luma for i in (a, b))
    g = torch.exp(-((torch.arange(11, dtype=torch.float64) - 5) ** 2) / 4.5)
    kernel = torch.outer(g, g)[None, None] / g.sum() ** 2
    mean = lambda i: F.conv2d(i[None, None], kernel)
    mx, my = mean(x), mean(y)
    vx, vy, vxy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return (((2 * mx * my + c1) * (2 * vxy + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2))).mean().item()


def jpeg(image, budget):
    best = None
    for quality in range(1, 96):
        data = io.BytesIO()
        Image.fromarray(image).save(data, "JPEG", quality=quality, optimize=True, subsampling="4:2:0")
        if len(data.getvalue()) > budget:
            break
        best = np.array(Image.open(data))
    return best


rows, used, sheet = [], set(), []
for path in sorted(arguments.photos.glob("*.jpg")):
    image = crop(path)
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
    z = model.latents(x)
    used.update(model.quantizer.indices(z).flatten().tolist())
    y = model.decode(model.quantizer(z))[0].permute(1, 2, 0)
    y = ((y + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
    same, more = jpeg(image, 2048), jpeg(image, 2048 + 623)
    rows.append(
        {
            "photo": path.name,
            "psnr": psnr(image, y),
            "ssim": ssim(image, y),
            "jpeg_psnr": psnr(image, same) if same is not None else None,
            "jpeg_ssim": ssim(image, same) if same is not None else None,
            "jpeg_without_headers_psnr": psnr(image, more) if more is not None else None,
        }
    )
    sheet.append(np.concatenate([image, y, same if same is not None else np.zeros_like(image)], 1))

result = {"photographs": len(rows), "codes_used": len(used), "of_positions": len(rows) * 1024}
for key in ("psnr", "ssim", "jpeg_psnr", "jpeg_ssim", "jpeg_without_headers_psnr"):
    values = [row[key] for row in rows if row[key] is not None]
    result[key] = {"mean": round(float(np.mean(values)), 3), "median": round(float(np.median(values)), 3), "n": len(values)}
both = [row for row in rows if row["jpeg_psnr"] is not None]
result["psnr_where_jpeg_fits"] = round(float(np.mean([row["psnr"] for row in both])), 3)
result["better_than_jpeg"] = sum(row["psnr"] > row["jpeg_psnr"] for row in both)
print(json.dumps(result, indent=2))
if arguments.sheet:
    Image.fromarray(np.concatenate(sheet[:8], 0)).save(arguments.sheet)
