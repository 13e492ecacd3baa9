"""Small instances of each family's network with drawn weights, as checkpoints and as functions.

Real classes where a package has them (taming-transformers, transformers, diffusers, Open-MAGVIT2), else modules put
together from their parts. They run in float64, so that the difference is Tessera's alone, and images of more
than 64 pixels per side in float32, whose own error is a hundredth of what is allowed.
"""

import importlib.util
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from taming.modules.diffusionmodules.model import AttnBlock, Decoder, Downsample, Encoder, ResnetBlock, Upsample
from torch import nn

torch.set_num_threads(1)


def spice(module, seed=0):
    """Weights far from their defaults: norms that scale by about 1 and shift, convolutions that keep the variance."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in module.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if "norm" in name.lower() or ".gn." in name:
            p.copy_((1 if name.endswith("weight") else 0) + 0.3 * noise)
        elif p.ndim <= 1:
            p.copy_(0.1 * noise)
        else:
            p.copy_(noise * p[0].numel() ** -0.5)
    for name, b in module.named_buffers():
        if name.endswith("running_mean"):
            b.copy_(0.3 * torch.randn(b.shape, generator=generator))
        if name.endswith("running_var"):
            b.copy_(0.5 + torch.rand(b.shape, generator=generator))
    return module.eval()


def soften(convolution, gain, bias=0.0):
    """Brings a decoder's values into the range of bytes, so that few are cut off."""
    convolution.weight.mul_(gain)
    convolution.bias.mul_(gain).add_(bias)


def noise(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Reference:
    """A family's instance: `state` is the checkpoint, the functions take and give [h, w, ...] arrays in float64."""

    family = ""
    range = staticmethod(lambda x: x / 127.5 - 1)
    unrange = staticmethod(lambda y: (y + 1) * 127.5)
    decodes = True
    sizes = [(64, 64), (96, 160), (256, 256)]

    def selections(self):
        """What names the family for which sizes of images."""
        return [(self.family, self.sizes)]

    dtype = torch.float64

    def to(self, dtype):
        """The same weights, which float32 holds, in another precision."""
        self.dtype = dtype
        for value in vars(self).values():
            for module in value if isinstance(value, list) else [value]:
                if isinstance(module, nn.Module):
                    module.to(dtype)

    def fit(self, height, width):
        """Takes the precision for images of this size."""
        self.to(torch.float32 if height * width > 5_000 else torch.float64)

    def input(self, pixels):
        return self.range(torch.from_numpy(pixels).double()).permute(2, 0, 1)[None].to(self.dtype)

    def latents(self, pixels):
        return self.latents_of([pixels])[0]

    def latents_of(self, images):
        """Of images of one size, in one batch."""
        return self.encode(torch.cat([self.input(pixels) for pixels in images])).permute(0, 2, 3, 1).numpy()

    def picture(self, codes):
        """What the decoder gives, as bytes before they are rounded."""
        return self.unrange(self.decode(torch.from_numpy(codes.astype(np.int64)))[0].permute(1, 2, 0)).numpy()

    def scores(self, z):
        """Of all codes at each latent, larger is better: squared distances, negative."""
        e = self.codebook.double()
        return -((z**2).sum(-1, keepdims=True) + (e**2).sum(-1).numpy() - 2 * z @ e.numpy().T)

    def codes(self, z):
        """Codes, and by how much each beats the next."""
        scores = self.scores(z)
        best = np.sort(scores, axis=-1)
        return scores.argmax(-1), best[..., -1] - best[..., -2]

    def codes_beside(self, z, found):
        """As `codes`; a reference whose codes depend on each other goes on from those that were `found`."""
        return self.codes(z)

    def lookup(self, codes):
        return self.codebook[codes].permute(2, 0, 1)[None].to(self.dtype)


class Autoencoder(nn.Module):
    """taming's halves around a codebook."""

    def __init__(self, codes=128, embed=16, z=16, ch=32, mult=(1, 2, 2), nrb=1, attention=(16,), kernel=1):
        super().__init__()
        dd = dict(double_z=False, z_channels=z, resolution=64, in_channels=3, out_ch=3, ch=ch, ch_mult=list(mult),
                  num_res_blocks=nrb, attn_resolutions=list(attention), dropout=0.0)
        self.encoder, self.decoder = Encoder(**dd), Decoder(**dd)
        self.quant_conv = nn.Conv2d(z, embed, kernel, padding=kernel // 2)
        self.post_quant_conv = nn.Conv2d(embed, z, kernel, padding=kernel // 2)
        self.quantize = nn.Module()
        self.quantize.embedding = nn.Embedding(codes, embed)


class Taming(Reference):
    family = "taming"

    def __init__(self, seed=0, **options):
        self.net = spice(Autoencoder(**options), seed)
        self.state = {k: v.float().clone() for k, v in self.net.state_dict().items()}
        self.state["loss.logvar"] = torch.zeros(1)
        self.codebook = self.net.quantize.embedding.weight.clone()
        self.net.double()

    def encode(self, x):
        return self.net.quant_conv(self.net.encoder(x))

    def decode(self, codes):
        return self.net.decoder(self.net.post_quant_conv(self.lookup(codes)))


class LatentDiffusion(Taming):
    """f4 without attention at a level; as the Lightning trainer stores it."""

    family = "ldm"

    def __init__(self):
        super().__init__(seed=1, embed=3, z=3, attention=())
        self.state = {f"state_dict.{k}": v for k, v in self.state.items()}


def dot(z, e):
    return z @ e.double().numpy().T


class IBQ(Taming):
    family = "ibq"

    def __init__(self, seed=2, **options):
        super().__init__(seed=seed, **options)

    def scores(self, z):
        return dot(z, self.codebook)


class AveragedIBQ(IBQ):
    """Averages beside the raw weights, their names without dots."""

    def __init__(self):
        super().__init__(seed=3)
        averaged, self.state = self.state, {}
        raw = Taming(seed=4).state
        for name, value in averaged.items():
            self.state[name] = raw[name]
            if not name.startswith("loss"):
                self.state["model_ema." + name.replace(".", "")] = value
        self.state["model_ema.decay"] = torch.tensor(0.999)
        self.state["model_ema.num_updates"] = torch.tensor(5)


class Emu35(IBQ):
    family = "emu3.5"

    def __init__(self):
        super().__init__(seed=5, nrb=2)


def cosine(z, e):
    z = z / np.maximum(np.linalg.norm(z, axis=-1, keepdims=True), 1e-12)
    return z @ F.normalize(e.double(), dim=-1).numpy().T


def llamagen_name(name, levels):
    """taming's name in LlamaGen's spelling."""
    parts = name.split(".")
    if parts[1] in ("down", "up") and parts[0] in ("encoder", "decoder"):
        level = int(parts[2]) if parts[0] == "encoder" else levels - 1 - int(parts[2])
        parts[1:3] = ["conv_blocks", str(level)]
        parts[3] = {"block": "res"}.get(parts[3], parts[3])
    if parts[1] == "mid":
        parts[2] = {"block_1": "0", "attn_1": "1", "block_2": "2"}[parts[2]]
    return ".".join(parts)


class LlamaGen(Taming):
    family = "llamagen"
    range = staticmethod(lambda x: (x / 255 - 0.5) / 0.5)
    prefix = "model."

    def __init__(self, seed=6):
        super().__init__(seed=seed, embed=8)
        self.state = {self.prefix + llamagen_name(k, 3): v for k, v in self.state.items() if k != "loss.logvar"}
        self.state[self.prefix + "quantize.codebook_used"] = torch.zeros(7)
        self.state["optimizer.param_groups.0"] = torch.zeros(3)

    def scores(self, z):
        return cosine(z, self.codebook)

    def lookup(self, codes):
        return F.normalize(self.codebook.double(), dim=-1)[codes].permute(2, 0, 1)[None].to(self.dtype)


class Janus(LlamaGen):
    family = "janus"
    prefix = "gen_vision_model."

    def __init__(self):
        super().__init__(seed=7)
        self.state["language_model.embed.weight"] = torch.zeros(4, 4)


class TransformersJanus(Reference):
    family = "janus"
    range = staticmethod(LlamaGen.range)

    def __init__(self):
        from transformers.models.janus.configuration_janus import JanusVQVAEConfig
        from transformers.models.janus.modeling_janus import JanusVQVAE

        self.net = spice(JanusVQVAE(JanusVQVAEConfig(
            embed_dim=8, num_embeddings=128, latent_channels=16, base_channels=32, channel_multiplier=[1, 2, 2],
            num_res_blocks=1, num_patches=16)), 8)
        w = self.net.quantize.embedding.weight
        w.copy_(F.normalize(w, dim=-1))
        self.state = {"model.vqmodel." + k: v.clone() for k, v in self.net.state_dict().items()}
        self.codebook = w.clone()
        self.net.double()

    def encode(self, x):
        return self.net.quant_conv(self.net.encoder(x))

    def decode(self, codes):
        z = F.normalize(self.codebook.double(), dim=-1)[codes].permute(2, 0, 1)[None].to(self.dtype)
        return self.net.decoder(self.net.post_quant_conv(z))

    def scores(self, z):
        return cosine(z, self.codebook)


class TransformersChameleon(Reference):
    family = "chameleon"
    range = staticmethod(lambda x: x / 255 * 2 - 1)
    decodes = False

    def __init__(self):
        from transformers import ChameleonVQVAE, ChameleonVQVAEConfig

        self.net = spice(ChameleonVQVAE(ChameleonVQVAEConfig(
            embed_dim=16, num_embeddings=128, latent_channels=16, resolution=64, base_channels=32,
            channel_multiplier=[1, 2, 2], num_res_blocks=1, attn_resolutions=[16])), 9)
        self.state = {"model.vqmodel." + k: v.clone() for k, v in self.net.state_dict().items()}
        self.state["model.layers.0.weight"] = torch.zeros(3)
        self.codebook = self.net.quantize.embedding.weight.clone()
        self.net.double()

    def encode(self, x):
        # `encode(…).last_hidden_state` stands before the quantizer's convolution.
        return self.net.quant_conv(self.net.encoder(x))


class Chameleon(Taming):
    family = "chameleon"
    range = staticmethod(TransformersChameleon.range)

    def __init__(self):
        super().__init__(seed=10, attention=(), embed=24, z=20)


class Half(nn.Module):
    """An encoder or decoder of taming's parts whose levels differ: (channels, blocks, resamples), fine to coarse."""

    def __init__(self, kind, first, levels, last, ch):
        super().__init__()
        self.kind = kind
        setattr(self, "down" if kind == "encoder" else "up", nn.ModuleList(nn.Module() for _ in levels))
        order = list(enumerate(levels)) if kind == "encoder" else list(enumerate(levels))[::-1]
        c = ch if kind == "encoder" else levels[-1][0]
        self.conv_in = nn.Conv2d(first, c, 3, padding=1)

        def middle():
            self.mid = nn.Module()
            self.mid.block_1, self.mid.attn_1, self.mid.block_2 = (
                ResnetBlock(in_channels=c, out_channels=c, dropout=0.0, temb_channels=0), AttnBlock(c),
                ResnetBlock(in_channels=c, out_channels=c, dropout=0.0, temb_channels=0))

        if kind == "decoder":
            middle()
        for i, (channels, blocks, resamples) in order:
            level = (self.down if kind == "encoder" else self.up)[i]
            level.block = nn.ModuleList()
            for _ in range(blocks):
                level.block.append(ResnetBlock(in_channels=c, out_channels=channels, dropout=0.0, temb_channels=0))
                c = channels
            if resamples and kind == "encoder":
                level.downsample = Downsample(c, True)
            if resamples and kind == "decoder":
                level.upsample = Upsample(c, True)
        if kind == "encoder":
            middle()
        self.norm_out = nn.GroupNorm(32, c, eps=1e-6)
        self.conv_out = nn.Conv2d(c, last, 3, padding=1)

    def forward(self, h):
        h = self.conv_in(h)
        if self.kind == "decoder":
            h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(h, None)), None)
        for level in self.down if self.kind == "encoder" else reversed(self.up):
            for block in level.block:
                h = block(h, None)
            if hasattr(level, "downsample"):
                h = level.downsample(h)
            if hasattr(level, "upsample"):
                h = level.upsample(h)
        if self.kind == "encoder":
            h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(h, None)), None)
        return self.conv_out(F.silu(self.norm_out(h)))


def haar(x, steps):
    for _ in range(steps):
        a, b, c, d = x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]
        x = torch.cat([a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d], 1) / 4
    return x


def unhaar(x, steps):
    for _ in range(steps):
        ll, lh, hl, hh = x.chunk(4, 1)
        y = x.new_zeros(x.shape[0], x.shape[1] // 4, x.shape[2] * 2, x.shape[3] * 2)
        y[..., ::2, ::2], y[..., ::2, 1::2] = ll + lh + hl + hh, ll + lh - hl - hh
        y[..., 1::2, ::2], y[..., 1::2, 1::2] = ll - lh + hl - hh, ll - lh - hl + hh
        x = y
    return x


class Cosmos(Reference):
    """Patches of 4 and two of three levels that resample: 16 pixels per code. Parts numbered as in the sequences."""

    family = "cosmos"
    range = staticmethod(TransformersChameleon.range)
    stride = 16
    sizes = [(64, 64), (96, 160), (256, 256)]
    levels = [8, 8, 8, 5, 5, 5]

    def __init__(self):
        self.net = nn.Module()
        self.net.encoder = Half("encoder", 48, [(32, 1, True), (64, 1, True), (64, 1, False)], 16, 32)
        self.net.decoder = Half("decoder", 16, [(32, 2, False), (64, 2, True), (64, 2, True)], 48, 32)
        self.net.quant_conv, self.net.post_quant_conv = nn.Conv2d(16, 6, 1), nn.Conv2d(6, 16, 1)
        soften(spice(self.net, 11).decoder.conv_out, 0.25)
        self.net.bfloat16().float()
        self.state = {k: v.bfloat16() for k, v in self.net.state_dict().items()}
        self.state["encoder.patcher.wavelets"] = torch.full((2,), 0.5**0.5)
        self.state["decoder.unpatcher._arange"] = torch.arange(2)
        self.net.load_state_dict({k: v.float() for k, v in self.state.items() if "patcher" not in k})
        self.net.double()

    def encode(self, x):
        return self.net.quant_conv(self.net.encoder(haar(x, 2)))

    def codes(self, z):
        levels = np.array(self.levels, dtype=np.float64)
        half = (levels - 1) * (1 + 1e-3) / 2
        offset = np.where(levels % 2 == 0, 0.5, 0.0)
        bound = np.tanh(z + np.arctanh(offset / half)) * half - offset
        digit = np.rint(bound) + levels // 2
        basis = np.cumprod([1] + self.levels[:-1])
        # A latent's difference is enlarged by the slope of the bound, at most half of the levels.
        return (digit * basis).sum(-1).astype(np.int64), (0.5 - np.abs(bound - np.rint(bound))).min(-1) / 4

    def decode(self, codes):
        basis = np.cumprod([1] + self.levels[:-1])
        digits = torch.stack([codes // int(b) % l for b, l in zip(basis, self.levels)], 0).to(self.dtype)
        half = torch.tensor([l // 2 for l in self.levels]).to(self.dtype)[:, None, None]
        return unhaar(self.net.decoder(self.net.post_quant_conv(((digits - half) / half)[None])), 2)


class ShowO(Reference):
    """Levels of different depths, halves of different widths, the 1x1 convolutions inside of them."""

    family = "show-o"
    range = staticmethod(LlamaGen.range)

    def __init__(self):
        self.net = nn.Module()
        self.net.encoder = Half("encoder", 3, [(32, 2, True), (64, 1, True), (96, 2, False)], 13, 32)
        self.net.decoder = Half("decoder", 13, [(32, 1, False), (32, 2, True), (64, 1, True)], 3, 32)
        self.net.encoder.quant_conv, self.net.decoder.post_quant_conv = nn.Conv2d(13, 13, 1), nn.Conv2d(13, 13, 1)
        spice(self.net, 12)
        self.state = {k: v.clone() for k, v in self.net.state_dict().items()}
        powers = 2 ** torch.arange(12, -1, -1)
        self.state["quantize.embedding"] = (torch.arange(8192)[:, None] & powers > 0).float() * 2 - 1
        self.state["quantize.power_vals"] = powers
        self.net.double()

    def encode(self, x):
        return self.net.encoder.quant_conv(self.net.encoder(x))

    def codes(self, z):
        return ((z > 0) * (1 << np.arange(12, -1, -1))).sum(-1), np.abs(z).min(-1)

    def decode(self, codes):
        bits = (codes[None] >> torch.arange(12, -1, -1)[:, None, None]) & 1
        return self.net.decoder(self.net.decoder.post_quant_conv((bits * 2 - 1).to(self.dtype)[None]))


class Amused(Reference):
    family = "amused"
    range = staticmethod(lambda x: x / 255)
    unrange = staticmethod(lambda y: y * 255)
    center = 0.5
    options = dict(down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
                   block_out_channels=(32, 64, 64), layers_per_block=1, latent_channels=16, num_vq_embeddings=128,
                   vq_embed_dim=16, mid_block_add_attention=False)
    seed = 13

    def __init__(self):
        from diffusers import VQModel

        self.net = spice(VQModel(**self.options), self.seed)
        soften(self.net.decoder.conv_out, 0.3, self.center)
        self.state = {k: v.clone() for k, v in self.net.state_dict().items()}
        self.codebook = self.net.quantize.embedding.weight.clone()
        self.net.double()

    def encode(self, x):
        return self.net.encode(x).latents

    def decode(self, codes):
        return self.net.decode(self.lookup(codes), force_not_quantize=True).sample


class MoVQ(Amused):
    family = "movq"
    range = staticmethod(LlamaGen.range)
    unrange = staticmethod(Reference.unrange)
    center = 0.0
    options = dict(down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
                   up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"),
                   block_out_channels=(32, 32, 64), layers_per_block=1, latent_channels=4, num_vq_embeddings=128,
                   vq_embed_dim=4, norm_type="spatial")
    seed = 14


def package_file(package, *path):
    folder = pathlib.Path(importlib.util.find_spec(package).submodule_search_locations[0])
    name = "_".join(("oracle",) + path)
    spec = importlib.util.spec_from_file_location(name, folder.joinpath(*path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class OpenMAGVIT2(Reference):
    """Averaged weights beside raw ones."""

    family = "open-magvit2"

    def __init__(self):
        model = package_file("OpenImageTokenizer", "Open_MAGVIT2", "modules", "diffusionmodules", "improved_model.py")
        dd = dict(ch=32, out_ch=3, in_channels=3, num_res_blocks=2, z_channels=10, ch_mult=(1, 2, 2), resolution=64)

        def net(seed):
            net = nn.Module()
            net.encoder, net.decoder = model.Encoder(**dd), model.Decoder(**dd)
            return spice(net, seed)

        self.net, raw = net(15), net(16)
        self.state = {}
        for name, value in self.net.state_dict().items():
            self.state["state_dict." + name] = raw.state_dict()[name].clone()
            self.state["state_dict.model_ema." + name.replace(".", "")] = value.clone()
        self.state["state_dict.quantize.mask"] = 2 ** torch.arange(10)
        self.net.double()

    def encode(self, x):
        return self.net.encoder(x)

    def codes(self, z):
        return ((z > 0) * (1 << np.arange(z.shape[-1]))).sum(-1), np.abs(z).min(-1)

    def decode(self, codes):
        bits = (codes[None] >> torch.arange(10)[:, None, None]) & 1
        return self.net.decoder((bits * 2 - 1).to(self.dtype)[None])


class MaskBlock(nn.Module):
    """A residual block that adds a shortcut of its own result where the channels change."""

    def __init__(self, a, b):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(32, a, eps=1e-6), nn.Conv2d(a, b, 3, padding=1, bias=False)
        self.norm2, self.conv2 = nn.GroupNorm(32, b, eps=1e-6), nn.Conv2d(b, b, 3, padding=1, bias=False)
        if a != b:
            self.nin_shortcut = nn.Conv2d(b, b, 1, bias=False)

    def forward(self, x):
        h = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return h + (self.nin_shortcut(h) if hasattr(self, "nin_shortcut") else x)


class MaskGIT(Reference):
    family = "maskgit"
    range = staticmethod(Amused.range)
    unrange = staticmethod(Amused.unrange)

    def __init__(self):
        widths = [32, 64, 64]
        self.net = nn.Module()
        e, d = nn.Module(), nn.Module()
        e.conv_in = nn.Conv2d(3, 32, 3, padding=1, bias=False)
        e.down, d.up = nn.ModuleList(), nn.ModuleList()
        c = 32
        for w in widths:
            level = nn.Module()
            level.block = nn.ModuleList([MaskBlock(c, w), MaskBlock(w, w)])
            e.down.append(level)
            c = w
        for half in (e, d):
            half.mid = nn.ModuleList([MaskBlock(64, 64), MaskBlock(64, 64)])
        e.norm_out, e.conv_out = nn.GroupNorm(32, 64, eps=1e-6), nn.Conv2d(64, 12, 1)
        d.conv_in = nn.Conv2d(12, 64, 3, padding=1)
        for i, w in enumerate(widths):
            level = nn.Module()
            level.block = nn.ModuleList([MaskBlock(widths[min(i + 1, 2)], w), MaskBlock(w, w)])
            if i:
                level.upsample_conv = nn.Conv2d(w, w, 3, padding=1)
            d.up.append(level)
        d.norm_out, d.conv_out = nn.GroupNorm(32, 32, eps=1e-6), nn.Conv2d(32, 3, 3, padding=1)
        self.net.encoder, self.net.decoder = e, d
        self.net.quantize = nn.Module()
        self.net.quantize.embedding = nn.Embedding(128, 12)
        soften(spice(self.net, 17).decoder.conv_out, 0.3, 0.5)
        self.state = {k: v.clone() for k, v in self.net.state_dict().items()}
        self.codebook = self.net.quantize.embedding.weight.clone()
        self.net.double()

    def encode(self, x):
        e = self.net.encoder
        h = e.conv_in(x)
        for i, level in enumerate(e.down):
            for block in level.block:
                h = block(h)
            if i < 2:
                h = F.avg_pool2d(h, 2)
        for block in e.mid:
            h = block(h)
        return e.conv_out(F.silu(e.norm_out(h)))

    def decode(self, codes):
        d = self.net.decoder
        h = d.conv_in(self.lookup(codes))
        for block in d.mid:
            h = block(h)
        for i in (2, 1, 0):
            for block in d.up[i].block:
                h = block(h)
            if i:
                h = d.up[i].upsample_conv(F.interpolate(h, scale_factor=2.0))
        return d.conv_out(F.silu(d.norm_out(h)))


class Emu3(Reference):
    """An image is four equal frames; Tessera folds them."""

    family = "emu3"
    range = staticmethod(LlamaGen.range)

    def __init__(self):
        from transformers import Emu3VQVAE, Emu3VQVAEConfig

        self.net = spice(Emu3VQVAE(Emu3VQVAEConfig(
            codebook_size=128, embed_dim=4, latent_channels=4, base_channels=32, channel_multiplier=[1, 1, 2],
            num_res_blocks=2, attn_resolutions=[2], hidden_size=64, temporal_downsample_factor=4)), 18)
        self.state = {"model.vqmodel." + k: v.clone() for k, v in self.net.state_dict().items()}
        self.codebook = self.net.quantize.embedding.weight.clone()
        self.net.double()

    def encode(self, x):
        h = self.net.encoder(x[:, None].repeat(1, 4, 1, 1, 1)).permute(0, 2, 1, 3, 4)
        return self.net.quant_conv(h)[:, :, 0]

    def decode(self, codes):
        return self.net.decode(codes[None])


class OriginalEmu3(Emu3):
    """The same network in BAAI's own spelling."""

    sizes = [(64, 64), (96, 160)]

    def __init__(self):
        super().__init__()
        state = {}
        for name, value in self.state.items():
            name = name.removeprefix("model.vqmodel.")
            for old, new in (("down_block.", ""), ("up_block.", ""), ("middle_block.attn_norm.", "mid.attn_1.norm."),
                             ("middle_block.", "mid."), ("q_proj", "q"), ("k_proj", "k"), ("v_proj", "v"),
                             ("out_proj", "proj_out")):
                name = name.replace(old, new)
            parts = name.split(".")
            if "attn_norms" in parts:
                at = parts.index("attn_norms")
                parts[at : at + 2] = ["attn", parts[at + 1], "norm"]
            if parts[-2] in ("q", "k", "v", "proj_out") and value.ndim == 2:
                value = value[:, :, None, None]
            state[".".join(parts)] = value
        self.state = state


class VAR(Reference):
    """Fused attention projections, 3x3 convolutions beside the quantizer, residuals at scales that end at the grid.

    The scales are sides of squares, so 96 x 160 is refused (test_family_files.py).
    """

    family = "var"
    range = staticmethod(LlamaGen.range)

    def selections(self):
        for scales in ([1, 2, 3, 5, 8, 16], [1, 2, 4, 7, 12, 19, 33, 64]):
            self.scales = scales
            yield f"var@scales={'.'.join(map(str, scales))}", [(4 * scales[-1], 4 * scales[-1])]

    def __init__(self):
        self.net = spice(Autoencoder(embed=12, z=12, kernel=3), 19)
        self.net.double()
        self.codebook = self.net.quantize.embedding.weight.clone() * 0.5
        self.phi = [spice(nn.Conv2d(12, 12, 3, padding=1), 20 + i).double() for i in range(4)]
        state = {k: v.float() for k, v in self.net.state_dict().items()}
        state["quantize.embedding.weight"] = self.codebook.float()
        self.codebook = self.codebook.float().double()
        self.state = {}
        for name, value in state.items():
            if ".q." in name:
                value = torch.cat([value, state[name.replace(".q.", ".k.")], state[name.replace(".q.", ".v.")]])
                name = name.replace(".q.", ".qkv.")
            elif ".k." in name or ".v." in name:
                continue
            self.state[name] = value
        for i, phi in enumerate(self.phi):
            for key, value in phi.state_dict().items():
                self.state[f"quantize.quant_resi.qresi_ls.{i}.{key}"] = value.float()
        self.state["quantize.ema_vocab_hit_SV"] = torch.zeros(8, 128)

    def encode(self, x):
        return self.net.quant_conv(self.net.encoder(x))

    def add(self, codes, k):
        side, last = self.scales[k], self.scales[-1]
        h = self.codebook[codes].T.reshape(1, 12, side, side).to(self.dtype)
        if side != last:
            h = F.interpolate(h, size=(last, last), mode="bicubic")
        ticks = np.linspace(1 / 12, 11 / 12, 4)
        phi = self.phi[int(np.abs(ticks - k / (len(self.scales) - 1)).argmin())]
        return 0.5 * h + 0.5 * phi(h)

    def codes_beside(self, z, found):
        """The best codes where those of the scales before are `found`: a code that differs changes what is left."""
        rest = torch.from_numpy(z).permute(2, 0, 1)[None].to(self.dtype)
        codes, margins, start = [], [], 0
        for k, s in enumerate(self.scales):
            query = rest if s == self.scales[-1] else F.interpolate(rest, size=(s, s), mode="area")
            c, m = self.codes(query[0].permute(1, 2, 0).reshape(-1, 12).numpy())
            codes.append(c)
            margins.append(m)
            rest = rest - self.add(torch.from_numpy(found[start : start + s * s]), k)
            start += s * s
        return np.concatenate(codes), np.concatenate(margins)

    def decode(self, codes):
        start, sum_ = 0, 0
        for k, s in enumerate(self.scales):
            sum_ = sum_ + self.add(codes[start : start + s * s], k)
            start += s * s
        return self.net.decoder(self.net.post_quant_conv(sum_))


class DVAE(Reference):
    family = "dvae"
    range = staticmethod(lambda x: 0.8 * (x / 255) + 0.1)
    decodes = False

    def __init__(self):
        from transformers import FlavaImageCodebook, FlavaImageCodebookConfig

        self.net = spice(FlavaImageCodebook(FlavaImageCodebookConfig(
            hidden_size=32, vocab_size=128, num_blocks_per_group=2)), 24)
        self.state = {"image_codebook." + k: v.clone() for k, v in self.net.state_dict().items()}
        self.net.double()

    def encode(self, x):
        return self.net.blocks(x)

    def scores(self, z):
        return z


class Gumbel(Taming):
    """taming's Gumbel model: the largest logit, its own embedding."""

    def __init__(self):
        super().__init__(seed=25)
        self.proj = spice(nn.Conv2d(16, 96, 1), 26).double()
        self.embed = noise(96, 16, seed=27).double()
        del self.state["quantize.embedding.weight"]
        self.state |= {"quantize.proj." + k: v.float() for k, v in self.proj.state_dict().items()}
        self.state["quantize.embed.weight"] = self.embed.float()
        self.codebook = self.embed.float()

    def encode(self, x):
        return self.proj(super().encode(x))

    def scores(self, z):
        return z


# MARK: The same networks in other spellings


def renamed(kind, family, rename):
    """A reference whose checkpoint has other names; those that `rename` has no name for are left out."""

    def init(self):
        kind.__init__(self)
        names = {name: rename(name) for name in self.state}
        self.state = {new: self.state[old].clone() for old, new in names.items() if new}

    return type(f"{kind.__name__}As{family.title().replace('.', '').replace('-', '')}", (kind,),
                {"__init__": init, "family": family})


def taming_name(name):
    """diffusers' name of a network of three levels in taming's spelling."""
    import re

    rules = [
        (r"down_blocks\.(\d)\.", r"down.\1."), (r"up_blocks\.(\d)\.", lambda m: f"up.{2 - int(m[1])}."),
        (r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}"), (r"mid_block\.attentions\.0", "mid.attn_1"),
        (r"resnets\.", "block."), (r"attentions\.", "attn."), (r"(down|up)samplers\.0", r"\1sample"),
        (r"conv_norm_out", "norm_out"), (r"conv_shortcut", "nin_shortcut"), (r"to_([qkv])\.", r"\1."),
        (r"to_out\.0", "proj_out"), (r"spatial_norm|group_norm", "norm"),
    ]
    for pattern, new in rules:
        name = re.sub(pattern, new, name)
    return name


def apertus_name(name):
    """taming's name in that of Transformers' Apertus 1.5, which has no decoder."""
    import re

    if name.startswith(("decoder.", "post_quant_conv.", "loss.")):
        return None
    name = re.sub(r"down\.(\d)\.block\.(\d)\.", r"stages.\1.layers.\2.resnet.", name)
    name = re.sub(r"down\.(\d)\.attn\.(\d)\.", r"stages.\1.layers.\2.attention.", name)
    return "model.vision_tokenizer." + name.replace("encoder.down.", "encoder.stages.")


def dalle_name(name):
    end = {"weight": "w", "bias": "b"}
    stem, _, last = name.removeprefix("image_codebook.").rpartition(".")
    return f"{stem}.{end[last]}"


class DiffusersLatentDiffusion(Amused):
    """latent-diffusion's network as diffusers has it, with attention in the middle."""

    family = "ldm"
    range, unrange, center = staticmethod(Reference.range), staticmethod(Reference.unrange), 0.0
    options = Amused.options | dict(mid_block_add_attention=True, latent_channels=3, vq_embed_dim=3)
    seed = 28


class ApertusEmu35(renamed(Emu35, "emu3.5", apertus_name)):
    decodes = False


class CosineTaming(LlamaGen):
    """LlamaGen's quantizer on taming's names."""

    def __init__(self):
        Taming.__init__(self, seed=29, embed=8)


# Spellings that no reference above has, by the names under which `tessera tokenizers` lists them.
OTHER_SPELLINGS = {
    ("ldm", "diffusers"): DiffusersLatentDiffusion,
    ("llamagen", "Transformers (Janus)"): renamed(TransformersJanus, "llamagen", lambda name: name),
    ("llamagen", "taming"): CosineTaming,
    ("janus", "taming"): type("CosineTamingAsJanus", (CosineTaming,), {"family": "janus"}),
    ("emu3.5", "Transformers (Apertus)"): ApertusEmu35,
    ("amused", "taming"): renamed(Amused, "amused", taming_name),
    ("movq", "taming"): renamed(MoVQ, "movq", taming_name),
    ("dvae", "DALL-E"): renamed(DVAE, "dvae", dalle_name),
}

# Every reference by the title of its names in fixtures/families/names.json: all tests of families run over this table.
KINDS = {
    "taming": Taming, "taming, logits": Gumbel, "ldm": LatentDiffusion,
    "llamagen": LlamaGen, "janus": Janus, "janus, Transformers": TransformersJanus,
    "chameleon": Chameleon, "chameleon, Transformers": TransformersChameleon,
    "ibq": IBQ, "emu3.5": Emu35, "emu3.5, Transformers": ApertusEmu35,
    "cosmos": Cosmos, "show-o": ShowO, "amused": Amused, "movq": MoVQ,
    "movq, taming": OTHER_SPELLINGS["movq", "taming"], "open-magvit2": OpenMAGVIT2,
    "maskgit": MaskGIT, "emu3": OriginalEmu3, "emu3, Transformers": Emu3,
    "var": VAR, "dvae": DVAE, "dvae, OpenAI": OTHER_SPELLINGS["dvae", "DALL-E"],
}
