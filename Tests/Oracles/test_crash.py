"""Killed runs, full disks, unwritable folders, memory: what happens to a dataset when things go wrong."""

import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

KILLS = 20
IMAGES = 40


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Small pictures of noise, fixed by a seed; every tenth file is damaged."""
    folder = tmp_path_factory.mktemp("images")
    noise = np.random.default_rng(7)
    for number in range(IMAGES):
        path = folder / f"{number:03}.png"
        size = (64, 64 + number % 3, 3)
        Image.fromarray(noise.integers(0, 256, size, dtype=np.uint8)).save(path)
        if number % 10 == 9:
            path.write_bytes(path.read_bytes()[:200])
    return folder


def arguments(images, out):
    # Small inputs of the network, so that much of a run's time is where kills matter: between files.
    sizes = ["--resize", "nearest:exact=32x32", "--crop", "none"]
    return ["tokenize", images, "-o", out, "--shard-samples", "5", "--workers", "2", *sizes]


@pytest.fixture(scope="module")
def undisturbed(tessera, images, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    start = time.monotonic()
    tessera(*arguments(images, out), "--quiet")
    return tree(out), time.monotonic() - start


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in pathlib.Path(folder).rglob("*")
        if path.is_file()
    }


def test_killed_and_continued_gives_the_same_bytes(program, images, undisturbed, tmp_path):
    """One dataset that survives kills at random moments until a run gets through, 20 kills in all."""
    expected, duration = undisturbed
    moments = random.Random(2)
    kills = round_number = 0
    while kills < KILLS:
        out = tmp_path / f"out-{round_number}"
        round_number += 1
        assert round_number < 10 * KILLS, "the program ends before it can be killed"
        for _ in range(6):
            process = subprocess.Popen(
                [program, *map(str, arguments(images, out))], stderr=subprocess.DEVNULL
            )
            time.sleep(moments.uniform(0, duration))
            process.kill()
            if process.wait() == -signal.SIGKILL:
                kills += 1
                # Whatever has its final name is whole.
                for name, data in tree(out).items() if out.exists() else []:
                    if name in expected:
                        assert data == expected[name], name
            if kills == KILLS:
                break
        subprocess.run([program, *map(str, arguments(images, out))], check=True, capture_output=True)
        assert tree(out) == expected


def test_two_runs_at_once_give_the_same_bytes(program, images, undisturbed, tmp_path):
    out = tmp_path / "out"
    runs = [
        subprocess.Popen(
            [program, *map(str, arguments(images, out))], stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    errors = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], errors
    assert tree(out) == undisturbed[0]


def test_another_plan_is_refused_untouched(program, tessera, images, undisturbed, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen([program, *map(str, arguments(images, out))], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(out.glob("shards/*.tar")) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.wait()
    before = tree(out)
    error = tessera(*arguments(images, out), "--positions", "mrope", code=4).stderr
    assert "another plan" in error and error.count("\n") == 1
    assert tree(out) == before
    tessera(*arguments(images, out))
    assert tree(out) == undisturbed[0]


def test_complete_is_said_and_nothing_is_done(tessera, images, tmp_path):
    out = tmp_path / "out"
    tessera(*arguments(images, out), "--quiet")
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    result = tessera(*arguments(images, out))
    assert "already complete" in result.stderr
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == stamps


def test_no_input_is_one_clear_line(tessera, tmp_path):
    (tmp_path / "empty").mkdir()
    for source, code in [(tmp_path / "empty", 3), (tmp_path / "missing", 6)]:
        error = tessera("tokenize", source, "-o", tmp_path / "out", code=code).stderr
        assert error.startswith("Error: ") and str(source) in error and error.count("\n") == 1
        assert not (tmp_path / "out").exists()


def test_foreign_folder_is_refused(tessera, images, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    error = tessera("tokenize", images, "-o", tmp_path, code=4).stderr
    assert "notes.txt" in error
    assert os.listdir(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("place", ["below-a-file", "in-proc"])
def test_unwritable_folder_is_one_clear_line(tessera, images, tmp_path, place):
    """root ignores modes, so these are places where nobody may write."""
    (tmp_path / "file").write_text("")
    out = {"below-a-file": tmp_path / "file" / "out", "in-proc": pathlib.Path("/proc/tessera/out")}[place]
    error = tessera("tokenize", images, "-o", out, code=6).stderr
    assert error.startswith(f"Error: {out}") or error.startswith(f"Error: {out.parent}")
    assert "could not" in error
    assert error.count("\n") == 1


def test_full_disk_leaves_nothing_half_written(program, tessera, root, images, undisturbed, tmp_path):
    """A file size limit stands for a full disk: the write fails, the shard keeps no final name."""
    out = tmp_path / "out"
    # The same weights from a file: the embedded ones pass through a file in memory, which is limited too.
    weights = ["--tokenizer", root / "Sources" / "CTesseraF8" / "tessera-f8.h5"]
    limit = 10_000

    def shrink():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    result = subprocess.run(
        [program, *map(str, arguments(images, out) + weights)],
        capture_output=True, text=True, preexec_fn=shrink,
    )
    assert result.returncode == 6, result.stderr
    assert "shards/00000.tar: could not write" in result.stderr.splitlines()[-1]
    assert not list(out.rglob("*.tar")) and not list(out.rglob(".partial-*"))
    tessera(*arguments(images, out), "--quiet")
    assert tree(out) == undisturbed[0]


def test_nothing_but_damaged_files_is_exit_1(tessera, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_text("no picture")
    result = tessera("tokenize", tmp_path / "in", "-o", tmp_path / "out", code=1)
    assert "not one of 1 inputs" in result.stderr
    assert json.loads((tmp_path / "out" / "rejected.jsonl").read_text())["source"] == "a.jpg"
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["samples"] == 0


def test_strict_is_exit_1_where_some_are_rejected(tessera, images, tmp_path):
    result = tessera(*arguments(images, tmp_path / "out"), "--strict", "--json", code=1)
    summary = json.loads(result.stdout)
    assert (summary["inputs"], summary["samples"], summary["rejected"]) == (IMAGES, 36, 4)


def test_damaged_files_move_no_other_sample(tessera, images, undisturbed, tmp_path):
    """Shard i holds its inputs, whatever happens to those of other shards."""
    copy = tmp_path / "in"
    shutil.copytree(images, copy)
    damaged = copy / "000.png"
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    tessera(*arguments(copy, tmp_path / "out"), "--quiet")
    found = tree(tmp_path / "out")
    assert found["shards/00000.tar"] != undisturbed[0]["shards/00000.tar"]
    for number in range(1, 8):
        name = f"shards/{number:05}.tar"
        assert found[name] == undisturbed[0][name]


def test_memory_does_not_grow_with_the_number_of_images(peak, tmp_path):
    """200 and 10,000 entries of a list; small pictures keep it short."""
    tiny = tmp_path / "tiny.png"
    Image.new("RGB", (8, 8), (10, 200, 30)).save(tiny)
    peaks = {}
    for count in (200, 10_000):
        listing, out = tmp_path / f"{count}.txt", tmp_path / f"out-{count}"
        listing.write_text(f"{tiny}\n" * count)
        sizes = ["--resize", "nearest:exact=16x16", "--crop", "none"]
        peaks[count] = peak("tokenize", listing, "-o", out, "--quiet", "--workers", "2", *sizes)
        assert json.loads((out / "dataset.json").read_text())["samples"] == count
    print(f"peak memory, MiB: {peaks}")
    # The list itself is held while it is planned, about 300 bytes an image. A kilobyte left of each image would be
    # 5 MiB here: as much again fits where the network was read.
    assert peaks[10_000] < peaks[200] + 3
