"""EDM's two U-Nets (Karras et al., arXiv 2206.00364) with their names, resampling, groups and heads, in float64 where
asked: what `--golden` evaluates. State dicts load both ways into NVlabs/edm's networks, whose outputs these are."""

import math

import torch
from torch import nn
from torch.nn import functional as F


class Resampled(nn.Module):
    """A convolution, or none (side 0), of an image that is made larger or smaller by a filter first."""

    def __init__(self, inputs, outputs, side, change=None, taps=(1, 1), fused=False):
        super().__init__()
        self.change, self.fused = change, fused
        if side:
            self.weight = nn.Parameter(torch.zeros(outputs, inputs, side, side))
            self.bias = nn.Parameter(torch.zeros(outputs))
        if change:
            taps = torch.tensor(taps, dtype=torch.float32)
            self.register_buffer("resample_filter", (taps.outer(taps) / taps.sum() ** 2)[None, None])

    def forward(self, x):
        weight, bias = getattr(self, "weight", None), getattr(self, "bias", None)
        if self.change:
            taps = self.resample_filter.to(x.dtype)
            pad = (taps.shape[-1] - 1) // 2
            each = lambda channels: taps.expand(channels, 1, -1, -1)
            if self.fused:
                x = F.conv2d(x, weight, padding=pad + weight.shape[-1] // 2)
                return F.conv2d(x, each(x.shape[1]), groups=x.shape[1], stride=2) + bias[:, None, None]
            if self.change == "up":
                x = F.conv_transpose2d(x, 4 * each(x.shape[1]), groups=x.shape[1], stride=2, padding=pad)
            else:
                x = F.conv2d(x, each(x.shape[1]), groups=x.shape[1], stride=2, padding=pad)
        return x if weight is None else F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


class Block(nn.Module):
    def __init__(self, kind, inputs, outputs, embedding, attends=False, change=None, taps=(1, 1)):
        super().__init__()
        self.song = kind == "song"
        norm = lambda channels: nn.GroupNorm(min(32, channels // 4), channels, eps=1e-6 if self.song else 1e-5)
        self.norm0, self.norm1 = norm(inputs), norm(outputs)
        self.conv0 = Resampled(inputs, outputs, 3, change, taps)
        self.affine = nn.Linear(embedding, outputs * (1 if self.song else 2))
        self.conv1 = Resampled(outputs, outputs, 3)
        self.skip = None
        if inputs != outputs or change:
            self.skip = Resampled(inputs, outputs, 1 if self.song or inputs != outputs else 0, change, taps)
        self.heads = (1 if self.song else outputs // 64) if attends else 0
        if attends:
            self.norm2, self.qkv, self.proj = norm(outputs), Resampled(outputs, 3 * outputs, 1), Resampled(outputs, outputs, 1)

    def forward(self, x, embedding):
        h, values = self.conv0(F.silu(self.norm0(x))), self.affine(embedding)[:, :, None, None]
        if self.song:
            h = self.norm1(h + values)
        else:
            scale, shift = values.chunk(2, 1)
            h = self.norm1(h) * (scale + 1) + shift
        scale = math.sqrt(0.5) if self.song else 1
        x = (self.conv1(F.silu(h)) + (x if self.skip is None else self.skip(x))) * scale
        if self.heads:
            qkv = self.qkv(self.norm2(x)).flatten(2).unflatten(1, (self.heads, x.shape[1] // self.heads, 3))
            q, k, v = qkv.unbind(3)
            weights = (q.transpose(2, 3) @ k / math.sqrt(q.shape[2])).softmax(-1)
            x = (x + self.proj((v @ weights.transpose(2, 3)).reshape(x.shape))) * scale
        return x


class Network(nn.Module):
    """`kind` song or dhariwal; `encoder` and `decoder` as in SongUNet: standard, skip, residual."""

    def __init__(self, kind, channels, multiples, blocks=1, attention=(), labels=0, encoder="standard", decoder="standard",
                 features=False, taps=(1, 1), side=16):  # fmt: skip
        super().__init__()
        self.kind, self.labels, song = kind, labels, kind == "song"
        noise, width = channels * (2 if features else 1), channels * 4
        self.noise = noise
        self.map_noise = nn.Module()
        if features:
            self.map_noise.register_buffer("freqs", torch.randn(noise // 2) * 4)
        if labels:
            self.map_label = nn.Linear(labels, noise if song else width, bias=song)
        self.map_augment = nn.Linear(9, noise if song else channels, bias=False)
        self.map_layer0, self.map_layer1 = nn.Linear(noise, width), nn.Linear(width, width)
        make = lambda *args, **more: Block(kind, *args[:2], width, *args[2:], taps=taps if song else (1, 1), **more)
        enc, dec, skips, aux, outputs = {}, {}, [], 3, channels
        for level, multiple in enumerate(multiples):
            name = f"{side >> level}x{side >> level}_"
            if level == 0:
                outputs = channels if song else channels * multiple
                enc[name + "conv"] = Resampled(3, outputs, 3)
            else:
                enc[name + "down"] = make(outputs, outputs, change="down")
                if encoder == "skip":
                    enc[name + "aux_down"] = Resampled(aux, aux, 0, "down", taps)
                    enc[name + "aux_skip"] = Resampled(aux, outputs, 1)
                elif encoder == "residual":
                    enc[name + "aux_residual"] = Resampled(aux, outputs, 3, "down", taps, fused=True)
                    aux = outputs
            skips.append(outputs)
            for index in range(blocks):
                enc[f"{name}block{index}"] = make(outputs, channels * multiple, side >> level in attention)
                outputs = channels * multiple
                skips.append(outputs)
        for level, multiple in reversed(list(enumerate(multiples))):
            name = f"{side >> level}x{side >> level}_"
            if level == len(multiples) - 1:
                dec[name + "in0"], dec[name + "in1"] = make(outputs, outputs, True), make(outputs, outputs)
            else:
                dec[name + "up"] = make(outputs, outputs, change="up")
            for index in range(blocks + 1):
                attends = side >> level in attention and (index == blocks or not song)
                dec[f"{name}block{index}"] = make(outputs + skips.pop(), channels * multiple, attends)
                outputs = channels * multiple
            if song and (decoder == "skip" or level == 0):
                if decoder == "skip" and level < len(multiples) - 1:
                    dec[name + "aux_up"] = Resampled(3, 3, 0, "up", taps)
                dec[name + "aux_norm"] = nn.GroupNorm(min(32, outputs // 4), outputs, eps=1e-6)
                dec[name + "aux_conv"] = Resampled(outputs, 3, 3)
        self.enc, self.dec = nn.ModuleDict(enc), nn.ModuleDict(dec)
        if not song:
            self.out_norm = nn.GroupNorm(min(32, outputs // 4), outputs)
            self.out_conv = Resampled(outputs, 3, 3)

    def embedding(self, noise, label):
        half, song = self.noise // 2, self.kind == "song"
        if hasattr(self.map_noise, "freqs"):
            angles = noise[:, None] * (2 * math.pi * self.map_noise.freqs)
        else:
            angles = noise[:, None] * (1 / 10_000) ** (torch.arange(half, dtype=noise.dtype) / (half - song))
        if song:
            start = torch.cat([angles.sin(), angles.cos()], 1)
            if self.labels:
                start = start + self.map_label(label * math.sqrt(self.labels))
            return F.silu(self.map_layer1(F.silu(self.map_layer0(start))))
        values = self.map_layer1(F.silu(self.map_layer0(torch.cat([angles.cos(), angles.sin()], 1))))
        return F.silu(values + self.map_label(label) if self.labels else values)

    def forward(self, x, noise, label=None):
        embedding, skips, aux = self.embedding(noise, label), [], x
        for name, module in self.enc.items():
            if "aux_down" in name:
                aux = module(aux)
            elif "aux_skip" in name:
                x = skips[-1] = x + module(aux)
            elif "aux_residual" in name:
                x = skips[-1] = aux = (x + module(aux)) / math.sqrt(2)
            else:
                x = module(x, embedding) if isinstance(module, Block) else module(x)
                skips.append(x)
        image = None
        for name, module in self.dec.items():
            if "aux_up" in name:
                image = module(image)
            elif "aux_norm" in name:
                normalized = module(x)
            elif "aux_conv" in name:
                change = module(F.silu(normalized))
                image = change if image is None else change + image
            else:
                if x.shape[1] != module.norm0.num_channels:
                    x = torch.cat([x, skips.pop()], 1)
                x = module(x, embedding)
        return self.out_conv(F.silu(self.out_norm(x))) if self.kind == "dhariwal" else image


NETWORKS = {
    "ddpmpp": dict(kind="song", channels=16, multiples=[1, 2], attention=[8]),
    "ncsnpp": dict(kind="song", channels=16, multiples=[1, 2, 2], attention=[8], encoder="residual", features=True, taps=(1, 3, 3, 1)),
    "skips": dict(kind="song", channels=8, multiples=[1, 2, 2], blocks=2, attention=[8], labels=5, encoder="skip", decoder="skip"),
    "adm": dict(kind="dhariwal", channels=64, multiples=[1, 2], attention=[8], labels=3),
}
