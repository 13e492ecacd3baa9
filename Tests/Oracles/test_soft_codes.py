"""`tokenize --soft` and `--sample` beside the entmax library, `quantize --reindex` and `levels`."""

import json
import pathlib
import io

import entmax
import jsonschema
import numpy as np
import pytest
import torch
from dataset_files import tar_samples

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEVELS = [8, 8, 8, 5, 5, 5]  # tessera-f8
PREPROCESSING = ["--resize", "bicubic:exact=48x40", "--crop", "none"]


def members(dataset):
    """Arrays and descriptions of each sample."""
    return {
        key: {column: np.load(io.BytesIO(data)) if column.endswith("npy") else data for column, data in sample.items()}
        for key, sample in tar_samples(dataset).items()
    }


@pytest.fixture
def tokenize(tessera, tmp_path, root):
    photos = sorted(path for path in (root / "fixtures/photos").iterdir() if path.suffix in (".jpg", ".png"))[:3]
    count = 0

    def run(*options, code=0):
        nonlocal count
        count += 1
        result = tessera("tokenize", *photos, "-o", tmp_path / str(count), "--json", *PREPROCESSING, *options, code=code)
        return members(tmp_path / str(count)) if code == 0 else result.stderr

    run.last = lambda: json.loads((tmp_path / str(count) / "dataset.json").read_text())
    return run


def scores(latents):
    """-|z - e|^2 over the 64,000 codes: z bounded as FSQ's atanh variant does, both in a decoder's values."""
    levels = torch.tensor(LEVELS)
    half = (levels - 1) * 1.001 / 2
    offset = torch.where(levels % 2 == 0, 0.5, 0.0)
    bounded = torch.tanh(latents.double() + torch.atanh(offset / half)) * half - offset
    total = torch.zeros(*latents.shape[:-1], 1, dtype=torch.float64)
    for dimension, level in enumerate(LEVELS):
        digits = torch.arange(level, dtype=torch.float64) - level // 2
        part = -(((bounded[..., dimension, None] - digits) / (level // 2)) ** 2)
        total = (part[..., :, None] + total[..., None, :]).flatten(-2)  # dimension 0 is the fastest
    return total


MAPS = {
    "entmax:1.5": lambda x: entmax.entmax15(x, dim=-1),
    "entmax:1.3": lambda x: entmax.entmax_bisect(x, 1.3, dim=-1),
    "sparsemax": lambda x: entmax.sparsemax(x, dim=-1),
    "softmax:top-k=5": lambda x: torch.zeros_like(x).scatter(-1, x.topk(5).indices, x.topk(5).values.softmax(-1)),
}


@pytest.mark.parametrize("name", MAPS)
def test_probabilities_beside_the_library(tokenize, name):
    samples = tokenize("--soft", name, "--temperature", "0.05", "--latents")
    assert tokenize.last()["soft"] == {"map": name, "temperature": 0.05}
    schema = json.loads((ROOT / "schemas/dataset.schema.json").read_text())
    assert "soft_indptr.npy" in tokenize.last()["columns"] and "soft" in schema["properties"]
    for sample in samples.values():
        codes = sample["codes.npy"].ravel()
        starts, indices, values = (sample[f"soft_{part}.npy"] for part in ("indptr", "indices", "values"))
        assert starts.dtype == np.int64 and indices.dtype == np.uint32 and values.dtype == np.float32
        assert len(starts) == len(codes) + 1 and starts[-1] == len(indices) == len(values)
        expected = MAPS[name](scores(torch.from_numpy(sample["latents.npy"].reshape(-1, 6))) / 0.05).numpy()
        for position, code in enumerate(codes):
            part = slice(starts[position], starts[position + 1])
            assert (np.diff(indices[part].astype(int)) > 0).all() and (values[part] > 0).all()
            dense = np.zeros(64_000)
            dense[indices[part]] = values[part]
            np.testing.assert_allclose(dense, expected[position], atol=1e-6)
            assert dense[code] == dense.max(), "the hard code has the largest probability"


def test_the_hard_codes_stay(tokenize):
    plain, soft = tokenize(), tokenize("--soft", "sparsemax")
    for key, sample in plain.items():
        np.testing.assert_array_equal(sample["codes.npy"], soft[key]["codes.npy"])
        assert json.loads(sample["json"])["margin"] == json.loads(soft[key]["json"])["margin"] > 0


def test_draws(tokenize):
    hard = tokenize()
    one = tokenize("--sample", "gumbel", "--seed", "7", "--temperature", "0.02")
    assert tokenize.last()["sampling"] == {"rule": "gumbel", "seed": 7, "temperature": 0.02}
    again = tokenize("--sample", "gumbel", "--seed", "7", "--temperature", "0.02", "--workers", "1", "--shard-samples", "1")
    other = tokenize("--sample", "gumbel", "--seed", "8", "--temperature", "0.02")
    cold = tokenize("--sample", "gumbel", "--seed", "8", "--temperature", "1e-9")
    for key in hard:
        np.testing.assert_array_equal(one[key]["codes.npy"], again[key]["codes.npy"])
        assert (one[key]["codes.npy"] != other[key]["codes.npy"]).any()
        assert (one[key]["codes.npy"] != hard[key]["codes.npy"]).mean() > 0.05
        np.testing.assert_array_equal(cold[key]["codes.npy"], hard[key]["codes.npy"])


@pytest.mark.parametrize("options", [
    ["--soft", "softmin"], ["--soft", "entmax:0.5"], ["--soft", "taylor:3"], ["--sample", "gumbel"], ["--seed", "1"],
    ["--temperature", "1"], ["--soft", "sparsemax", "--temperature", "0"], ["--sample", "normal", "--seed", "1"],
])
def test_options_that_do_not_fit(tokenize, options):
    tokenize(*options, code=64)


@pytest.fixture
def reindex(tessera, tmp_path):
    def run(codes, specification, *options, code=0):
        (tmp_path / "quantizer.json").write_text(json.dumps(specification))
        np.save(tmp_path / "codes.npy", codes)
        result = tessera("quantize", tmp_path / "codes.npy", "--quantizer", tmp_path / "quantizer.json",
                         "-o", tmp_path / "out.npy", *options, code=code)
        return np.load(tmp_path / "out.npy") if code == 0 else result.stderr

    run.folder = tmp_path
    return run


LFQ = {"kind": "lfq", "order": "big", "dimensions": 10}
FSQ = {"kind": "fsq", "variant": "atanh", "levels": [8, 6, 5]}


def test_orders_of_digits(reindex):
    codes = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    little = reindex(codes, LFQ, "--reindex", "order:little")
    np.testing.assert_array_equal(little, [[int(f"{c:010b}"[::-1], 2) for c in row] for row in codes])
    np.testing.assert_array_equal(reindex(codes, LFQ, "--reindex", "order:big"), codes)
    other = reindex.folder / "little.json"
    other.write_text(json.dumps(LFQ | {"order": "little"}))
    np.testing.assert_array_equal(reindex(codes, LFQ, "--reindex", f"to:{other}"), little)
    np.testing.assert_array_equal(reindex(little, LFQ, "--reindex", "order:little", "--inverse"), codes)
    codes = np.arange(240)
    big = reindex(codes, FSQ, "--reindex", "order:big")
    digits = np.unravel_index(codes, (5, 6, 8))[::-1]  # dimension 0 first
    np.testing.assert_array_equal(big, np.ravel_multi_index(digits, (8, 6, 5)))
    assert big.dtype == np.uint8


def test_offsets_and_lists(reindex):
    random = np.random.default_rng(0)
    codes = random.choice([3, 17, 200, 900], size=(7, 300)).astype(np.uint16)
    used = reindex.folder / "used.npy"
    compact = reindex(codes, LFQ, "--reindex", f"collect:{used}", "--reindex", "offset:65536")
    assert compact.dtype == np.uint32
    np.testing.assert_array_equal(np.load(used), [3, 17, 200, 900])
    np.testing.assert_array_equal(compact - 65536, np.searchsorted([3, 17, 200, 900], codes))
    steps = ["--reindex", f"compact:{used}", "--reindex", "offset:65536"]
    np.testing.assert_array_equal(reindex(compact, LFQ, *steps, "--inverse"), codes)
    np.testing.assert_array_equal(reindex(codes, LFQ, *steps), compact)
    assert "does not hold" in reindex(codes + 1, LFQ, *steps, code=4)
    assert "offset" in reindex(codes, LFQ, "--reindex", "offset:-10", code=4)
    assert reindex(codes + 1000, LFQ, "--reindex", "offset:1", code=5)


def test_orders_come_first(reindex):
    """Digits are those of the quantizer's own codes: neither numbers with an offset nor reversed ones have them."""
    codes = np.arange(1024)
    for steps in (["offset:5", "order:little"], ["order:little", "order:little"], ["order:little", "order:big"]):
        options = [word for step in steps for word in ("--reindex", step)]
        assert "name it first" in reindex(codes, LFQ, *options, code=4)
    for offset in (-(2**63), 2**63 - 1):
        assert "at most 2^52" in reindex(codes, LFQ, "--reindex", f"offset:{offset}", code=4)


def test_codes_are_not_made_those_of_another_quantizer(reindex):
    other = reindex.folder / "other.json"
    for specification in (FSQ | {"variant": "paper-tan"}, FSQ | {"levels": [6, 8, 5]}, LFQ):
        other.write_text(json.dumps(specification))
        assert "quantize the latents" in reindex(np.arange(240), FSQ, "--reindex", f"to:{other}", code=4)
    assert "known steps" in reindex(np.arange(240), FSQ, "--reindex", "sort", code=4)
    assert "digits" in reindex(np.arange(10), {"kind": "grouped", "groups": [LFQ]}, "--reindex", "order:big", code=4)


@pytest.mark.parametrize("target, levels", [
    (256, [8, 6, 5]), (1024, [8, 5, 5, 5]), (4096, [7, 5, 5, 5, 5]), (16384, [8, 8, 8, 6, 5]), (65536, [8, 8, 8, 5, 5, 5]),
])
def test_levels_of_the_paper(tessera, target, levels):
    found = json.loads(tessera("levels", "--target", target, "--json").stdout)
    assert found["levels"] == levels and found["vocabulary"] == np.prod(levels) and found["warnings"] == []


def test_levels_warn(tessera):
    found = json.loads(tessera("levels", "--levels", "8,4,2", "--json").stdout)
    assert len(found["warnings"]) == 2 and found["dtype"] == "uint8"
    found = json.loads(tessera("levels", "--levels", "300,300", "--dtype", "uint16", "--json").stdout)
    assert "do not fit" in found["warnings"][0]
    assert "\\" not in tessera("levels", "--help").stdout
    tessera("levels", "--target", 3, code=4)
    tessera("levels", code=64)
    tessera("levels", "--levels", "8,x", code=64)
