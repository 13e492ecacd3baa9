"""Tokenizers by name, by file and by description: one network, the same codes."""

import json
import shutil
import tarfile

import jsonschema
import pytest
from referencing import Registry, Resource


@pytest.fixture(scope="session")
def embedded(tessera):
    return json.loads(tessera("tokenizers", "--json").stdout)[0]


def codes(tessera, root, folder, *options):
    tessera("tokenize", root / "fixtures/photos/flower.jpg", "-o", folder, "--quiet", *options)
    with tarfile.open(folder / "shards/00000.tar") as shard:
        return shard.extractfile("flower.codes.npy").read()


@pytest.fixture(scope="module")
def validator(root):
    """Makes a validator of one of the schemas, which refer to each other."""
    schemas = [json.loads(path.read_text()) for path in (root / "schemas").glob("*.schema.json")]
    registry = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in schemas if "$id" in schema
    )
    return lambda name: jsonschema.Draft202012Validator({"$ref": f"{name}.schema.json"}, registry=registry)


def test_the_embedded_description_is_valid(embedded, validator):
    validator("tokenizer").validate(embedded["tokenizer"])
    for family in ("No family", "", 7):
        with pytest.raises(jsonschema.ValidationError):
            validator("tokenizer").validate(embedded["tokenizer"] | {"family": family})


def test_the_list_is_valid(tessera, embedded, validator):
    listed = json.loads(tessera("tokenizers", "--json").stdout)
    assert listed[0] == embedded and all(entry["family"] for entry in listed[1:])
    validator("tokenizers").validate(listed)
    validator("tokenizers").validate(json.loads(tessera("tokenizers", "tessera-f8", "--json").stdout))
    profile = listed[1]["profiles"][0]
    for wrong in (
        [embedded | {"stride": 0}], [embedded, listed[1] | {"licence": ""}],
        [embedded, listed[1] | {"profiles": [profile | {"name": "hf"}]}],
        [embedded, listed[1] | {"profiles": [profile | {"preprocessing": profile["preprocessing"] | {"range": "x"}}]}],
    ):
        with pytest.raises(jsonschema.ValidationError):
            validator("tokenizers").validate(wrong)


def test_three_ways_to_name_a_tokenizer_give_the_same_codes(tessera, root, tmp_path, embedded):
    by_name = codes(tessera, root, tmp_path / "name")

    weights = tmp_path / "own.h5"
    shutil.copy(root / "Sources/CTesseraF8/tessera-f8.h5", weights)
    assert codes(tessera, root, tmp_path / "file", "--tokenizer", weights) == by_name

    folder = tmp_path / "folder"
    folder.mkdir()
    tessera("convert", weights, "-o", folder / "own.safetensors")
    description = embedded["tokenizer"] | {"checkpoint": "own.safetensors", "name": "own"}
    (folder / "tokenizer.json").write_text(json.dumps(description))
    assert codes(tessera, root, tmp_path / "described", "--tokenizer", folder) == by_name


def test_weights_that_do_not_fit_are_named(tessera, root, tmp_path, embedded):
    import safetensors.numpy

    weights = tmp_path / "own.safetensors"
    tessera("convert", root / "Sources/CTesseraF8/tessera-f8.h5", "-o", weights)
    whole = safetensors.numpy.load_file(weights)
    (tmp_path / "tokenizer.json").write_text(
        json.dumps(embedded["tokenizer"] | {"checkpoint": "own.safetensors"})
    )
    name = "encoder.mid.block_2.conv1.weight"
    for damaged, word in (
        ({k: v for k, v in whole.items() if k != name}, name),
        (whole | {name: whole[name][:64]}, name),
        (whole | {"surplus.weight": whole[name]}, "surplus.weight"),
    ):
        safetensors.numpy.save_file(damaged, weights)
        error = tessera("tokenizers", tmp_path, code=4).stderr
        assert word in error and error.count("\n") == 1


def fields(value, path=()):
    for key, item in value.items():
        yield (*path, key)
        if isinstance(item, dict):
            yield from fields(item, (*path, key))


def test_every_field_of_a_description_is_read(tessera, tmp_path, embedded, root):
    """Each field left out, of another type, a word that nobody knows; and one more at each level: one line that names it."""
    shutil.copy(root / "Sources/CTesseraF8/tessera-f8.h5", tmp_path / "own.h5")
    description = embedded["tokenizer"] | {"checkpoint": "own.h5"}
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(description))
    tessera("tokenizers", path)

    def refused(change, *words):
        told = json.loads(json.dumps(description))
        change(told)
        path.write_text(json.dumps(told))
        result = tessera("tokenizers", path, code=None)
        assert result.returncode in (3, 4, 6), (told, result.stderr)
        assert result.stderr.startswith(f"Error: {tmp_path}") and result.stderr.count("\n") == 1, result.stderr
        assert all(word in result.stderr for word in words), (words, result.stderr)
        assert not [word for word in ("Cannot initialize", "CodingKey", "Optional(", "Swift.") if word in result.stderr], result.stderr

    def at(told, place):
        for key in place[:-1]:
            told = told[key]
        return told

    for place in fields(description):
        name = place[-1]
        refused(lambda told: at(told, place).pop(name), name)
        for value in (None, 5, "nobody knows", [], {}):
            if name in ("name", "checkpoint") and isinstance(value, str) or isinstance(value, list) and name == "levels":
                continue
            if name == "checkpoint" and value is None or type(at(description, place)[name]) is type(value):
                words = [] if isinstance(value, dict) else [name]
            else:
                words = [name]
            refused(lambda told: at(told, place).update({name: value}), *words)
    for place in [("more",), ("quantizer", "more"), ("preprocessing", "more")]:
        refused(lambda told: at(told, place).update({"more": 1}), "'more'")
    for text in ("", "{", "[]", "5", '"x"', '{"name": "x"'):
        path.write_text(text)
        result = tessera("tokenizers", path, code=None)
        assert result.returncode in (3, 4) and result.stderr.startswith(f"Error: {path}") and result.stderr.count("\n") == 1, result.stderr


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_codebook_that_is_none_is_named_with_its_file(tessera, tmp_path, value):
    import torch
    from family_references import Taming
    from safetensors.torch import save_file

    with torch.no_grad():
        state = {name: tensor.contiguous() for name, tensor in Taming().state.items()}
    state["quantize.embedding.weight"][3, 2] = value
    save_file(state, tmp_path / "m.safetensors")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"")
    for verb in (["tokenize", tmp_path / "in", "-o", tmp_path / "out", "--tokenizer", f"taming:{tmp_path}/m.safetensors"],
                 ["convert", f"taming:{tmp_path}/m.safetensors", "-o", tmp_path / "m.onnx"]):
        said = tessera(*verb, code=4).stderr
        assert "m.safetensors: row 3 of the codebook" in said and said.count("\n") == 1, said
