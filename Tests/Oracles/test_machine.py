"""The machine at its limits: closed streams, few threads, lost mounts, signals, two runs at once."""

import json
import os
import pathlib
import pty
import resource
import shutil
import signal
import subprocess
import threading
import time

import numpy as np
import pytest
from PIL import Image

TINY = ["--resize", "nearest:exact=8x8", "--crop", "none", "--workers", "1"]
ENVIRONMENT = dict(os.environ, SWIFT_BACKTRACE="enable=no")


def tree(folder):
    paths = pathlib.Path(folder).rglob("*")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()}


def noise(path, size=8, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)).save(path)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number in range(4):
        noise(folder / f"{number}.png", seed=number)
    return folder


@pytest.fixture(scope="module")
def dataset(tessera, images, tmp_path_factory):
    out = tmp_path_factory.mktemp("dataset") / "out"
    tessera("tokenize", images, "-o", out, "--shard-samples", 2, "--quiet", *TINY)
    return out


@pytest.fixture
def shell(program, tmp_path):
    """Runs a line of a shell in which $T is the program."""

    def run(line, **options):
        return subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=dict(ENVIRONMENT, T=program), capture_output=True, text=True,
            timeout=120, **options,
        )

    return run


# MARK: Streams


@pytest.mark.parametrize("stream", ["2>/dev/full", "2>&-", "2>&- >&-", "2>&- >&- <&-", "2> >(exit)", "2>&1 | true"])
def test_a_log_that_takes_nothing_stops_no_work(shell, images, dataset, tmp_path, stream):
    options = " ".join(TINY)
    shell(f"$T tokenize {images} -o out --shard-samples 2 {options} {stream}")
    assert tree(tmp_path / "out") == tree(dataset)
    assert shell(f"$T export {dataset} -o jsonl --format jsonl {stream}; exit ${{PIPESTATUS[0]}}").returncode == 0
    assert shell(f"$T prepare {images} -o pixels {options} {stream}; exit ${{PIPESTATUS[0]}}").returncode == 0
    assert len(tree(tmp_path / "pixels")) == 5


REPORTS = {
    "tokenize": "tokenize {images} -o out {options} --json",
    "prepare": "prepare {images} -o out {options} --json",
    "decode": "decode {dataset} -o out --json",
    "export": "export {dataset} -o out --format jsonl --json",
    "inspect": "inspect {dataset} --json",
    "inspect-text": "inspect {dataset}",
    "verify": "verify {dataset} --json",
    "grid": "grid {images}",
    "grid-json": "grid {images} --json",
    "levels": "levels --target 64000",
    "tokenizers": "tokenizers",
    "recipes": "recipes",
    "recipes-json": "recipes --json",
    "hippo": "ssm hippo --measure legs --order 4 --json",
    "help": "--help",
    "verb-help": "tokenize --help",
    "version": "--version",
}


@pytest.mark.parametrize("stream", [">/dev/full", ">&-", "| true"])
@pytest.mark.parametrize("report", REPORTS)
def test_a_report_that_is_lost_is_exit_6(shell, images, dataset, report, stream):
    line = REPORTS[report].format(images=images, dataset=dataset, options=" ".join(TINY))
    result = shell(f"set -o pipefail; $T {line} {stream}; exit ${{PIPESTATUS[0]}}")
    if stream == "| true" and result.returncode == 0:
        return  # all of it was in the pipe before its reader had gone
    assert result.returncode == 6, (result.returncode, result.stderr)
    assert result.stderr.splitlines()[-1].startswith("Error: standard output: could not write the result")


def test_errors_keep_their_code_without_a_log(shell):
    for stream in ("2>/dev/full", "2>&-"):
        assert shell(f"$T inspect /nonexistent {stream}").returncode == 6
        assert shell(f"$T inspect {stream}").returncode == 64


# MARK: Limits


def limited(limit, value, *, as_user=False):
    def apply():
        if as_user and os.getuid() == 0:
            os.setgid(54321)
            os.setuid(54321)
        resource.setrlimit(limit, (value, value))

    return apply


def one_line_or_done(result):
    # Below what the program's own libraries take, the system's loader speaks.
    if result.returncode == 127 and "shared librar" in result.stderr:
        return
    assert result.returncode in (0, 6), (result.returncode, result.stderr[-500:])
    if result.returncode == 6:
        assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1, result.stderr


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 32])
def test_few_descriptors(program, images, dataset, tmp_path, count):
    for name, arguments in {
        "tokenize": ["tokenize", images, "-o", "tokenized", *TINY],
        "export": ["export", dataset, "-o", "exported", "--format", "megatron"],
    }.items():
        result = subprocess.run(
            [program, *map(str, arguments), "--quiet"], cwd=tmp_path, capture_output=True, text=True, env=ENVIRONMENT,
            timeout=60, preexec_fn=limited(resource.RLIMIT_NOFILE, count),
        )
        one_line_or_done(result)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_few_threads(program, images, tmp_path, count):
    if os.getuid() != 0:
        pytest.fail("run as root: the limit counts the threads of a user of its own")
    os.chmod(tmp_path, 0o777)
    for parent in [*pathlib.Path(images).parents][:3]:
        os.chmod(parent, 0o755)
    os.chmod(images, 0o755)
    copy = tmp_path / "tessera"
    shutil.copy(program, copy)
    os.chmod(copy, 0o755)
    result = subprocess.run(
        [copy, "tokenize", *map(str, [images, "-o", tmp_path / "out", *TINY]), "--quiet"], capture_output=True, text=True,
        env=ENVIRONMENT, timeout=60, preexec_fn=limited(resource.RLIMIT_NPROC, count, as_user=True),
    )
    one_line_or_done(result)


@pytest.mark.parametrize("mebibytes", [40, 60, 80, 100, 120, 140, 160, 200, 240, 300, 400, 600])
def test_little_address_space(program, images, tmp_path, mebibytes):
    result = subprocess.run(
        [program, "tokenize", *map(str, [images, "-o", tmp_path / "out", *TINY]), "--quiet"], capture_output=True,
        text=True, env=ENVIRONMENT, timeout=60, preexec_fn=limited(resource.RLIMIT_AS, mebibytes << 20),
    )
    one_line_or_done(result)


def test_a_machine_without_proc(shell, images, dataset, tmp_path):
    if os.getuid() != 0:
        pytest.fail("run as root: /proc is hidden in a namespace of its own")
    hidden = "mount -t tmpfs none /proc"
    options = " ".join(TINY)
    line = f"$T tokenize {images} -o out --shard-samples 2 {options} && $T export out -o hdf5 --format hdf5"
    result = shell(f"unshare -m bash -c '{hidden} && {line}'")
    assert result.returncode == 0, result.stderr
    assert tree(tmp_path / "out") == tree(dataset)


# MARK: Mounts


@pytest.fixture
def movable(images, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(images, folder)
    return folder


@pytest.mark.parametrize("kind", ["folder", "list", "archive"])
def test_a_worker_without_the_mount_publishes_nothing(tessera, movable, dataset, tmp_path, kind):
    source = movable
    if kind == "list":
        source = tmp_path / "list.txt"
        source.write_text("".join(f"{movable}/{n}.png\n" for n in range(4)))
    if kind == "archive":
        source = movable / "all.tar"
        subprocess.run(["tar", "-C", movable, "-cf", source, *(f"{n}.png" for n in range(4))], check=True)
    out = tmp_path / "out"
    tessera("tokenize", source, "-o", out, "--shard-samples", 2, *TINY, "--plan-only")
    tessera("tokenize", "-o", out, "--shards", 0)
    movable.rename(tmp_path / "elsewhere")
    error = tessera("tokenize", "-o", out, "--shards", 1, code=6).stderr
    assert error.startswith("Error: ") and error.count("\n") == 1
    assert not (out / "shards" / "00001.tar").exists()
    (tmp_path / "elsewhere").rename(movable)
    tessera("tokenize", "-o", out, "--shards", 1)
    tessera("tokenize", "-o", out, "--finish")
    assert (out / "rejected.jsonl").read_bytes() == b""
    if kind == "folder":
        assert tree(out) == tree(dataset)


def test_an_input_that_changed_is_no_bad_picture(tessera, movable, tmp_path):
    out = tmp_path / "out"
    tessera("tokenize", movable, "-o", out, *TINY, "--plan-only")
    noise(movable / "2.png", size=9)
    assert "changed meanwhile" in tessera("tokenize", "-o", out, "--shards", 0, code=6).stderr
    assert not list((out / "shards").iterdir())


FAILING_READ = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int hits(int file) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n < 0) return 0;
  path[n] = 0;
  return strstr(path, getenv("FAILING_NAME")) != NULL;
}
#define READ(name, type) ssize_t name(int f, void *b, size_t n, type o) { \
  if (hits(f)) { errno = atoi(getenv("FAILING_AS")); return -1; } \
  return ((ssize_t (*)(int, void *, size_t, type))dlsym(RTLD_NEXT, #name))(f, b, n, o); }
READ(pread, off_t)
READ(pread64, off64_t)
ssize_t read(int f, void *b, size_t n) {
  if (hits(f)) { errno = atoi(getenv("FAILING_AS")); return -1; }
  return ((ssize_t (*)(int, void *, size_t))dlsym(RTLD_NEXT, "read"))(f, b, n);
}
"""


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("failing")
    (folder / "read.c").write_text(FAILING_READ)
    subprocess.run(["cc", "-shared", "-fPIC", folder / "read.c", "-o", folder / "read.so", "-ldl"], check=True)
    return folder / "read.so"


@pytest.mark.parametrize("code", ["ENOTCONN", "ESTALE", "EIO", "ETIMEDOUT", "EACCES", "ENOMEM", "EHOSTDOWN"])
@pytest.mark.parametrize("verb", ["tokenize", "prepare", "grid", "captions", "decode", "verify"])
def test_a_read_that_fails_rejects_nothing(program, failing, movable, dataset, tmp_path, verb, code):
    import errno

    for number in range(4):
        (movable / f"{number}.txt").write_text("a caption")
    out, name = tmp_path / "out", "2.txt" if verb == "captions" else "2.png"
    arguments = {
        "tokenize": ["tokenize", movable, "-o", out, *TINY],
        "captions": ["tokenize", movable, "-o", out, "--captions", "sidecar", *TINY],
        "prepare": ["prepare", movable, "-o", out, *TINY],
        "grid": ["grid", movable, "--stride", "8", "--crop", "none", "--resize", "none"],
        "decode": ["decode", dataset, "-o", out, "--originals", movable],
        "verify": ["verify", dataset, "--originals", movable],
    }[verb]
    environment = dict(
        ENVIRONMENT, LD_PRELOAD=str(failing), FAILING_NAME=name, FAILING_AS=str(getattr(errno, code))
    )
    result = subprocess.run(
        [program, *map(str, arguments), "--quiet"], capture_output=True, text=True, env=environment, timeout=60
    )
    assert result.returncode == 6, (result.returncode, result.stderr)
    assert name in result.stderr and result.stderr.count("\n") == 1
    assert not (out / "dataset.json").exists() and not list(out.rglob("*.tar"))


# MARK: Signals


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    for number in range(24):
        noise(folder / f"{number}.png", size=200, seed=number)
    return folder


@pytest.fixture(scope="module")
def uninterrupted(tessera, many, tmp_path_factory):
    """For each verb that keeps what is finished, its command without the output and what it writes."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    commands = {
        "tokenize": ["tokenize", many, "--shard-samples", "6", "--workers", "1"],
        "prepare": ["prepare", many, "--workers", "1"],
        "decode": ["decode", folder / "tokenize", "--workers", "1"],
    }
    for verb, command in commands.items():
        tessera(*command, "-o", folder / verb, "--quiet")
    return {verb: (command, tree(folder / verb)) for verb, command in commands.items()}


def interrupted(program, arguments, number, moment):
    """Starts a run, waits until `moment()` is true, and sends a signal."""
    process = subprocess.Popen([program, *map(str, arguments)], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    deadline = time.monotonic() + 60
    while not moment() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(number)
    error = process.communicate(timeout=60)[1]
    return process.returncode, error.splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("verb", ["tokenize", "prepare", "decode"])
def test_a_signal_says_what_is_kept(program, tessera, uninterrupted, tmp_path, verb, number):
    out = tmp_path / "out"
    command, expected = uninterrupted[verb]
    arguments = [*command, "-o", out]
    kind = "shards/*.tar" if verb == "tokenize" else "*.png"
    code, lines = interrupted(program, arguments, number, lambda: list(out.glob(kind)))
    assert code == -number, lines
    assert lines[-1].startswith(f"Stopped by {signal.Signals(number).name}: ") and "kept" in lines[-1]
    assert str(out) in lines[-1] and "again" in lines[-1]
    assert not list(out.rglob(".partial-*"))
    tessera(*arguments, "--quiet")
    assert tree(out) == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("verb", ["export", "convert", "sharded"])
def test_a_signal_takes_unfinished_files_away(program, tessera, tmp_path, verb, number):
    """The source is a pipe's worth slow: 64 MB that a debugger need not be asked for."""
    from safetensors.numpy import save_file

    folder = tmp_path / "work"
    folder.mkdir()
    if verb == "export":
        for n in range(60):
            noise(tmp_path / "in" / f"{n}.png", size=256, seed=n)
        tessera("tokenize", tmp_path / "in", "-o", tmp_path / "source", "--latents", "--quiet")
        arguments = ["export", tmp_path / "source", "-o", folder / "out", "--format", "jsonl"]
    else:
        tensors = {f"w{n}": np.zeros((1 << 22,), np.float32) for n in range(8)}
        save_file(tensors, tmp_path / "in.safetensors")
        options = ["--shard-size", "40MB"] if verb == "sharded" else []
        arguments = ["convert", tmp_path / "in.safetensors", "-o", folder / "out.safetensors", "--dtype", "bf16", *options]
    code, lines = interrupted(program, arguments, number, lambda: list(folder.rglob(".partial-*")) or list(folder.rglob("export/*")))
    if code != 0:
        assert code == -number, lines
        assert lines[-1].startswith("Stopped by ") and "again" in lines[-1]
        assert list(folder.iterdir()) == []
    tessera(*arguments, "--quiet", *(["--force"] if verb != "export" and code == 0 else []))
    assert not [path for path in folder.rglob("*") if path.name.startswith(".")]


def test_an_ignored_signal_stays_ignored(program, many, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        ["nohup", program, "tokenize", many, "-o", out, "--shard-samples", "8", "--workers", "1", "--quiet"],
        env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    while not list(out.glob("shards/*.tar")) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=120) == 0 and (out / "dataset.json").exists()


# MARK: Owners


def together(program, *commands):
    runs = [subprocess.Popen([program, *map(str, command)], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
            for command in commands]
    return [(run, run.communicate(timeout=120)[1]) for run in runs]


COMMANDS = {
    "export": lambda images, dataset, out, kind: ["export", dataset, "-o", out, "--format", kind],
    "tokenize": lambda images, dataset, out, kind: ["tokenize", images, "-o", out, "--format", kind, *TINY],
    "decode": lambda images, dataset, out, kind: ["decode", dataset, "-o", out],
    "prepare": lambda images, dataset, out, kind: ["prepare", images, "-o", out, *TINY],
}


@pytest.mark.parametrize("verb", COMMANDS)
def test_two_runs_at_once_are_one_result_or_a_refusal(program, tessera, images, dataset, tmp_path, verb):
    command = COMMANDS[verb]
    tessera(*command(images, dataset, tmp_path / "expected", "parquet"), "--quiet")
    expected = tree(tmp_path / "expected")
    for number in range(8):
        out = tmp_path / f"out{number}"
        results = together(program, *[[*command(images, dataset, out, "parquet"), "--quiet"]] * 3)
        assert any(run.returncode == 0 for run, _ in results), results
        for run, error in results:
            assert run.returncode == 0 or (run.returncode in (4, 6) and error.count("\n") == 1), error
        assert tree(out) == expected


def test_two_kinds_of_runs_at_once_never_mix(program, tessera, images, dataset, tmp_path):
    wanted = {}
    for kind in ("parquet", "jsonl"):
        tessera("export", dataset, "-o", tmp_path / kind, "--format", kind, "--quiet")
        wanted[kind] = tree(tmp_path / kind)
    for number in range(8):
        out = tmp_path / f"out{number}"
        results = together(program, *[["export", dataset, "-o", out, "--format", kind, "--quiet"] for kind in wanted])
        assert sum(run.returncode == 0 for run, _ in results) == 1
        assert tree(out) in wanted.values()


def test_the_lock_of_a_killed_run_blocks_nobody(program, tessera, dataset, tmp_path):
    out = tmp_path / "out"
    (out / ".tessera" / "export").mkdir(parents=True)
    (out / ".tessera" / "lock").write_text("export")
    (out / ".tessera" / "export" / "data.jsonl").write_text("half")
    tessera("export", dataset, "-o", out, "--format", "jsonl")
    assert not (out / ".tessera").exists()


def test_a_complete_export_says_so(tessera, dataset, tmp_path):
    out = tmp_path / "out"
    for kind in ("jsonl", "parquet", "mds", "hdf5", "npy"):
        arguments = ["export", dataset, "-o", out / kind, "--format", kind, "--shard-samples", "3"]
        tessera(*arguments, "--quiet")
        before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
        result = tessera(*arguments, "--json")
        assert "already complete" in result.stderr and json.loads(result.stdout)["samples"] == 4
        assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
        error = tessera(*arguments, "--shuffle", "1", code=4).stderr
        assert "another" in error and error.count("\n") == 1
    (out / "jsonl" / json.loads((out / "jsonl" / "dataset.json").read_text())["shards"][0]["name"]).unlink()
    assert "missing" in tessera("export", dataset, "-o", out / "jsonl", "--format", "jsonl", "--shard-samples", 3, code=3).stderr


def test_complete_means_that_every_file_is_there(tessera, images, tmp_path):
    for kind in ("webdataset", "npy", "parquet"):
        out = tmp_path / kind
        arguments = ["tokenize", images, "-o", out, "--format", kind, "--shard-samples", 2, *TINY]
        tessera(*arguments, "--quiet")
        assert "already complete" in tessera(*arguments).stderr
        lost = max(path for path in out.rglob("*") if path.is_file() and path.suffix in (".tar", ".npy", ".parquet"))
        whole = lost.read_bytes()
        for damage in (lost.unlink, lambda: lost.write_bytes(whole[:-1])):
            damage()
            error = tessera(*arguments, code=3).stderr
            assert lost.name in error and error.count("\n") == 1


@pytest.mark.parametrize("verb", ["prepare", "decode", "export"])
def test_no_verb_takes_the_plan_of_another(tessera, images, dataset, tmp_path, verb):
    out = tmp_path / "out"
    plan = ["tokenize", images, "-o", out, "--format", "parquet", "--shard-samples", 2, *TINY]
    tessera(*plan, "--plan-only", "--quiet")
    tessera("tokenize", "-o", out, "--shards", 0, "--quiet")
    before = tree(out)
    arguments = COMMANDS[verb](images, dataset, out, "parquet")
    error = tessera(*arguments, code=4).stderr
    assert str(out) in error and error.count("\n") == 1
    assert tree(out) == before
    tessera(*plan, "--quiet")
    whole = tree(out)
    tessera(*arguments, code=4)
    assert tree(out) == whole


def test_unfinished_pictures_are_no_place_for_a_plan(tessera, images, dataset, tmp_path):
    out = tmp_path / "out"
    (out / ".tessera").mkdir(parents=True)
    (out / ".tessera" / "decode").write_text("what another run was to make")
    (out / "a.png").write_text("a picture")
    tessera("tokenize", images, "-o", out, *TINY, code=4)
    tessera("prepare", images, "-o", out, *TINY, code=4)
    tessera("decode", dataset, "-o", out, code=4)
    assert sorted(tree(out)) == [".tessera/decode", "a.png"]


def empty_folders(folder):
    return [path for path in pathlib.Path(folder).rglob("*") if path.is_dir() and not any(path.iterdir())]


def test_two_plans_at_once_leave_nothing_of_the_other(program, tessera, images, tmp_path):
    """The loser planned tars where the winner writes another layout."""
    plans = [["--format", "npy"], ["--format", "webdataset"], ["--format", "webdataset", "--positions", "none"]]
    wanted = []
    for number, plan in enumerate(plans):
        tessera("tokenize", images, "-o", tmp_path / f"wanted{number}", *plan, *TINY, "--quiet")
        wanted.append(tree(tmp_path / f"wanted{number}"))
    for number in range(8):
        out = tmp_path / f"out{number}"
        results = together(program, *[["tokenize", images, "-o", out, *plan, *TINY, "--quiet"] for plan in plans])
        assert sum(run.returncode == 0 for run, _ in results) == 1, results
        assert all(run.returncode in (0, 4) and error.count("\n") <= 1 for run, error in results), results
        assert tree(out) in wanted and empty_folders(out) == []
    # What a run left that was killed while it planned.
    (tmp_path / "killed" / "shards").mkdir(parents=True)
    tessera("tokenize", images, "-o", tmp_path / "killed", *plans[0], *TINY, "--quiet")
    assert tree(tmp_path / "killed") == wanted[0] and empty_folders(tmp_path / "killed") == []


# MARK: Folders that a run made


@pytest.fixture(scope="module")
def damaged(tessera, dataset, tmp_path_factory):
    """A dataset whose first sample cannot be read."""
    folder = tmp_path_factory.mktemp("damaged") / "dataset"
    shutil.copytree(dataset, folder)
    for path in folder.glob("shards/*.tar"):
        data = bytearray(path.read_bytes())
        data[512:520] = b"no numpy"
        path.write_bytes(data)
    return folder


def failing_runs(images, dataset, damaged, empty, out):
    return {
        "prepare nothing": ["prepare", empty, "-o", out], "tokenize nothing": ["tokenize", empty, "-o", out],
        "decode damage": ["decode", damaged, "-o", out], "decode without a tokenizer": ["decode", dataset, "-o", out, "--tokenizer", empty],
        "export damage": ["export", damaged, "-o", out, "--format", "npy"], "export too much": ["export", dataset, "-o", out, "--format", "4m"],
        "export no column": ["export", dataset, "-o", out, "--format", "jsonl", "--columns", "no"],
        "tokenize with no captions": ["tokenize", images, "-o", out, "--captions", empty / "no.jsonl"],
        "convert nothing": ["convert", empty / "no.safetensors", "-o", f"{out}/"],
        "convert damage": ["convert", damaged / "wids.json", "-o", f"{out}/", "--to", "safetensors"],
    }


RUNS = list(failing_runs(*[pathlib.Path()] * 5))


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_fails_takes_its_empty_folder_away(tessera, images, dataset, damaged, tmp_path, name):
    empty = tmp_path / "empty"
    empty.mkdir()
    for place in ("out", "a/b/c", "mine", "mine/deeper"):
        (tmp_path / "mine").mkdir(exist_ok=True)
        out = tmp_path / place
        result = tessera(*failing_runs(images, dataset, damaged, empty, out)[name], code=None)
        assert result.returncode in (3, 4, 5, 6) and result.stderr.count("\n") == 1, result.stderr
        # The user's own folder stays, and nothing is in it.
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "mine"], place


@pytest.fixture(scope="module")
def tokens(tessera, tmp_path_factory):
    """Two datasets of one picture each: a large one, in a folder, and a small one."""
    folder = tmp_path_factory.mktemp("tokens")
    noise(folder / "in" / "deep" / "a.png", size=704)
    noise(folder / "other" / "b.png", size=32)
    for name in ("in", "other"):
        tessera("tokenize", folder / name, "-o", folder / f"{name}-tokens", "--resize", "none", "--crop", "none", "--quiet")
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("own", [False, True])
def test_decode_stopped_before_its_first_picture(program, tessera, tokens, tmp_path, number, own):
    """Nothing is kept, so nothing is left, and the folder takes any other run."""
    work, out = tmp_path / "work", tmp_path / "work" / "out"
    (out if own else work).mkdir(parents=True)
    arguments = ["decode", tokens / "in-tokens", "-o", out, "--sheet", "0"]
    code, _ = interrupted(program, arguments, number, lambda: (out / ".tessera" / "decode").exists())
    assert code == -number and not list(out.rglob("*.png"))
    if number != signal.SIGKILL:
        assert list(work.rglob("*")) == ([out] if own else [])
    tessera("decode", tokens / "other-tokens", "-o", out, "--sheet", "0", "--quiet")
    assert list(tree(out)) == ["b.png"] and [path.name for path in out.rglob("*")] == ["b.png"]


# MARK: Folders from elsewhere


def planted(names):
    """What a hostile, or older, record of published names may say."""
    entries = [{"name": name, "identity": {"inode": number, "changed": 0}} for number, name in enumerate(names)]
    return [
        "\n".join(names), json.dumps({"plan": "0" * 64, "entries": entries}), json.dumps({"entries": names}), json.dumps(names), "",
        "[" * 100_000,
    ]


@pytest.mark.parametrize("verb", COMMANDS)
def test_no_record_deletes_what_is_the_users(tessera, images, dataset, tmp_path, verb):
    names = ["photos", "data", "shards", "samples.jsonl", "../victim", "/tmp", "..", ".", "", "photos/../../victim", ".tessera", "dataset.json"]
    (tmp_path / "victim").mkdir()
    for record in planted(names):
        out = tmp_path / "out"
        for name in ("photos/a.jpg", "data/b.txt", "shards/c.tar", "samples.jsonl"):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text("mine")
        (out / ".tessera").mkdir()
        (out / ".tessera" / "published").write_text(record)
        before = tree(out)
        error = tessera(*COMMANDS[verb](images, dataset, out, "npy"), code=4).stderr
        assert str(out) in error and error.count("\n") == 1
        assert tree(out) == before and (tmp_path / "victim").is_dir()
        shutil.rmtree(out)


@pytest.mark.parametrize("verb", COMMANDS)
@pytest.mark.parametrize("name", ["mine", "notes.txt", "journal-2", ".partial-mine", "export as a link", "plan as a link", "journal as a link"])
def test_what_no_run_put_into_the_hidden_folder_stays(tessera, images, dataset, tmp_path, verb, name):
    out, victim = tmp_path / "out", tmp_path / "victim"
    (out / ".tessera").mkdir(parents=True)
    victim.mkdir()
    (victim / "precious").write_text("mine")
    if name.endswith(" as a link"):
        (out / ".tessera" / name.split()[0]).symlink_to(victim)
    else:
        (out / ".tessera" / name).mkdir()
        (out / ".tessera" / name / "precious").write_text("mine")
    before = tree(out)
    error = tessera(*COMMANDS[verb](images, dataset, out, "npy"), code=None).stderr
    assert ".tessera" in error and error.count("\n") == 1
    assert tree(out) == before and tree(victim) == {"precious": b"mine"}


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_link_as_the_hidden_folder_is_refused(tessera, images, dataset, tmp_path, verb):
    out, victim = tmp_path / "out", tmp_path / "victim"
    for folder in (out, victim / "inside"):
        folder.mkdir(parents=True)
    (victim / "precious").write_text("mine")
    (out / ".tessera").symlink_to(victim)
    error = tessera(*COMMANDS[verb](images, dataset, out, "parquet"), code=4).stderr
    assert ".tessera" in error and error.count("\n") == 1
    assert tree(victim) == {"precious": b"mine"} and (victim / "inside").is_dir()


# MARK: Replacing


def test_convert_replaces_nothing_unasked(tessera, tmp_path):
    np.savez(tmp_path / "a.npz", w=np.ones(4, "f4"))
    for name in ("b.npz", "b.safetensors", "b.h5", "b.pt", "b.gguf"):
        mine = tmp_path / name
        mine.write_bytes(b"precious")
        error = tessera("convert", tmp_path / "a.npz", "-o", mine, code=4).stderr
        assert str(mine) in error and "--force" in error and error.count("\n") == 1
        assert mine.read_bytes() == b"precious"
        tessera("convert", tmp_path / "a.npz", "-o", mine, "--force", "--quiet")
        assert mine.read_bytes() != b"precious"
        assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def weights(folder, value, count):
    from safetensors.numpy import save_file

    save_file({f"w{n}": np.full(100, value + n, np.float32) for n in range(count)}, folder)


def load(index):
    from safetensors.numpy import load_file

    files = set(json.loads(index.read_text())["weight_map"].values())
    return {name: array for file in files for name, array in load_file(index.parent / file).items()}


def test_shards_are_replaced_as_a_whole(tessera, tmp_path):
    """Six files of an older model are not left beside three of a newer, nor is a single file beside shards."""
    weights(tmp_path / "old.safetensors", 0, 6)
    weights(tmp_path / "new.safetensors", 50, 3)
    out = tmp_path / "out"
    out.mkdir()
    target = out / "model.safetensors"
    tessera("convert", tmp_path / "old.safetensors", "-o", target, "--shard-size", "400")
    mine = out / "model-00005-of-00006.safetensors"
    written = mine.read_bytes()
    weights(mine, 7, 1)
    before = tree(out)
    tessera("convert", tmp_path / "new.safetensors", "-o", target, "--shard-size", "400", code=4)
    tessera("convert", tmp_path / "new.safetensors", "-o", target, code=4)
    assert tree(out) == before
    mine.write_bytes(written)
    tessera("convert", tmp_path / "new.safetensors", "-o", target, "--shard-size", "400")
    assert sorted(tree(out)) == [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)] + ["model.safetensors.index.json"]
    assert {name: float(array[0]) for name, array in load(out / "model.safetensors.index.json").items()} == {"w0": 50, "w1": 51, "w2": 52}
    tessera("convert", tmp_path / "old.safetensors", "-o", target)
    assert list(tree(out)) == ["model.safetensors"]


def test_killed_while_shards_are_replaced(program, tessera, memory):
    """At no moment is there an index that names new and old shards."""
    import fault_harness

    library = fault_harness.build(memory)
    weights(memory / "old.safetensors", 0, 3)
    weights(memory / "new.safetensors", 50, 3)
    (memory / "before").mkdir()
    tessera("convert", memory / "old.safetensors", "-o", memory / "before" / "model.safetensors", "--shard-size", "400", "--quiet")
    out = memory / "out"
    target = out / "model.safetensors"
    command = ["convert", memory / "new.safetensors", "-o", target, "--shard-size", "400", "--force", "--quiet"]
    for at in range(1, 200):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(memory / "before", out)
        environment = dict(ENVIRONMENT, LD_PRELOAD=str(library), FAULT_ROOT=str(out), FAULT_CALLS="all", FAULT_AT=str(at), FAULT_AS="kill")
        code = subprocess.run([program, *map(str, command)], env=environment, capture_output=True).returncode
        index = out / "model.safetensors.index.json"
        if index.exists():
            assert sorted(float(array[0]) for array in load(index).values()) in ([0, 1, 2], [50, 51, 52])
        else:
            found = {path.name for path in out.glob("model-*")}
            values = [float(load_one(out / name)) for name in found]
            assert all(value < 50 for value in values) or all(value >= 50 for value in values)
        if code == 0:
            break
        tessera(*command)
        assert sorted(float(array[0]) for array in load(index).values()) == [50, 51, 52]
        assert not [path for path in out.iterdir() if path.name.startswith(".")]
    assert code == 0


def load_one(path):
    from safetensors.numpy import load_file

    return next(iter(load_file(path).values()))[0]


# MARK: Crashes

CRASH = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <stddef.h>
#include <jpeglib.h>
int jpeg_read_header(j_decompress_ptr info, boolean needs) {
  if (info->src && memmem(info->src->next_input_byte, info->src->bytes_in_buffer, "CRASHES", 7)) {
    // Threads of the runtime block this one until someone calls abort().
    if (SIGNAL == SIGABRT) abort();
    raise(SIGNAL);
  }
  return ((int (*)(j_decompress_ptr, boolean))dlsym(RTLD_NEXT, "jpeg_read_header"))(info, needs);
}
"""


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL])
@pytest.mark.parametrize("verb", ["tokenize", "prepare", "grid"])
def test_a_picture_that_crashes_its_decoder_is_named(program, tmp_path, verb, number):
    (tmp_path / "crash.c").write_text(CRASH.replace("SIGNAL", str(int(number))))
    library = tmp_path / "crash.so"
    subprocess.run(["cc", "-shared", "-fPIC", tmp_path / "crash.c", "-o", library, "-ldl"], check=True)
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.new("RGB", (16, 16)).save(folder / f"{name}.jpg", comment=b"CRASHES" if name == "b" else b"")
    arguments = {"grid": ["grid", folder, "--stride", "8"]}.get(verb, [verb, folder, "-o", tmp_path / "out", *TINY])
    result = subprocess.run(
        [program, *map(str, arguments), "--quiet"], env=dict(ENVIRONMENT, LD_PRELOAD=str(library)), capture_output=True,
        text=True, timeout=60,
    )
    assert result.returncode == 3, (result.returncode, result.stderr)
    assert result.stderr.startswith("Error: b.jpg: ") and "leave it out" in result.stderr and result.stderr.count("\n") == 1
