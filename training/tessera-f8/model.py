"""The PyTorch twin of tessera-f8: an autoencoder of the Cosmos DI shape.

Haar patcher (p = 4) -> CNN encoder (taming layout and key names) -> FSQ [8,8,8,5,5,5] ("atanh" variant)
-> CNN decoder -> inverse Haar. Follows the published Cosmos-Tokenizer architecture (Apache-2.0) and
Finite Scalar Quantization (arXiv 2309.15505); written anew for Tessera, smaller, without attention.
"""

import torch
import torch.nn.functional as F
from torch import nn

LEVELS = [8, 8, 8, 5, 5, 5]
CONFIG = {"ch": 64, "ch_mult": [1, 2], "num_res_blocks": 1, "z_channels": 32, "patch_size": 4}


def haar(x):
    """[n, c, h, w] -> [n, 4c, h/2, w/2], bands LL, LH, HL, HH, each the mean of signed pixels."""
    a, b, c, d = x[..., 0::2, 0::2], x[..., 0::2, 1::2], x[..., 1::2, 0::2], x[..., 1::2, 1::2]
    return torch.cat([a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d], 1) / 4


def inverse_haar(x):
    ll, lh, hl, hh = x.chunk(4, 1)
    n, c, h, w = ll.shape
    out = x.new_empty(n, c, 2 * h, 2 * w)
    out[..., 0::2, 0::2] = ll + lh + hl + hh
    out[..., 0::2, 1::2] = ll + lh - hl - hh
    out[..., 1::2, 0::2] = ll - lh + hl - hh
    out[..., 1::2, 1::2] = ll - lh - hl + hh
    return out


def norm(c):
    return nn.GroupNorm(32, c, eps=1e-6)


class ResnetBlock(nn.Module):
    def __init__(self, ci, co):
        super().__init__()
        self.norm1, self.conv1 = norm(ci), nn.Conv2d(ci, co, 3, padding=1)
        self.norm2, self.conv2 = norm(co), nn.Conv2d(co, co, 3, padding=1)
        if ci != co:
            self.nin_shortcut = nn.Conv2d(ci, co, 1)

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x) + h


class AttnBlock(nn.Module):
    """Single-head attention over all positions; tessera-f8 has none, larger relatives do."""

    def __init__(self, c):
        super().__init__()
        self.norm = norm(c)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(c, c, 1) for _ in range(4))

    def forward(self, x):
        n, c, h, w = x.shape
        y = self.norm(x)
        q, k, v = (f(y).reshape(n, c, h * w) for f in (self.q, self.k, self.v))
        s = torch.softmax(torch.bmm(q.transpose(1, 2), k) * c**-0.5, dim=2)
        return x + self.proj_out(torch.bmm(v, s.transpose(1, 2)).reshape(n, c, h, w))


class Downsample(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv = nn.Conv2d(c, c, 3, stride=2)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv = nn.Conv2d(c, c, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def mid(c, attention):
    m = nn.Module()
    m.block_1 = ResnetBlock(c, c)
    if attention:
        m.attn_1 = AttnBlock(c)
    m.block_2 = ResnetBlock(c, c)
    return m


def run_mid(m, h):
    h = m.block_1(h)
    if hasattr(m, "attn_1"):
        h = m.attn_1(h)
    return m.block_2(h)


class Encoder(nn.Module):
    def __init__(self, ch, ch_mult, num_res_blocks, z_channels, patch_size, attention=False):
        super().__init__()
        self.patches = patch_size.bit_length() - 1
        self.conv_in = nn.Conv2d(3 * patch_size**2, ch, 3, padding=1)
        self.down, c = nn.ModuleList(), ch
        for i, mult in enumerate(ch_mult):
            level = nn.Module()
            level.block = nn.ModuleList()
            for _ in range(num_res_blocks):
                level.block.append(ResnetBlock(c, ch * mult))
                c = ch * mult
            if i != len(ch_mult) - 1:
                level.downsample = Downsample(c)
            self.down.append(level)
        self.mid = mid(c, attention)
        self.norm_out, self.conv_out = norm(c), nn.Conv2d(c, z_channels, 3, padding=1)

    def forward(self, x):
        for _ in range(self.patches):
            x = haar(x)
        h = self.conv_in(x)
        for level in self.down:
            for block in level.block:
                h = block(h)
            if hasattr(level, "downsample"):
                h = level.downsample(h)
        h = run_mid(self.mid, h)
        return self.conv_out(F.silu(self.norm_out(h)))


class Decoder(nn.Module):
    def __init__(self, ch, ch_mult, num_res_blocks, z_channels, patch_size, attention=False):
        super().__init__()
        self.patches = patch_size.bit_length() - 1
        c = ch * ch_mult[-1]
        self.conv_in = nn.Conv2d(z_channels, c, 3, padding=1)
        self.mid = mid(c, attention)
        levels = []
        for i in reversed(range(len(ch_mult))):
            level = nn.Module()
            level.block = nn.ModuleList()
            for _ in range(num_res_blocks + 1):
                level.block.append(ResnetBlock(c, ch * ch_mult[i]))
                c = ch * ch_mult[i]
            if i != 0:
                level.upsample = Upsample(c)
            levels.insert(0, level)
        self.up = nn.ModuleList(levels)
        self.norm_out, self.conv_out = norm(c), nn.Conv2d(c, 3 * patch_size**2, 3, padding=1)

    def forward(self, z):
        h = run_mid(self.mid, self.conv_in(z))
        for level in reversed(self.up):
            for block in level.block:
                h = block(h)
            if hasattr(level, "upsample"):
                h = level.upsample(h)
        h = self.conv_out(F.silu(self.norm_out(h)))
        for _ in range(self.patches):
            h = inverse_haar(h)
        return h


class FSQ(nn.Module):
    """Finite scalar quantization, the "atanh" variant (eps 1e-3), dimension 0 fastest."""

    def __init__(self, levels):
        super().__init__()
        l = torch.tensor(levels, dtype=torch.float32)
        self.half_l = ((l - 1) * (1 + 1e-3) / 2).view(1, -1, 1, 1)
        self.offset = torch.where(l % 2 == 0, 0.5, 0.0).view(1, -1, 1, 1)
        self.shift = (self.offset / self.half_l).atanh()
        self.half_width = (l // 2).view(1, -1, 1, 1)
        self.basis = [1]
        for n in levels[:-1]:
            self.basis.append(self.basis[-1] * n)

    def bound(self, z):
        return (z + self.shift).tanh() * self.half_l - self.offset

    def forward(self, z):
        b = self.bound(z.float())
        return (b + (b.round() - b).detach()) / self.half_width

    def indices(self, z):
        digits = (self.bound(z).round() + self.half_width).long()
        return sum(digits[:, i] * b for i, b in enumerate(self.basis))


class Autoencoder(nn.Module):
    def __init__(self, config=CONFIG, levels=LEVELS):
        super().__init__()
        self.encoder, self.decoder = Encoder(**config), Decoder(**config)
        self.quant_conv = nn.Conv2d(config["z_channels"], len(levels), 1)
        self.post_quant_conv = nn.Conv2d(len(levels), config["z_channels"], 1)
        self.quantizer = FSQ(levels)

    def latents(self, x):
        return self.quant_conv(self.encoder(x))

    def decode(self, codes):
        return self.decoder(self.post_quant_conv(codes))

    def forward(self, x):
        return self.decode(self.quantizer(self.latents(x)))
