"""A Mamba that somebody trained (PyPI's typeseg: bidirectional, Flax names): converted by a recipe of the user's own to
PyTorch's modules, its logits reproduced."""

import json
import pathlib

import numpy as np
import pytest
import torch
import typeseg
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

pytestmark = pytest.mark.usefixtures("without_gradients")

BLOCK, LAYER = "CheckpointMambaBlock1D_{L:int}__", "layers.{L}."
DENSE = {"Dense_0": ("in_proj", "2*i", "d"), "Dense_1": ("x_proj", "r+2*n", "i"), "Dense_2": ("dt_proj", "i", "r"), "Dense_3": ("out_proj", "d", "i")}
KEEP = {"keep": True}


def recipe():
    """Flax' kernels are [inputs, outputs] and [width, 1, channels]; PyTorch's the other way round."""
    rules = [
        {"left": "Embed_0__embedding", "right": "embedding.weight", "shape": ["V", "d"]},
        {"left": "LayerNorm_0__scale", "right": "norm_f.weight", "shape": ["d"]},
        {"left": "LayerNorm_0__bias", "right": "norm_f.bias", "shape": ["d"]},
        {"left": "Dense_0__kernel", "right": "head.weight", "shape": ["d", "c"], "operations": ["transpose"]},
        {"left": "Dense_0__bias", "right": "head.bias", "shape": ["c"]},
        {"left": BLOCK + "LayerNorm_0__scale", "right": LAYER + "norm.weight", "shape": ["d"]},
        {"left": BLOCK + "LayerNorm_0__bias", "right": LAYER + "norm.bias", "shape": ["d"]},
        {"left": BLOCK + "A_log", "right": LAYER + "A_log", "shape": ["i", "n"]} | KEEP,
        {"left": BLOCK + "D", "right": LAYER + "D", "shape": ["i"]} | KEEP,
        {"left": BLOCK + "Conv_0__kernel", "right": LAYER + "conv1d.weight", "shape": ["K", 1, "i"], "operations": [{"permute": [2, 1, 0]}]},
        {"left": BLOCK + "Conv_0__bias", "right": LAYER + "conv1d.bias", "shape": ["i"]},
    ]
    for name, (module, outputs, inputs) in DENSE.items():
        rules.append({"left": f"{BLOCK}{name}__kernel", "right": f"{LAYER}{module}.weight", "shape": [inputs, outputs], "operations": ["transpose"]})
        rules.append({"left": f"{BLOCK}{name}__bias", "right": f"{LAYER}{module}.bias", "shape": [outputs]})
    return {"name": "mamba.typeseg-torch", "version": 1, "title": "typeseg's Mamba", "family": "mamba", "left": "typeseg", "right": "torch",
            "sizes": {"r": "rank of dt", "n": "states a channel", "i": "inner width", "d": "width of the model"}, "rules": rules}  # fmt: skip


class Layer(nn.Module):
    def __init__(self, width=256, states=16, rank=16, taps=4):
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.in_proj, self.x_proj = nn.Linear(width, 2 * width), nn.Linear(width, rank + 2 * states)
        self.dt_proj, self.out_proj = nn.Linear(rank, width), nn.Linear(width, width)
        self.conv1d = nn.Conv1d(width, width, taps, groups=width)
        self.A_log, self.D = nn.Parameter(torch.zeros(width, states)), nn.Parameter(torch.zeros(width))
        self.sizes = [rank, states, states]

    def scan(self, u, dt, b, c):
        decay, state, result = -self.A_log.exp(), torch.zeros_like(self.A_log), []
        for x, step, b_t, c_t in zip(u, dt, b, c):
            state = (step[:, None] * decay).exp() * state + (step * x)[:, None] * b_t
            result.append(state @ c_t + self.D * x)
        return torch.stack(result)

    def forward(self, x):
        u, gate = self.in_proj(self.norm(x)).chunk(2, 1)
        u = F.silu(self.conv1d(F.pad(u.T[None], (1, 2)))[0].T)
        dt, b, c = self.x_proj(u).split(self.sizes, 1)
        dt = F.softplus(self.dt_proj(dt)) + 1e-4
        both = self.scan(u, dt, b, c) + self.scan(*(t.flip(0) for t in (u, dt, b, c))).flip(0)
        return x + self.out_proj(both * F.silu(gate))


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head, self.norm_f = nn.Embedding(130, 256), nn.Linear(256, 35), nn.LayerNorm(256, eps=1e-6)
        self.layers = nn.ModuleList(Layer() for _ in range(6))

    def forward(self, tokens):
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm_f(x))


def test_the_mamba_of_typeseg_has_its_logits_in_pytorch(tessera, tmp_path):
    from typeseg._numpy_backend import Weights, mamba_forward

    source = pathlib.Path(typeseg.__file__).parent / "data" / "mamba_al.npz"
    (tmp_path / "recipe.json").write_text(json.dumps(recipe()))
    tessera("recipes", "check", tmp_path / "recipe.json")
    out, back = tmp_path / "model.safetensors", tmp_path / "back.npz"
    tessera("convert", source, "-o", out, "--recipe", tmp_path / "recipe.json")
    model = Segmenter()
    model.load_state_dict(load_file(out))
    text = b"def f(x):\n    return x + 1\n\nSELECT name FROM users WHERE id = 7;\n<p>caf\xc3\xa9</p>\n"
    arrays = dict(np.load(source))
    reference = mamba_forward(Weights({name.replace("__", "/"): a for name, a in arrays.items()}), np.frombuffer(text, np.uint8))
    # typeseg's table: bytes from 128 on share one entry.
    tokens = torch.tensor([min(byte, 128) for byte in text])
    found = model.eval()(tokens).numpy()
    assert reference.shape == found.shape == (len(text), 35)
    assert np.abs(found - reference).max() <= 1e-4 * np.abs(reference).max()
    assert (found.argmax(1) == reference.argmax(1)).all()
    # And back, bit for bit.
    tessera("convert", out, "-o", back, "--recipe", tmp_path / "recipe.json", "--inverse")
    after = dict(np.load(back))
    assert after.keys() == arrays.keys() and all(np.array_equal(after[n], a) for n, a in arrays.items())
    # A is what a linear system may take from it; the rest comes from the input.
    tessera("ssm", "convert", out, "--to", "mamba", "--dt", "bias", "-o", tmp_path / "lti.safetensors")
    a = load_file(tmp_path / "lti.safetensors")["layers.5.A"]
    assert torch.allclose(a, -model.layers[5].A_log.double().exp(), rtol=1e-12)
