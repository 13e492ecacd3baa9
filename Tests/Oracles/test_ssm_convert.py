"""`ssm convert`: S4 and S4D, Mamba's A and its fixed-step approximation, the linear recurrent unit."""

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from test_ssm_kernels import as_complex, full, pairs, s4, s4_kernels


def checkpoint(folder, low_rank=True, trained=0):
    """One layer of state-spaces/s4 version 4 with 3 heads, and a tensor that is none of its."""
    values, p, b, c = s4(np.random.default_rng(6))
    steps = np.array([0.01, 0.02, 0.05])
    stored = c
    if trained:
        m = full(values, p)
        rows = []
        for row, step in zip(c, steps):
            a_bar = np.linalg.solve(np.eye(16) - step / 2 * m, np.eye(16) + step / 2 * m)
            rows.append((np.concatenate([row, row.conj()]) @ (np.eye(16) - np.linalg.matrix_power(a_bar, trained)))[:8])
        stored = np.array(rows)
    tensors = {
        "inv_dt": np.log(steps)[:, None], "A_real": np.log(-values.real)[None], "A_imag": -values.imag[None],
        "B": pairs(b)[None, None], "C": pairs(stored)[None],
    }
    if low_rank:
        tensors |= {"P": pairs(p)[:, None], "l_kernel": np.array(trained, np.int64)}
    prefix = "layers.0.layer.kernel."
    path = folder / ("s4.safetensors" if low_rank else "s4d.safetensors")
    save_file({prefix + n: np.ascontiguousarray(x) for n, x in tensors.items()} | {"decoder.weight": np.eye(2)}, path)
    return path, prefix, (values, p, b, c, steps)


def kernel(tessera, path, prefix, method, folder, length=50):
    tessera("ssm", "kernel", path, "--method", method, "--length", length, "--s4", prefix, "-o", folder / "K.npy")
    return np.load(folder / "K.npy")


def test_s4_becomes_s4d_without_p(tessera, tmp_path):
    path, prefix, (values, _, b, c, steps) = checkpoint(tmp_path, trained=64)
    out = tmp_path / "out.safetensors"
    result = tessera("ssm", "convert", path, "--to", "s4d", "-o", out)
    assert "P of 1 layers is dropped" in result.stderr
    found = load_file(out)
    assert found.keys() == {prefix + n for n in ("inv_dt", "A_real", "A_imag", "B", "C")} | {"decoder.weight"}
    # C (I - A_bar^64) is undone before P goes: the system is that of the untruncated C.
    np.testing.assert_allclose(as_complex(found[prefix + "C"])[0], c, rtol=1e-8)
    with safe_open(out, "np") as file:
        assert "nothing undoes it" in file.metadata()["tessera.ssm.convert"]
    z = steps[:, None] * values
    weights = c * b * steps[:, None] * np.expm1(z) / z
    expected = 2 * np.einsum("hn,hnl->hl", weights, np.exp(z[..., None] * np.arange(50))).real
    np.testing.assert_allclose(kernel(tessera, out, prefix, "zoh", tmp_path), expected, atol=1e-9 * abs(expected).max())
    assert "all 1 layers are S4D already" in tessera("ssm", "convert", out, "--to", "s4d", "-o", path, code=4).stderr


def test_s4d_becomes_s4_with_p_of_zero(tessera, tmp_path):
    path, prefix, (values, p, b, c, steps) = checkpoint(tmp_path, low_rank=False)
    out, back = tmp_path / "out.safetensors", tmp_path / "back.safetensors"
    tessera("ssm", "convert", path, "--to", "s4", "-o", out)
    found = load_file(out)
    assert found[prefix + "P"].shape == (1, 1, 8, 2) and not found[prefix + "P"].any()
    assert found[prefix + "l_kernel"] == 0 and found[prefix + "l_kernel"].dtype == np.int64
    expected = s4_kernels(values, 0 * p, b, c, steps, 50)
    for file in (path, out):
        ours = kernel(tessera, file, prefix, "bilinear", tmp_path)
        np.testing.assert_allclose(ours, expected, atol=1e-10 * abs(expected).max())
    tessera("ssm", "convert", out, "--to", "s4d", "-o", back)
    before, after = load_file(path), load_file(back)
    assert before.keys() == after.keys() and all(np.array_equal(before[k], after[k]) for k in before)
    save_file({"x": np.ones(2)}, path)
    assert "0 layers" in tessera("ssm", "convert", path, "--to", "s4", "-o", out, code=4).stderr


def mamba(kind, folder):
    import transformers

    torch.manual_seed(1)
    options = dict(vocab_size=56, hidden_size=32, state_size=8, num_hidden_layers=2, expand=2)
    if kind == "Mamba2":
        options |= dict(head_dim=16, num_heads=4, n_groups=2)
    model = getattr(transformers, f"{kind}ForCausalLM")(getattr(transformers, f"{kind}Config")(**options))
    with torch.no_grad():
        for block in model.backbone.layers:
            block.mixer.A_log.add_(torch.randn_like(block.mixer.A_log) * 0.2)
    model.save_pretrained(folder)
    return {k: v.double().numpy() for k, v in model.state_dict().items()}


@pytest.mark.parametrize("kind, layout", [("Mamba", "hf"), ("Mamba", "gguf"), ("Mamba2", "hf")])
def test_the_a_of_mamba_and_its_fixed_step_approximation(tessera, tmp_path, kind, layout):
    state = mamba(kind, tmp_path / "hf")
    source, out = tmp_path / "hf", tmp_path / "lti.safetensors"
    if layout == "gguf":
        source = tmp_path / "model.gguf"
        tessera("convert", tmp_path / "hf", "-o", source, "--to", "gguf")
    name = "blk.1" if layout == "gguf" else "backbone.layers.1.mixer"
    a = -np.exp(state["backbone.layers.1.mixer.A_log"])
    bias = state["backbone.layers.1.mixer." + ("dt_bias" if kind == "Mamba2" else "dt_proj.bias")]
    rows = a if a.ndim > 1 else a[:, None]
    tolerance = dict(rtol=1e-12 if layout == "hf" else 1e-6)
    tessera("ssm", "convert", source, "--to", "mamba", "-o", out)
    assert load_file(out).keys() == {n.replace("1", str(i)) for i in (0, 1) for n in (f"{name}.A",)}
    for dt, steps in (("0.02", np.full(len(a), 0.02)), ("bias", np.log1p(np.exp(bias)))):
        result = tessera("ssm", "convert", source, "--to", "mamba", "--dt", dt, "-o", out)
        assert "depend on the input" in result.stderr
        found = load_file(out)
        np.testing.assert_allclose(found[f"{name}.A"], a, **tolerance)
        np.testing.assert_allclose(found[f"{name}.dt"], steps, rtol=1e-7)
        np.testing.assert_allclose(found[f"{name}.A_bar"], np.exp(steps[:, None] * rows).reshape(a.shape), rtol=1e-6)
        np.testing.assert_allclose(found[f"{name}.B_bar"], steps, rtol=1e-7)
        with safe_open(out, "np") as file:
            assert "Euler" in file.metadata()["tessera.ssm.approximation"]
            assert "no file holds A_bar" in file.metadata()["tessera.ssm.selective"]


def test_mamba_refusals(tessera, tmp_path):
    path, out = tmp_path / "m.safetensors", tmp_path / "o.safetensors"
    save_file({"l.A_log": np.zeros((4, 2))}, path)
    assert "no bias of dt" in tessera("ssm", "convert", path, "--to", "mamba", "--dt", "bias", "-o", out, code=4).stderr
    assert "above 0" in tessera("ssm", "convert", path, "--to", "mamba", "--dt", "0", "-o", out, code=5).stderr
    tessera("ssm", "convert", path, "--to", "mamba", "--dt", "wide", "-o", out, code=64)
    # Discretising it as a constant system is refused with the reason and the way out.
    message = tessera("ssm", "discretize", path, "--method", "zoh", "--dt", 0.1, "--system", "dense", "-o", out, code=4).stderr
    assert "come from the input" in message and "ssm convert" in message
    save_file({"x": np.zeros(2)}, path)
    assert "0 layers" in tessera("ssm", "convert", path, "--to", "mamba", "-o", out, code=4).stderr
    assert not out.exists()


def unit(states=6, inputs=3, outputs=4):
    """Parameters as minimal-LRU draws them: radius from 0.4 to 0.95, angle up to 3 rad."""
    random = np.random.default_rng(8)
    radius, angle = random.uniform(0.4, 0.95, states), random.uniform(0.05, 3.0, states)
    draw = lambda *shape: random.normal(size=shape)
    return {
        "nu_log": np.log(-np.log(radius)), "theta_log": np.log(angle), "gamma_log": np.log(np.sqrt(1 - radius**2)),
        "B_re": draw(states, inputs), "B_im": draw(states, inputs), "C_re": draw(outputs, states), "C_im": draw(outputs, states),
        "D": draw(inputs),
    }  # fmt: skip


def respond(p, signal):
    """The reference recurrence of the paper, sample by sample."""
    decay = np.exp(-np.exp(p["nu_log"]) + 1j * np.exp(p["theta_log"]))
    b = (p["B_re"] + 1j * p["B_im"]) * np.exp(p["gamma_log"])[:, None]
    return run(decay, b, p["C_re"] + 1j * p["C_im"], signal)


def run(decay, b, c, signal):
    state, outputs = np.zeros(len(decay), complex), []
    for u in signal:
        state = decay * state + b @ u
        outputs.append((c @ state).real)
    return np.array(outputs)


def test_the_linear_recurrent_unit_goes_round(tessera, tmp_path):
    p = unit()
    np.savez(tmp_path / "lru.npz", **{f"params.seq.{k}": v for k, v in p.items()})
    signal = np.random.default_rng(1).normal(size=(40, 3))
    expected = respond(p, signal)
    for target, options in (("lru-discrete", ()), ("lru-continuous", ("--dt", 0.05))):
        system, back = tmp_path / f"{target}.safetensors", tmp_path / f"{target}-back.safetensors"
        tessera("ssm", "convert", tmp_path / "lru.npz", "--to", target, *options, "-o", system)
        found = load_file(system)
        c = as_complex(found["C"])
        if target == "lru-discrete":
            decay, b = as_complex(found["A_bar"]), as_complex(found["B_bar"])
        else:
            rates = as_complex(found["Lambda"])
            assert (rates.real < 0).all()
            decay = np.exp(0.05 * rates)
            b = as_complex(found["B"]) * ((decay - 1) / rates)[:, None]
        np.testing.assert_allclose(run(decay, b, c, signal), expected, atol=1e-12 * abs(expected).max())
        tessera("ssm", "convert", system, "--to", "lru", "-o", back)
        after = load_file(back)
        assert after.keys() == p.keys()
        for name in p:
            np.testing.assert_allclose(after[name], p[name], atol=1e-12, err_msg=name)


def test_lru_refusals(tessera, tmp_path):
    p, out = unit(), tmp_path / "o.safetensors"
    path = tmp_path / "lru.npz"

    def complaint(change, *options, code=5):
        np.savez(path, **(p | change))
        return tessera("ssm", "convert", path, *options, "-o", out, code=code).stderr

    # An angle of 4 rad has the samples of another frequency.
    continuous = ("--to", "lru-continuous", "--dt", 0.1)
    aliased = p["theta_log"].copy()
    aliased[2] = np.log(np.pi)
    assert "lambda[2]" in complaint({"theta_log": aliased}, *continuous)
    assert "above 0" in complaint({}, "--to", "lru-continuous", "--dt", 0)
    assert "B_re" in complaint({"B_re": np.zeros((5, 3))}, "--to", "lru-discrete", code=4)
    assert "gamma_log" in complaint({"gamma_log": np.full(6, np.nan)}, "--to", "lru-discrete")
    np.savez(path, **{f"{k}.{n}": v for k in "ab" for n, v in p.items()})
    assert "--layer" in tessera("ssm", "convert", path, "--to", "lru-discrete", "-o", out, code=4).stderr
    tessera("ssm", "convert", path, "--to", "lru-discrete", "--layer", "b", "-o", out)
