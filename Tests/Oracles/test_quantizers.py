"""`tessera quantize` beside vector-quantize-pytorch and the published formulas; .npy files beside numpy."""

import json
import pathlib
import resource
import subprocess

import jsonschema
import numpy as np
import pytest

from quantizer_references import LEVELS, REFERENCES

SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "schemas"
CASES = [(variant, levels) for variant in REFERENCES for levels in LEVELS[variant]]


@pytest.fixture
def quantize(tessera, tmp_path):
    """Runs the verb on an array (or a ready .npy path); returns the result and the summary."""

    def run(data, specification, *options, code=0):
        path = data
        if isinstance(data, np.ndarray):
            path = tmp_path / "input.npy"
            np.save(path, data)
        quantizer = tmp_path / "quantizer.json"
        quantizer.write_text(specification if isinstance(specification, str) else json.dumps(specification))
        output = tmp_path / "output.npy"
        output.unlink(missing_ok=True)
        result = tessera("quantize", path, "--quantizer", quantizer, "-o", output, "--json", *options, code=code)
        if code:
            assert not output.exists(), "a failed run leaves no output"
            assert result.stderr.count("\n") == 1, result.stderr
            return result.stderr
        return np.load(output), json.loads(result.stdout)

    return run


def specification(variant, levels):
    return {"kind": "fsq", "variant": variant, "levels": levels}


@pytest.mark.parametrize("variant, levels", CASES, ids=lambda x: str(x))
def test_a_million_latents(quantize, variant, levels):
    random = np.random.default_rng(7)
    latents = (random.standard_normal((1000, 1000, len(levels))) * 1.5).astype(np.float32)
    codes, summary = quantize(latents, specification(variant, levels))
    expected, values = REFERENCES[variant](latents.reshape(-1, len(levels)), levels)
    vocabulary = int(np.prod(levels))
    assert codes.dtype == (np.uint8 if vocabulary <= 256 else np.uint16 if vocabulary <= 65536 else np.uint32)
    assert np.count_nonzero(codes.ravel() != expected) == 0
    assert summary["vocabulary"] == vocabulary
    assert summary["used"] == len(np.unique(expected))
    assert 0 <= summary["min_margin"] <= 0.5
    if values is None:
        return
    ours, _ = quantize(codes, specification(variant, levels), "--inverse")
    assert ours.dtype == np.float32 and ours.shape == latents.shape
    np.testing.assert_array_equal(ours.reshape(values.shape), values)


@pytest.mark.parametrize("variant, levels", CASES, ids=lambda x: str(x))
def test_digits(quantize, variant, levels):
    latents = np.random.default_rng(3).standard_normal((5, 4, len(levels))).astype(np.float32)
    codes, _ = quantize(latents, specification(variant, levels))
    digits, _ = quantize(latents, specification(variant, levels), "--digits")
    basis = np.cumprod([1] + levels[:-1])
    np.testing.assert_array_equal(digits, codes[..., None].astype(np.int64) // basis % levels)
    if variant != "s3":
        values, _ = quantize(codes, specification(variant, levels), "--inverse")
        again, _ = quantize(digits, specification(variant, levels), "--inverse", "--digits")
        np.testing.assert_array_equal(again, values)


@pytest.mark.parametrize("extreme", [0.0, 1e-30, 1e-45, 3e38, -3e38, 20.0, -9.0])
@pytest.mark.parametrize("variant", list(REFERENCES))
def test_extreme_latents(quantize, variant, extreme):
    for levels in LEVELS[variant]:
        latents = np.full((2, len(levels)), extreme, np.float32)
        with np.errstate(over="ignore"):
            expected, _ = REFERENCES[variant](latents, levels)
        codes, _ = quantize(latents, specification(variant, levels))
        np.testing.assert_array_equal(codes, expected)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", ">f2"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_layout_of_a_file(quantize, tmp_path, dtype, order, version):
    levels = [8, 5, 5]
    latents = np.asarray(np.random.default_rng(1).standard_normal((3, 7, 3)), dtype=dtype, order=order)
    path = tmp_path / "layout.npy"
    with open(path, "wb") as file:
        np.lib.format.write_array(file, latents, version=version)
    codes, _ = quantize(path, specification("atanh", levels))
    expected, _ = REFERENCES["atanh"](np.ascontiguousarray(latents, np.float32).reshape(-1, 3), levels)
    np.testing.assert_array_equal(codes.ravel(), expected)


@pytest.mark.parametrize("dtype", ["|u1", "|i1", "<u2", ">i2", "<i4", ">u4", "<i8", ">u8"])
def test_codes_of_every_integer_type(quantize, dtype):
    codes = np.arange(120, dtype=dtype).reshape(4, 30)
    values, _ = quantize(codes, specification("symmetric", [6, 5, 4]), "--inverse")
    _, expected = REFERENCES["symmetric"](np.zeros((1, 3), np.float32), [6, 5, 4])
    digits = np.stack([codes.astype(int) // b % n for b, n in ((1, 6), (6, 5), (30, 4))], -1)
    assert values.shape == (4, 30, 3)
    np.testing.assert_allclose(values, digits * 2 / (np.array([6, 5, 4]) - 1) - 1, atol=1e-6)


@pytest.mark.parametrize("shape", [(3,), (0, 3), (2, 0, 3), (1, 1, 1, 3)])
def test_odd_shapes_and_the_bytes_of_numpy(quantize, tmp_path, shape):
    codes, _ = quantize(np.zeros(shape, np.float32), specification("atanh", [8, 5, 5]))
    assert codes.shape == shape[:-1] and codes.dtype == np.uint8
    np.save(tmp_path / "expected.npy", codes)
    assert (tmp_path / "output.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()


def test_latents_that_are_not_finite(quantize):
    latents = np.zeros((70_000, 2), np.float32)
    latents[69_999, 1] = np.nan
    message = quantize(latents, specification("atanh", [8, 5]), code=5)
    assert "position 69999, dimension 1" in message and "input.npy" in message


@pytest.mark.parametrize(
    "data, options, code",
    [
        (np.zeros((2, 3), np.float32), [], 4),  # the wrong number of channels
        (np.array(0, np.float32), [], 4),
        (np.zeros((2, 2), np.int32), [], 4),
        (np.zeros((2, 2), np.float64), [], 4),
        (np.array([40], np.uint8), ["--inverse"], 5),
        (np.array([-1], np.int32), ["--inverse"], 4),
        (np.array([0.0], np.float32), ["--inverse"], 4),
        (np.array([[0, 5]], np.uint8), ["--inverse", "--digits"], 5),
    ],
)
def test_arrays_that_do_not_fit(quantize, data, options, code):
    assert "input.npy: " in quantize(data, specification("atanh", [8, 5]), *options, code=code)


HEAD = b"\x93NUMPY\x01\x00"


def header(text, data=b"\0" * 8):
    return HEAD + len(text).to_bytes(2, "little") + text.encode() + data


HOSTILE = {
    "empty": b"",
    "text": b"not an array",
    "cut in the length": HEAD + b"\x10",
    "header longer than the file": HEAD + b"\xff\xff{",
    "huge version 2 header": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
    "version 9": b"\x93NUMPY\x09\x00\x02\x00{}",
    "code": header("{'descr': __import__('os').system('true'), 'fortran_order': False, 'shape': (1, 2)}"),
    "nesting": header("(" * 5000),
    "shape overflow": header("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 2)}"),
    "terabytes": header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 2)}"),
    "negative": header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2)}"),
    "objects": header("{'descr': '|O', 'fortran_order': False, 'shape': (1, 2)}"),
    "structure": header("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1, 2)}"),
    "too much data": header("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}", b"\0" * 9),
    "too little data": header("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}", b"\0" * 7),
    "repeated key": header("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_files_that_are_no_arrays(quantize, tmp_path, name):
    path = tmp_path / "hostile.npy"
    path.write_bytes(HOSTILE[name])
    assert "hostile.npy: npy " in quantize(path, specification("atanh", [8, 5]), code=3)


VALID = [specification(variant, levels) for variant, levels in CASES]
INVALID = [
    {},
    {"kind": "kmeans"},
    {"kind": "fsq", "levels": [8]},
    {"kind": "fsq", "variant": "tan", "levels": [8]},
    {"kind": "fsq", "variant": "atanh", "levels": []},
    {"kind": "fsq", "variant": "atanh", "levels": [1]},
    {"kind": "fsq", "variant": "atanh", "levels": [1001]},
    {"kind": "fsq", "variant": "atanh", "levels": [8.5]},
    {"kind": "fsq", "variant": "ifsq", "levels": [8]},
    {"kind": "fsq", "variant": "s3", "levels": [5]},
    {"kind": "fsq", "variant": "atanh", "levels": [8], "eps": 0.001},
    {"kind": "fsq", "variant": "atanh", "levels": [8], "two\nlines": 1},
    [],
]


def test_the_schema_accepts_what_the_program_accepts(quantize):
    schema = json.loads((SCHEMAS / "quantizer.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    for valid in VALID:
        validator.validate(valid)
        _, summary = quantize(np.zeros((1, len(valid["levels"])), np.float32), valid)
        assert summary["quantizer"] == valid
    for invalid in INVALID:
        assert not validator.is_valid(invalid), invalid
        assert "quantizer.json: " in quantize(np.zeros((1, 1), np.float32), json.dumps(invalid), code=4)


def test_an_input_is_not_written_over(tessera, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((1, 2), np.float32))
    (tmp_path / "q.json").write_text(json.dumps(specification("atanh", [8, 5])))
    before = (tmp_path / "a.npy").read_bytes()
    tessera("quantize", tmp_path / "a.npy", "--quantizer", tmp_path / "q.json", "-o", tmp_path / "a.npy", code=6)
    assert (tmp_path / "a.npy").read_bytes() == before


def test_a_file_beyond_the_size_limit_leaves_nothing(program, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((100_000, 2), np.float32))
    (tmp_path / "q.json").write_text(json.dumps(specification("atanh", [100, 5])))
    result = subprocess.run(
        [program, "quantize", tmp_path / "a.npy", "--quantizer", tmp_path / "q.json", "-o", tmp_path / "c.npy"],
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert result.returncode == 6 and b"c.npy" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "q.json"]


def test_memory_does_not_grow_with_the_file(peak, tmp_path):
    (tmp_path / "q.json").write_text(json.dumps(specification("atanh", [8, 5])))
    peaks = []
    for positions in (100_000, 20_000_000):
        latents = np.lib.format.open_memmap(tmp_path / "l.npy", "w+", np.float32, (positions, 2))
        del latents
        command = ["quantize", tmp_path / "l.npy", "--quantizer", tmp_path / "q.json", "-o", tmp_path / "c.npy"]
        peaks.append(peak(*command, "--quiet"))
    assert peaks[1] < peaks[0] + 16, peaks  # MiB; the file grew by 152
