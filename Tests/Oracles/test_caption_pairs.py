"""Which caption belongs to which picture: tables, sidecars and archives, beside `datasets` and `webdataset`."""

import io
import json
import tarfile

import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (len(str(path)), 9, 90)).save(path)
    return path


def table(path, rows, names=("file_name", "caption"), delimiter=","):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(names, row))) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.table({name: [row[i] for row in rows] for i, name in enumerate(names)}), path)
    else:
        path.write_text("".join(delimiter.join(row) + "\n" for row in [names, *rows]))
    return path


def archive(path, members):
    image = io.BytesIO()
    Image.new("RGB", (8, 8)).save(image, "png")
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            data = image.getvalue() if data is None else data.encode()
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def plan(tessera, tmp_path):
    """The captions that are planned, by the picture's place, and the counts; or the error."""
    runs = iter(range(1000))

    def run(*arguments, code=0):
        out = tmp_path / f"plan-{next(runs)}"
        result = tessera("tokenize", *arguments, "-o", out, "--plan-only", "--json", "--quiet", code=code)
        if code:
            assert result.stderr.count("\n") == 1 and result.stderr.startswith("Error: "), result.stderr
            return result.stderr
        found = []
        for path in sorted((out / ".tessera" / "plan").glob("*.jsonl")):
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                found.append((entry["image"]["source"], entry["caption"]))
        return found, json.loads(result.stdout)["captions"]

    return run


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("at", ["left", "."])
def test_metadata_leads_from_its_own_folder_as_for_imagefolder(plan, tmp_path, kind, at):
    """Pictures of one name in several folders, with and without folders in the rows."""
    import datasets

    data = tmp_path / "data"
    for name in ("left/0001.png", "right/0001.png", "left/deep/0001.png", "0001.png", "left/0002.png"):
        picture(data / name)
    rows = [("0001.png", "cat"), ("deep/0001.png", "dog"), ("./0002.png", "cow")]
    if at == ".":
        rows = [("0001.png", "top"), ("left/../right/0001.png", "cat"), ("left/deep/0001.png", "dog")]
    path = table(data / at / f"metadata.{kind}", rows, ("file_name", "text"))
    reference = datasets.load_dataset("imagefolder", data_dir=str(data / at), split="train", cache_dir=str(tmp_path / "cache"))
    reference = reference.cast_column("image", datasets.Image(decode=False))
    wanted = {row["image"]["path"].removeprefix(str(data) + "/"): row["text"] for row in reference}
    found, counts = plan(data, "--captions", path)
    assert dict(found) == {name: wanted.get(name, "") for name, _ in found} and len(wanted) == len(rows)
    assert counts == {"matched": 3, "empty": 0, "missing": 2, "refused": 0, "unused": 0}


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_a_row_of_two_pictures_ends_the_run(plan, tmp_path, kind):
    for name in ("a/x/1.png", "b/x/1.png", "b/x/2.png"):
        picture(tmp_path / "in" / name)
    delimiter = "\t" if kind == "tsv" else ","
    for number, name in enumerate(["1.png", "x/1.png", "./x/1.png", "x\\1.png"]):
        path = table(tmp_path / f"t{number}.{kind}", [("2.png", "fine"), (name, "whose?")], delimiter=delimiter)
        message = plan(tmp_path / "in", "--captions", path, code=4)
        assert "in/a/x/1.png" in message and "in/b/x/1.png" in message and path.name in message
    # Two inputs, each with a picture of the name.
    for form in (["in/a", "in/b"], ["in/b", "in/a", "in/a/x/1.png"]):
        path = table(tmp_path / f"u.{kind}", [("x/1.png", "whose?")], delimiter=delimiter)
        message = plan(*[tmp_path / name for name in form], "--captions", path, code=4)
        assert "a/x/1.png" in message and "b/x/1.png" in message


def test_whole_paths_come_first_and_ends_are_enough(plan, tmp_path):
    inputs = tmp_path / "in"
    for name in ("1.png", "a/1.png", "b/c/2.png", "b/3.png"):
        picture(inputs / name)
    rows = [("1.png", "top"), ("a/1.png", "in a"), ("c/2.png", "two"), ("b\\3.png", "three"), ("d/9.png", "no")]
    found, counts = plan(inputs, "--captions", table(tmp_path / "t.csv", rows))
    assert dict(found) == {"1.png": "top", "a/1.png": "in a", "b/c/2.png": "two", "b/3.png": "three"}
    assert (counts["matched"], counts["unused"]) == (4, 1)
    # The path from the table's folder, the whole path, the path from the input's folder, keys, and a list.
    for name in ("in/b/3.png", str(inputs / "b/3.png"), "./in/./b/../b/3.png", "b/3.png", "b/3", "3.png"):
        found, counts = plan(inputs, "--captions", table(tmp_path / "t.csv", [(name, "x")]))
        assert dict(found)["b/3.png"] == "x" and counts["matched"] == 1
    (inputs / "list.txt").write_text("b/3.png\na/1.png\n")
    found, _ = plan(inputs / "list.txt", "--captions", table(tmp_path / "t.csv", [("in/a/1.png", "x"), ("b/3.png", "y")]))
    assert [text for _, text in found] == ["y", "x"]
    # An end of a path says nothing of a picture whose whole path is there.
    picture(inputs / "e/f/4.png")
    found, counts = plan(inputs / "e", "--captions", table(tmp_path / "t.csv", [("4.png", "elsewhere"), ("f/4.png", "own")]))
    assert dict(found) == {"f/4.png": "own"} and counts["unused"] == 1


def test_two_folders_with_pictures_of_one_name(plan, tmp_path):
    for name in ("A/1.png", "B/1.png", "B/sub/1.png"):
        picture(tmp_path / name)
    inputs = [tmp_path / "A", tmp_path / "B"]
    rows = [("B/1.png", "second"), ("A/1.png", "first"), ("B/sub/1.png", "third")]
    for path in (table(tmp_path / "t.csv", rows), table(tmp_path / "other" / "t.csv", rows)):
        found, _ = plan(*inputs, "--captions", path)
        assert [text for _, text in found] == ["first", "second", "third"]
    # One file named twice is one picture.
    found, _ = plan(tmp_path / "A", tmp_path / "A/1.png", "--captions", table(tmp_path / "t.csv", [("A/1.png", "x")]))
    assert [text for _, text in found] == ["x", "x"]


def test_two_rows_of_one_picture(plan, tmp_path):
    picture(tmp_path / "in" / "a.png")
    for first, second, code in (("a.png", "a.png", 3), ("a.png", "./a.png", 3), ("a.png", "in/a.png", 4), ("a", "a.png", 4)):
        path = table(tmp_path / "t.csv", [(first, "one"), (second, "two")])
        message = plan(tmp_path / "in", "--captions", path, code=code)
        assert "line 3" in message and "line 2" in message and "--captions-per-image" in message
        found, _ = plan(tmp_path / "in", "--captions", path, "--captions-per-image", "first")
        assert found == [("a.png", "one")]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "list", "sidecar"])
def test_several_captions_are_a_choice(plan, tmp_path, kind):
    texts = ["one", "two", "three"]
    for index in range(40):
        picture(tmp_path / "in" / f"{index}.png")
    names = [f"{index}.png" for index in range(40)]
    source = "sidecar"
    if kind == "list":
        source = table(tmp_path / "t.jsonl", [(name, texts) for name in names])
    elif kind == "sidecar":
        for name in names:
            (tmp_path / "in" / name).with_suffix(".json").write_text(json.dumps({"caption": texts}))
    else:
        source = table(tmp_path / f"t.{kind}", [(name, text) for text in texts for name in names])
    options = [tmp_path / "in", "--captions", source]
    if kind != "sidecar":
        assert "--captions-per-image" in plan(*options, code=3)
    for choice, wanted in (("first", "one"), ("all", "one\ntwo\nthree")):
        found, counts = plan(*options, "--captions-per-image", choice)
        assert {text for _, text in found} == {wanted} and counts["matched"] == 40
    drawn = [plan(*options, "--captions-per-image", f"random:{seed}")[0] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2] and {text for _, text in drawn[0]} == set(texts)


MEMBERS = {
    "the field behind a dot": [("0001.image.png", None), ("0001.txt", "one"), ("0002.image.png", None), ("0002.txt", "two")],
    "folders with dots": [("v1.0/0001.rgb.png", None), ("v1.0/0001.txt", "one"), ("v1.0/0002.png", None), ("v1.0/0002.txt", "two")],
    "two pictures of a sample": [("a.left.png", None), ("a.right.png", None), ("a.txt", "both")],
    "plain": [("a.png", None), ("a.txt", "a"), ("b.png", None), ("b.txt", "")],
}


@pytest.mark.parametrize("members", MEMBERS.values(), ids=MEMBERS)
def test_archives_pair_as_webdataset_does(plan, tmp_path, members):
    import webdataset

    path = archive(tmp_path / "s.tar", members)
    wanted = []
    for sample in webdataset.WebDataset(str(path), shardshuffle=False):
        pictures = [name for name in sample if name.endswith("png")]
        wanted += [(f"s.tar/{sample['__key__']}.{name}", sample["txt"].decode()) for name in pictures]
    found, counts = plan(path, "--captions", "sidecar")
    assert found == wanted and (counts["missing"], counts["unused"]) == (0, 0)


def test_texts_of_archives_that_name_their_field(plan, tmp_path):
    path = archive(tmp_path / "s.tar", [("1.png", None), ("1.caption.txt", "one"), ("2.png", None), ("2.json", '{"text": "two"}'),
                                        ("p.v1.png", None), ("p.v1.txt", "v1"), ("p.v2.png", None), ("alone.txt", "nobody's")])
    found, counts = plan(path, "--captions", "sidecar")
    # p.v1.txt is another picture's.
    assert [text for _, text in found] == ["one", "two", "v1", ""]
    assert counts == {"matched": 3, "empty": 0, "missing": 1, "refused": 0, "unused": 1}
    path = archive(tmp_path / "s.tar", [("1.png", None), ("1.short.txt", "s"), ("1.long.txt", "l"), ("2.png", None), ("2.txt", "2")])
    found, counts = plan(path, "--captions", "sidecar")
    assert counts["refused"] == 1
    found, counts = plan(path, "--captions", "sidecar", "--caption-ending", "long.txt")
    assert [text for _, text in found] == ["l", ""]
    # Keys of samples in tables.
    path = archive(tmp_path / "s.tar", [("0001.image.png", None), ("0002.image.png", None)])
    for rows in ([("0001", "x")], [("0001.image.png", "x")], [("s.tar/0001.image.png", "x")], [("0001_image", "x")]):
        found, _ = plan(path, "--captions", table(tmp_path / "t.csv", rows, ("key", "caption")))
        assert [text for _, text in found] == ["x", ""]


def test_sidecars_of_any_ending(plan, tmp_path):
    folder = tmp_path / "in"
    for name in ("a.png", "b.png", "c.png"):
        picture(folder / name)
    (folder / "a.caption").write_text("from caption\n")
    (folder / "b.txt").write_text("")
    (folder / "a.tags").write_text("from tags")
    (folder / "c.long.txt").write_text("long")
    found, counts = plan(folder, "--captions", "sidecar")
    assert [text for _, text in found] == ["from caption", "", ""]
    assert (counts["matched"], counts["empty"], counts["missing"]) == (1, 1, 1)
    for ending in ("tags", ".tags"):
        assert [text for _, text in plan(folder, "--captions", "sidecar", "--caption-ending", ending)[0]] == ["from tags", "", ""]
    assert [text for _, text in plan(folder, "--captions", "sidecar", "--caption-ending", ".long.txt")[0]] == ["", "", "long"]
    message = plan(folder, "--captions", "sidecar", "--caption-ending", "no", code=4)
    assert "a.png" in message and ".no" in message


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_no_match_at_all_names_both_sides(plan, tmp_path, kind):
    picture(tmp_path / "in" / "a.png")
    message = plan(tmp_path / "in", "--captions", table(tmp_path / f"t.{kind}", [("photos/a.png", "x"), ("b.png", "y")]), code=4)
    assert "photos/a.png" in message and "in/a.png" in message


def test_strict_covers_what_is_left_over(tessera, tmp_path):
    for name in ("a.png", "b.png"):
        picture(tmp_path / "in" / name)
    runs = {"both": (["a.png"], True), "row": (["a.png", "b.png", "c.png"], True), "none": (["a.png", "b.png"], False)}
    for name, (rows, fails) in runs.items():
        path = table(tmp_path / f"{name}.csv", [(row, "x") for row in rows])
        for options in ([], ["--plan-only"]):
            result = tessera("tokenize", tmp_path / "in", "-o", tmp_path / f"{name}{len(options)}", "--captions", path, "--strict",
                             "--resize", "none", "--crop", "none", *options, code=int(fails))
            assert ("--strict" in result.stderr) == fails and "captions: " in result.stderr
            tessera("tokenize", tmp_path / "in", "-o", tmp_path / f"{name}{len(options)}", "--captions", path, "--quiet",
                    "--resize", "none", "--crop", "none", *options)


@pytest.mark.parametrize("delimiter, name", [(",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "|")])
def test_delimiters(plan, tmp_path, delimiter, name):
    picture(tmp_path / "in" / "a.png")
    rows = [("a.png", "x, y; z" if delimiter not in ",;" else "plain", "1")]
    path = table(tmp_path / "t.csv", rows, ("file_name", "caption", "n"), delimiter)
    for options in ([], ["--caption-delimiter", name], ["--caption-delimiter", delimiter]):
        if delimiter == "|" and not options:
            assert "no columns" in plan(tmp_path / "in", "--captions", path, code=3)
            continue
        assert plan(tmp_path / "in", "--captions", path, *options)[0] == [("a.png", rows[0][1])]
    path.write_text("image,caption,x;path;text;y\na.png,one,a.png;a.png;two;z\n")
    assert "--caption-delimiter" in plan(tmp_path / "in", "--captions", path, code=3)
    path.write_text('"file_name"' + delimiter + '"caption"\r\na.png' + delimiter + f'"x{delimiter}y ""z""\n"\r\n')
    assert plan(tmp_path / "in", "--captions", path, "--caption-delimiter", name)[0] == [("a.png", f'x{delimiter}y "z"\n')]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_columns_by_name(plan, tmp_path, kind):
    picture(tmp_path / "in" / "a.png")
    path = table(tmp_path / f"t.{kind}", [("a.png", "usual", "chosen")], ("file_name", "caption", "Re_Caption"))
    for options, wanted in (([], "usual"), (["--caption-column", "Re_Caption"], "chosen"), (["--caption-column", "re_caption"], "chosen")):
        assert plan(tmp_path / "in", "--captions", path, *options)[0] == [("a.png", wanted)]
    assert "absent" in plan(tmp_path / "in", "--captions", path, "--caption-column", "absent", code=3)


@pytest.mark.parametrize("options", [
    ["--caption-ending", "x"], ["--captions", "none", "--caption-column", "x"], ["--captions", "t.csv", "--caption-ending", "x"],
    ["--captions", "sidecar", "--caption-ending", "a/b"], ["--captions", "sidecar", "--caption-ending", "."],
    ["--captions", "sidecar", "--caption-delimiter", ";"], ["--captions", "t.csv", "--caption-delimiter", ";;"],
    ["--captions", "t.csv", "--captions-per-image", "random"], ["--captions", "t.csv", "--captions-per-image", "last"],
], ids=" ".join)  # fmt: skip
def test_options_that_say_nothing_are_refused(tessera, tmp_path, options):
    tessera("tokenize", tmp_path, "-o", tmp_path / "out", *options, code=64)


def test_archives_of_one_name_have_their_own_texts(plan, tmp_path):
    """Sources of two archives of one name begin with their folders; the members' texts are still found."""
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        archive(tmp_path / folder / "1.tar", [("a.jpg", None), ("a.txt", f"of {folder}")])
    found, counts = plan(tmp_path / "x" / "1.tar", tmp_path / "y" / "1.tar", "--captions", "sidecar")
    assert found == [("x/1.tar/a.jpg", "of x"), ("y/1.tar/a.jpg", "of y")]
    assert counts["matched"] == 2


@pytest.mark.parametrize("ending, options", [
    ("caption", []), ("txt", []), ("tag.txt", ["--caption-ending", "tag.txt"]), ("words", ["--caption-ending", "words"]),
])
def test_what_is_read_as_a_caption_is_counted_as_one(tessera, tmp_path, ending, options):
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / f"a.{ending}").write_text("words")
    (tmp_path / "in" / f"b.{ending}").write_text("of no picture")
    (tmp_path / "in" / "a.bin").write_bytes(b"\1\2")
    archive(tmp_path / "s.tar", [("0.image.png", None), (f"0.{ending}", "words"), ("other.bin", "x")])
    for inputs, others in ((tmp_path / "in", 2), (tmp_path / "s.tar", 1)):
        out = tmp_path / f"out-{inputs.stem}"
        result = tessera("tokenize", inputs, "-o", out, "--captions", "sidecar", "--resize", "nearest:exact=8x8", "--crop", "none",
                         "--quiet", "--json", *options)
        summary = json.loads(result.stdout)
        assert (summary["captions"]["matched"], summary["caption_files"], summary["passed_over"]) == (1, 1, others)
