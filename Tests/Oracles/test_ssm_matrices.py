"""`tessera ssm hippo` and `discretize` beside scipy, fractions and the formulas of state-spaces/s4."""

import json

import h5py
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from scipy import linalg, signal

import state_space_references as reference


def as_complex(array):
    return array[..., 0] + 1j * array[..., 1]


@pytest.fixture
def hippo(tessera, tmp_path):
    """Makes a file of a measure; returns its path and arrays, which --json must repeat."""

    def run(measure, order, *options, code=0):
        path = tmp_path / f"{measure}-{order}.safetensors"
        result = tessera("ssm", "hippo", "--measure", measure, "--order", order, *options, "-o", path, "--json", code=code)
        if code:
            return result.stderr
        arrays, printed = load_file(path), json.loads(result.stdout)
        for name, array in arrays.items():
            assert array.dtype == np.float64
            np.testing.assert_array_equal(np.array(printed[name]), array)
        return path, arrays

    return run


@pytest.fixture
def discretize(tessera, tmp_path):
    """Discretises a file; returns the arrays."""
    return reference.outputs(tessera, "discretize", tmp_path / "step.safetensors", load_file)


@pytest.mark.parametrize("order", [1, 2, 9, 64])
@pytest.mark.parametrize("form", ["paper", "blog", "integer"])
def test_legs_and_legt(hippo, order, form):
    for measure, formula in (("legs", reference.legs), ("legt", reference.legt)):
        _, arrays = hippo(measure, order, "--form", form)
        a, b = formula(order, form)
        np.testing.assert_allclose(arrays["A"], a, rtol=1e-15)
        np.testing.assert_allclose(arrays["B"], b, rtol=1e-15)
        if form != "blog":  # the DC identity
            np.testing.assert_allclose(arrays["A"][:, 0], -arrays["B"], rtol=1e-15)


def test_windows_and_the_legendre_memory_unit(hippo):
    for measure, form in (("lmu", "paper"), ("legt", "lmu"), ("lmu", "integer")):
        _, arrays = hippo(measure, 8, "--form", form, "--window", 4)
        a, b = reference.legt(8, "lmu", 4)
        np.testing.assert_array_equal(arrays["A"], a)
        np.testing.assert_array_equal(arrays["B"], b)
        # The LMU paper's own formula.
        i, j = np.indices((8, 8))
        expected = (2 * i + 1) / 4 * np.where(i < j, -1.0, (-1.0) ** (i - j + 1))
        np.testing.assert_array_equal(arrays["A"], expected)
    _, arrays = hippo("legt", 8, "--window", 2)  # state-spaces/s4 halves: its window is 2
    np.testing.assert_allclose(arrays["A"], reference.legt(8)[0] / 2, rtol=1e-15)


def test_fourier_and_laguerre(hippo):
    _, arrays = hippo("fout", 10)
    a, b = reference.fout(10)
    np.testing.assert_allclose(arrays["A"], a, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(arrays["B"], b, rtol=1e-15)
    assert arrays["A"][0, 0] == -2 and arrays["B"][:3].tolist() == [2, 0, 2 * np.sqrt(2)]
    for tilt in (0, 1):
        _, arrays = hippo("lagt", 6, "--tilt", tilt)
        np.testing.assert_array_equal(arrays["A"], reference.lagt(6, tilt)[0])
        np.testing.assert_array_equal(arrays["B"], np.ones(6))
    for measure, (a, b) in (
        ("fourier-window", reference.fourier_window(7)), ("fourier-full", reference.fourier_full(7)),
    ):
        _, arrays = hippo(measure, 7)
        np.testing.assert_allclose(as_complex(arrays["A"]), a, rtol=1e-15)
        np.testing.assert_allclose(as_complex(arrays["B"]), b, rtol=1e-15)
    assert abs(np.linalg.eigvals(reference.fourier_full(7)[0]).real.max() + 1) < 1e-9


@pytest.mark.parametrize("kind", ["lin", "inv", "legs", "real"])
def test_diagonal_initialisations(hippo, kind):
    _, arrays = hippo(f"s4d-{kind}", 32)
    expected = reference.s4d(kind, 32)
    values = as_complex(arrays["Lambda"])
    assert values.shape == (16,)
    if kind == "legs":
        values, expected = (x[np.argsort(x.imag)] for x in (values, expected))
    np.testing.assert_allclose(values, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("measure", ["legs", "legt", "fout"])
@pytest.mark.parametrize("order", [2, 16, 64])
def test_normal_plus_low_rank(hippo, measure, order):
    _, arrays = hippo(measure, order)
    values, p, v = (as_complex(arrays[name]) for name in ("Lambda", "P", "V"))
    assert values.shape == (order // 2,) and v.shape == (order, order // 2)
    assert p.shape == (2 if measure == "legt" else 1, order // 2)
    # Both halves together: a unitary matrix, and A again.
    whole = np.concatenate([v, v.conj()], 1)
    np.testing.assert_allclose(whole.conj().T @ whole, np.eye(order), atol=1e-12)
    low = 2 * (v @ p.T).real
    rebuilt = 2 * ((v * values) @ v.conj().T).real - low @ low.T
    np.testing.assert_allclose(rebuilt, arrays["A"], atol=1e-11 * abs(arrays["A"]).max())
    if measure == "legs":
        np.testing.assert_allclose(low[:, 0], np.sqrt(np.arange(order) + 0.5), rtol=1e-10)
        np.testing.assert_array_equal(values.real, -0.5)
        assert (np.diff(values.imag) > 0).all() and (values.imag < 0).all()


def s4_values(order):
    """What state-spaces/s4's `nplr` yields for LegS, by its definition: eigh of -i (A + p p')."""
    a, b = reference.legs(order)
    p = np.sqrt(np.arange(order) + 0.5)
    w, v = np.linalg.eigh((a + np.outer(p, p) + 0.5 * np.eye(order)) * -1j)
    return -0.5 + 1j * w[: order // 2], v[:, : order // 2].conj().T @ p, v[:, : order // 2].conj().T @ b


def test_the_values_of_s4(hippo):
    path, arrays = hippo("legs", 64)
    w, p, b = s4_values(64)
    np.testing.assert_allclose(as_complex(arrays["Lambda"]), w, rtol=1e-10)
    # Eigenvectors are unique up to a phase, which these products do not see.
    ours = as_complex(arrays["V"]).conj().T @ arrays["B"]
    np.testing.assert_allclose(abs(as_complex(arrays["P"])[0]), abs(p), rtol=1e-9)
    np.testing.assert_allclose(ours * as_complex(arrays["P"])[0].conj(), b * p.conj(), rtol=1e-8)


@pytest.mark.parametrize("measure, order", [("legs", 24), ("legt", 17), ("fout", 12), ("lagt", 9), ("lmu", 6)])
@pytest.mark.parametrize("method", ["backward", "bilinear", "gbt:0.7", "zoh"])
def test_discretisation_is_scipys(hippo, discretize, measure, order, method):
    path, arrays = hippo(measure, order)
    step = 0.02
    result = discretize(path, "--method", method, "--dt", step)
    name, _, alpha = method.partition(":")
    system = (arrays["A"], arrays["B"][:, None], np.zeros((1, order)), np.zeros((1, 1)))
    a, b, *_ = signal.cont2discrete(system, step, {"backward": "backward_diff"}.get(name, name), float(alpha) if alpha else None)
    np.testing.assert_allclose(result["A_bar"], a, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(result["B_bar"], b[:, 0], rtol=1e-11, atol=1e-13)
    np.testing.assert_array_equal(result["A"], arrays["A"])
    if measure in ("legs", "legt"):
        np.testing.assert_allclose(result["B_bar"], np.eye(order)[0] - result["A_bar"][:, 0], atol=1e-12)


def test_forward_and_channels(hippo, discretize, tmp_path):
    path, arrays = hippo("legt", 4)
    steps = np.array([0.001, 0.01, 0.02])
    np.save(tmp_path / "dt.npy", steps)
    for method in ("forward", "zoh"):
        result = discretize(path, "--method", method, "--dt", tmp_path / "dt.npy")
        assert result["A_bar"].shape == (3, 4, 4) and result["B_bar"].shape == (3, 4)
        for index, step in enumerate(steps):
            a = np.eye(4) + step * arrays["A"] if method == "forward" else linalg.expm(step * arrays["A"])
            np.testing.assert_allclose(result["A_bar"][index], a, rtol=1e-13, atol=1e-15)
        np.testing.assert_array_equal(result["dt"], steps)


@pytest.mark.parametrize("method", ["bilinear", "zoh", "backward"])
def test_diagonal_discretisation(hippo, discretize, tmp_path, method):
    path, arrays = hippo("s4d-lin", 8)
    steps = np.geomspace(1e-9, 1, 5)
    np.save(tmp_path / "dt.npy", steps)
    result = discretize(path, "--method", method, "--dt", tmp_path / "dt.npy")
    z = steps[:, None] * as_complex(arrays["Lambda"])
    if method == "zoh":
        a, b = np.exp(z), steps[:, None] * np.expm1(z) / z
    else:
        alpha = 1 if method == "backward" else 0.5
        a, b = (1 + (1 - alpha) * z) / (1 - alpha * z), steps[:, None] / (1 - alpha * z)
    np.testing.assert_allclose(as_complex(result["A_bar"]), a, rtol=1e-14)
    np.testing.assert_allclose(as_complex(result["B_bar"]), b, rtol=1e-14)


def test_complex_matrices(hippo, discretize):
    path, arrays = hippo("fourier-window", 9)
    result = discretize(path, "--method", "zoh", "--dt", 0.03)
    a = as_complex(arrays["A"])
    expected = linalg.expm(0.03 * a)
    np.testing.assert_allclose(as_complex(result["A_bar"]), expected, rtol=1e-12, atol=1e-14)
    b = np.linalg.solve(a, (expected - np.eye(9)) @ as_complex(arrays["B"]))
    np.testing.assert_allclose(as_complex(result["B_bar"]), b, rtol=1e-11)
    path, arrays = hippo("fourier-full", 5)
    result = discretize(path, "--legs", 7, "--convention", "optimal")
    np.testing.assert_allclose(
        as_complex(result["A_bar"]), linalg.expm(np.log(8 / 7) * as_complex(arrays["A"])), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("order, k", [(1, 1), (4, 1), (4, 1000), (12, 3), (24, 1), (24, 17)])
def test_the_exact_step_is_rational(hippo, discretize, order, k):
    path, _ = hippo("legs", order, "--form", "integer")
    result = discretize(path, "--legs", k, "--convention", "optimal")
    a, b = reference.legs_exact_fractions(order, k)
    np.testing.assert_allclose(result["A_bar"], np.array(a, float), rtol=4e-16, atol=1e-24)
    np.testing.assert_allclose(result["B_bar"], np.array(b, float), rtol=4e-16, atol=1e-24)
    assert result["A_bar"][-1, -1] == pytest.approx((k / (k + 1)) ** order, rel=1e-14)


@pytest.mark.parametrize("convention", ["paper", "optimal", "trap", "hippo-c", "hippo-py"])
@pytest.mark.parametrize("form", ["paper", "blog", "integer"])
def test_legs_conventions(hippo, discretize, convention, form):
    path, arrays = hippo("legs", 16, "--form", form)
    for k in (1, 2, 50):
        result = discretize(path, "--legs", k, "--convention", convention)
        a, b = reference.legs_step(arrays["A"], arrays["B"], convention, k)
        np.testing.assert_allclose(result["A_bar"], a, rtol=1e-10, atol=1e-11)
        np.testing.assert_allclose(result["B_bar"], b, rtol=1e-10, atol=1e-11)


def test_refusals_name_the_number(hippo, discretize, tessera, tmp_path):
    path, _ = hippo("legt", 64)
    error = discretize(path, "--method", "forward", "--dt", 0.01, code=5)
    assert "1.49" in error and "stable up to dt" in error  # the spectral radius
    bound = float(error.split("stable up to dt ")[1].split(";")[0])
    discretize(path, "--method", "forward", "--dt", bound * 0.999)
    discretize(path, "--method", "forward", "--dt", bound * 1.001, code=5)
    for step in ("0", "-0.1", "nan", "inf"):
        assert step.rstrip("0") in discretize(path, "--method", "zoh", f"--dt={step}", code=5)
    np.save(tmp_path / "dt.npy", np.array([0.1, 0.0]))
    assert "dt[1] is 0.0" in discretize(path, "--method", "zoh", "--dt", tmp_path / "dt.npy", code=5)
    legs, _ = hippo("legs", 64)
    assert "K = 32" in discretize(legs, "--legs", 10, "--method", "forward", code=5)
    discretize(legs, "--legs", 32, "--method", "forward")
    discretize(legs, "--legs", 0, "--convention", "paper", code=5)
    discretize(legs, "--legs", 0, "--convention", "hippo-py")
    discretize(path, "--legs", 3, "--convention", "paper", code=4)
    for options, code in (
        (["--measure", "legs", "--order", "0"], 5), (["--measure", "legs", "--order", "100000"], 5),
        (["--measure", "fout", "--order", "4", "--form", "blog"], 4), (["--measure", "s4d-lin", "--order", "7"], 4),
        (["--measure", "legs", "--order", "4", "--form", "lmu"], 4), (["--measure", "legt", "--order", "4", "--window", "0"], 5),
        (["--measure", "fourier-full", "--order", "4"], 4),
    ):
        assert tessera("ssm", "hippo", *options, "--json", code=code).stdout == ""


def test_a_file_without_a_named_convention(hippo, discretize, tmp_path):
    _, arrays = hippo("legt", 4)
    bare = tmp_path / "bare.safetensors"
    save_file({"A": arrays["A"], "B": arrays["B"]}, bare)
    assert "tessera.ssm.system" in discretize(bare, "--method", "zoh", "--dt", 0.1, code=4)
    result = discretize(bare, "--method", "zoh", "--dt", 0.1, "--system", "dense")
    np.testing.assert_allclose(result["A_bar"], linalg.expm(0.1 * arrays["A"]), rtol=1e-12, atol=1e-14)
    # A singular and nilpotent A: the double integrator.
    save_file({"A": np.array([[0.0, 1.0], [0.0, 0.0]]), "B": np.array([0.0, 1.0])}, bare)
    result = discretize(bare, "--method", "zoh", "--dt", 0.5, "--system", "dense")
    np.testing.assert_allclose(result["A_bar"], [[1, 0.5], [0, 1]], rtol=1e-15)
    np.testing.assert_allclose(result["B_bar"], [0.125, 0.5], rtol=1e-15)
    # Both numbers of a pair.
    pair = np.array([[-1.0, 2.0], [-1.0, -2.0]])
    save_file({"Lambda": pair, "B": np.ones((2, 2))}, bare)
    assert "2 of 2 values" in discretize(bare, "--method", "zoh", "--dt", 0.1, "--system", "diagonal", code=4)


def test_npz_and_hdf5(hippo, tessera, tmp_path):
    _, arrays = hippo("legs", 6)
    for ending in ("npz", "h5"):
        path, step = tmp_path / f"legs.{ending}", tmp_path / f"step.{ending}"
        tessera("ssm", "hippo", "--measure", "legs", "--order", "6", "-o", path)
        tessera("ssm", "discretize", path, "--legs", "3", "--convention", "optimal", "-o", step)
        tessera("ssm", "check", step)
        if ending == "npz":
            stored = dict(np.load(step))
        else:
            with h5py.File(step) as file:
                stored = {name: file[name][()] for name in file}
                assert file.attrs["tessera.ssm.measure"] == "legs"
        for name in ("A", "B", "Lambda", "P", "V"):
            np.testing.assert_array_equal(stored[name], arrays[name])
        np.testing.assert_allclose(stored["A_bar"][5, 5], (3 / 4) ** 6, rtol=1e-15)
    assert "safetensors" in tessera("ssm", "hippo", "--measure", "legs", "--order", "6", "-o", tmp_path / "a.txt", code=4).stderr


def test_metadata_and_precision(hippo, tessera, tmp_path):
    path, arrays = hippo("legs", 4)
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    assert metadata["tessera.ssm.measure"] == "legs" and metadata["tessera.ssm.form"] == "paper"
    assert metadata["tessera.ssm.equation"] == "x' = (A x + B u) / t"
    out = tmp_path / "single.safetensors"
    tessera("ssm", "hippo", "--measure", "legs", "--order", "4", "--dtype", "float32", "-o", out)
    np.testing.assert_array_equal(load_file(out)["A"], arrays["A"].astype(np.float32))
