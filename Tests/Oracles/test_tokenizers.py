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
    with pytest.raises(jsonschema.ValidationError):
        validator("tokenizer").validate(embedded["tokenizer"] | {"family": "unknown"})


def test_the_list_is_valid(tessera, embedded, validator):
    listed = json.loads(tessera("tokenizers", "--json").stdout)
    assert len(listed) == 19
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
