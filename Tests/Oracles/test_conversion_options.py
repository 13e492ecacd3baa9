"""What `convert` selects, renames, rounds, ties and copies; `verify` and `diff` of the results."""

import json
import resource
import subprocess

import gguf
import jsonschema
import numpy as np
import pytest
import safetensors.torch
import torch

from test_writers import bits, random_bits, same


def load(path):
    return safetensors.torch.load_file(path)


@pytest.fixture
def training(tmp_path):
    """A training script's file: two sets of weights, an optimizer, tied tensors."""
    torch.manual_seed(0)
    weights = {"embed.weight": torch.randn(7, 4), "norm.weight": torch.randn(4), "body.weight": torch.randn(4, 32)}
    weights["head.weight"] = weights["embed.weight"]
    average = {name: tensor * 0.5 for name, tensor in weights.items()}
    average["head.weight"] = average["embed.weight"]
    state = {"model": weights, "ema": average, "optimizer": {"step": torch.tensor(3)}, "epoch": 5}
    torch.save(state, tmp_path / "training.pt")
    return tmp_path / "training.pt", weights, average


# Selection ---------------------------------------------------------------------------------------------


def test_pick_takes_one_set_and_strips_its_prefix(training, tessera, tmp_path):
    path, weights, average = training
    for choice, expected in (("model", weights), ("ema", average), ("ema.", average)):
        tessera("convert", path, "-o", tmp_path / "out.safetensors", "--pick", choice)
        found = load(tmp_path / "out.safetensors")
        assert found.keys() == expected.keys() and all(same(found[n], t) for n, t in expected.items())
    plan = json.loads(tessera("convert", path, "--plan", "--json", "--pick", "ema").stdout)
    assert {d["name"] for d in plan["dropped"]} == {"optimizer.step"} | {f"model.{n}" for n in weights}


def test_an_ambiguous_choice_lists_what_could_be_meant(tessera, tmp_path):
    state = {f"{w}.a": torch.zeros(1) for w in ("model_ema", "params_ema", "model", "state_dict", "other")}
    safetensors.torch.save_file(state, tmp_path / "in.safetensors")
    for choice, names in (("ema", ["model_ema", "params_ema"]), ("model", ["model", "state_dict"]),
                          ("nothing", ["model", "other"])):
        result = tessera("convert", tmp_path / "in.safetensors", "-o", tmp_path / "o.npz", "--pick", choice, code=4)
        assert all(f"'{name}'" in result.stderr for name in names) and result.stderr.count("\n") == 1
        assert choice != "ema" or "score 3" in result.stderr
    assert not (tmp_path / "o.npz").exists()


def checkpoint(path, **sets):
    """Every set of weights has the same names; the number tells them apart."""
    torch.save({name: {"a.weight": torch.full((2, 3), float(index)), "a.bias": torch.zeros(2)} if value is None else value
                for index, (name, value) in enumerate(sets.items(), 1)}, path)  # fmt: skip


STEPS = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(2, 3)}}}


@pytest.mark.parametrize(
    "kind, sets, index",
    [
        ("EDM", dict(ema=None, loss_fn=None, augment_pipe=None), 1),
        ("SiD", dict(fake_score=None, G=None, G_ema=None, fake_score_optimizer_state=STEPS, g_optimizer_state=STEPS), 3),
        ("StyleGAN", dict(G=None, D=None, G_ema=None, D_ema=None), 3),
        ("distillation", dict(teacher=None, student=None, student_ema=None, optimizer=STEPS), 3),
        ("student", dict(teacher=None, student=None, discriminator=None, optimizer=STEPS), 2),
        ("IGN", dict(model=None, model_copy=None, optimizer=STEPS), 1),
        ("consistency", dict(model=None, target_model=None, ema_model=None, opt=STEPS), 3),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_average_of_each_kind_of_training_is_found(tessera, root, tmp_path, kind, sets, index):
    checkpoint(tmp_path / "in.pt", **sets)
    tessera("convert", tmp_path / "in.pt", "-o", tmp_path / "out.safetensors", "--pick", "ema")
    found = load(tmp_path / "out.safetensors")
    assert found.keys() == {"a.weight", "a.bias"} and found["a.weight"][0, 0] == index
    plan = json.loads(tessera("convert", tmp_path / "in.pt", "--plan", "--json", "--pick", "ema").stdout)
    reasons = {d["name"].split(".")[0]: d["reason"] for d in plan["dropped"]}
    picked = list(sets)[index - 1]
    assert reasons.keys() == sets.keys() - {picked}
    for name, reason in reasons.items():
        assert "not under" in reason or "for training alone" in reason, (name, reason)
    assert any(f"'{picked}'" in note and "score" in note for note in plan["notes"])
    shown = json.loads(tessera("inspect", tmp_path / "in.pt", "--json").stdout)
    jsonschema.validate(shown, json.loads((root / "schemas/inspect.schema.json").read_text()))
    assert shown["candidates"][0]["prefix"] == picked
    assert all(c["score"] == 0 for c in shown["candidates"] if reasons.get(c["prefix"], "").endswith("alone"))


def test_averages_of_folders(tessera, tmp_path):
    """diffusers' `unet_ema`, and the files of consistency models: two averages of equal rank are the user's to choose."""
    weights = lambda value: {"conv.weight": torch.full((2,), float(value))}
    for name, value in (("unet", 1), ("unet_ema", 2)):
        (tmp_path / "run" / name).mkdir(parents=True)
        safetensors.torch.save_file(weights(value), tmp_path / "run" / name / "diffusion_pytorch_model.safetensors")
        (tmp_path / "run" / name / "config.json").write_text('{"layers": %d}' % value)
    tessera("convert", tmp_path / "run", "-o", f"{tmp_path}/out/", "--pick", "ema")
    assert load(tmp_path / "out/diffusion_pytorch_model.safetensors")["conv.weight"][0] == 2
    assert json.loads((tmp_path / "out/config.json").read_text()) == {"layers": 2}
    (tmp_path / "cm").mkdir()
    # Thirds are rounded in bfloat16.
    for name, value in (("model100", 1), ("target_model100", 2), ("ema_0.9999_100", 1 / 3), ("opt100", 4)):
        torch.save(weights(value), tmp_path / "cm" / f"{name}.pt")
    tessera("convert", tmp_path / "cm", "-o", tmp_path / "out.safetensors", "--pick", "ema")
    assert torch.equal(load(tmp_path / "out.safetensors")["conv.weight"], weights(1 / 3)["conv.weight"])
    # What an earlier conversion of the average kept is no second average.
    tessera("convert", tmp_path / "cm", "-o", tmp_path / "cm/ema_half.safetensors", "--pick", "ema", "--dtype", "bf16",
            "--keep-exact")
    kept = tmp_path / "cm/ema_half.safetensors.exact.safetensors"
    (tmp_path / "cm/ema_half.safetensors").unlink()
    assert kept.exists()
    tessera("convert", tmp_path / "cm", "-o", tmp_path / "out.safetensors", "--pick", "ema")
    assert torch.equal(load(tmp_path / "out.safetensors")["conv.weight"], weights(1 / 3)["conv.weight"])
    torch.save(weights(5), tmp_path / "cm" / "ema_0.999_100.pt")
    result = tessera("convert", tmp_path / "cm", "-o", tmp_path / "two.safetensors", "--pick", "ema", code=4)
    assert all(f"'ema_{rate}_100.pt'" in result.stderr for rate in ("0.999", "0.9999")) and "score 3" in result.stderr
    assert result.stderr.count("\n") == 1 and not (tmp_path / "two.safetensors").exists()


def test_strip_takes_prefixes_off_and_leaves_patterns_out(tessera, tmp_path):
    state = {"module.a": torch.zeros(1), "module.b.num_batches": torch.zeros(1), "c": torch.ones(2)}
    safetensors.torch.save_file(state, tmp_path / "in.safetensors")
    out = tmp_path / "out.safetensors"
    tessera("convert", tmp_path / "in.safetensors", "-o", out, "--strip", "module.", "--strip", "*.num_batches")
    assert load(out).keys() == {"a", "c"}
    tessera("convert", tmp_path / "in.safetensors", "-o", out, "--strip", "absent.", code=4)
    safetensors.torch.save_file({"x.a": torch.zeros(1), "a": torch.zeros(1)}, tmp_path / "two.safetensors")
    assert "two tensors" in tessera("convert", tmp_path / "two.safetensors", "-o", out, "--strip", "x.", code=4).stderr


def test_tied_tensors_are_kept_copied_or_dropped(training, tessera, tmp_path):
    path, weights, _ = training
    kept, copied, dropped = (tmp_path / f"{n}.pt" for n in ("kept", "copied", "dropped"))
    tessera("convert", path, "-o", kept, "--pick", "model")
    tessera("convert", path, "-o", copied, "--pick", "model", "--tied", "copy")
    tessera("convert", path, "-o", dropped, "--pick", "model", "--tied", "drop")
    state = torch.load(kept, weights_only=True)
    assert state["head.weight"].data_ptr() == state["embed.weight"].data_ptr()
    apart = torch.load(copied, weights_only=True)
    assert apart["head.weight"].data_ptr() != apart["embed.weight"].data_ptr()
    assert all(same(s[n], t) for s in (state, apart) for n, t in weights.items())
    assert torch.load(dropped, weights_only=True).keys() == weights.keys() - {"head.weight"}
    tessera("verify", path, dropped, "--pick", "model", code=4)
    tessera("verify", path, dropped, "--pick", "model", "--tied", "drop")
    tessera("convert", path, "-o", tmp_path / "kept.h5", "--pick", "model")
    report = json.loads(tessera("inspect", tmp_path / "kept.h5", "--json").stdout)
    assert [t["name"] for t in report["tensors"] if "alias_of" in t] == ["head.weight"]
    tessera("convert", path, "-o", tmp_path / "t.safetensors", "--pick", "model")
    with safetensors.safe_open(tmp_path / "t.safetensors", "pt") as file:
        assert file.metadata()["tessera.tied"] == "head.weight = embed.weight"
    tessera("convert", path, "-o", tmp_path / "o.npz", "--tied", "keep", code=64)


# Types -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["f64", "f32", "f16", "bf16"])
def test_types_are_rounded_as_torch_rounds(name, tessera, tmp_path):
    types = {"f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    generator = torch.Generator().manual_seed(1)
    state = {str(t): (torch.randn(999, generator=generator, dtype=torch.float64) * 10).to(t) for t in types.values()}
    state |= {"ints": torch.arange(5), "norm.weight": torch.randn(9, generator=generator).bfloat16()}
    safetensors.torch.save_file(state, tmp_path / "in.safetensors")
    out = tmp_path / "out.safetensors"
    tessera("convert", tmp_path / "in.safetensors", "-o", out, "--dtype", name, "--keep-f32", "*norm*")
    found = load(out)
    assert found["ints"].dtype == torch.int64
    assert same(found["norm.weight"], state["norm.weight"].float())
    for stored in types.values():
        assert same(found[str(stored)], state[str(stored)].to(types[name])), stored
    if name in ("f16", "bf16"):
        plan = json.loads(
            tessera("convert", tmp_path / "in.safetensors", "--plan", "--json", "--dtype", name).stdout)
        assert "torch.float64" in plan["lossy"] and "ints" not in plan["lossy"]


def test_overflow_and_misspelt_exceptions_end_the_conversion(tessera, tmp_path):
    safetensors.torch.save_file({"big": torch.tensor([1.0, 70000.0])}, tmp_path / "in.safetensors")
    run = lambda code, *o: tessera("convert", tmp_path / "in.safetensors", "-o", tmp_path / "o.npz", *o, code=code)
    assert "big" in run(5, "--dtype", "f16").stderr
    run(0, "--dtype", "f16", "--keep-f32", "big")
    assert "'none'" in run(4, "--dtype", "f16", "--keep-f32", "none").stderr
    run(64, "--keep-f32", "big")
    run(64, "--dtype", "q8_0")


def test_gguf_blocks_equal_gguf_py(tessera, tmp_path):
    generator = torch.Generator().manual_seed(2)
    state = {
        "w": torch.randn(5, 64, generator=generator) * 3, "odd": torch.randn(4, 33, generator=generator),
        "v": torch.randn(64, generator=generator), "kept": torch.randn(2, 32, generator=generator),
        "zero": torch.zeros(1, 32), "half": torch.randn(3, 32, generator=generator).half(),
    }
    safetensors.torch.save_file(state, tmp_path / "in.safetensors")
    out = tmp_path / "out.gguf"
    tessera("convert", tmp_path / "in.safetensors", "-o", out, "--dtype", "q8_0", "--keep-f32", "kept")
    found = {t.name: t for t in gguf.GGUFReader(out).tensors}
    assert {n: t.tensor_type.name for n, t in found.items()} == {
        "w": "Q8_0", "odd": "F16", "v": "F32", "kept": "F32", "zero": "Q8_0", "half": "Q8_0"}
    for name in ("w", "zero", "half"):
        expected = gguf.quants.quantize(state[name].float().numpy(), gguf.GGMLQuantizationType.Q8_0)
        assert found[name].data.tobytes() == expected.tobytes()
    back = tmp_path / "back.safetensors"
    tessera("convert", out, "-o", back)
    expected = gguf.quants.dequantize(found["w"].data, gguf.GGMLQuantizationType.Q8_0).reshape(5, 64)
    np.testing.assert_array_equal(load(back)["w"].numpy(), expected)


# Hugging Face folders ------------------------------------------------------------------------------------


def test_a_folder_takes_its_settings_along(tessera, tmp_path):
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=True)
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).eval()
    model.save_pretrained(tmp_path / "in")
    (tmp_path / "in" / "tokenizer.json").write_text("{}")
    (tmp_path / "in" / "modeling_custom.py").write_text("raise SystemExit")
    out = tmp_path / "out"
    tessera("convert", tmp_path / "in", "-o", f"{out}/", "--dtype", "bf16", "--shard-size", "20KB")
    names = {p.name for p in out.iterdir()}
    assert {"config.json", "generation_config.json", "tokenizer.json", "model.safetensors.index.json"} <= names
    assert "modeling_custom.py" in names and "bfloat16" in (out / "config.json").read_text()
    loaded = transformers.LlamaForCausalLM.from_pretrained(out, dtype="auto")
    assert loaded.dtype == torch.bfloat16
    for name, tensor in model.state_dict().items():
        assert same(loaded.state_dict()[name], tensor.bfloat16()), name
    tessera("convert", out, "-o", f"{tmp_path / 'bin'}/", "--to", "pt")
    state = torch.load(tmp_path / "bin" / "pytorch_model.bin", weights_only=True)
    assert all(same(state[n], t) for n, t in loaded.state_dict().items() if n in state)


# verify and diff -----------------------------------------------------------------------------------------


def test_diff_names_every_difference(tessera, root, tmp_path):
    a = {"same": torch.arange(6.0), "gone": torch.zeros(1), "shape": torch.zeros(2, 3), "value": torch.zeros(2000),
         "type": torch.arange(3.0), "nan": torch.tensor([float("nan"), 1.0]), "ints": torch.tensor([2**60, 1])}
    b = {n: t.clone() for n, t in a.items() if n != "gone"} | {"new": torch.zeros(1), "shape": torch.zeros(3, 2)}
    b["value"][1500] = -0.25
    b["type"] = b["type"].half()
    b["ints"][0] += 1
    safetensors.torch.save_file(a, tmp_path / "a.safetensors")
    torch.save(b, tmp_path / "b.pt")
    report = json.loads(tessera("diff", tmp_path / "a.safetensors", tmp_path / "b.pt", "--json", code=4).stdout)
    jsonschema.validate(report, json.loads((root / "schemas/diff.schema.json").read_text()))
    assert report["only_in_first"] == ["gone"] and report["only_in_second"] == ["new"] and not report["equal"]
    found = {entry["name"]: entry for entry in report["different"]}
    assert found.keys() == {"shape", "value", "type", "ints"}
    assert found["value"]["max_abs_error"] == 0.25 and found["value"]["first_difference"] == 1500
    assert found["value"]["differing"] == 1 and found["type"]["differing"] == 0 and found["ints"]["differing"] == 1
    same_names = {n: t for n, t in a.items() if n not in ("gone", "shape", "value", "ints")}
    safetensors.torch.save_file(same_names, tmp_path / "c.safetensors")
    torch.save({n: b[n] for n in same_names}, tmp_path / "d.pt")
    assert json.loads(tessera("diff", tmp_path / "c.safetensors", tmp_path / "d.pt", "--json").stdout)["equal"]


@pytest.mark.parametrize("ending", ["safetensors", "npz", "h5", "pt", "gguf"])
def test_verify_confirms_each_format_and_finds_one_changed_bit(ending, tessera, root, tmp_path):
    state = {"a": random_bits((40, 32), torch.float32), "b": torch.randn(3, 32)}
    state["a"] = torch.where(state["a"].isfinite(), state["a"], 1.0)
    safetensors.torch.save_file(state, tmp_path / "in.safetensors")
    out = tmp_path / f"out.{ending}"
    tessera("convert", tmp_path / "in.safetensors", "-o", out)
    report = json.loads(tessera("verify", tmp_path / "in.safetensors", out, "--json").stdout)
    jsonschema.validate(report, json.loads((root / "schemas/verify.schema.json").read_text()))
    assert report["verified"] and all(t["identical"] for t in report["forward"]["tensors"])
    needle = bits(state["a"]).numpy().tobytes()[:64]
    data = bytearray(out.read_bytes())
    data[data.index(needle) + 2] ^= 1
    (tmp_path / f"bad.{ending}").write_bytes(data)
    # An archive states the checksum of its members: then the file is refused as damaged.
    result = tessera("verify", tmp_path / "in.safetensors", tmp_path / f"bad.{ending}", code=None)
    assert result.returncode == 4 or (ending in ("npz", "pt") and result.returncode == 3)
    assert "a" in result.stderr


def test_verify_knows_rounding_and_layouts(tessera, root, tmp_path):
    state = {"a": torch.randn(50, 3)}
    safetensors.torch.save_file(state, tmp_path / "in.safetensors")
    tessera("convert", tmp_path / "in.safetensors", "-o", tmp_path / "half.safetensors", "--dtype", "bf16")
    report = json.loads(
        tessera("verify", tmp_path / "in.safetensors", tmp_path / "half.safetensors", "--json").stdout)
    assert report["forward"]["tensors"][0]["identical"] and report["backward"]["tensors"][0]["max_abs_error"] > 0
    off = {"a": state["a"].bfloat16() + 1}
    safetensors.torch.save_file(off, tmp_path / "off.safetensors")
    tessera("verify", tmp_path / "in.safetensors", tmp_path / "off.safetensors", code=4)
    tessera("verify", tmp_path / "in.safetensors", tmp_path / "off.safetensors", "--tolerance", "1.1")
    source = root / "fixtures/weights/fer-emotion.hdf5"
    tessera("convert", source, "-o", tmp_path / "torch.safetensors", "--to", "torch")
    tessera("verify", source, tmp_path / "torch.safetensors", "--to", "torch")
    tessera("verify", source, tmp_path / "torch.safetensors", code=4)


def test_verify_applies_a_recipe_both_ways(tessera, tmp_path):
    import transformers

    torch.manual_seed(0)
    config = transformers.MambaConfig(vocab_size=40, hidden_size=16, state_size=4, num_hidden_layers=2)
    transformers.MambaForCausalLM(config).save_pretrained(tmp_path / "hf")
    out = tmp_path / "original.safetensors"
    tessera("convert", tmp_path / "hf", "-o", out, "--to", "mamba_ssm")
    report = json.loads(tessera("verify", tmp_path / "hf", out, "--to", "mamba_ssm", "--json").stdout)
    assert report["verified"] and "mamba" in report["recipe"]
    assert report["backward"]["tensors"] and all(t["identical"] for t in report["backward"]["tensors"])
    state = load(out)
    name = next(n for n in state if n.endswith("in_proj.weight"))
    state[name][0, 0] += 1
    safetensors.torch.save_file(state, out)
    assert name in tessera("verify", tmp_path / "hf", out, "--to", "mamba_ssm", code=4).stderr
    tessera("verify", tmp_path / "hf", out, code=4)


def test_the_hash_of_the_source_can_be_left_out(tessera, tmp_path):
    safetensors.torch.save_file({"a": torch.zeros(3)}, tmp_path / "in.safetensors")
    tessera("convert", tmp_path / "in.safetensors", "-o", tmp_path / "o.safetensors", "--no-source-hash")
    with safetensors.safe_open(tmp_path / "o.safetensors", "pt") as file:
        assert "tessera.source.sha256" not in file.metadata() and "tessera.source" in file.metadata()


# Memory --------------------------------------------------------------------------------------------------


def sparse(path, tensors):
    """A safetensors file whose data take no place on the disk: a header, then a hole."""
    header, at = {}, 0
    for name, shape in tensors.items():
        size = int(np.prod(shape)) * 4
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)
    return path


TILE = 16
# 384 MiB.
ROWS = [(3 << 27) // 16384, 4096]


def estimated(program, tessera, peak, path, arguments, bound):
    """Runs a conversion; its peak memory is below the bound in MiB, and near what `--plan` estimates."""
    out = path.with_name("out.safetensors")
    plan = json.loads(tessera("convert", path, "--plan", "--json", *arguments).stdout)
    # As little address space as leaves no room for a file that is mapped or read as a whole.
    used = peak("convert", path, "-o", out, "--quiet", *arguments, address_space=1 << 30)
    out.unlink()
    assert used <= bound
    if "debug" not in program:
        planned = plan["peak_bytes"] / 2**20
        assert 0.8 * used <= planned <= 1.2 * used, (planned, used)


@pytest.mark.parametrize("options", [["--strip", "m."], ["--dtype", "bf16"]])
def test_more_than_the_address_space_is_renamed_and_cast_in_a_tile(options, program, tessera, peak, tmp_path):
    """1.1 GiB, of which a tensor alone is several times the bound."""
    path = sparse(tmp_path / "sparse.safetensors", {f"m.{n}": ROWS for n in range(3)})
    estimated(program, tessera, peak, path, options, 64 + TILE)


TILED = {"reshape": [4, "a/4", 4096]}, {"permute": [1, 0, 2]}, {"reshape": ["a", 4096]}
PAIRS = {"reshape": ["a", 2048, 2]}, "view_complex"


@pytest.mark.parametrize("operations, whole", [
    (["transpose"], 0), (TILED, 0),
    # What no view can show is in memory as a whole: one tensor, not the file. Pairs are the same bytes as the
    # complex numbers they become; a result of other bytes is there beside its operand.
    (PAIRS, 1), (["transpose", {"reshape": [2048, 2, "a"]}, {"permute": [2, 0, 1]}, "view_complex"], 1),
    ([{"conjugate_pairs": 0}], 3), ([{"conjugate_half": 0}], 1.5), ([*PAIRS, {"conjugate_pairs": 1}], 3),
    ([{"reshape": [1, "a", 4096]}, {"repeat": {"axis": 0, "count": 3}}], 4),
    # Two such steps: the operand of the second beside the first.
    ([{"reshape": [2, "a/2", 4096]}, {"deduplicate": {"axis": 0, "count": 2}}, {"conjugate_half": 1}], 2)])
def test_transposes_need_a_tile_or_one_tensor(operations, whole, program, tessera, peak, tmp_path):
    recipe = {
        "name": "t.a-b", "version": 1, "title": "t", "family": "t", "left": "a", "right": "b", "sizes": {"a": "rows"},
        "rules": [{"left": "m.{n:int}", "right": "{n}.w", "shape": ["a", 4096], "operations": list(operations)}]}
    (tmp_path / "r.json").write_text(json.dumps(recipe))
    # 128 MiB per tensor, several times a tile; 48 where it passes as a whole.
    rows = [ROWS[0] // (8 if whole else 3), 4096]
    path = sparse(tmp_path / "sparse.safetensors", {f"m.{n}": rows for n in range(2 if whole else 4)})
    largest = rows[0] * 4096 * 4 >> 20
    estimated(program, tessera, peak, path, ["--recipe", tmp_path / "r.json"], 64 + (largest * whole if whole else 2 * TILE))


def test_the_address_space_may_be_small(program, tmp_path):
    safetensors.torch.save_file({"x": torch.zeros(1 << 26)}, tmp_path / "in.safetensors")
    limit = 600 << 20
    subprocess.run(
        [program, "convert", tmp_path / "in.safetensors", "-o", tmp_path / "o.safetensors", "--quiet"], check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
