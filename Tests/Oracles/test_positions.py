"""`tessera positions` beside transformers' `get_rope_index` and the schemes' formulas."""

import json
import pathlib

import jsonschema
import numpy as np
import pytest

from position_references import formula_ids, random_document, transformers_ids

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
    for index in range(100):
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
