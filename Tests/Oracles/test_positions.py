"""`tessera positions` beside transformers' `get_rope_index` and the schemes' formulas."""

import json
import pathlib
import types

import jsonschema
import numpy as np
import pytest

from position_references import formula_ids, glm_image_ids, random_document, transformers_ids

SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "schemas"
FRACTIONAL = ("tie-fractional", "tv", "v2pe")


@pytest.fixture
def positions(tessera, tmp_path):
    """Runs the verb on a document; returns the array and the JSON, which must agree."""

    def run(segments, scheme, *options, code=0):
        document, output = tmp_path / "segments.jsonl", tmp_path / "ids.npy"
        lines = segments if isinstance(segments, str) else "".join(json.dumps(s) + "\n" for s in segments)
        document.write_text(lines)
        output.unlink(missing_ok=True)
        result = tessera("positions", document, "--scheme", scheme, "-o", output, "--json", *options, code=code)
        if code:
            assert not output.exists(), "a failed run leaves no output"
            return result.stderr
        ids, printed = np.load(output), json.loads(result.stdout)
        assert printed["scheme"] == scheme and len(printed["axes"]) == len(ids)
        assert ids.dtype == (np.float32 if scheme in FRACTIONAL else np.int32)
        np.testing.assert_array_equal(np.asarray(printed["ids"], ids.dtype).reshape(ids.shape), ids)
        assert printed["delta"] == printed["next"] - ids.shape[1]
        return ids, printed

    return run


@pytest.mark.parametrize("scheme", ["mrope", "mrope-time", "mrope-frame"])
def test_the_real_functions(positions, scheme):
    random = np.random.default_rng(300)
    for index in range(20):
        segments = random_document(random, None if scheme == "mrope-frame" or index % 2 else "last")
        if scheme == "mrope-frame":  # a video as the model sees it: each frame behind its timestamp
            height, width = (int(x) for x in random.integers(1, 6, 2))
            for _ in range(int(random.integers(0, 4))):
                segments += [{"text": 3}, {"video": [1, height, width]}]
            segments.append({"text": 2})
        expected, delta = transformers_ids(scheme, segments)
        ids, printed = positions(segments, scheme)
        np.testing.assert_array_equal(ids, expected, err_msg=str(segments))
        if "image" in segments[-1] or "text" in segments[-1]:
            assert printed["delta"] == delta


@pytest.mark.parametrize(
    "scheme", ["rope1d", "rope2d", "tie", "tie-fractional", "tv", "mrope", "mrope-time", "mrope-frame", "v2pe"]
)
def test_the_formulas(positions, scheme):
    random = np.random.default_rng(10352)
    for index in range(25):
        segments = random_document(random, None if index % 2 or scheme in ("rope2d", "v2pe") else "anywhere")
        options, settings = [], {}
        if scheme == "v2pe":
            settings["stride"] = int(2 ** random.integers(0, 9))
            options += ["--stride", settings["stride"]]
        if index % 3 == 0:
            settings["origin"] = int(random.integers(0, 5))
            options += ["--origin", settings["origin"]]
        if scheme == "mrope-time" and index % 4 == 0:
            settings["tokens_per_second"] = 25
            options += ["--tokens-per-second", 25]
        expected, following = formula_ids(scheme, segments, **settings)
        ids, printed = positions(segments, scheme, *options)
        np.testing.assert_array_equal(ids, expected.astype(ids.dtype), err_msg=str(segments))
        assert printed["next"] == following


@pytest.mark.parametrize("scheme", ["tie", "tie-fractional", "tv"])
def test_what_the_posts_promise(positions, scheme):
    """Compatibility, symmetry, uniqueness, and for the later two equivalence, from the ids alone."""
    random = np.random.default_rng(5)
    for _ in range(20):
        height, width = (int(x) for x in random.integers(1, 12, 2))
        ids, _ = positions([{"text": 3}, {"image": [height, width]}, {"text": 3}], scheme)
        ids = ids.astype(np.float64)
        text = np.r_[0:3, ids.shape[1] - 3 : ids.shape[1]]
        assert (ids[:, text] == ids[0, text]).all() and (ids[0, :3] == [1, 2, 3]).all()
        first, last = ids[:, 3], ids[:, -4]
        np.testing.assert_allclose(first - ids[:, 2], ids[:, -3] - last, rtol=1e-5)
        assert len(np.unique(ids.T, axis=0)) == ids.shape[1]
        if scheme != "tie":
            assert ids[0, -3] - ids[0, 2] == height * width + 1


def test_worked_examples(positions):
    """transformers 5.23 and 4.57 (where equal): examples A, B and E of the reference notes."""
    ids, printed = positions(
        [{"text": 2}, {"image": [2, 2]}, {"text": 3}, {"image": [1, 3]}, {"text": 2}], "mrope"
    )
    assert ids.tolist() == [
        [0, 1, 2, 2, 2, 2, 4, 5, 6, 7, 7, 7, 10, 11],
        [0, 1, 2, 2, 3, 3, 4, 5, 6, 7, 7, 7, 10, 11],
        [0, 1, 2, 3, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    ]
    assert printed["delta"] == -2 and printed["axes"] == ["t", "h", "w"]
    # V2PE's own example, and a clip after which Qwen's first rule goes on at the maximum + 1.
    assert positions([{"text": 3}, {"image": [2, 2]}, {"text": 2}], "v2pe", "--stride", 2)[0].tolist() == [
        [0, 1, 2, 2.5, 3, 3.5, 4, 5, 6]
    ]
    clip = [{"text": 1}, {"video": [3, 2, 2], "seconds_per_grid": 1.0}, {"text": 1}]
    assert positions(clip, "mrope")[0][0].tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4]
    assert positions(clip, "mrope-time")[0][0].tolist() == [0, 1, 1, 1, 1, 3, 3, 3, 3, 5, 5, 5, 5, 6]


@pytest.mark.parametrize(
    "lines, scheme, options, code",
    [
        ("", "mrope", [], 3),
        ('{"text": 1}\n{"image": [0, 2]}\n', "mrope", [], 3),
        ('{"text": 1, "image": [1, 2]}\n', "mrope", [], 3),
        ('{"sound": 1}\n', "mrope", [], 3),
        ("[[[[", "mrope", [], 3),
        ("[" * 100_000, "mrope", [], 3),
        ('{"video": [2, 2, 2]}\n', "rope2d", [], 4),
        ('{"video": [2, 2, 2]}\n', "mrope-time", [], 4),
        ('{"text": 1}\n', "v2pe", [], 4),
        ('{"text": 1}\n', "mrope", ["--stride", 2], 4),
        ('{"text": 99999999999}\n', "mrope", [], 5),
        ('{"image": [4000000000, 4000000000]}\n', "tie", [], 5),
        ('{"image": [3000, 5000]}\n', "tv", [], 5),
        ('{"text": 2}\n', "mrope", ["--origin", 2**31 - 2], 5),
        ('{"text": 1}\n', "mrope", ["--origin", 2**31], 5),
        ('{"text": 1}\n', "spiral", [], 64),
    ],
)
def test_what_is_refused(positions, lines, scheme, options, code):
    message = positions(lines, scheme, *options, code=code)
    assert message.startswith("Error: ")
    assert code == 64 or message.count("\n") == 1


def test_the_schema(positions):
    schema = json.loads((SCHEMAS / "segments.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    for valid in ({"text": 0}, {"image": [1, 2]}, {"video": [1, 2, 3]}, {"video": [1, 2, 3], "seconds_per_grid": 0.5}):
        validator.validate(valid)
        positions([valid], "rope1d")
    for invalid in ({}, {"text": -1}, {"image": [1]}, {"image": [1, 0]}, {"video": [1, 2, 3], "seconds_per_grid": 0},
                    {"text": 1, "image": [1, 1]}, {"image": [1, 1], "seconds_per_grid": 1}, {"text": 1.5}):
        assert not validator.is_valid(invalid), invalid
        positions([invalid], "rope1d", code=3)


@pytest.fixture
def pack(tessera, tmp_path):
    """Runs the verb on a pack, one document per line; returns the array and the JSON."""

    def run(documents, scheme, *options):
        file, output = tmp_path / "pack.jsonl", tmp_path / "pack.npy"
        file.write_text("".join(json.dumps(document) + "\n" for document in documents))
        printed = json.loads(tessera("positions", file, "--scheme", scheme, "-o", output, "--json", *options).stdout)
        return np.load(output), printed

    return run


@pytest.mark.parametrize("scheme", ["mrope", "mrope-time", "mrope-frame"])
def test_a_thousand_documents_of_the_real_functions(pack, scheme):
    random = np.random.default_rng(1000)
    documents = []
    for index in range(1000):
        document = random_document(random, None if scheme == "mrope-frame" or index % 2 else "last")
        if scheme == "mrope-frame":
            height, width = (int(x) for x in random.integers(1, 6, 2))
            for _ in range(int(random.integers(0, 4))):
                document += [{"text": 3}, {"video": [1, height, width]}]
            document.append({"text": 1})
        documents.append(document)
    ids, printed = pack(documents, scheme)
    ends = np.cumsum(printed["documents"])
    assert len(ends) == 1000 and ends[-1] == ids.shape[1]
    for document, part in zip(documents, np.split(ids, ends[:-1], axis=1)):
        np.testing.assert_array_equal(part, transformers_ids(scheme, document)[0], err_msg=str(document))


def test_packs_as_transformers_finds_them(pack):
    import torch
    from transformers.masking_utils import find_packed_sequence_indices

    random = np.random.default_rng(4)
    for _ in range(20):
        documents = [random_document(random) for _ in range(int(random.integers(2, 6)))]
        ids, printed = pack(documents, "mrope", "--packed")
        assert printed["axes"] == ["text", "t", "h", "w"] and ids.shape[0] == 4 and ids.dtype == np.int32
        found = find_packed_sequence_indices(torch.tensor(ids[:1].astype(np.int64)))[0].numpy()
        np.testing.assert_array_equal(found, np.repeat(np.arange(len(documents)), printed["documents"]))
        expected = np.concatenate([transformers_ids("mrope", document)[0] for document in documents], axis=1)
        np.testing.assert_array_equal(ids[1:], expected)


def test_glm_image(positions):
    """The two worked examples of the model, then random prompts and grids beside the real function."""
    prompt = [{"text": 3}, {"image": [2, 3]}, {"text": 3}]
    ids, printed = positions(prompt + [{"image": [2, 2]}, {"text": 1}], "glm-image")
    assert ids.tolist() == [
        [0, 1, 2, 3, 3, 3, 3, 3, 3, 6, 7, 8, 9, 9, 9, 9, 11],
        [0, 1, 2, 3, 3, 3, 4, 4, 4, 6, 7, 8, 9, 9, 10, 10, 11],
        [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8, 9, 10, 9, 10, 11],
    ]
    ids, _ = positions([{"text": 3}, {"image": [1, 2]}, {"image": [2, 2]}, {"text": 1}], "glm-image")
    assert ids[:, 3:].tolist() == [[3, 3, 5, 5, 5, 5, 7], [3, 3, 5, 5, 6, 6, 7], [3, 4, 5, 6, 5, 6, 7]]
    random = np.random.default_rng(3)
    for _ in range(40):
        prompt = [{"text": int(random.integers(2, 6))}]
        for _ in range(int(random.integers(0, 3))):
            prompt += [{"image": [int(x) for x in random.integers(1, 6, 2)]}, {"text": int(random.integers(2, 6))}]
        grids = [[int(x) for x in random.integers(1, 6, 2)] for _ in range(int(random.integers(1, 3)))]
        segments = prompt + [{"image": grid} for grid in grids] + [{"text": 1}]
        np.testing.assert_array_equal(positions(segments, "glm-image")[0], glm_image_ids(prompt, grids))


PROMISES = {
    "rope1d": {"compatibility", "symmetry", "equivalence", "uniqueness", "monotony", "exactness"},
    "rope2d": {"exactness"},
    "tie": {"compatibility", "symmetry", "uniqueness", "monotony", "exactness"},
    "tie-fractional": {"compatibility", "symmetry", "equivalence", "uniqueness", "monotony"},
    "tv": {"compatibility", "symmetry", "equivalence", "uniqueness", "monotony", "exactness"},
    "mrope": {"compatibility", "uniqueness", "monotony", "exactness"},
    "mrope-frame": {"compatibility", "uniqueness", "monotony", "exactness"},
    "glm-image": {"compatibility", "uniqueness", "monotony", "exactness"},
    "v2pe": {"compatibility", "uniqueness", "monotony"},
}


@pytest.mark.parametrize("scheme", PROMISES)
def test_check_over_all_small_grids(tessera, scheme):
    options = ["--stride", 16] if scheme == "v2pe" else []
    report = json.loads(tessera("positions", "--scheme", scheme, "--check", "--json", *options).stdout)
    jsonschema.validate(report, json.loads((SCHEMAS / "position-check.schema.json").read_text()))
    assert {name for name, finding in report["properties"].items() if finding["holds"]} == PROMISES[scheme]


def _properties(scheme, segments):
    """What the formulas' own numbers say, with numpy and nothing of the program."""
    ids, _ = formula_ids(scheme, segments)
    kinds = np.concatenate([
        np.full(s["text"] if "text" in s else np.prod(s.get("image", s.get("video"))), i if "text" not in s else -1)
        for i, s in enumerate(segments)
    ])
    found = {
        "compatibility": bool((ids[:, kinds < 0] == ids[0, kinds < 0]).all()),
        "uniqueness": len(np.unique(ids.T, axis=0)) == ids.shape[1],
        "symmetry": True,
        "equivalence": True,
    }
    for index in np.unique(kinds[kinds >= 0]):
        inside = np.flatnonzero(kinds == index)
        before, behind = ids[:, inside[0] - 1], ids[:, inside[-1] + 1]
        found["symmetry"] &= bool(np.allclose(ids[:, inside[0]] - before, behind - ids[:, inside[-1]], atol=1e-9))
        found["equivalence"] &= bool((behind - before == len(inside) + 1).all())
    return found


@pytest.mark.parametrize("scheme", ["tie", "tie-fractional", "tv", "mrope"])
def test_check_of_documents(tessera, tmp_path, scheme):
    random = np.random.default_rng(9)
    for _ in range(15):
        segments = random_document(random, "anywhere" if scheme != "mrope" else None)
        file = tmp_path / "segments.jsonl"
        file.write_text("".join(json.dumps(segment) + "\n" for segment in segments))
        report = json.loads(tessera("positions", file, "--scheme", scheme, "--check", "--json").stdout)
        for name, holds in _properties(scheme, segments).items():
            assert report["properties"][name]["holds"] == holds, (name, segments, report)
        ids, _ = formula_ids(scheme, segments)
        assert report["maximum"] == pytest.approx(ids.max())


def test_check_against_a_context(tessera, tmp_path):
    file = tmp_path / "segments.jsonl"
    file.write_text('{"text": 3}\n{"image": [16, 16]}\n{"text": 1}\n')
    # L = 3, 17 * 17 = 289 positions, one text token at 292.
    assert json.loads(tessera("positions", file, "--scheme", "tie", "--check", "--context", 292, "--json").stdout)[
        "maximum"
    ] == 292
    failed = tessera("positions", file, "--scheme", "tie", "--check", "--context", 291, "--json", code=5)
    assert json.loads(failed.stdout)["span"] == 292 and failed.stderr.splitlines()[-1].startswith("Error: ")


def test_frequencies_and_axes(tessera):
    """The real rotary embeddings of Qwen2-VL and Qwen3-VL, and the formulas of the two others."""
    def table(*options):
        report = json.loads(tessera("positions", "--table", *options, "--json").stdout)
        jsonschema.validate(report, json.loads((SCHEMAS / "rotary-table.schema.json").read_text()))
        return np.array(report["inv_freq"]), np.array(report["axis"])

    theta = 1e6 ** (-np.arange(0, 128, 2) / 128)
    frequencies, axis = table("chunked", "--head-dim", 128, "--base", 1e6, "--sections", "16,24,24")
    np.testing.assert_allclose(frequencies, theta, rtol=1e-14)
    np.testing.assert_array_equal(axis, np.repeat([0, 1, 2], [16, 24, 24]))
    frequencies, axis = table("interleaved", "--head-dim", 128, "--base", 1e6, "--sections", "24,20,20")
    np.testing.assert_allclose(frequencies, theta, rtol=1e-14)
    assert (axis[1:60:3] == 1).all() and (axis[2:60:3] == 2).all() and (axis == 0).sum() == 24
    frequencies, axis = table("alternating", "--head-dim", 64, "--base", 10000)
    np.testing.assert_allclose(frequencies, 1e4 ** (-np.arange(0, 64, 2) / 64), rtol=1e-14)
    np.testing.assert_array_equal(axis, np.arange(32) % 2)
    frequencies, axis = table("split", "--head-dim", 64)
    np.testing.assert_allclose(frequencies, np.tile(1e4 ** (-np.arange(0, 64, 4) / 64), 2), rtol=1e-14)
    np.testing.assert_array_equal(axis, np.repeat([0, 1], 16))


@pytest.mark.parametrize("layout, sections", [("chunked", [16, 24, 24]), ("interleaved", [24, 20, 20])])
def test_cosines_and_sines_of_the_real_models(tessera, tmp_path, layout, sections):
    import torch
    from safetensors.numpy import load_file

    segments = [{"text": 5}, {"image": [7, 9]}, {"text": 3}]
    file, output = tmp_path / "segments.jsonl", tmp_path / "table.safetensors"
    file.write_text("".join(json.dumps(segment) + "\n" for segment in segments))
    options = ["--table", layout, "--head-dim", 128, "--base", 1e6, "--sections", ",".join(map(str, sections))]
    tessera("positions", file, "--scheme", "mrope", *options, "-o", output)
    found = load_file(output)
    ids, _ = transformers_ids("mrope", segments)
    inverse = 1.0 / (1e6 ** (torch.arange(0, 128, 2, dtype=torch.int64).float() / 128))
    angles = torch.tensor(ids)[..., None].float() * inverse  # [3, tokens, 64]
    if layout == "interleaved":
        from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextRotaryEmbedding

        stand_in = types.SimpleNamespace(mrope_section=sections)
        mixed = Qwen3VLTextRotaryEmbedding.recomposition_frequencies(stand_in, angles.clone())[..., :64]
    else:
        mixed = torch.cat([part[i % 3] for i, part in enumerate(angles.split(sections, dim=-1))], dim=-1)
    np.testing.assert_allclose(found["cos"], mixed.cos().numpy(), atol=2e-6)
    np.testing.assert_allclose(found["sin"], mixed.sin().numpy(), atol=2e-6)
    assert found["inv_freq"].dtype == np.float64 and found["axis"].dtype == np.int32
    array = tmp_path / "table.npy"
    tessera("positions", file, "--scheme", "mrope", *options, "-o", array)
    np.testing.assert_array_equal(np.load(array), np.stack([found["cos"], found["sin"]]))


def test_alternating_text_is_one_dimensional(tessera, tmp_path):
    """Su's reason for the layout: where the ids are equal, the table is that of one dimension."""
    file = tmp_path / "segments.jsonl"
    file.write_text('{"text": 50}\n')
    for scheme, layout in (("tv", "alternating"), ("rope1d", "alternating")):
        tessera("positions", file, "--scheme", scheme, "--table", layout, "--head-dim", 64, "--origin", 0,
                "-o", tmp_path / f"{scheme}.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "tv.npy"), np.load(tmp_path / "rope1d.npy"))


@pytest.mark.parametrize(
    "options, code",
    [
        (["--table", "chunked", "--head-dim", 128], 4),
        (["--table", "chunked", "--head-dim", 128, "--sections", "16,24,23"], 4),
        (["--table", "interleaved", "--head-dim", 128, "--sections", "16,24,24"], 4),
        (["--table", "split", "--head-dim", 6], 4),
        (["--table", "split", "--head-dim", 7], 4),
        (["--table", "split", "--head-dim", 64, "--base", 0], 4),
        (["--table", "spiral", "--head-dim", 64], 64),
        (["--table", "split"], 64),
        (["--head-dim", 64], 64),
        (["--scheme", "tie"], 64),
        (["--check"], 64),
        (["--scheme", "tie", "--context", 5], 64),
    ],
)
def test_tables_and_checks_that_are_refused(tessera, options, code):
    result = tessera("positions", *options, "--json", code=code)
    assert result.stderr.startswith("Error: ") and not result.stdout


def test_packs_that_are_refused(tessera, tmp_path):
    for lines in ('[{"text": 1}]\n{"text": 1}\n', '{"text": 1}\n[{"text": 1}]\n', "[]\n", '[{"text": 1}, 3]\n'):
        file = tmp_path / "pack.jsonl"
        file.write_text(lines)
        assert "line" in tessera("positions", file, "--scheme", "mrope", "--json", code=3).stderr
