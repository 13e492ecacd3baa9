"""`tessera ssm encode` beside recurrences by dense solves, and the projection by exact integrals."""

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy import linalg

import state_space_references as reference


@pytest.fixture
def encode(tessera, tmp_path):
    """Encodes a signal; returns the states."""

    def run(signal, measure, order, *options, code=0):
        path, out = tmp_path / "signal.npy", tmp_path / "states.npy"
        np.save(path, signal)
        out.unlink(missing_ok=True)
        result = tessera("ssm", "encode", path, "--measure", measure, "--order", order, *options, "-o", out, code=code)
        if code:
            assert not out.exists()
            return result.stderr
        return np.load(out)

    return run


def linear_states(a_bar, b_bar, signal):
    state, states = np.zeros(len(a_bar), a_bar.dtype), []
    for sample in signal:
        state = a_bar @ state + b_bar * sample
        states.append(state)
    return np.array(states)


def gbt(a, b, weight, step):
    inverse = np.linalg.inv(np.eye(len(a)) - weight * step * a)
    return inverse @ (np.eye(len(a)) + (1 - weight) * step * a), inverse @ b * step


@pytest.mark.parametrize("convention", ["paper", "optimal", "trap", "hippo-c", "hippo-py"])
def test_the_five_conventions_on_one_signal(encode, convention):
    signal = np.random.default_rng(10137).normal(size=300).cumsum()
    for form in ("paper", "blog", "integer"):
        states = encode(signal, "legs", 16, "--convention", convention, "--form", form)
        expected = reference.legs_states(signal, 16, convention, form)
        np.testing.assert_allclose(states, expected, rtol=1e-9, atol=1e-9 * abs(expected).max())
    if convention == "optimal":
        for length in (1, 2, 77, 300):
            projection = reference.legs_projection(signal[:length], 16)
            np.testing.assert_allclose(encode(signal, "legs", 16, "--convention", "optimal")[length - 1], projection, atol=1e-10)


def test_the_conventions_differ_and_constants_tell_them_apart(encode):
    states = {c: encode(np.ones(8), "legs", 4, "--convention", c)[-1] for c in ("paper", "optimal", "trap", "hippo-c", "hippo-py")}
    for kept in ("optimal", "trap", "hippo-c"):
        np.testing.assert_allclose(states[kept], [1, 0, 0, 0], atol=1e-14)
    # Not the paper's form: its input weighs 1/k at one end.
    np.testing.assert_allclose(states["paper"], [1.135, -0.042, -0.036, 0.074], atol=5e-4)
    assert abs(states["hippo-py"][0] - 1) > 1e-3


@pytest.mark.parametrize("order", [8, 64, 200])
def test_the_optimal_step_stays_exact(encode, order):
    # Beyond the exact matrices, where Taylor sums take over.
    signal = np.random.default_rng(1).normal(size=6000)
    states = encode(signal, "legs", order, "--convention", "optimal", "--every", "1500")
    assert states.shape == (4, order)
    for row, length in enumerate((1500, 3000, 4500, 6000)):
        np.testing.assert_allclose(states[row], reference.legs_projection(signal[:length], order), atol=2e-12)


@pytest.mark.parametrize("measure, order", [("legs", 24), ("legt", 33), ("lmu", 8), ("fout", 12), ("lagt", 9)])
@pytest.mark.parametrize("method", ["forward", "backward", "bilinear", "gbt:0.8", "zoh"])
def test_constant_coefficients(encode, measure, order, method):
    signal = np.random.default_rng(2).normal(size=500)
    step, window = 1e-3, 1.5
    options = ["--window", window] if measure in ("legt", "lmu", "fout") else []
    a, b = {
        "legs": lambda: reference.legs(order), "legt": lambda: reference.legt(order, "paper", window),
        "lmu": lambda: reference.legt(order, "lmu", window), "fout": lambda: reference.fout(order, window),
        "lagt": lambda: reference.lagt(order),
    }[measure]()
    if method == "zoh":
        block = np.zeros((order + 1, order + 1))
        block[:order, :order], block[:order, order] = a, b
        e = linalg.expm(block * step)
        a_bar, b_bar = e[:order, :order], e[:order, order]
    else:
        weight = {"forward": 0, "backward": 1, "bilinear": 0.5}.get(method, 0.8)
        a_bar, b_bar = gbt(a, b, weight, step)
    if abs(np.linalg.eigvals(a_bar)).max() > 1 + 1e-9:
        assert "stable up to dt" in encode(signal, measure, order, "--method", method, "--dt", step, *options, code=5)
        return
    states = encode(signal, measure, order, "--method", method, "--dt", step, *options)
    expected = linear_states(a_bar, b_bar, signal)
    np.testing.assert_allclose(states, expected, rtol=1e-10, atol=1e-11 * abs(expected).max())


@pytest.mark.parametrize("form", ["blog", "integer", "lmu"])
def test_forms_of_the_window(encode, form):
    signal = np.random.default_rng(3).normal(size=100)
    a_bar, b_bar = gbt(*reference.legt(11, form), 0.5, 0.01)
    states = encode(signal, "legt", 11, "--form", form, "--method", "bilinear", "--dt", 0.01)
    np.testing.assert_allclose(states, linear_states(a_bar, b_bar, signal), rtol=1e-10, atol=1e-11)


def test_complex_states(encode):
    signal = np.random.default_rng(4).normal(size=200)
    states = encode(signal, "s4d-lin", 8, "--method", "zoh", "--dt", 0.01)
    values = reference.s4d("lin", 8)
    expected = linear_states(np.diag(np.exp(0.01 * values)), np.expm1(0.01 * values) / values, signal)
    np.testing.assert_allclose(states[..., 0] + 1j * states[..., 1], expected, rtol=1e-11, atol=1e-13)
    states = encode(signal, "fourier-window", 9, "--method", "bilinear", "--dt", 0.01)
    expected = linear_states(*gbt(*reference.fourier_window(9), 0.5, 0.01), signal)
    np.testing.assert_allclose(states[..., 0] + 1j * states[..., 1], expected, rtol=1e-11, atol=1e-13)


def test_channels_blocks_types_and_rows(encode):
    random = np.random.default_rng(5)
    signal = random.normal(size=(70_000, 2)).astype(np.float32)
    states = encode(signal, "legs", 5, "--convention", "paper", "--every", 1000, "--dtype", "float32")
    assert states.shape == (70, 2, 5) and states.dtype == np.float32
    for channel in (0, 1):
        alone = encode(signal[:, channel].astype(float), "legs", 5, "--convention", "paper", "--every", 999)
        assert alone.shape == (71, 5)  # the last row stands after the last sample
        np.testing.assert_array_equal(alone[-1].astype(np.float32), states[-1, channel])
    whole = encode(np.arange(10), "legs", 3, "--convention", "trap")
    np.testing.assert_array_equal(whole, encode(np.arange(10.0), "legs", 3, "--convention", "trap"))
    assert encode(np.zeros(0), "legs", 3, "--convention", "trap").shape == (0, 3)


def test_refusals(encode):
    assert "sample 3 is nan" in encode(np.array([1, 2, 3, np.nan]), "legs", 4, "--convention", "paper", code=5)
    assert "dt is 0.0" in encode(np.ones(4), "legt", 4, "--method", "zoh", "--dt", 0, code=5)
    encode(np.ones(4), "legt", 4, "--convention", "paper", code=4)
    encode(np.ones((2, 2, 2)), "legs", 4, "--convention", "paper", code=4)
    encode(np.ones(4, complex), "legs", 4, "--convention", "paper", code=4)
    encode(np.ones(4), "legs", 4, "--convention", "paper", "--method", "zoh", "--dt", "1", code=64)


MEASURES = ("legs", "legt", "lmu", "fout", "lagt", "fourier-window", "fourier-full", "s4d-lin", "s4d-inv", "s4d-legs", "s4d-real")
CONVENTIONS = ("paper", "optimal", "trap", "hippo-c", "hippo-py")
METHODS = ("forward", "backward", "bilinear", "gbt:0.3", "gbt:0.8", "zoh")


def discretized(tessera, folder, measure, *options):
    """(A_bar, B_bar) of one step as `discretize` writes them, or (exit code, what is said)."""
    path, out = folder / f"{measure}.safetensors", folder / "step.safetensors"
    if not path.exists():
        tessera("ssm", "hippo", "--measure", measure, "--order", 5 if measure.startswith("fourier") else 6, "-o", path)
    done = tessera("ssm", "discretize", path, *options, "-o", out, "--quiet", code=None)
    if done.returncode:
        return done.returncode, done.stderr.removeprefix(f"Error: {path}: ")
    arrays = load_file(out)
    a, b = arrays["A_bar"], arrays["B_bar"]
    if measure.startswith(("fourier", "s4d")):
        a, b = a[..., 0] + 1j * a[..., 1], b[..., 0] + 1j * b[..., 1]
    return (np.diag(a) if measure.startswith("s4d") else a), b


def encoded(tessera, folder, measure, signal, *options):
    path, out = folder / "u.npy", folder / "states.npy"
    np.save(path, signal)
    order = 5 if measure.startswith("fourier") else 6
    done = tessera("ssm", "encode", path, "--measure", measure, "--order", order, *options, "-o", out, "--quiet", code=None)
    if done.returncode:
        return done.returncode, done.stderr.removeprefix(f"Error: {path}: ")
    states = np.load(out)
    return states[..., 0] + 1j * states[..., 1] if measure.startswith(("fourier", "s4d")) else states


@pytest.mark.parametrize("measure", MEASURES)
def test_encode_and_discretize_step_alike_or_refuse_alike(tessera, tmp_path, measure):
    """Every measure with every convention and method: the same steps, or the same words."""
    signal = np.random.default_rng(3).normal(size=7)
    rules = [("--convention", c) for c in CONVENTIONS] + [("--method", m) for m in METHODS]
    for rule in rules:
        states = encoded(tessera, tmp_path, measure, signal, *rule)
        for k in (5,):
            step = discretized(tessera, tmp_path, measure, *rule, "--legs", k)
            if isinstance(states, tuple):
                assert isinstance(step[0], int) or "explodes at K" in states[1], (rule, states, step)
                if isinstance(step[0], int) and "explodes" not in states[1]:
                    # A usage error shows the command's own usage behind its message.
                    assert step[0] == states[0] and step[1].splitlines()[0] == states[1].splitlines()[0], (rule, states, step)
                continue
            assert not isinstance(step[0], int), (rule, step)
            expected = step[0] @ states[k - 1] + step[1] * signal[k]
            np.testing.assert_allclose(states[k], expected, rtol=1e-9, atol=1e-11, err_msg=str(rule))
    for method in METHODS:
        for dt in ("0.01", "3", "0"):
            options = ("--method", method, f"--dt={dt}")
            states, step = encoded(tessera, tmp_path, measure, signal, *options), discretized(tessera, tmp_path, measure, *options)
            if isinstance(states, tuple):
                assert step == states, options
                continue
            assert not isinstance(step[0], int), (options, step)
            np.testing.assert_allclose(states, linear_states(*step, signal), rtol=1e-9, atol=1e-10 * abs(states).max())


def test_the_basis_of_the_whole_past_starts_from_a_constant(tessera, tmp_path):
    """Post 10137's Fourier basis: a constant is the frequency 0, in every convention that keeps constants."""
    for convention in ("optimal", "trap", "hippo-c"):
        states = encoded(tessera, tmp_path, "fourier-full", np.full(6, 2.5), "--convention", convention)
        np.testing.assert_allclose(states, np.tile([0, 0, 2.5, 0, 0], (6, 1)), atol=1e-12)
