"""Nothing of a state space is left out in silence: one more axis or one more tensor is used, refused or named."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from test_ssm_convert import checkpoint, unit
from test_ssm_kernels import as_complex, full, pairs, s4, s4_kernels

PREFIX = "layers.0.layer.kernel."


def draw(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape)


def diagonal():
    values = -np.linspace(0.2, 1, 4) + 1j * np.arange(1, 5)
    return {"Lambda": pairs(values), "B": draw(4, 2), "C": draw(3, 4, 2), "dt": np.array([0.1, 0.2, 0.3]), "D": draw(3)}


def dense():
    return {"A": -np.eye(4) + 0.1 * draw(4, 4), "B": draw(4), "C": draw(2, 4), "D": draw(2), "dt": np.array(0.1)}


def low_rank(trained=0):
    values, p, b, c = s4(np.random.default_rng(6))
    arrays = {"Lambda": pairs(values), "P": pairs(p), "B": pairs(b), "C": pairs(c), "dt": np.array([0.01, 0.02, 0.05])}
    return arrays | {"l_kernel": np.array(trained)}


def s4_layer(low_rank=True, folder=None):
    path, _, _ = checkpoint(folder, low_rank)
    return load_file(path) | {"layers.0.layer.D": draw(1, 3), "layers.0.layer.output_linear.weight": draw(6, 3)}


def s4d(folder=None):
    return s4_layer(False, folder)


def mamba1(*suffixes):
    tensors = {}
    for s in suffixes:
        tensors |= {f"m.A{s}_log": draw(6, 4) / 9, f"m.D{s}": draw(6), f"m.dt_proj{s}.bias": draw(6), f"m.dt_proj{s}.weight": draw(6, 2)}
    return tensors | {"m.in_proj.weight": draw(12, 3)}


KERNEL = ("ssm", "kernel", "IN", "--length", 6, "-o", "OUT.npy")
S4 = ("--s4", PREFIX)
LAYOUTS = {
    "diagonal": (lambda folder: diagonal(), (*KERNEL, "--system", "diagonal", "--method", "zoh")),
    "dense": (lambda folder: dense(), (*KERNEL, "--system", "dense", "--method", "bilinear")),
    "dplr": (lambda folder: low_rank(), (*KERNEL, "--system", "dplr", "--method", "bilinear")),
    "diagonal, check": (lambda folder: diagonal(), ("ssm", "check", "IN", "--system", "diagonal")),
    "dense, check": (lambda folder: dense(), ("ssm", "check", "IN", "--system", "dense")),
    "dplr, check": (lambda folder: low_rank(), ("ssm", "check", "IN", "--system", "dplr")),
    "diagonal, rate": (lambda folder: diagonal(), ("ssm", "rate", "IN", "--factor", 2, "--system", "diagonal", "-o", "OUT.safetensors")),
    "dplr, rate": (lambda folder: low_rank(64), ("ssm", "rate", "IN", "--factor", 2, "--system", "dplr", "-o", "OUT.safetensors")),
    "dense, discretize": (lambda folder: dense(), ("ssm", "discretize", "IN", "--method", "zoh", "--dt", 0.1, "--system", "dense", "-o", "OUT.safetensors")),
    "dense, diagonalize": (lambda folder: dense(), ("ssm", "diagonalize", "IN", "--system", "dense", "-o", "OUT.safetensors")),
    "S4": (lambda folder: s4_layer(True, folder), (*KERNEL, *S4, "--method", "bilinear")),
    "S4D": (lambda folder: s4d(folder), (*KERNEL, *S4, "--method", "zoh")),
    "S4, rate": (lambda folder: s4_layer(True, folder), ("ssm", "rate", "IN", "--factor", 2, *S4, "-o", "OUT.safetensors")),
    "S4D, rate of all": (lambda folder: s4d(folder), ("ssm", "rate", "IN", "--factor", 2, "--s4-checkpoint", "-o", "OUT.safetensors")),
    "S4D, S4": (lambda folder: s4d(folder), ("ssm", "convert", "IN", "--to", "s4", "-o", "OUT.safetensors")),
    "Mamba": (lambda folder: mamba1(""), ("ssm", "convert", "IN", "--to", "mamba", "--dt", "bias", "-o", "OUT.safetensors")),
    "Vim": (lambda folder: mamba1("", "_b"), ("ssm", "convert", "IN", "--to", "mamba", "--dt", "bias", "-o", "OUT.safetensors")),
    "Vim, A": (lambda folder: mamba1("", "_b"), ("ssm", "convert", "IN", "--to", "mamba", "-o", "OUT.safetensors")),
    "Mamba-2": (lambda folder: {"m.A_log": draw(6) / 9, "m.dt_bias": draw(6), "m.D": draw(6)},
                ("ssm", "convert", "IN", "--to", "mamba", "--dt", "bias", "-o", "OUT.safetensors")),
    "LRU": (lambda folder: {f"p.seq.{k}": v for k, v in unit().items()}, ("ssm", "convert", "IN", "--to", "lru-discrete", "-o", "OUT.safetensors")),
}  # fmt: skip


def outcome(tessera, folder, tensors, command):
    """Exit code, what is said, and the names and shapes of the result."""
    path = folder / "in.safetensors"
    save_file({k: np.array(v, order="C") for k, v in tensors.items()}, path)
    out = [folder / str(a) for a in command if str(a).startswith("OUT")]
    for file in out:
        file.unlink(missing_ok=True)
    arguments = [path if a == "IN" else folder / a if str(a).startswith("OUT") else a for a in command]
    done = tessera(*arguments, code=None)
    shapes = {}
    if done.returncode == 0 and out and out[0].suffix == ".npy":
        shapes = {"K": np.load(out[0]).shape}
    elif done.returncode == 0 and out and out[0].suffix == ".safetensors":
        shapes = {k: v.shape for k, v in load_file(out[0]).items()}
    return done.returncode, done.stderr, shapes


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_more_axis_and_one_more_tensor_is_used_refused_or_named(tessera, tmp_path, layout):
    make, command = LAYOUTS[layout]
    tensors = make(tmp_path)
    code, said, expected = outcome(tessera, tmp_path, tensors, command)
    assert code == 0, said
    names = list(tensors)
    stems = {n.rsplit(".", 1)[-1] for n in tensors}
    for name in names:
        if name == "decoder.weight":
            continue  # of no layer
        for more in ("front", "back"):
            changed = dict(tensors)
            changed[name] = np.stack([tensors[name]] * 2, 0 if more == "front" else -1)
            code, said, shapes = outcome(tessera, tmp_path, changed, command)
            assert code in (0, 4, 5), (name, more, said)
            # A check compares each channel and output, however many there are.
            used = shapes != expected or name == "dt" or (command[1] == "check" and name in ("Lambda", "P", "B", "C"))
            assert code or used or name in said, (name, more, said)
            assert code == 0 or (said.count("\n") == 1 and any(stem in said for stem in stems)), (name, more, said)
    own = [name for name in tensors if name != "decoder.weight"]
    stem = own[0].rsplit(".", 1)[0] + "." if "." in own[0] else ""
    for extra in ("A_b_log", "A_logs", "B_b", "C1", "C2", "P2", "gamma", "inv_dt_b", "dt_bias_b", "l_max"):
        code, said, shapes = outcome(tessera, tmp_path, tensors | {stem + extra: draw(6)}, command)
        used = shapes != expected and any(extra.removesuffix("_log") in k for k in shapes)
        assert code in (0, 4) and (code == 4 or used or extra in said), (extra, said)
        assert code == 0 or (extra in said and said.count("\n") == 1), (extra, said)


@pytest.mark.parametrize("low_rank", [True, False])
@pytest.mark.parametrize("channels, skips", [(2, 2), (2, 1), (4, 2), (3, 3)])
def test_channels_and_directions_of_s4(tessera, tmp_path, low_rank, channels, skips):
    """C [channels, H, N, 2] yields a kernel for each row; a layer of two directions has half as many rows of D."""
    path, _, (values, p, b, _, steps) = checkpoint(tmp_path, low_rank)
    c = draw(channels, 3, 8, 2)
    tensors = load_file(path) | {PREFIX + "C": c, "layers.0.layer.D": draw(skips, 3), "layers.0.layer.out.weight": draw(6, 3)}
    save_file(tensors, path)
    expected = np.stack([s4_kernels(values, p * low_rank, b, as_complex(row), steps, 40) for row in c])
    tessera("ssm", "kernel", path, *S4, "--method", "bilinear", "--length", 40, "-o", tmp_path / "K.npy")
    np.testing.assert_allclose(np.load(tmp_path / "K.npy"), expected, atol=1e-10 * abs(expected).max())
    done = tessera("ssm", "rate", path, *S4, "--factor", 1, "-o", tmp_path / "layer.safetensors")
    assert "not used: layers.0.layer.out.weight" in done.stderr
    layer = load_file(tmp_path / "layer.safetensors")
    np.testing.assert_array_equal(layer["D"].reshape(skips, 3), tensors["layers.0.layer.D"])
    np.testing.assert_allclose(layer["C"], c, rtol=1e-12)
    with safe_open(tmp_path / "layer.safetensors", "np") as file:
        assert ("backward" in file.metadata().get("tessera.ssm.directions", "")) == (skips * 2 == channels)
    # The file of the layer has the same kernels and passes its check, every channel and output of it.
    tessera("ssm", "kernel", tmp_path / "layer.safetensors", "--method", "bilinear", "--length", 40, "-o", tmp_path / "K.npy")
    np.testing.assert_allclose(np.load(tmp_path / "K.npy"), expected, atol=1e-10 * abs(expected).max())
    tessera("ssm", "check", tmp_path / "layer.safetensors")
    tensors["layers.0.layer.D"] = draw(channels + 5, 3)
    save_file(tensors, path)
    assert "layers.0.layer.D" in tessera("ssm", "kernel", path, *S4, "--method", "bilinear", "--length", 4, "-o", tmp_path / "K.npy", code=4).stderr


def test_truncated_c_of_two_directions_is_restored(tessera, tmp_path):
    path, _, (values, p, b, c, steps) = checkpoint(tmp_path, trained=64)
    rows = np.stack([c, 2 * c[:, ::-1]])
    m = full(values, p)
    stored = []
    for group in rows:
        for row, step in zip(group, steps):
            a_bar = np.linalg.solve(np.eye(16) - step / 2 * m, np.eye(16) + step / 2 * m)
            stored.append((np.concatenate([row, row.conj()]) @ (np.eye(16) - np.linalg.matrix_power(a_bar, 64)))[:8])
    save_file(load_file(path) | {PREFIX + "C": pairs(np.array(stored).reshape(2, 3, 8))}, path)
    for options in (("--s4-checkpoint",), S4):
        out = tmp_path / "out.safetensors"
        tessera("ssm", "rate", path, *options, "--factor", 1, "-o", out)
        found = load_file(out)
        np.testing.assert_allclose(as_complex(found.get(PREFIX + "C", found.get("C"))), rows, rtol=1e-7)


@pytest.mark.parametrize("spelling", [("A_b_log", "dt_proj_b.bias"), ("A_log_b", "dt_proj_b.bias"), ("A_s_log", "dt_s_bias"), ("A_c_log", "dt_bias_c")])
def test_every_direction_of_mamba(tessera, tmp_path, spelling):
    name, bias = spelling
    suffix = "_" + name.removeprefix("A_").removesuffix("_log").removeprefix("log_")
    tensors = {"layers.0.mixer.A_log": draw(6, 4) / 9, "layers.0.mixer.dt_proj.bias": draw(6), "layers.0.mixer.D": draw(6),
               f"layers.0.mixer.{name}": draw(6, 4, seed=2) / 9, f"layers.0.mixer.{bias}": draw(6, seed=3)}  # fmt: skip
    path, out = tmp_path / "vim.safetensors", tmp_path / "out.safetensors"
    save_file(tensors, path)
    done = tessera("ssm", "convert", path, "--to", "mamba", "--dt", "bias", "-o", out)
    found = load_file(out)
    for end, source, step in (("", "A_log", "dt_proj.bias"), (suffix, name, bias)):
        a, dt = -np.exp(tensors[f"layers.0.mixer.{source}"]), np.log1p(np.exp(tensors[f"layers.0.mixer.{step}"]))
        np.testing.assert_allclose(found[f"layers.0.mixer.A{end}"], a, rtol=1e-12)
        np.testing.assert_allclose(found[f"layers.0.mixer.dt{end}"], dt, rtol=1e-12)
        np.testing.assert_allclose(found[f"layers.0.mixer.A_bar{end}"], np.exp(dt[:, None] * a), rtol=1e-12)
    assert "not used: layers.0.mixer.D" in done.stderr
    del tensors[f"layers.0.mixer.{bias}"]
    save_file(tensors, path)
    assert name in tessera("ssm", "convert", path, "--to", "mamba", "--dt", "bias", "-o", out, code=4).stderr


@pytest.mark.parametrize("measure", ["s4d-lin", "s4d-inv", "s4d-legs", "s4d-real"])
@pytest.mark.parametrize("method", ["zoh", "bilinear"])
def test_frequencies_beyond_half_the_rate_are_no_conjugate_pairs(tessera, tmp_path, measure, method):
    """e^(dt λ) of several modes may be conjugates: at dt = 1/16 those of s4d-lin are, n and 32 - n."""
    path, step = tmp_path / "a.safetensors", tmp_path / "step.safetensors"
    tessera("ssm", "hippo", "--measure", measure, "--order", 64, "-o", path)
    values = as_complex(load_file(path)["Lambda"])
    for dt in (1 / 16, 1 / 8, 2, 1 / 16 + 2**-40):
        z = dt * values
        a = np.exp(z) if method == "zoh" else (1 + z / 2) / (1 - z / 2)
        b = dt * (np.expm1(z) / z if method == "zoh" else 1 / (1 - z / 2))
        expected = 2 * (b @ a[:, None] ** np.arange(12)).real
        tessera("ssm", "kernel", path, "--method", method, "--dt", dt, "--length", 12, "-o", tmp_path / "K.npy")
        np.testing.assert_allclose(np.load(tmp_path / "K.npy"), expected, atol=1e-11 * abs(expected).max())
        tessera("ssm", "discretize", path, "--method", method, "--dt", dt, "-o", step)
        tessera("ssm", "check", step)
        tessera("ssm", "kernel", step, "--length", 12, "-o", tmp_path / "K.npy")
        np.testing.assert_allclose(np.load(tmp_path / "K.npy"), expected, atol=1e-11 * abs(expected).max())


@pytest.mark.parametrize("structure, change, cause", [
    ("diagonal", {"P": draw(1, 4, 2)}, "P stands"), ("diagonal", {"A": np.eye(4)}, "A stands"), ("dplr", {"A": np.eye(4)}, "A stands"),
    ("diagonal", {"l_kernel": np.array(64)}, "l_kernel is 64"), ("dense", {"l_kernel": np.array(64)}, "l_kernel is 64"),
    ("dplr", {"l_kernel": np.array([0, 64])}, "l_kernel"), ("dplr", {"l_kernel": np.array(1.5)}, "l_kernel"),
    ("diagonal", {"dt": draw(3, 1)}, "dt has the shape"), ("diagonal", {"A_bar": draw(4, 2)}, "belong together"),
    ("diagonal", {"D": draw(7)}, "D has the shape"), ("dense", {"D": draw(2, 1, 1)}, "D has the shape"),
    ("dense", {"V": draw(4, 3, 2), "Lambda": draw(2, 2), "P": draw(1, 2, 2)}, "V has the shape [4, 3, 2], and [states, 2, 2]"),
    ("dense", {"V": draw(4, 2, 2), "Lambda": draw(2, 2), "P": draw(1, 3, 2)}, "P has the shape [1, 3, 2] beside A, and [rank, 2, 2]"),
    ("dense", {"Lambda": draw(3, 2, 2)}, "Lambda has the shape [3, 2, 2] beside A, and [2, 2]"),
    ("dense", {"Lambda": draw(3)}, "Lambda of shape [3] is complex"), ("dense", {"V": draw(4, 3)}, "V of shape [4, 3] is complex"),
    ("dplr", {"V": draw(8, 3, 2)}, "V has the shape [8, 3, 2], and [states, 8, 2]"),
    ("dense", {"C": draw(2, 5)}, "C has the shape [2, 5]"), ("dense", {"C": draw(2, 1, 4)}, "C has the shape [2, 1, 4]"),
])  # fmt: skip
def test_parts_of_another_structure_are_refused(tessera, tmp_path, structure, change, cause):
    arrays = {"diagonal": diagonal, "dense": dense, "dplr": low_rank}[structure]() | change
    path = tmp_path / "a.safetensors"
    save_file({k: np.array(v, order="C") for k, v in arrays.items()}, path)
    message = tessera("ssm", "kernel", path, "--system", structure, "--method", "bilinear", "--length", 4, "--json", code=4).stderr
    assert cause in message and message.count("\n") == 1
    assert cause in tessera("ssm", "check", path, "--system", structure, code=4).stderr
    out = tmp_path / "step.safetensors"
    step = ("ssm", "discretize", path, "--method", "bilinear", "--dt", 0.1, "--system", structure, "-o", out)
    assert cause in tessera(*step, code=4).stderr and not out.exists()


def test_eigenvectors_beside_a_matrix_are_pairs(tessera, tmp_path):
    """Without metadata, too: Lambda, P and V of a dense file are read as complex, and compared with A."""
    whole, plain = tmp_path / "whole.safetensors", tmp_path / "plain.safetensors"
    tessera("ssm", "hippo", "--measure", "legs", "--order", 6, "-o", whole)
    arrays = load_file(whole)
    assert {"Lambda", "P", "V"} <= set(arrays)
    save_file(arrays, plain)
    found = json.loads(tessera("ssm", "check", plain, "--system", "dense", "--json").stdout)
    assert found["nplr_residual"] < 1e-10
    save_file(arrays | {"Lambda": arrays["Lambda"] * 1.01}, plain)
    tessera("ssm", "check", plain, "--system", "dense", code=4)


def test_a_step_with_the_factor_keeps_outputs_and_refuses_another_matrix(tessera, tmp_path):
    path, out = tmp_path / "a.safetensors", tmp_path / "step.safetensors"
    tessera("ssm", "hippo", "--measure", "legs", "--order", 4, "-o", path)
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    arrays = load_file(path) | {"C": draw(2, 4), "D": draw(2)}
    save_file(arrays, path, metadata)
    tessera("ssm", "discretize", path, "--legs", 3, "--convention", "trap", "-o", out)
    found = load_file(out)
    np.testing.assert_array_equal(found["C"], arrays["C"])
    np.testing.assert_array_equal(found["D"], arrays["D"])
    save_file(arrays | {"A": arrays["A"] * 1.01}, path, metadata)
    assert "A is not that of legs" in tessera("ssm", "discretize", path, "--legs", 3, "--convention", "trap", "-o", out, code=4).stderr
