"""Writes a trained run as the HDF5 file that the program embeds.

    python export.py RUN/final.pt ../../Sources/CTesseraF8/tessera-f8.h5

Weights become float16 (the program widens them exactly), one dataset per tensor under its state-dict name,
shuffled and deflated. The root attribute `tokenizer` is the description of schemas/tokenizer.schema.json.
"""

import json
import sys

import h5py
import torch

from model import LEVELS

DESCRIPTION = {
    "name": "tessera-f8",
    "family": "cosmos",
    "quantizer": {"kind": "fsq", "variant": "atanh", "levels": LEVELS},
    "preprocessing": {
        "orientation": "apply",
        "resize": "bicubic:short=256",
        "crop": "center:256x256",
        "pad": "none",
        "alpha": "drop",
        "truncation": "refuse",
        "range": "x/127.5-1",
    },
}

saved = torch.load(sys.argv[1], weights_only=True)
weights = saved.get("average", saved["model"])
with h5py.File(sys.argv[2], "w", track_order=False) as file:
    file.attrs["tokenizer"] = json.dumps(DESCRIPTION, sort_keys=True)
    for name in sorted(weights):
        half = weights[name].half()
        assert torch.isfinite(half).all(), name
        file.create_dataset(
            name, data=half.numpy(), compression="gzip", compression_opts=9, shuffle=True, track_times=False
        )
