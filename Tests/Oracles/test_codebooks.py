"""`tessera quantize` with codebooks, signs, groups and residuals beside the libraries that made them known.

Codes must be equal wherever the margin, which is `tessera quantize --margins`, is above 1e-4; margins themselves are
compared with float64. taming-transformers-rom1504 and openimagetokenizer are loaded by path: their packages import more
than is installed.
"""

import importlib.metadata
import importlib.util
import json
import os
import pathlib
import sys

import jsonschema
import numpy as np
import pytest
import torch
import torch.nn.functional as F

SCHEMA = json.loads((pathlib.Path(__file__).resolve().parents[2] / "schemas/quantizer.schema.json").read_text())
pytestmark = pytest.mark.usefixtures("without_gradients")


def by_path(distribution, suffix):
    """A module of an installed distribution without its package."""
    found = [file for file in importlib.metadata.files(distribution) if str(file).endswith(suffix)]
    specification = importlib.util.spec_from_file_location(suffix.replace("/", "_")[:-3], found[0].locate())
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


class Verb:
    """`tessera quantize` in one folder, where codebooks lie beside quantizer.json."""

    def __init__(self, tessera, folder):
        self.tessera, self.folder = tessera, folder

    def save(self, name, array):
        if isinstance(array, torch.Tensor):
            array = array.numpy()
        np.save(self.folder / name, np.ascontiguousarray(array, dtype=np.float32))

    def __call__(self, data, specification, *options, code=0):
        (self.folder / "quantizer.json").write_text(json.dumps(specification))
        if code == 0:
            jsonschema.Draft202012Validator(SCHEMA).validate(specification)
        if isinstance(data, torch.Tensor):
            data = data.numpy()
        np.save(self.folder / "input.npy", data)
        output = self.folder / "output.npy"
        output.unlink(missing_ok=True)
        result = self.tessera("quantize", self.folder / "input.npy", "--quantizer", self.folder / "quantizer.json",
                              "-o", output, "--json", *options, code=code)
        if code:
            assert not output.exists() and result.stderr.count("\n") == 1, result.stderr
            return result.stderr
        self.summary = json.loads(result.stdout)
        assert self.summary["quantizer"] == specification
        return np.load(output)

    def codes(self, latents, specification):
        """Codes and margins."""
        margins = self.folder / "margins.npy"
        codes = self(latents, specification, "--margins", margins)
        margins = np.load(margins)
        assert margins.dtype == np.float32 and margins.shape == codes.shape
        return codes, margins


@pytest.fixture
def quantize(tessera, tmp_path):
    return Verb(tessera, tmp_path)


def check(codes, margins, expected, least=0.99):
    expected = np.asarray(expected).reshape(codes.shape)
    safe = margins > 1e-4
    assert safe.mean() > least, safe.mean()
    np.testing.assert_array_equal(codes[safe], expected[safe])


def margins64(scores):
    top = np.sort(scores, axis=-1)
    return top[..., -1] - top[..., -2]


@pytest.mark.parametrize("codes, dimensions", [(64, 16), (1000, 5), (16384, 8), (33, 256), (1, 3)])
def test_l2_beside_taming(quantize, codes, dimensions):
    quantizer = by_path("taming-transformers-rom1504", "taming/modules/vqvae/quantize.py")
    reference = quantizer.VectorQuantizer2(codes, dimensions, beta=0.25)
    reference.embedding.weight.normal_()
    quantize.save("codebook.npy", reference.embedding.weight)
    z = torch.randn(3, dimensions, 17, 20, generator=torch.Generator().manual_seed(0)) * 1.5
    values, _, (_, _, expected) = reference(z)
    latents = z.permute(0, 2, 3, 1).contiguous()
    specification = {"kind": "vq", "rule": "l2", "codebook": "codebook.npy"}
    ours, margins = quantize.codes(latents, specification)
    assert ours.dtype == (np.uint8 if codes <= 256 else np.uint16) and ours.shape == (3, 17, 20)
    check(ours, margins, expected)
    distances = torch.cdist(latents.reshape(-1, dimensions).double(), reference.embedding.weight.double()).numpy() ** 2
    if codes > 1:
        np.testing.assert_allclose(margins.ravel(), margins64(-distances), rtol=1e-4, atol=1e-4)
        assert quantize.summary["margin_unit"] == "squared distances"
        assert quantize.summary["min_margin"] == pytest.approx(float(margins.min()))
    back = quantize(ours, specification, "--inverse")
    np.testing.assert_array_equal(back, reference.embedding.weight.numpy()[ours])
    if np.array_equal(ours.ravel(), expected.numpy().ravel()):
        np.testing.assert_allclose(back, values.permute(0, 2, 3, 1).numpy(), atol=1e-6)


def test_a_million_vectors(quantize):
    random = np.random.default_rng(5)
    codebook, latents = random.standard_normal((512, 4)), random.standard_normal((1_000_000, 4)).astype(np.float32)
    quantize.save("codebook.npy", codebook)
    codes, margins = quantize.codes(latents, {"kind": "vq", "rule": "l2", "codebook": "codebook.npy"})
    codebook = torch.from_numpy(codebook.astype(np.float32)).double()
    expected = torch.cat([torch.cdist(part.double(), codebook).argmin(1) for part in torch.from_numpy(latents).split(100_000)])
    safe = margins > 1e-6
    assert safe.mean() > 0.9999
    np.testing.assert_array_equal(codes[safe], expected.numpy()[safe])


def test_cosine_beside_vector_quantize_pytorch(quantize):
    from vector_quantize_pytorch import VectorQuantize

    reference = VectorQuantize(dim=8, codebook_size=300, use_cosine_sim=True).eval()
    z = torch.randn(2, 500, 8) * 3
    _, expected, _ = reference(z)
    quantize.save("codebook.npy", reference._codebook.embed[0])
    ours, margins = quantize.codes(z, {"kind": "vq", "rule": "cosine", "codebook": "codebook.npy"})
    check(ours, margins, expected)


def test_cosine_as_llamagen_looks_up(quantize):
    codebook, z = torch.randn(200, 8) * 2, torch.randn(1000, 8)
    quantize.save("codebook.npy", codebook)
    e, u = F.normalize(codebook, dim=-1), F.normalize(z, dim=-1)
    expected = (u.pow(2).sum(1, keepdim=True) + e.pow(2).sum(1) - 2 * u @ e.T).argmin(1)
    specification = {"kind": "vq", "rule": "cosine", "codebook": "codebook.npy"}
    ours, margins = quantize.codes(z, specification)
    check(ours, margins, expected)
    np.testing.assert_allclose(margins, margins64((u.double() @ e.double().T).numpy()), atol=1e-6)
    np.testing.assert_allclose(quantize(ours, specification, "--inverse"), e.numpy()[ours], rtol=3e-7)
    stored = quantize(ours, specification | {"lookup": "stored"}, "--inverse")
    np.testing.assert_array_equal(stored, codebook.numpy()[ours])


def test_dot_beside_ibq(quantize):
    module = by_path("openimagetokenizer", "IBQ/modules/vqvae/quantize.py")
    reference = module.IndexPropagationQuantize(400, 16).eval()
    reference.embedding.weight.normal_()
    quantize.save("codebook.npy", reference.embedding.weight)
    f = torch.randn(2, 16, 12, 12)
    _, _, (_, _, expected) = reference(f)
    latents = f.permute(0, 2, 3, 1).contiguous()
    ours, margins = quantize.codes(latents, {"kind": "vq", "rule": "dot", "codebook": "codebook.npy"})
    check(ours, margins, expected)
    nearest, _ = quantize.codes(latents, {"kind": "vq", "rule": "l2", "codebook": "codebook.npy"})
    assert (nearest != ours).mean() > 0.1, "another rule gives other codes"


def test_logits(quantize):
    logits = torch.randn(50, 777)
    logits[3, 700] = logits[3, 20] = 9
    ours, margins = quantize.codes(logits, {"kind": "vq", "rule": "logits", "dimensions": 777})
    np.testing.assert_array_equal(ours, logits.argmax(1))
    np.testing.assert_allclose(margins, margins64(logits.numpy()))
    assert ours[3] == 20 and margins[3] == 0
    codebook = torch.randn(777, 5)
    quantize.save("rows.npy", codebook)
    back = quantize(ours, {"kind": "vq", "rule": "logits", "codebook": "rows.npy"}, "--inverse")
    np.testing.assert_array_equal(back, codebook.numpy()[ours])
    assert "no codebook" in quantize(ours, {"kind": "vq", "rule": "logits", "dimensions": 777}, "--inverse", code=4)


@pytest.mark.parametrize("rule", ["l2", "cosine", "dot"])
@pytest.mark.parametrize("workers", [1, 3])
def test_ties_go_to_the_lowest_code(quantize, rule, workers):
    random = np.random.default_rng(2)
    rows = random.standard_normal((70, 6)).astype(np.float32)
    codebook = np.concatenate([rows, rows, rows[::-1]])
    quantize.save("codebook.npy", codebook)
    latents = random.standard_normal((70_000, 6)).astype(np.float32)
    codes = quantize(latents, {"kind": "vq", "rule": rule, "codebook": "codebook.npy"}, "--workers", workers)
    assert codes.max() < 70
    assert quantize.summary["min_margin"] == 0


def test_rows_of_zeros_and_latents_of_zeros(quantize):
    quantize.save("codebook.npy", np.zeros((40, 3)))
    for rule in ("l2", "cosine", "dot"):
        codes = quantize(np.zeros((5, 3), np.float32), {"kind": "vq", "rule": rule, "codebook": "codebook.npy"})
        np.testing.assert_array_equal(codes, 0)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("dimensions", [1, 13, 18, 32])
def test_signs(quantize, order, dimensions):
    from vector_quantize_pytorch import LFQ

    z = torch.randn(4, dimensions, 9, 7)
    z[0, 0, 0, 0] = 0  # bit 0: only what is above 0 is 1
    latents = z.permute(0, 2, 3, 1).contiguous()
    weights = 2 ** np.arange(dimensions, dtype=np.int64)
    bits = (latents.numpy() > 0).astype(np.int64)
    expected = (bits * (weights if order == "little" else weights[::-1])).sum(-1)
    for kind in ("lfq", "bsq"):
        specification = {"kind": kind, "order": order, "dimensions": dimensions}
        ours, margins = quantize.codes(latents, specification)
        np.testing.assert_array_equal(ours, expected)
        base = F.normalize(latents, dim=-1) if kind == "bsq" else latents
        np.testing.assert_allclose(margins, base.abs().amin(-1), rtol=1e-6)
        digits = quantize(latents, specification, "--digits")
        np.testing.assert_array_equal(digits, bits)
        assert digits.dtype == np.uint8
        back = quantize(ours, specification, "--inverse")
        one = 1 if kind == "lfq" else dimensions**-0.5
        np.testing.assert_allclose(back, np.where(bits == 1, one, -one), rtol=1e-6)
        np.testing.assert_array_equal(back, quantize(digits, specification, "--inverse", "--digits"))
        if order == "big" and dimensions in (13, 18):
            reference = LFQ(codebook_size=2**dimensions, dim=dimensions, spherical=kind == "bsq").eval()
            values, indices, _ = reference(z)
            np.testing.assert_array_equal(ours, indices)
            np.testing.assert_allclose(back, values.permute(0, 2, 3, 1), rtol=1e-6)


def test_little_endian_beside_open_magvit2(quantize):
    module = by_path("openimagetokenizer", "Open_MAGVIT2/modules/vqvae/lookup_free_quantize.py")
    reference = module.LFQ(dim=10, codebook_size=1024).eval()
    z = torch.randn(2, 10, 8, 8)
    (_, _, expected), _ = reference(z, return_loss_breakdown=True)
    ours = quantize(z.permute(0, 2, 3, 1).contiguous(), {"kind": "lfq", "order": "little", "dimensions": 10})
    np.testing.assert_array_equal(ours.ravel(), expected)


def test_groups_beside_num_codebooks(quantize):
    from vector_quantize_pytorch import FSQ, LFQ

    z = torch.randn(1, 400, 12)
    fsq = {"kind": "fsq", "variant": "atanh", "levels": [8, 5, 5, 5]}
    values, expected = FSQ([8, 5, 5, 5], num_codebooks=3, dim=12).eval()(z)
    ours = quantize(z, {"kind": "grouped", "groups": [fsq] * 3})
    np.testing.assert_array_equal(ours, expected)
    assert quantize.summary["codes_per_position"] == 3 and len(quantize.summary["used_by_place"]) == 3
    np.testing.assert_allclose(quantize(ours, {"kind": "grouped", "groups": [fsq] * 3}, "--inverse"), values, atol=1e-6)
    digits = quantize(z, {"kind": "grouped", "groups": [fsq] * 3}, "--digits")
    assert digits.shape == (1, 400, 12)
    np.testing.assert_array_equal(
        quantize(digits, {"kind": "grouped", "groups": [fsq] * 3}, "--inverse", "--digits"),
        quantize(ours, {"kind": "grouped", "groups": [fsq] * 3}, "--inverse"))
    lfq = {"kind": "lfq", "order": "big", "dimensions": 6}
    _, expected, _ = LFQ(codebook_size=64, dim=12, num_codebooks=2).eval()(z)
    np.testing.assert_array_equal(quantize(z, {"kind": "grouped", "groups": [lfq, lfq]}), expected)


def test_unlike_groups(quantize):
    quantize.save("a.npy", np.random.default_rng(0).standard_normal((900, 2)))
    groups = [{"kind": "vq", "rule": "cosine", "codebook": "a.npy"}, {"kind": "lfq", "order": "little", "dimensions": 3}]
    latents = np.random.default_rng(1).standard_normal((2, 6, 5)).astype(np.float32)
    codes = quantize(latents, {"kind": "grouped", "groups": groups})
    assert codes.shape == (2, 6, 2) and codes.dtype == np.uint16
    np.testing.assert_array_equal(codes[..., 0], quantize(latents[..., :2], groups[0]))
    np.testing.assert_array_equal(codes[..., 1], quantize(latents[..., 2:], groups[1]))
    codes[1, 3, 1] = 8  # beyond the second group's 2^3
    message = quantize(codes, {"kind": "grouped", "groups": groups}, "--inverse", code=5)
    assert "is 8" in message
    assert "digits" in quantize(latents, {"kind": "grouped", "groups": groups}, "--digits", code=4)


def test_residual_vq(quantize):
    from vector_quantize_pytorch import ResidualVQ

    reference = ResidualVQ(dim=6, num_quantizers=4, codebook_size=128).eval()
    for layer in reference.layers:
        layer._codebook.embed.normal_().mul_(0.7)
    z = torch.randn(2, 300, 6)
    values, expected, _ = reference(z)
    stages = []
    for index, layer in enumerate(reference.layers):
        quantize.save(f"{index}.npy", layer._codebook.embed[0])
        stages.append({"kind": "vq", "rule": "l2", "codebook": f"{index}.npy"})
    ours, margins = quantize.codes(z, {"kind": "residual", "stages": stages})
    # A near tie of one stage changes what the later ones see.
    safe = np.minimum.accumulate(margins, -1) > 1e-4
    assert safe.mean() > 0.99
    np.testing.assert_array_equal(ours[safe], expected.numpy()[safe])
    np.testing.assert_allclose(quantize(expected.numpy(), {"kind": "residual", "stages": stages}, "--inverse"), values, atol=1e-5)


def test_residual_fsq(quantize):
    from vector_quantize_pytorch import ResidualFSQ

    levels = [8, 5, 4]
    reference = ResidualFSQ(dim=3, levels=levels, num_quantizers=3).eval()
    z = torch.randn(1, 4000, 3)
    values, expected = reference(z)
    specification = {
        "kind": "residual",
        "stages": [{"kind": "fsq", "variant": "symmetric-clamp", "levels": levels}] * 3,
        "scales": [[float(f"{x:.9g}") for x in scale] for scale in reference.scales.tolist()],
        "soft_clamp": [float(f"{x:.9g}") for x in reference.soft_clamp_input_value.tolist()],
    }
    margins = quantize.folder / "margins.npy"
    (quantize.folder / "quantizer.json").write_text(json.dumps(specification))
    np.save(quantize.folder / "z.npy", z.numpy())
    quantize.tessera("quantize", quantize.folder / "z.npy", "--quantizer", quantize.folder / "quantizer.json",
                     "-o", quantize.folder / "codes.npy", "--margins", margins)
    ours, margins = np.load(quantize.folder / "codes.npy"), np.load(margins)
    safe = np.minimum.accumulate(margins, -1) > 1e-4
    assert safe.mean() > 0.99
    np.testing.assert_array_equal(ours[safe], expected.numpy()[safe])
    quantize.tessera("quantize", quantize.folder / "codes.npy", "--quantizer", quantize.folder / "quantizer.json",
                     "-o", quantize.folder / "values.npy", "--inverse")
    rows = safe.all(-1)
    np.testing.assert_allclose(np.load(quantize.folder / "values.npy")[rows], values.numpy()[rows], atol=1e-6)


def var(z, codebook, convolutions, scales, ratio=0.5):
    """VAR's multi-scale quantizer, written from its paper and repository: codes and the sum of all scales."""
    ticks = np.linspace(1 / 3 / 4, 1 - 1 / 3 / 4, 4) if len(convolutions) == 4 else \
        np.linspace(1 / 2 / len(convolutions), 1 - 1 / 2 / len(convolutions), len(convolutions))
    rest, total, codes, margins = z.clone(), torch.zeros_like(z), [], []
    side, dimensions = z.shape[-1], z.shape[1]
    for index, scale in enumerate(scales):
        last = index == len(scales) - 1
        query = rest if last else F.interpolate(rest, size=(scale, scale), mode="area")
        query = query.permute(0, 2, 3, 1).reshape(-1, dimensions)
        distances = query.pow(2).sum(1, keepdim=True) + codebook.pow(2).sum(1) - 2 * query @ codebook.T
        found = distances.argmin(1)
        codes.append(found.reshape(len(z), -1))
        h = codebook[found].reshape(len(z), scale, scale, dimensions).permute(0, 3, 1, 2)
        if not last:
            h = F.interpolate(h, size=(side, side), mode="bicubic")
        w, b = convolutions[int(np.argmin(np.abs(ticks - index / (len(scales) - 1))))]
        h = h * (1 - ratio) + F.conv2d(h, w, b, padding=1) * ratio
        total, rest = total + h, rest - h
    return torch.cat(codes, 1), total


@pytest.mark.parametrize("count, scales", [(4, [1, 2, 3, 4, 5, 6, 8, 10, 13, 16]), (1, [1, 3, 7]), (3, [2, 5])])
def test_multi_scale_beside_a_twin_of_var(quantize, count, scales):
    generator = torch.Generator().manual_seed(1)
    dimensions, side = 8, scales[-1]
    codebook = torch.randn(256, dimensions, generator=generator) * 0.6
    convolutions = [(torch.randn(dimensions, dimensions, 3, 3, generator=generator) * 0.08,
                     torch.randn(dimensions, generator=generator) * 0.05) for _ in range(count)]
    z = torch.randn(3, dimensions, side, side, generator=generator)
    expected, values = var(z, codebook, convolutions, scales)
    quantize.save("codebook.npy", codebook)
    for index, (w, b) in enumerate(convolutions):
        quantize.save(f"phi.{index}.weight.npy", w)
        quantize.save(f"phi.{index}.bias.npy", b)
    specification = {
        "kind": "multi-scale", "scales": scales, "rule": "l2", "codebook": "codebook.npy",
        "refinement": {"convolutions": [f"phi.{index}" for index in range(count)], "ratio": 0.5},
    }
    latents = z.permute(0, 2, 3, 1).contiguous()
    ours, margins = quantize.codes(latents, specification)
    assert ours.shape == (3, sum(s * s for s in scales)) == tuple(expected.shape)
    # A near tie changes everything after it: each image is compared up to its first.
    for image in range(3):
        first = np.argmax(margins[image] < 1e-4) if (margins[image] < 1e-4).any() else ours.shape[1]
        np.testing.assert_array_equal(ours[image][:first], expected[image][:first])
        assert first > 0
    back = quantize(expected.numpy().astype(np.uint16), specification, "--inverse")
    np.testing.assert_allclose(back, values.permute(0, 2, 3, 1), atol=2e-5)
    assert "axes must be" in quantize(latents.numpy()[:, :2], specification, code=4)
    assert "[..., h, w, d]" not in quantize(latents.numpy()[..., :3], specification, code=4)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_codebooks_of_other_types(quantize, dtype):
    codebook = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float16)
    np.save(quantize.folder / "codebook.npy", codebook.astype(dtype))
    ours = quantize(np.ones((2, 4), np.float32), {"kind": "vq", "rule": "dot", "codebook": "codebook"})
    np.testing.assert_array_equal(ours, codebook.astype(np.float64).sum(-1).argmax())


BAD = [
    ({"kind": "vq", "rule": "l2"}, "'codebook' is missing", 4),
    ({"kind": "vq", "rule": "nearest", "codebook": "codebook.npy"}, "l2 cosine dot logits", 4),
    ({"kind": "vq", "rule": "l2", "codebook": "absent.npy"}, "absent.npy", 6),
    ({"kind": "vq", "rule": "l2", "codebook": "flat.npy"}, "[codes, dimensions]", 4),
    ({"kind": "vq", "rule": "l2", "codebook": "nan.npy"}, "row 2", 4),
    ({"kind": "vq", "rule": "l2", "codebook": "empty.npy"}, "[0, 4]", 4),
    ({"kind": "vq", "rule": "l2", "codebook": "text.npy"}, "npy", 3),
    ({"kind": "vq", "rule": "l2", "codebook": "codebook.npy", "lookup": "stored"}, "cosine", 4),
    ({"kind": "vq", "rule": "l2", "codebook": "codebook.npy", "dimensions": 4}, "dimensions", 4),
    ({"kind": "lfq", "order": "middle", "dimensions": 4}, "little big", 4),
    ({"kind": "lfq", "order": "big", "dimensions": 36}, "grouped", 4),
    # Groups of bsq divide by a norm each: no way to the codes of one norm over all.
    ({"kind": "bsq", "order": "big", "dimensions": 36}, "groups of bsq are another quantizer", 4),
    ({"kind": "bsq", "order": "little", "dimensions": 0}, "0 bits", 4),
    ({"kind": "grouped", "groups": [{"kind": "bsq", "order": "big", "dimensions": 33}]}, "another quantizer", 4),
    ({"kind": "lfq", "order": "big"}, "'dimensions' is missing", 4),
    ({"kind": "grouped", "groups": []}, "groups", 4),
    ({"kind": "grouped", "groups": [{"kind": "x"}]}, "'x' is not known", 4),
    ({"kind": "residual", "stages": [{"kind": "lfq", "order": "big", "dimensions": 4},
                                     {"kind": "lfq", "order": "big", "dimensions": 3}]}, "stage 1", 4),
    ({"kind": "residual", "stages": [{"kind": "lfq", "order": "big", "dimensions": 4}], "scales": [[0]]}, "scales", 4),
    ({"kind": "multi-scale", "scales": [2, 1], "rule": "l2", "codebook": "codebook.npy"}, "ascending", 4),
]


@pytest.mark.parametrize("specification, message, code", BAD, ids=lambda x: str(x)[:60])
def test_quantizers_that_cannot_be(quantize, specification, message, code):
    rows = np.random.default_rng(0).standard_normal((8, 4))
    quantize.save("codebook.npy", rows)
    quantize.save("flat.npy", rows.ravel())
    quantize.save("empty.npy", rows[:0])
    rows[2, 1] = np.nan
    quantize.save("nan.npy", rows)
    (quantize.folder / "text.npy").write_text("no array")
    assert message in quantize(np.zeros((2, 4), np.float32), specification, code=code)


def test_latents_without_a_code(quantize):
    quantize.save("codebook.npy", np.full((8, 4), 3e38))
    latents = np.zeros((300, 4), np.float32)
    latents[200, 3] = np.inf
    specification = {"kind": "vq", "rule": "dot", "codebook": "codebook.npy"}
    assert "position 200, dimension 3" in quantize(latents, specification, code=5)
    latents[200, 3] = 3e38
    assert "position 200" in quantize(latents, specification, code=5)
    groups = {"kind": "grouped", "groups": [{"kind": "lfq", "order": "big", "dimensions": 2}] * 2}
    latents[200, 3] = np.nan
    assert "position 200, dimension 3" in quantize(latents, groups, code=5)
    assert "dimensions" in quantize(latents[:, :3], groups, code=4)


def test_codes_are_not_turned_into_other_codes(quantize):
    message = quantize(np.zeros((4, 4), np.uint16), {"kind": "lfq", "order": "big", "dimensions": 4}, code=4)
    assert "codes of one quantizer never become another's" in message


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="Linux only")
def test_dot_over_many_codes_in_bounded_memory(peak, tmp_path):
    codebook = np.lib.format.open_memmap(tmp_path / "codebook.npy", "w+", np.float32, (131_072, 16))
    codebook[:] = np.random.default_rng(0).standard_normal((131_072, 16), np.float32)
    np.save(tmp_path / "z.npy", np.random.default_rng(1).standard_normal((2048, 16), np.float32))
    (tmp_path / "q.json").write_text(json.dumps({"kind": "vq", "rule": "dot", "codebook": "codebook.npy"}))
    size = peak("quantize", tmp_path / "z.npy", "--quantizer", tmp_path / "q.json", "-o", tmp_path / "c.npy", "--quiet")
    # The scores alone would be 1 GiB; the codebook has 8 MiB, held once as read and once as packed.
    assert size < 128
    z = np.load(tmp_path / "z.npy")[:100].astype(np.float64)
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy")[:100], (z @ np.asarray(codebook, np.float64).T).argmax(1))
