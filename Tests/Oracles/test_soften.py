"""`tessera soften` beside the entmax library, scipy, and the definitions."""

import json

import entmax
import h5py
import numpy as np
import pytest
import torch
from mpmath import mp, mpf
from safetensors import safe_open
from safetensors.numpy import load_file
from safetensors.torch import save_file
from scipy import special


@pytest.fixture
def soften(tessera, tmp_path):
    """Softens rows; returns the targets densely, and the file's arrays, whose form is checked."""

    def run(logits, *options, code=0):
        path, out = tmp_path / "logits.npy", tmp_path / "targets.safetensors"
        if isinstance(logits, np.ndarray):
            np.save(path, logits)
        else:
            path, logits = logits
        out.unlink(missing_ok=True)
        result = tessera("soften", path, *options, "-o", out, "--quiet", code=code)
        if code:
            assert not out.exists() and sorted(tmp_path.glob(".partial*")) == []
            return result.stderr
        arrays = load_file(out)
        columns = logits.shape[-1]
        rows = logits.size // columns if columns else 0
        assert {n: str(a.dtype) for n, a in arrays.items()} == {
            "indptr": "int64", "indices": "uint32", "values": "float32", "support": "uint32", "mass": "float32", "kl": "float32"
        }
        starts = arrays["indptr"]
        assert len(starts) == rows + 1 and starts[0] == 0 and starts[-1] == len(arrays["values"])
        np.testing.assert_array_equal(np.diff(starts), arrays["support"])
        dense = np.zeros((rows, columns), np.float32)
        for row in range(rows):
            part = slice(starts[row], starts[row + 1])
            assert (np.diff(arrays["indices"][part].astype(int)) > 0).all() and (arrays["values"][part] > 0).all()
            dense[row, arrays["indices"][part]] = arrays["values"][part]
        softmax = special.softmax(np.asarray(logits, float).reshape(rows, columns) / temperature(options), 1)
        np.testing.assert_allclose(arrays["mass"], np.where(dense > 0, softmax, 0).sum(1), rtol=2e-5, atol=1e-9)
        with np.errstate(divide="ignore", invalid="ignore"):
            kl = np.where(dense > 0, dense * np.log(dense / softmax), 0).sum(1)
        np.testing.assert_allclose(arrays["kl"], kl, rtol=1e-4, atol=2e-5)
        return dense, arrays

    return run


def temperature(options):
    return float(options[options.index("--temperature") + 1]) if "--temperature" in options else 1.0


def draw(rows, columns, seed=10145, scale=3):
    return np.random.default_rng(seed).normal(0, scale, (rows, columns)).astype(np.float32)


def library(logits, alpha):
    x = torch.tensor(np.asarray(logits, float))
    function = {1.5: entmax.entmax15, 2: entmax.sparsemax}.get(alpha)
    result = function(x, dim=-1) if function else entmax.entmax_bisect(x, alpha, dim=-1, n_iter=80)
    return result.numpy()


@pytest.mark.parametrize("alpha", [1.5, 2, 1.1, 1.25, 1.75, 3])
@pytest.mark.parametrize("columns", [1, 2, 17, 1000])
def test_entmax_is_the_librarys(soften, alpha, columns):
    logits = draw(40, columns)
    dense, _ = soften(logits, "--map", f"entmax:{alpha}")
    np.testing.assert_allclose(dense, library(logits, alpha), atol=1e-6)
    if alpha == 2:
        same, _ = soften(logits, "--map", "sparsemax")
        np.testing.assert_array_equal(same, dense)


@pytest.mark.parametrize("alpha", [1.5, 2, 1.3])
def test_ties_and_saturation(soften, alpha):
    for rows in (
        [[2, 0]], [[0, 2]], [[1, 0]], [[1, 1]], [[0, 0, 0, 0]], [[3, 3, 1]], [[2, 0, 0]], [[1, 1, 0, 0]], [[5, 5 - 2 ** -20]],
        [[-1000, -1000.5]], [[1e4, 1e4 - 1]], [[10 / 3, 0]], [[2.0000002, 0]], [[1.9999998, 0]],
    ):
        logits = np.array(rows, np.float32)
        dense, _ = soften(logits, "--map", f"entmax:{alpha}")
        np.testing.assert_allclose(dense, library(logits, alpha), atol=1e-6, err_msg=str(rows))


def test_softmax_top_k_and_top_p(soften):
    logits = draw(30, 300)
    softmax = special.softmax(logits.astype(float), 1)
    for name in ("softmax", "entmax:1"):
        dense, _ = soften(logits, "--map", name)
        np.testing.assert_allclose(dense, softmax, rtol=1e-6, atol=1e-12)
    for name in ("softmax:top-k=7", "sparse-k=7"):
        dense, arrays = soften(logits, "--map", name)
        kept = np.argsort(-logits, 1, kind="stable")[:, :7]
        expected = np.zeros_like(softmax)
        np.put_along_axis(expected, kept, np.take_along_axis(softmax, kept, 1), 1)
        np.testing.assert_allclose(dense, expected / expected.sum(1, keepdims=True), rtol=1e-6)
        np.testing.assert_allclose(arrays["kl"], -np.log(arrays["mass"]), rtol=1e-4)
    dense, arrays = soften(logits, "--map", "softmax:top-p=0.8")
    assert (arrays["mass"] >= 0.8 - 1e-6).all()
    for row in range(30):  # without its least class it would not reach p
        least = softmax[row][dense[row] > 0].min()
        assert arrays["mass"][row] - least < 0.8
    dense, _ = soften(np.zeros((1, 9), np.float32), "--map", "softmax:top-k=3")
    assert dense.tolist() == [[np.float32(1 / 3)] * 3 + [0] * 6]  # ties go to the lowest index


def test_taylor_and_temperature(soften):
    logits = draw(20, 50, scale=1)
    for order in (2, 4):
        x = logits.astype(float) / 0.7
        polynomial = sum(x ** m / special.factorial(m) for m in range(order + 1))
        dense, _ = soften(logits, "--map", f"taylor:{order}", "--temperature", "0.7")
        np.testing.assert_allclose(dense, polynomial / polynomial.sum(1, keepdims=True), rtol=1e-5)
    for alpha in (1.5, 2, 1.2):
        for t in (0.01, 0.5, 4.0):
            dense, _ = soften(logits, "--map", f"entmax:{alpha}", "--temperature", t)
            np.testing.assert_allclose(dense, library(logits / np.float64(t), alpha), atol=1e-6)


def test_types_and_containers(soften, tmp_path):
    logits = draw(100, 77)
    half = logits.astype(np.float16)
    expected, _ = soften(half.astype(np.float32), "--map", "entmax:1.5")
    for stored in (half, np.asfortranarray(half), half.astype(">f2")):
        np.testing.assert_array_equal(soften(stored, "--map", "entmax:1.5")[0], expected)
    with h5py.File(tmp_path / "logits.h5", "w") as file:
        file.create_dataset("logits", data=half, chunks=(16, 77), compression="gzip")
    np.testing.assert_array_equal(soften((tmp_path / "logits.h5", half), "--map", "entmax:1.5")[0], expected)
    brain = torch.tensor(logits).bfloat16()
    widened = brain.float().numpy()
    expected, _ = soften(widened, "--map", "sparsemax")
    save_file({"x": brain, "other": brain.clone()}, tmp_path / "logits.safetensors")
    path = (tmp_path / "logits.safetensors", widened)
    np.testing.assert_array_equal(soften(path, "--map", "sparsemax", "--tensor", "x")[0], expected)
    assert "2 tensors" in soften(path, "--map", "sparsemax", code=4)
    bits = brain.view(torch.int16).numpy().view(np.uint16)
    np.save(tmp_path / "bits.npy", bits)
    np.testing.assert_array_equal(soften((tmp_path / "bits.npy", widened), "--map", "sparsemax", "--bfloat16")[0], expected)
    assert "--bfloat16" in soften(bits, "--map", "sparsemax", code=4)
    # More axes count as rows; half's subnormal and largest values.
    cube = np.array([[[6e-8, 65504, -65504], [0, -0.0, 1e-5]]], np.float16)
    dense, _ = soften(cube, "--map", "sparsemax")
    np.testing.assert_allclose(dense, library(cube.reshape(2, 3), 2), atol=1e-6)
    assert soften(np.zeros((0, 5), np.float32), "--map", "softmax")[1]["indptr"].tolist() == [0]


def test_minus_infinity_excludes_and_others_are_refused(soften):
    logits = draw(3, 40)
    logits[1, ::2] = -np.inf
    dense, _ = soften(logits, "--map", "softmax:top-k=30")
    assert (dense[1, ::2] == 0).all() and np.isfinite(dense).all()
    np.testing.assert_allclose(soften(logits, "--map", "sparsemax")[0], library(np.maximum(logits, -1e9), 2), atol=1e-6)
    for bad in (np.nan, np.inf):
        logits[2, 5] = bad
        for name in ("sparsemax", "softmax", "entmax:1.3"):
            assert "row 2: score 5" in soften(logits, "--map", name, code=5)
    assert "row 0" in soften(np.full((1, 4), -np.inf, np.float32), "--map", "softmax", code=5)


def test_refusals(soften):
    logits = draw(2, 4)
    for name in ("taylor:3", "entmax:0.5", "softmax:top-k=0", "softmax:top-p=2", "entmax", "argmax", "sparse-k=x"):
        assert soften(logits, "--map", name, code=4)
    for value in ("0", "nan", "inf", "1e-40"):
        soften(logits, "--map", "softmax", "--temperature", value, code=4)
    soften(logits.astype(float), "--map", "softmax", code=4)
    soften(logits[0], "--map", "softmax", code=4)


def test_metadata_and_json(tessera, soften, tmp_path):
    logits = np.array([[2, 0], [0.5, 0]], np.float32)
    soften(logits, "--map", "entmax:1.5", "--temperature", "1.0")
    with safe_open(tmp_path / "targets.safetensors", "np") as file:
        metadata = file.metadata()
    assert metadata["tessera.soften.map"] == "entmax:1.5" and metadata["tessera.soften.loss"].startswith("entmax:1.5 (Fenchel-Young)")
    printed = json.loads(tessera("soften", tmp_path / "logits.npy", "--map", "entmax:1.5", "--json").stdout)
    np.testing.assert_allclose(printed["rows"], library(logits, 1.5), atol=1e-6)
    assert printed["rows"][0] == [1, 0]


@pytest.mark.parametrize("alpha", [1.5, 2])
def test_the_named_loss_has_the_gradient(alpha):
    """d loss / dx = p - target for the Fenchel-Young losses that the metadata name, by torch's autograd."""
    x = torch.tensor(draw(5, 12).astype(float), requires_grad=True)
    target = torch.tensor(library(draw(5, 12, seed=2), alpha))
    p = entmax.entmax_bisect(x, alpha, dim=-1, n_iter=100) if alpha != 2 else entmax.sparsemax(x, dim=-1)
    entropy = (1 - (p ** alpha).sum()) / (alpha * (alpha - 1))
    if alpha == 2:
        entropy = (1 - (p ** 2).sum()) / 2
    (entropy + ((p - target) * x).sum()).backward()
    np.testing.assert_allclose(x.grad.numpy(), (p - target).detach().numpy(), atol=1e-7)


@pytest.mark.parametrize("alpha", [1.25, 3, 40, 1000])
def test_entmax_of_long_rows_of_ties(soften, alpha):
    logits = np.zeros((1, 5000), np.float32)
    logits[0, 7], logits[0, 4000:] = 1e-7, -1e-4
    dense, _ = soften(logits, "--map", f"entmax:{alpha}")
    x = np.array([1e-7, 0, -1e-4], np.float32).astype(float)
    counts = np.array([1, 3999, 1000])
    beta, low, high = alpha - 1, -60.0, 0.0
    # Nearly equal shares: the largest probability by bisection, which float64 resolves here.
    for _ in range(200):
        m = np.exp((low + high) / 2)
        w = np.maximum(1 + beta * (x - x[0]) / m**beta, 0) if m**beta > 0 else np.zeros(3)
        low, high = ((low + high) / 2, high) if counts @ (m * w ** (1 / beta)) <= 1 else (low, (low + high) / 2)
    if np.isfinite(beta * (x - x[0]) / np.exp(low) ** beta).all() and alpha < 40:
        np.testing.assert_allclose(dense[0, [7, 0, 4000]], m * w ** (1 / beta), atol=1e-6)
    assert abs(dense.sum(dtype=float) - 1) < 1e-5 and len(set(dense[0].tolist())) <= 3


def exact_entmax(x, alpha, temperature=1.0):
    """α-entmax to 40 digits, from the least probability: between neighbouring thresholds of float64 others may differ."""
    with mp.workdps(40):
        beta, t = mpf(float(alpha)) - 1, mpf(float(temperature))
        v = [mpf(float(i)) / t for i in x]
        order = sorted(range(len(v)), key=lambda i: -v[i])
        # With the threshold at a class' own score, those above it have less than 1 where it has a probability.
        support = [k for n, k in enumerate(order) if sum((beta * (v[i] - v[k])) ** (1 / beta) for i in order[:n] if v[i] > v[k]) < 1]
        least = v[support[-1]]
        low, high = -mpf(10) ** 9, -mp.log(len(support))
        for _ in range(110):
            middle = (low + high) / 2
            total = sum((beta * (v[i] - least) + mp.exp(beta * middle)) ** (1 / beta) for i in support)
            low, high = (middle, high) if total <= 1 else (low, middle)
        result = np.zeros(len(v))
        for i in support:
            result[i] = float((beta * (v[i] - least) + mp.exp(beta * low)) ** (1 / beta))
        return result


ALPHAS = (1 + 2**-40, 1.000001, 1.001, 1.1, 1.4999999, 1.5, 1.9999999, 2, 2.0000001, 2.5, 3, 7, 10, 31.6, 100, 465, 999.5, 1000)


def test_the_reference_agrees_with_the_definition():
    """The threshold itself, in so many digits that its last one is worth nothing."""
    for x, alpha in (([1, 0.5], 3), ([1, 0.9], 10), ([0.1, 0, -0.3, 0.05], 5)):
        with mp.workdps(60 + 4 * alpha):
            beta, v = alpha - 1, [mpf(float(i)) for i in x]
            low, high = beta * max(v) - 1, beta * max(v)
            for _ in range(200 + 13 * alpha):
                middle = (low + high) / 2
                total = sum((beta * i - middle) ** (mpf(1) / beta) for i in v if beta * i > middle)
                low, high = (middle, high) if total >= 1 else (low, middle)
            expected = [float(max(beta * i - low, 0) ** (mpf(1) / beta)) for i in v]
        np.testing.assert_allclose(exact_entmax(x, alpha), expected, atol=1e-12)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_entmax_is_exact_for_every_alpha(soften, alpha):
    gap = min(1 / (alpha - 1), 30)
    rows = [[1, 1 - 0.5 * gap, 0], [1, 1 - 0.9 * gap, 1 - 0.99 * gap], [0, -gap, -gap], [0, 0, -0.999 * gap], [3, 3, 3],
            [0, -1e-30, -1e-12], [0, -1e-6 * gap, -1e-3 * gap], [65504, 0, 65503], [0.25, 0.2, 0.1]]  # fmt: skip
    logits = np.concatenate([np.array(rows, np.float32), draw(3, 3, scale=min(3, gap))])
    for temperature in (1.0, 0.3, 700.0):
        dense, _ = soften(logits, "--map", f"entmax:{alpha!r}", "--temperature", temperature)
        expected = np.array([exact_entmax(row, alpha, temperature) for row in logits])
        np.testing.assert_allclose(dense, expected, atol=1e-6, err_msg=str(temperature))
    half = logits.astype(np.float16)
    dense, _ = soften(half, "--map", f"entmax:{alpha!r}")
    np.testing.assert_allclose(dense, [exact_entmax(row, alpha) for row in half], atol=1e-6)


@pytest.mark.parametrize("order", [2, 4, 10, 32, 64])
def test_taylor_polynomials_where_their_terms_cancel(soften, order):
    logits = np.array([[-20, -21, -5], [-0.999, -1, -1.001], [-40, -60, -100], [-2 * order, -2 * order - 1, 0], [18.5, -18.5, 3]], np.float32)
    for temperature in (1.0, 0.7):
        with mp.workdps(60):
            exact = [[sum((mpf(float(i)) / mpf(temperature)) ** k / mp.factorial(k) for k in range(order + 1)) for i in row] for row in logits]
            expected = [[float(i / sum(row)) for i in row] for row in exact]
        dense, _ = soften(logits, "--map", f"taylor:{order}", "--temperature", temperature)
        np.testing.assert_allclose(dense, expected, rtol=3e-7, atol=1e-30)


def test_sparsemax_at_its_extremes(soften):
    logits = np.array([[65504, 65503.996, -3e38], [1e-45, 0, -1e-45], [5, 5, 5], [-3e38, -3e38, 3e38]], np.float32)
    for t in (1e-6, 1e6, 1e30):
        dense, _ = soften(logits, "--map", "sparsemax", "--temperature", t)
        np.testing.assert_allclose(dense, [exact_entmax(row, 2, t) for row in logits], atol=1e-6)
