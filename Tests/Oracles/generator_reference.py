"""A small twin of EDM's two U-Nets (Karras et al., arXiv 2206.00364), with their names and their embeddings of noise
and label, in float64 where asked: what `--fold-sigma` must not change. The forward pass was checked against NVlabs/edm."""

import math

import torch
from torch import nn
from torch.nn import functional as F

SIGMA_DATA = 0.5


class Block(nn.Module):
    """norm, SiLU, conv, the embedding as scale and shift or as a bias, norm, SiLU, conv, attention."""

    def __init__(self, inputs, outputs, embedding, adaptive, attends):
        super().__init__()
        self.adaptive = adaptive
        self.norm0, self.conv0 = nn.GroupNorm(4, inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.affine = nn.Linear(embedding, outputs * (2 if adaptive else 1))
        self.norm1, self.conv1 = nn.GroupNorm(4, outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None
        if attends:
            self.norm2, self.qkv = nn.GroupNorm(4, outputs), nn.Conv2d(outputs, 3 * outputs, 1)
            self.proj = nn.Conv2d(outputs, outputs, 1)
        self.attends = attends

    def forward(self, x, embedding, folded=None):
        h = self.conv0(F.silu(self.norm0(x)))
        values = (self.affine(embedding) if folded is None else folded)[:, :, None, None]
        if self.adaptive:
            scale, shift = values.chunk(2, 1)
            h = F.silu(shift + self.norm1(h) * (1 + scale))
        else:
            h = F.silu(self.norm1(h + values))
        x = self.conv1(h) + (x if self.skip is None else self.skip(x))
        if self.attends:
            q, k, v = self.qkv(self.norm2(x)).flatten(2).unflatten(1, (-1, 3)).unbind(2)
            weights = (q.transpose(1, 2) @ k / math.sqrt(q.shape[1])).softmax(-1)
            x = x + self.proj((v @ weights.transpose(1, 2)).unflatten(2, x.shape[2:]))
        return x


class Generator(nn.Module):
    """`kind` is song or dhariwal; `features` has the noise seen through random Fourier features."""

    def __init__(self, kind, labels=0, features=False, channels=8, embedding=24, adaptive=True):
        super().__init__()
        self.kind, self.labels, self.channels = kind, labels, channels
        song = kind == "song"
        self.map_noise = nn.Module()
        if features:
            self.map_noise.register_buffer("freqs", torch.randn(channels // 2) * 4)
        if labels:
            outputs = channels if song else embedding
            self.map_label = nn.Linear(labels, outputs, bias=song)
        self.map_layer0, self.map_layer1 = nn.Linear(channels, embedding), nn.Linear(embedding, embedding)
        make = lambda i, o, attends=False: Block(i, o, embedding, adaptive, attends)
        self.enc = nn.ModuleDict(
            {"8x8_conv": nn.Conv2d(3, channels, 3, padding=1), "8x8_block0": make(channels, 12, True), "8x8_block1": make(12, 12)}
        )
        decoder = {"8x8_block0": make(24, 12)}
        if song:
            decoder |= {"8x8_aux_norm": nn.GroupNorm(4, 12), "8x8_aux_conv": nn.Conv2d(12, 3, 3, padding=1)}
        else:
            self.out_norm, self.out_conv = nn.GroupNorm(4, 12), nn.Conv2d(12, 3, 3, padding=1)
        self.dec = nn.ModuleDict(decoder)

    def embedding(self, noise, label):
        half = self.channels // 2
        if hasattr(self.map_noise, "freqs"):
            angles = noise[:, None] * (2 * math.pi * self.map_noise.freqs)
        else:
            powers = torch.arange(half, dtype=noise.dtype) / (half - (self.kind == "song"))
            angles = noise[:, None] * (1 / 10_000) ** powers
        if self.kind == "song":
            start = torch.cat([angles.sin(), angles.cos()], 1)
            if self.labels:
                start = start + self.map_label(label * math.sqrt(self.labels))
            return F.silu(self.map_layer1(F.silu(self.map_layer0(start))))
        start = torch.cat([angles.cos(), angles.sin()], 1)
        values = self.map_layer1(F.silu(self.map_layer0(start)))
        return F.silu(values + self.map_label(label)) if self.labels else F.silu(values)

    def forward(self, x, noise, label=None, folded=None):
        """`folded` maps a block's name to the result of its affine layer."""
        embedding = None if folded else self.embedding(noise, label)
        run = lambda name, block, x: block(x, embedding, folded and folded[name])
        x = self.enc["8x8_conv"](x)
        first = run("enc.8x8_block0", self.enc["8x8_block0"], x)
        x = run("enc.8x8_block1", self.enc["8x8_block1"], first)
        x = run("dec.8x8_block0", self.dec["8x8_block0"], torch.cat([x, first], 1))
        if self.kind == "song":
            return self.dec["8x8_aux_conv"](F.silu(self.dec["8x8_aux_norm"](x)))
        return self.out_conv(F.silu(self.out_norm(x)))


def denoised(network, x, sigma, label=None):
    """EDM's D(x; sigma)."""
    square = sigma**2 + SIGMA_DATA**2
    skip, out, scale = SIGMA_DATA**2 / square, sigma * SIGMA_DATA / square**0.5, square**-0.5
    noise = torch.full((len(x),), math.log(sigma) / 4, dtype=x.dtype)
    return skip * x + out * network(scale * x, noise, label)
