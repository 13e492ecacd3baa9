"""The account of what is met in folders, lists and archives, held against `find`; sources and originals of several inputs."""

import collections
import fcntl
import json
import os
import pathlib
import pty
import shutil
import struct
import subprocess
import tarfile
import termios

import jsonschema
import numpy as np
import pytest
from PIL import Image

PIXELS = np.random.default_rng(3).integers(0, 256, (40, 56, 3), dtype=np.uint8)
HIDDEN = [".git", ".ipynb_checkpoints", "@eaDir", "__MACOSX", "lost+found", ".cache"]


def picture(path, seed=0, format=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.roll(PIXELS, seed, 1)).save(path, format or {".jpg": "JPEG"}.get(path.suffix, "PNG"))
    return path


def found(folder, *flags):
    """What `find` counts in a folder."""
    command = ["find", *flags, os.fsencode(folder), "-type", "f,l", "-print0"]
    return subprocess.run(command, capture_output=True, check=True).stdout.count(b"\0")


def nasty(folder):
    """A folder as people have them; returns how many inputs it holds."""
    for index, name in enumerate(["a.jpg", "B.JPG", "c.jpeg", "d/e.png", "d/x y\tz\nw.png", "d/ü.png"]):
        picture(folder / name, index, "JPEG" if "j" in name.lower().split(".")[-1] else "PNG")
    # Pictures by their first bytes, of which some have an encoding that may not be read.
    for name, format in {"f.dat": "JPEG", "g": "PNG", "h.webp": "WEBP", "i.gif": "GIF", "j.txt": "PNG", "k.tif": "TIFF",
                         "l.bmp": "BMP", "m.jfif": "JPEG", "n.ppm": "PPM"}.items():
        picture(folder / name, format=format)
    inputs = 6 + 9
    # What is no picture, though it begins like one of another kind.
    for name, text in {"notes.txt": "words", "BMW.csv": "BM,W", "empty": "", "o.xml": "<a/>", "p.md": "P5 is no picture",
                       "q.mp4": "\0\0\0\x20ftypisom", "r.tar.gz": "x", "s.": "", "t.Ünïcode": "", "e.json": "{}"}.items():
        (folder / name).write_text(text)
    (folder / "broken.png").write_bytes(b"")
    (folder / os.fsdecode(b"u\xff.jpg")).write_bytes(b"junk")
    (folder / os.fsdecode(b"folder\xfe")).mkdir()
    shutil.copy(folder / "a.jpg", folder / os.fsdecode(b"folder\xfe/v.jpg"))
    inputs += 3
    for name in HIDDEN:
        picture(folder / "d" / name / "deep" / "a.jpg")
        (folder / "d" / name / "link.jpg").symlink_to("nowhere")
    for name in ["._a.jpg", ".DS_Store", "d/Thumbs.db"]:
        (folder / name).write_bytes(b"\0\5\x16\7")
    outside = picture(folder.parent / "outside" / "w.jpg")
    links = {"in.jpg": "a.jpg", "in": "f.dat", "out.jpg": outside, "out": outside, "dead.png": "nothing", "dead": "nothing",
             "circle.jpg": "circle.jpg", "up": "..", "here": ".", "away": outside.parent, "d/back": "../d", "hid.jpg": "d/.git/deep/a.jpg"}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    inputs += 6
    os.mkfifo(folder / "pipe.jpg")
    here = os.getcwd()
    try:
        os.chdir(folder)
        for _ in range(30):
            os.mkdir("n" * 200)
            os.chdir("n" * 200)
        (pathlib.Path("far.jpg")).write_bytes(b"x")
        (pathlib.Path("far.bin")).write_bytes(b"x")
    finally:
        os.chdir(here)
    return inputs + 1


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


def account(report):
    kinds = report.get("passed_over_by_kind", {})
    assert report.get("passed_over", 0) == sum(sum(endings.values()) for endings in kinds.values())
    return kinds


def test_the_account_of_a_nasty_folder_is_what_find_counts(tessera, root, folder, tmp_path):
    inputs = nasty(folder)
    total = found(folder)
    result = tessera("grid", folder, "--json", "--resize", "none", "--crop", "none", "--stride", 1)
    report = json.loads(result.stdout)
    jsonschema.validate(report, json.loads((root / "schemas/grid.schema.json").read_text()))
    sum = report["total"]
    assert sum["images"] + sum["rejected"] == inputs
    assert inputs + sum["passed_over"] == total
    kinds = account(sum)
    assert kinds["hidden"] == {".jpg": 13, "": 1, ".db": 1}
    assert kinds["link"] == {"": 2} and kinds["linked_folder"] == {"": 4}
    assert kinds["other"][".txt"] == kinds["other"][".xml"] == kinds["other"][".mp4"] == 1
    assert "pipe.jpg" in result.stderr and "passed over" in result.stderr
    for verb in ("prepare", "tokenize"):
        out = tmp_path / verb
        told = json.loads(tessera(verb, folder, "-o", out, "--json").stdout)
        assert told["inputs"] == inputs and account(told) == kinds, verb
        assert told["samples"] + told["rejected"] + told["passed_over"] == total
        lines = [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()]
        assert len(lines) == told["rejected"]
    manifest = json.loads((tmp_path / "tokenize/dataset.json").read_text())
    assert account(manifest) == kinds and manifest["passed_over"] == told["passed_over"]
    tessera("verify", tmp_path / "tokenize", "--originals", folder)
    # As another layout, and as an export: what was met stays known.
    for command in (["tokenize", folder, "--format", "jsonl"], ["export", tmp_path / "tokenize", "--format", "parquet"]):
        tessera(*command, "-o", tmp_path / command[-1], "--quiet")
        assert account(json.loads((tmp_path / command[-1] / "dataset.json").read_text())) == kinds


def test_hidden_files_are_taken_where_they_are_asked_for(tessera, folder):
    nasty(folder)
    total = found(folder)
    report = json.loads(tessera("grid", folder, "--json", "--hidden", "--quiet").stdout)["total"]
    assert "hidden" not in account(report)
    assert report["images"] + report["rejected"] + report["passed_over"] == total


@pytest.mark.parametrize("pattern, left", [
    ("*.png", {"a.jpg", "old/b.jpg", "new/old/c.jpg"}), ("old", {"a.jpg", "d.png"}), ("old/", {"a.jpg", "d.png"}),
    ("old/*", {"a.jpg", "d.png", "new/old/c.jpg"}), ("./new/old", {"a.jpg", "d.png", "old/b.jpg"}), ("[ab].jp?", {"d.png", "new/old/c.jpg"}),
    ("new/*.jpg", {"a.jpg", "d.png", "old/b.jpg"}),
])
def test_patterns_leave_out_files_and_folders(tessera, folder, tmp_path, pattern, left):
    """In folders, lists and archives alike, and counted."""
    names = ["a.jpg", "d.png", "old/b.jpg", "new/old/c.jpg"]
    for index, name in enumerate(names):
        picture(folder / name, index)
    (folder / "list.txt").write_text("\n".join(names))
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        for name in names:
            archive.add(folder / name, name)
    for input, prefix in ((folder, ""), (folder / "list.txt", ""), (tmp_path / "all.tar", "all.tar/")):
        told = json.loads(tessera("grid", input, "--json", "--exclude", pattern).stdout)
        assert {image["source"].removeprefix(prefix) for image in told["images"]} == left, input
        excluded = account(told["total"])["excluded"]
        assert sum(excluded.values()) == len(names) - len(left)
    tessera("grid", folder, "--exclude", "", code=64)
    tessera("grid", folder, "--exclude", "*.jpg", "--exclude", "*.png", code=3)


def test_links_are_followed_where_they_are_asked_for(tessera, folder, tmp_path):
    """A Hub snapshot, links round in circles, and folders that several links lead to: each file is listed once."""
    blob = picture(tmp_path / "hub/blobs/0f", format="JPEG")
    snapshot = tmp_path / "hub/snapshots/1a2b"
    (snapshot / "train").mkdir(parents=True)
    (snapshot / "train/a.jpg").symlink_to("../../../blobs/0f")
    assert "--follow-links" in tessera("tokenize", snapshot, "-o", tmp_path / "no", code=1).stderr
    tessera("tokenize", snapshot, "-o", tmp_path / "yes", "--follow-links", "--quiet")
    tessera("verify", tmp_path / "yes", "--originals", snapshot)
    assert blob.exists()
    picture(folder / "a.jpg")
    away = picture(tmp_path / "away/sub/b.jpg").parent.parent
    for name, target in {"one": away, "two": away, "loop": ".", "up": tmp_path / "in", "c.jpg": away / "sub/b.jpg", "dead": "x"}.items():
        (folder / name).symlink_to(target)
    (away / "sub/back").symlink_to(folder)
    (away / "sub/round").symlink_to(away)
    told = json.loads(tessera("grid", folder, "--follow-links", "--json").stdout)
    assert [image["source"] for image in told["images"]] == ["a.jpg", "c.jpg", "one/sub/b.jpg"]
    assert set(account(told["total"])) == {"link", "linked_folder"}


def test_a_clean_folder_says_nothing(tessera, folder, tmp_path):
    """And its manifest has no field for it."""
    picture(folder / "a.jpg")
    result = tessera("tokenize", folder, "-o", tmp_path / "out", "--json")
    assert "passed over" not in result.stderr and "passed_over" not in result.stdout
    assert "passed_over" not in (tmp_path / "out/dataset.json").read_text()


def test_captions_beside_pictures_are_counted_as_captions(tessera, folder, tmp_path):
    for name in ("a.jpg", "b.c.jpg", "d/e.png"):
        picture(folder / name)
    for name in ("a.txt", "b.c.txt", "b.txt", "d/e.json", "d/f.txt", "e.json"):
        (folder / name).write_text('{"caption": "x"}')
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(folder, "in")
    # In an archive b.txt is of the same sample as b.c.jpg, by WebDataset's rule.
    for input, texts in ((folder, 2), (tmp_path / "all.tar", 1)):
        out = tmp_path / f"{input.name}-out"
        told = json.loads(tessera("tokenize", input, "-o", out, "--captions", "sidecar", "--json").stdout)
        assert (told["samples"], told["caption_files"], told["passed_over"]) == (3, 5 - texts, 1 + texts)
        assert account(told) == {"other": {".txt": texts, ".json": 1}}
        plain = json.loads(tessera("grid", input, "--json").stdout)["total"]
        assert plain["passed_over"] == 6


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="another user is needed")
def test_what_another_user_may_not_read_is_not_lost(program, folder):
    """A folder that may not be listed or entered ends the run; a hidden or excluded one is said to be left out."""
    user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program]
    for part in [folder, *folder.parents]:
        if part.stat().st_uid == os.geteuid() and part != pathlib.Path("/"):
            part.chmod(part.stat().st_mode | 0o055)
    if subprocess.run([*user, "--version"], capture_output=True).returncode != 0:
        pytest.skip("the program lies where another user may not go")
    picture(folder / "a.jpg")
    (folder / "secret").write_text("x")
    (folder / "secret").chmod(0)
    picture(folder / "closed/sub/b.jpg")
    for mode in (0o744, 0o700, 0o711):
        (folder / "closed").chmod(mode)
        result = subprocess.run([*user, "grid", folder], capture_output=True, text=True)
        assert result.returncode == 6 and "closed" in result.stderr and "--exclude" in result.stderr
    left = subprocess.run([*user, "grid", folder, "--exclude", "closed", "--json"], capture_output=True, text=True)
    assert left.returncode == 0 and "closed" in left.stderr
    assert account(json.loads(left.stdout)["total"]) == {"unreadable": {"": 1}}
    (folder / "closed").rename(folder / "lost+found")
    assert subprocess.run([*user, "grid", folder], capture_output=True).returncode == 0


def test_damaged_archives_are_one_line_each(tessera, tmp_path):
    for name in "abc":
        picture(tmp_path / f"{name}.jpg", ord(name))
        with tarfile.open(tmp_path / f"{name}.tar", "w") as archive:
            archive.add(tmp_path / f"{name}.jpg", f"{name}.jpg")
            (tmp_path / f"{name}.txt").write_text("words")
            archive.add(tmp_path / f"{name}.txt", f"{name}.txt")
    whole = (tmp_path / "b.tar").read_bytes()
    damages = {"cut": whole[:1500], "header": bytes([whole[0] ^ 1]) + whole[1:], "text": b"no archive " * 200, "short": b"x"}
    for name, data in damages.items():
        (tmp_path / f"{name}.tar").write_bytes(data)
    bad = [tmp_path / f"{name}.tar" for name in damages]
    inputs = [tmp_path / "a.tar", *bad, tmp_path / "c.tar"]
    for flags, code in (([], 0), (["--strict"], 1)):
        out = tmp_path / f"out{code}"
        tessera("tokenize", *inputs, "-o", out, "--captions", "sidecar", "--quiet", *flags, code=code)
        lines = [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()]
        assert [line["source"] for line in lines] == [path.name for path in bad]
        assert json.loads((out / "dataset.json").read_text())["samples"] == 2
    for path in bad:
        tessera("grid", path, code=3)
    tessera("grid", tmp_path / "a.tar", tmp_path / "none.tar", code=6)


def test_members_of_archives_are_accounted_for(tessera, tmp_path):
    files = {"x/a.jpg": "JPEG", "x/b.webp": "WEBP", "c": "PNG", "__MACOSX/x/._a.jpg": None, "x/.hidden.png": "PNG", "x/a.cls": None, "n.tar": None}
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        for name, format in files.items():
            path = tmp_path / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if format:
                picture(path, format=format)
            else:
                path.write_bytes(b"\0\1")
            archive.add(path, name)
        for name, target in {"l.jpg": "x/a.jpg", "l": "x/a.jpg"}.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        folder = tarfile.TarInfo("folder.jpg")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    total = json.loads(tessera("grid", tmp_path / "all.tar", "--json").stdout)["total"]
    assert total["images"] + total["rejected"] == 4
    assert account(total) == {"hidden": {".jpg": 1, ".png": 1}, "other": {".cls": 1, ".tar": 1}, "link": {"": 1}}


def sources(dataset):
    samples = {}
    for shard in sorted((dataset / "shards").glob("*.tar")):
        with tarfile.open(shard) as archive:
            for member in archive:
                if member.name.endswith(".json"):
                    sample = json.load(archive.extractfile(member))
                    samples[sample["key"]] = sample["source"]
    return samples


def verified(tessera, dataset, *originals, code=0):
    flags = [flag for path in originals for flag in ("--originals", path)]
    told = json.loads(tessera("verify", dataset, *flags, "--json", code=code).stdout)
    out = dataset.parent / f"decoded-{dataset.name}-{len(originals)}"
    shutil.rmtree(out, ignore_errors=True)
    decoded = json.loads(tessera("decode", dataset, "-o", out, *flags, "--json").stdout)
    if code == 0:
        assert told["encoded"] == decoded["compared"] == told["samples"]
    return told


def test_sources_of_two_inputs_differ_and_originals_find_them(tessera, tmp_path):
    """Folders of one name, lists and archives: one folder holds all originals, or all inputs are named again."""
    for index, name in enumerate(["A/set/1.jpg", "B/set/1.jpg", "A/set/2.jpg"]):
        picture(tmp_path / name, index)
    for name in "AB":
        (tmp_path / name / "l.txt").write_bytes(b"\xef\xbb\xbfset/1.jpg\r\n")
        with tarfile.open(tmp_path / name / "t.tar", "w") as archive:
            archive.add(tmp_path / name / "set/1.jpg", "set/1.jpg")
    pairs = {"folders": "set", "lists": "l.txt", "archives": "t.tar"}
    for kind, name in pairs.items():
        inputs = [tmp_path / "A" / name, tmp_path / "B" / name]
        out = tmp_path / kind
        tessera("tokenize", *inputs, "-o", out, "--quiet")
        told = sources(out)
        assert len(set(told.values())) == len(told)
        middle = "t.tar/set/1.jpg" if kind == "archives" else "set/1.jpg"
        assert {f"A/{middle}", f"B/{middle}"} <= set(told.values())
        verified(tessera, out, tmp_path)
        verified(tessera, out, *inputs)
    # One input, or several without such a file, keep the short sources.
    for kind, inputs in {"one": ["A/set"], "apart": ["A/set/2.jpg", "B/set"], "list": ["A/l.txt"], "archive": ["A/t.tar"]}.items():
        paths = [tmp_path / name for name in inputs]
        tessera("tokenize", *paths, "-o", tmp_path / kind, "--quiet")
        assert all(source.count("/") <= (2 if kind == "archive" else 1) for source in sources(tmp_path / kind).values())
        verified(tessera, tmp_path / kind, *paths)
    verified(tessera, tmp_path / "archive", tmp_path / "A")
    # The same picture twice is no other one.
    tessera("tokenize", tmp_path / "B/set", tmp_path / "B/set", "-o", tmp_path / "twice", "--quiet")
    assert list(sources(tmp_path / "twice").values()) == ["1.jpg", "1.jpg"]
    # A list may name what lies elsewhere; captions are found by the longer source.
    (tmp_path / "A/far.txt").write_text(f"{tmp_path}/B/set/1.jpg\n")
    (tmp_path / "c.csv").write_text("file_name,caption\nA/set/1.jpg,first\nB/set/1.jpg,second\n")
    tessera("tokenize", tmp_path / "A/l.txt", tmp_path / "B/l.txt", tmp_path / "A/far.txt", "-o", tmp_path / "far", "--quiet")
    counts = collections.Counter(sources(tmp_path / "far").values())
    assert counts == {"A/set/1.jpg": 1, "B/set/1.jpg": 2}
    verified(tessera, tmp_path / "far", tmp_path)
    tessera("tokenize", tmp_path / "A/set", tmp_path / "B/set", "-o", tmp_path / "said", "--captions", tmp_path / "c.csv", "--exclude", "2.jpg", "--quiet")
    with tarfile.open(tmp_path / "said/shards/00000.tar") as archive:
        texts = [archive.extractfile(member).read() for member in archive if member.name.endswith(".txt")]
    assert texts == [b"first", b"second"]
    assert "not among the originals" in "".join(verified(tessera, tmp_path / "folders", tmp_path / "A/t.tar", code=4)["problems"])


@pytest.mark.parametrize("text", [
    b"\xef\xbb\xbfa.jpg\r\nd/b.png\r\n", b"a.jpg\r\n\r\nd/b.png", b"\xef\xbb\xbfa.jpg\nd/b.png\n", b"a.jpg\rd/b.png\r", b"\xef\xbb\xbf\r\na.jpg\n\nd/b.png\n\n",
])
def test_lists_of_every_system_are_read(tessera, folder, text):
    picture(folder / "a.jpg")
    picture(folder / "d/b.png")
    (folder / "list.txt").write_bytes(text)
    told = json.loads(tessera("grid", folder / "list.txt", "--json").stdout)
    assert [image["source"] for image in told["images"]] == ["a.jpg", "d/b.png"]
    (folder / "list.txt").write_bytes(text.decode("utf-8-sig").encode("utf-16"))
    assert "UTF-8" in tessera("grid", folder / "list.txt", code=3).stderr


def test_names_steer_no_terminal(tessera, folder, tmp_path):
    """Neither those of pictures, of folders, of archives' members nor of outputs."""
    evil = "a\033[2J\033]0;owned\007\u009b31m\x7f"
    picture(folder / evil / "good\n.png")
    (folder / f"{evil}.jpg").write_bytes(b"junk")
    os.mkfifo(folder / f"{evil}.png")
    (folder / f"{evil}.sub").symlink_to("..")
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        archive.add(folder / f"{evil}.jpg", f"{evil}.jpg")
        archive.add(folder / evil / "good\n.png", f"{evil}/good\n.png")
    for input in (folder, tmp_path / "t.tar"):
        for number, command in enumerate([["grid"], ["prepare", "-o"], ["tokenize", "-o"]]):
            out = [tmp_path / f"{input.name}{number}{evil}"] if len(command) > 1 else []
            result = tessera(*command, *out, input)
            for text in (result.stdout, result.stderr):
                assert not [c for c in text if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0], (command, text)
            if not out:
                assert len(result.stdout.splitlines()) == 1
            elif command[0] == "tokenize":
                told = tessera("verify", out[0], "--originals", folder if input == folder else tmp_path)
                assert "1 samples encoded again" in told.stderr
                assert "\033" not in tessera("inspect", out[0]).stdout


@pytest.mark.parametrize("width", [12, 40, 200])
def test_a_line_of_progress_never_wraps(program, folder, tmp_path, width):
    for index in range(12):
        picture(folder / f"{index}.png", index)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 20, width, 0, 0))
    process = subprocess.Popen([program, "tokenize", folder, "-o", tmp_path / "out"], stderr=slave, stdout=subprocess.DEVNULL)
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 1 << 16)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(master)
    assert process.wait() == 0
    lines = [line.split(b"\033[K")[0] for line in shown.replace(b"\r\n", b"\n").split(b"\r")[1:]]
    assert lines and all(len(line) < width for line in lines)
    assert any(len(line) == width - 1 for line in lines) or width == 200
