"""Outputs that are files: several that appear as one, runs at once, what killed runs left, and datasets as places."""

import fcntl
import hashlib
import json
import os
import pathlib
import resource
import shutil
import subprocess

import fault_harness
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

TINY = ["--resize", "nearest:exact=8x8", "--crop", "none", "--workers", "1"]
ENVIRONMENT = dict(os.environ, SWIFT_BACKTRACE="enable=no")


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def weights(path, value, count, size=100):
    save_file({f"w{n}": np.full(size, value + n + 1 / 3, np.float32) for n in range(count)}, path)


def started(program, *command):
    return subprocess.Popen([program, *map(str, command)], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def ended(run):
    """The exit code; a refusal is one line."""
    error = run.communicate(timeout=120)[1]
    assert run.returncode == 0 or (run.returncode == 6 and "another run" in error and error.count("\n") == 1), error
    return run.returncode


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """One input for each verb that writes a file."""
    folder = tmp_path_factory.mktemp("arrays")
    random = np.random.default_rng(1)
    np.save(folder / "latents.npy", random.standard_normal((5000, 4)).astype(np.float32))
    np.save(folder / "codes.npy", random.integers(0, 240, 5000).astype(np.uint16))
    np.save(folder / "signal.npy", random.standard_normal(5000))
    (folder / "fsq.json").write_text('{"kind": "fsq", "variant": "atanh", "levels": [8, 5, 5, 5]}')
    (folder / "segments.jsonl").write_text('{"text": 4000}\n{"image": [40, 40]}\n')
    weights(folder / "weights.safetensors", 0, 3, size=5000)
    return folder


# Every verb that writes one file, without its output.
VERBS = {
    "quantize": "quantize latents.npy --quantizer fsq.json -o {}.npy",
    "margins": "quantize latents.npy --quantizer fsq.json -o {elsewhere}.npy --margins {}.npy",
    "reindex": "quantize codes.npy --quantizer fsq.json --reindex offset:7 -o {}.npy",
    "collect": "quantize codes.npy --quantizer fsq.json --reindex collect:{}.npy -o {elsewhere}.npy",
    "soften": "soften latents.npy --map entmax:1.5 -o {}.safetensors",
    "positions": "positions segments.jsonl --scheme rope2d -o {}.npy",
    "table": "positions segments.jsonl --scheme mrope --table chunked --head-dim 128 --sections 16,24,24 -o {}.safetensors",
    "hippo": "ssm hippo --measure legs --order 64 --form paper -o {}.safetensors",
    "encode": "ssm encode signal.npy --measure legs --order 4 --convention optimal -o {}.npy",
    "convert": "convert weights.safetensors -o {}.safetensors",
    "convert-npz": "convert weights.safetensors -o {}.npz",
    "convert-h5": "convert weights.safetensors -o {}.h5",
    "convert-pt": "convert weights.safetensors -o {}.pt",
    "convert-exact": "convert weights.safetensors -o {}.safetensors --dtype bf16 --keep-exact",
    "convert-shards": "convert weights.safetensors -o {}.safetensors --shard-size 30kB",
    "convert-graph": "convert tessera-f8 -o {}.onnx",
}


def command(verb, output, elsewhere="elsewhere"):
    return [word.format(output, elsewhere=elsewhere) for word in VERBS[verb].split()]


# MARK: Two files as one


@pytest.mark.parametrize("other", ["codes.npy", "./codes.npy", "sub/../codes.npy", "link/codes.npy"])
def test_one_file_under_two_flags_is_wrong_usage(program, arrays, tmp_path, other):
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    for more in (["--margins", other], ["--reindex", f"collect:{other}"]):
        line = ["quantize", arrays / "latents.npy", "--quantizer", arrays / "fsq.json", "-o", "codes.npy", *more]
        result = subprocess.run([program, *map(str, line)], cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 64
        assert "-o" in result.stderr and more[0] in result.stderr and "both name the file" in result.stderr
    line = ["quantize", arrays / "codes.npy", "--quantizer", arrays / "fsq.json", "-o", "ids.npy"]
    line += ["--reindex", "collect:codes.npy", "--reindex", "offset:3", "--reindex", f"collect:{other}"]
    assert subprocess.run([program, *map(str, line)], cwd=tmp_path, capture_output=True).returncode == 64
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "sub"]


@pytest.mark.parametrize("verb", ["margins", "collect", "convert-exact"])
def test_killed_at_any_moment_both_files_are_there_or_neither_counts(program, arrays, memory, verb):
    library = fault_harness.build(memory)
    out = memory / "out"
    line = command(verb, out / "b", out / "a")
    names = {"margins": ["a.npy", "b.npy"], "collect": ["a.npy", "b.npy"], "convert-exact": ["b.safetensors", "b.safetensors.exact.safetensors"]}[verb]
    codes = []
    for at in range(1, 200, 3):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        environment = dict(ENVIRONMENT, LD_PRELOAD=str(library), FAULT_ROOT=str(out), FAULT_CALLS="all", FAULT_AT=str(at), FAULT_AS="kill")
        codes.append(subprocess.run([program, *line, "--quiet"], cwd=arrays, env=environment, capture_output=True).returncode)
        # The first name is the one that makes the other count.
        if (out / names[0]).exists():
            assert (out / names[1]).exists()
        if codes[-1] == 0:
            break
        again = [*line, "--quiet", *(["--force"] if verb == "convert-exact" else [])]
        subprocess.run([program, *again], cwd=arrays, check=True)
        assert sorted(path.name for path in out.iterdir()) == names
    assert codes[-1] == 0 and len(codes) > 5


def test_two_roundings_at_once_leave_one_with_its_originals(program, tessera, memory):
    source = memory / "in.safetensors"
    random = np.random.default_rng(2)
    save_file({f"w{n}": random.standard_normal(100_000).astype(np.float32) for n in range(8)}, source)
    for number in range(4):
        out = memory / f"{number}.safetensors"
        runs = [
            started(program, "convert", source, "-o", out, "--dtype", dtype, "--keep-exact", "--force", "--quiet", *more)
            for dtype, more in [("bf16", []), ("f16", []), ("f16", ["--shard-size", "500kB"])]
        ]
        assert 0 in [ended(run) for run in runs]
        index = memory / f"{number}.safetensors.index.json"
        assert out.exists() != index.exists()
        back = memory / "back.safetensors"
        tessera("convert", out if out.exists() else index, "-o", back, "--dtype", "f32", "--force", "--quiet")
        assert all(np.array_equal(array, load_file(source)[name]) for name, array in load_file(back).items())


# MARK: Forms of one model


def test_one_file_and_shards_at_once_never_stand_side_by_side(program, memory):
    source = memory / "in"
    source.mkdir()
    save_file({f"w{n}": np.full(200_000, n, np.float32) for n in range(8)}, source / "model.safetensors")
    (source / "config.json").write_text("{}")
    for number in range(5):
        out = memory / f"out{number}"
        out.mkdir()
        forms = [[], ["--shard-size", "1MB"], ["--shard-size", "3MB"]]
        runs = [started(program, "convert", source, "-o", f"{out}/", "--force", "--quiet", *form) for form in forms]
        codes = [ended(run) for run in runs]
        assert 0 in codes
        names = {path.name for path in out.iterdir()} - {"config.json"}
        if "model.safetensors" in names:
            assert names == {"model.safetensors"}
        else:
            index = json.loads((out / "model.safetensors.index.json").read_text())
            assert names == {"model.safetensors.index.json", *index["weight_map"].values()}
    # Whatever its form, a model has one lock.
    out = memory / "held"
    out.mkdir()
    with open(out / f".partial-{hashlib.sha256(b'model.safetensors').hexdigest()[:16]}", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for form in forms:
            assert ended(started(program, "convert", source, "-o", f"{out}/", "--quiet", *form)) == 6
        assert len(tree(out)) == 1


def test_an_input_is_no_older_output(tessera, tmp_path):
    """Shards that are read are not removed when one file of their name is written, nor the other way around."""
    weights(tmp_path / "in.safetensors", 0, 4)
    tessera("convert", tmp_path / "in.safetensors", "-o", tmp_path / "model.safetensors", "--shard-size", "400")
    before = tree(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    assert "input" in tessera("convert", index, "-o", tmp_path / "model.safetensors", "--force", code=6).stderr
    assert "input" in tessera("convert", tmp_path / "in.safetensors", "-o", tmp_path / "in.safetensors", "--shard-size", "400", "--force", code=6).stderr
    assert tree(tmp_path) == before


# MARK: What killed runs left


def test_shards_of_a_run_killed_while_it_replaced_them_are_removed(program, tessera, memory):
    library = fault_harness.build(memory)
    weights(memory / "old.safetensors", 0, 7)
    weights(memory / "new.safetensors", 50, 3)
    out = memory / "out"
    code = None
    for at in range(1, 1000, 13):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        target = out / "model.safetensors"
        tessera("convert", memory / "old.safetensors", "-o", target, "--shard-size", "400", "--quiet")
        line = ["convert", memory / "new.safetensors", "-o", target, "--shard-size", "400", "--quiet"]
        environment = dict(ENVIRONMENT, LD_PRELOAD=str(library), FAULT_ROOT=str(out), FAULT_CALLS="all", FAULT_AT=str(at), FAULT_AS="kill")
        code = subprocess.run([program, *map(str, line)], env=environment, capture_output=True).returncode
        # Another form than the killed run's, so that none of its files is simply written again.
        if at % 2:
            tessera("convert", memory / "new.safetensors", "-o", target, "--quiet")
            assert sorted(path.name for path in out.iterdir()) == ["model.safetensors"]
        else:
            tessera(*line[:-3], "--shard-size", "800", "--quiet")
            wanted = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
            assert sorted(path.name for path in out.iterdir()) == wanted
        if code == 0:
            break
    assert code == 0


def test_shards_of_others_are_not_removed_unasked(tessera, tmp_path):
    weights(tmp_path / "in.safetensors", 0, 2)
    out = tmp_path / "out"
    out.mkdir()
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        weights(out / name, 9, 1)
    # Not of this model.
    for name in ("model-small-00001-of-00002.safetensors", "model-00001-of-00002.safetensors.bak", "model-1-of-2.safetensors"):
        (out / name).write_text("mine")
    before = tree(out)
    tessera("convert", tmp_path / "in.safetensors", "-o", out / "model.safetensors", code=4)
    assert tree(out) == before
    tessera("convert", tmp_path / "in.safetensors", "-o", out / "model.safetensors", "--force")
    assert sorted(tree(out)) == sorted([*(name for name in before if "small" in name or "bak" in name or "-1-" in name), "model.safetensors"])


def test_unfinished_files_without_an_owner_are_removed_others_stay(tessera, tmp_path):
    weights(tmp_path / "in.safetensors", 0, 2)
    out = tmp_path / "out"
    out.mkdir()
    dead, alive, shared, mine = (out / name for name in (
        ".partial-0123456789abcdef", ".partial-fedcba9876543210", ".partial-0123456789abcdef-1f", ".partial-notes"))
    for path in (dead, alive, shared, mine):
        path.write_text("half")
    with open(alive) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        tessera("convert", tmp_path / "in.safetensors", "-o", out / "model.safetensors")
    assert sorted(path.name for path in out.iterdir()) == sorted([alive.name, shared.name, mine.name, "model.safetensors"])


# MARK: Datasets as places


@pytest.fixture(scope="module")
def made(tessera, tmp_path_factory):
    """A finished dataset and one that is planned."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "images").mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
    tessera("tokenize", folder / "images", "-o", folder / "finished", "--quiet", *TINY)
    tessera("tokenize", folder / "images", "-o", folder / "planned", "--plan-only", "--quiet", *TINY)
    tessera("export", folder / "finished", "-o", folder / "exported", "--format", "npy", "--quiet")
    return folder


@pytest.mark.parametrize("kind", ["finished", "planned", "exported"])
@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_writes_a_file_into_a_dataset(program, arrays, made, tmp_path, verb, kind):
    dataset = made / kind
    (tmp_path / "link").symlink_to(dataset)
    before = tree(dataset)
    folders = [dataset, *(path for path in dataset.rglob("*") if path.is_dir() and ".tessera" not in path.parts), tmp_path / "link"]
    for folder in folders[:4]:
        result = subprocess.run([program, *command(verb, folder / "x", tmp_path / "y")], cwd=arrays, capture_output=True, text=True)
        assert result.returncode == 3, (folder, result.stderr)
        assert str(folder) in result.stderr and "dataset" in result.stderr and result.stderr.count("\n") == 1
    assert tree(dataset) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link"]


def test_no_file_of_a_dataset_is_replaced(tessera, arrays, made, tmp_path):
    dataset = made / "finished"
    before = tree(dataset)
    for name in ("dataset.json", "rejected.jsonl", "shards/00000.tar"):
        tessera("quantize", arrays / "latents.npy", "--quantizer", arrays / "fsq.json", "-o", dataset / name, code=3)
    for target in (f"{dataset}/", f"{dataset}/new/", f"{dataset}/shards"):
        tessera("convert", arrays / "weights.safetensors", "-o", target, "--force", code=3)
    assert tree(dataset) == before and not (dataset / "new").exists()


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_writes_where_another_run_works(program, arrays, tmp_path, verb):
    out = tmp_path / "out"
    (out / ".tessera").mkdir(parents=True)
    lock = out / ".tessera" / "lock"
    lock.write_text("export")
    with open(lock) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result = subprocess.run([program, *command(verb, out / "x", tmp_path / "y")], cwd=arrays, capture_output=True, text=True)
        assert result.returncode == 6 and "another run" in result.stderr and result.stderr.count("\n") == 1
        assert sorted(tree(tmp_path)) == ["out/.tessera/lock"]
    # Its owner has gone.
    subprocess.run([program, *command(verb, out / "x", tmp_path / "y")], cwd=arrays, check=True, capture_output=True)


def test_folders_that_hold_no_dataset_stay_fine(tessera, arrays, tmp_path):
    """Far above an output there may be another program's file of the manifest's name."""
    (tmp_path / "dataset.json").write_text('{"labels": [["0.png", 3]]}')
    (tmp_path / "out").mkdir()
    tessera("quantize", arrays / "latents.npy", "--quantizer", arrays / "fsq.json", "-o", tmp_path / "out" / "codes.npy")
    tessera("convert", arrays / "weights.safetensors", "-o", f"{tmp_path}/out/model/")
    assert sorted(tree(tmp_path)) == ["dataset.json", "out/codes.npy", "out/model/model.safetensors"]


# MARK: Words


@pytest.mark.parametrize("verb", VERBS)
def test_a_file_beyond_the_limit_is_named_as_the_user_named_it(program, arrays, tmp_path, verb):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    line = command(verb, tmp_path / "x", tmp_path / "y")
    result = subprocess.run([program, *line, "--quiet"], cwd=arrays, capture_output=True, text=True, preexec_fn=limit)
    assert result.returncode == 6 and result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith((f"Error: {tmp_path}/x", f"Error: {tmp_path}/y")) and "File too large" in result.stderr
    named = result.stderr.removeprefix("Error: ").split(": could not")[0]
    suffix = pathlib.Path(named).name.removeprefix("x").removeprefix("y")
    assert suffix in (".npy", ".safetensors", ".npz", ".h5", ".pt", ".onnx", ".safetensors.exact.safetensors") or "-of-" in suffix
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["tokenize", "export"])
def test_the_embedded_tokenizer_needs_no_file(program, made, tmp_path, verb):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))

    out = tmp_path / "out"
    line = {
        "tokenize": ["tokenize", made / "images", "-o", out, *TINY],
        "export": ["export", made / "finished", "-o", out, "--format", "hdf5"],
    }[verb]
    result = subprocess.run([program, *map(str, line), "--quiet"], capture_output=True, text=True, preexec_fn=limit)
    assert result.returncode == 6 and result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith(f"Error: {out}/") and "File too large" in result.stderr


def test_the_summary_says_what_each_file_is(tessera, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    weights(source / "model.safetensors", 0, 3)
    (source / "config.json").write_text('{"torch_dtype": "float32"}')
    (source / "tokenizer.json").write_text("{}")
    (source / "pytorch_model.bin").write_bytes(b"other weights")
    for options, words in [
        ([], ["out/model.safetensors;", "copied along from the model's folder: config.json, tokenizer.json"]),
        (["--shard-size", "400"], ["3 shards and their index ", "out/model.safetensors.index.json;", "config.json, tokenizer.json"]),
        (["--dtype", "bf16"], ["copied along from the model's folder: tokenizer.json", "written beside it: config.json"]),
        (["--dtype", "bf16", "--keep-exact"], ["kept as it was in ", "model.safetensors.exact.safetensors"]),
    ]:
        result = tessera("convert", source, "-o", f"{tmp_path}/out/", "--force", "--json", *options)
        line = next(line for line in result.stderr.splitlines() if "tensors, " in line)
        assert all(word in line for word in words), line
        assert all(pathlib.Path(file).exists() for file in json.loads(result.stdout)["files"])


def test_the_note_on_a_folder_names_no_weights_as_taken_along(tessera, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    weights(source / "model.safetensors", 0, 1)
    for name in ("config.json", "tokenizer.json"):
        (source / name).write_text("{}")
    for name in ("pytorch_model.bin", "model.onnx", "tf_model.h5", ".hidden"):
        (source / name).write_bytes(b"other")
    notes = json.loads(tessera("convert", source, "-o", tmp_path / "one.safetensors", "--json").stdout)["notes"]
    note = next(note for note in notes if "takes along" in note)
    carried, left = note.split("; left out of the folder: ")
    assert carried.endswith("belongs to the model: config.json, tokenizer.json")
    assert left == ".hidden, model.onnx, pytorch_model.bin, tf_model.h5"
