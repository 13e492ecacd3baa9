"""Finite scalar quantizers of other people, as functions latents [n, d] -> (codes [n], values [n, d]).

`atanh` and `symmetric` are vector-quantize-pytorch itself. The others are transcribed from their formulas, float32
step by step as their authors' code computes: the FSQ paper's appendix A.1 (whose half range stays in numpy's float64
until jax takes it), bojone/FSQ, CosyVoice2's S3 tokenizer and Tencent's iFSQ.
"""

import numpy as np

F = np.float32


def _codes(digits, levels):
    basis = np.cumprod([1] + list(levels[:-1]), dtype=np.int64)
    return (digits.astype(np.int64) * basis).sum(-1)


def _tanh(x):
    return np.tanh(x.astype(np.float64)).astype(F)


def _sigmoid(x):
    return (1 / (1 + np.exp(-x.astype(np.float64)))).astype(F)


def paper_tan(latents, levels):
    levels_np = np.asarray(levels)
    half_l = ((levels_np - 1) * (1 - 1e-3) / 2).astype(F)
    offset = np.where(levels_np % 2 == 1, 0.0, 0.5).astype(F)
    shift = np.tan((offset / half_l).astype(np.float64)).astype(F)
    rounded = np.round(_tanh(latents + shift) * half_l - offset)
    half_width = levels_np // 2
    return _codes(rounded + half_width, levels), (rounded / half_width).astype(F)


def sigmoid(latents, levels):
    spread = np.asarray(levels, F) - 1
    digits = np.round(_sigmoid(latents) * spread)
    return _codes(digits, levels), digits / spread


def s3(latents, levels):
    return _codes(np.round(_tanh(latents) * F(0.999)) + 1, levels), None


def ifsq(latents, levels):
    half_l = (np.asarray(levels, F) - 1) / F(2)
    rounded = np.round((F(2) * _sigmoid(F(1.6) * latents) - F(1)) * half_l)
    half_width = np.asarray(levels) // 2
    return _codes(rounded + half_width, levels), (rounded / half_width).astype(F)


def _vector_quantize_pytorch(latents, levels, preserve_symmetry):
    import torch
    from vector_quantize_pytorch import FSQ

    quantizer = FSQ(list(levels), preserve_symmetry=preserve_symmetry).eval()
    with torch.no_grad():
        _, codes = quantizer(torch.from_numpy(latents)[None])
        values = quantizer.indices_to_codes(codes)
    return codes[0].numpy().astype(np.int64), values[0].numpy()


def atanh(latents, levels):
    return _vector_quantize_pytorch(latents, levels, False)


def symmetric(latents, levels):
    return _vector_quantize_pytorch(latents, levels, True)


REFERENCES = {"paper-tan": paper_tan, "atanh": atanh, "symmetric": symmetric, "sigmoid": sigmoid, "s3": s3, "ifsq": ifsq}
LEVELS = {
    "paper-tan": [[8, 5, 5, 5], [7, 5, 5, 5, 5], [2, 3, 4, 6, 9, 16]],
    "atanh": [[8, 8, 8, 5, 5, 5], [8, 6, 5], [3, 4, 7, 26, 27]],
    "symmetric": [[8, 5, 5, 5], [2, 2, 2, 2, 2], [17, 16, 15]],
    "sigmoid": [[6, 6, 6, 6], [2, 10, 5]],
    "s3": [[3] * 8],
    "ifsq": [[17, 17, 17, 17], [9, 5, 3]],
}
