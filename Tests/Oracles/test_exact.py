"""`convert --keep-exact`: what is rounded comes back bit for bit, or not at all."""

import json
import pathlib

import jsonschema
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from test_recipes import equal, mamba


def tensors():
    generator = torch.Generator().manual_seed(0)
    return {
        "a.weight": torch.randn(48, 64, generator=generator),
        "a.bias": torch.randn(48, generator=generator),
        "double": torch.randn(5, 3, dtype=torch.float64, generator=generator),
        "half": torch.randn(4, 4, generator=generator).half(),
        "count": torch.arange(3),
    }


@pytest.fixture
def source(tmp_path):
    save_file(tensors(), tmp_path / "in.safetensors")
    return tmp_path / "in.safetensors"


@pytest.mark.parametrize("ending, dtype", [
    ("safetensors", "bf16"), ("npz", "f16"), ("h5", "bf16"), ("pt", "f16"), ("gguf", "bf16")])
def test_a_type_comes_back(ending, dtype, source, tessera, tmp_path):
    held = {k: v for k, v in tensors().items() if k not in ("half", "double")}
    save_file(held, source)
    out, back = tmp_path / f"out.{ending}", tmp_path / "back.safetensors"
    files = json.loads(tessera("convert", source, "-o", out, "--dtype", dtype, "--keep-exact", "--json").stdout)["files"]
    assert [pathlib.Path(file).name for file in files] == [out.name, f"{out.name}.exact.safetensors"]
    tessera("convert", out, "-o", back, "--dtype", "f32")
    equal(source, back)
    # Without asking for the first type, what is there is what is converted.
    tessera("convert", out, "-o", back)
    assert load_file(back)["a.weight"].dtype == {"bf16": torch.bfloat16, "f16": torch.float16}[dtype]


def test_only_what_is_rounded_is_kept(source, tessera, root, tmp_path):
    tessera("convert", source, "-o", tmp_path / "out.safetensors", "--dtype", "f32", "--keep-exact")
    kept = tmp_path / "out.safetensors.exact.safetensors"
    assert list(load_file(kept)) == ["double"]  # halves become f32 without loss
    with safe_open(kept, "pt") as file:
        results = json.loads(file.metadata()["tessera.exact.results"])
    jsonschema.validate(results, json.loads((root / "schemas/exact.schema.json").read_text()))
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        assert file.metadata()["tessera.exact"] == kept.name
    tessera("convert", source, "-o", tmp_path / "same.npz", "--keep-exact")
    assert not (tmp_path / "same.npz.exact.safetensors").exists()
    # Conversions have fixed bytes, and the reader of a folder does not take the originals for a model.
    first = kept.read_bytes()
    tessera("convert", source, "-o", tmp_path / "out.safetensors", "--dtype", "f32", "--keep-exact")
    assert kept.read_bytes() == first
    (tmp_path / "folder").mkdir()
    for file in (kept, tmp_path / "out.safetensors"):
        file.rename(tmp_path / "folder" / file.name)
    assert len(json.loads(tessera("inspect", tmp_path / "folder", "--json").stdout)["tensors"]) == 5


def test_blocks_of_gguf_and_shards_come_back(source, tessera, tmp_path):
    save_file({"w": torch.randn(8, 64), "v": torch.randn(9, 64)}, source)
    back = tmp_path / "back.safetensors"
    tessera("convert", source, "-o", tmp_path / "q.gguf", "--dtype", "q8_0", "--keep-exact")
    tessera("convert", tmp_path / "q.gguf", "-o", back, "--dtype", "f32")
    assert not torch.equal(load_file(back)["w"], torch.zeros(8, 64))
    tessera("convert", source, "-o", tmp_path / "s.safetensors", "--dtype", "bf16", "--keep-exact", "--shard-size", "1KB")
    tessera("convert", tmp_path / "s.safetensors.index.json", "-o", back, "--dtype", "f32")
    equal(source, back)


def test_a_recipe_that_rounds_comes_back(tessera, tmp_path):
    import transformers

    folder = mamba(tmp_path / "hf")
    out, back = tmp_path / "m.gguf", tmp_path / "back.safetensors"
    tessera("convert", folder, "-o", out, "--to", "gguf", "--keep-exact")
    assert sorted(load_file(f"{out}.exact.safetensors")) == [
        f"backbone.layers.{layer}.mixer.A_log" for layer in range(3)]
    # The originals lie beside: transformers opens the file as before.
    import gguf

    assert len(gguf.GGUFReader(out).tensors) == len(load_file(folder / "model.safetensors"))
    tessera("convert", out, "-o", back, "--to", "hf")
    equal(folder / "model.safetensors", back)
    report = json.loads(tessera("verify", folder, out, "--to", "gguf", "--json").stdout)
    assert all(tensor["identical"] for tensor in report["backward"]["tensors"])
    pathlib.Path(f"{out}.exact.safetensors").unlink()
    tessera("convert", out, "-o", back, "--to", "hf")
    near = load_file(back)["backbone.layers.0.mixer.A_log"]
    exact = load_file(folder / "model.safetensors")["backbone.layers.0.mixer.A_log"]
    assert not torch.equal(near, exact) and torch.allclose(near, exact, atol=1e-5)


def test_what_has_changed_since_is_not_replaced(source, tessera, tmp_path):
    out, back = tmp_path / "out.safetensors", tmp_path / "back.safetensors"
    tessera("convert", source, "-o", out, "--dtype", "bf16", "--keep-exact")
    changed = load_file(out)
    changed["a.bias"][0] += 1
    save_file(changed, out)
    said = tessera("convert", out, "-o", back, "--dtype", "f32", code=4).stderr
    assert "'a.bias' has changed since" in said and "move this file away" in said and not back.exists()
    del changed["count"]
    save_file(changed, out)
    (tmp_path / "out.safetensors.exact.safetensors").rename(tmp_path / "kept")
    tessera("convert", out, "-o", back, "--dtype", "f32")
    save_file({"a": torch.zeros(1)}, tmp_path / "out.safetensors.exact.safetensors")
    assert "do not say what the tensors became" in tessera("convert", out, "-o", back, code=3).stderr


def test_computed_weights_are_refused(source, tessera, tmp_path):
    said = tessera("convert", source, "-o", tmp_path / "o.pt", "--keep-exact", "--bake", "edm2", code=64).stderr
    assert "--keep-exact" in said
