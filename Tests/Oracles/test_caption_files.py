"""Captions in Parquet files as other people write them: pyarrow, pandas, DuckDB and Hugging Face `datasets`."""

import io
import random
import tarfile

import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

CAPTIONS = {"a": "a cat", "b": "zwei Hunde\nim Schnee", "c": None, "d": "猫が好き 🐱", "e": "long " * 20000, "f": ""}
ENCODINGS = ["PLAIN", "RLE_DICTIONARY", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("captions") / "pictures"
    folder.mkdir()
    for name in CAPTIONS:
        Image.new("RGB", (8, 8)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def captions(tessera, pictures, tmp_path):
    """The captions that `tokenize` takes from a file, or its refusal."""

    def run(path, code=0):
        result = tessera("tokenize", pictures, "-o", tmp_path / f"out-{path.stem}", "--captions", path, "--resize", "none",
                         "--crop", "none", "--quiet", code=code)
        if code:
            assert result.stderr.count("\n") == 1 and result.stderr.startswith("Error: "), result.stderr
            return result.stderr
        with tarfile.open(tmp_path / f"out-{path.stem}" / "shards" / "00000.tar") as archive:
            texts = {member.name: archive.extractfile(member).read().decode() for member in archive if member.name[-4:] == ".txt"}
        return {name[:-4]: text for name, text in texts.items()}

    return run


# Null is no caption: its image is rejected.
WANTED = {name: text for name, text in CAPTIONS.items() if text is not None}


def table(count=3000):
    """Rows of many images, ours among them, beside columns of other kinds: lists, structs, maps, numbers."""
    names = [f"{name}.png" for name in CAPTIONS] + [f"other-{index}.png" for index in range(count)]
    texts = list(CAPTIONS.values()) + [f"caption {index % 70}" if index % 3 else None for index in range(count)]
    order = list(range(len(names)))
    random.Random(4).shuffle(order)
    return pyarrow.table({
        "id": pyarrow.array(range(len(names)), pyarrow.int64()),
        "tags": [["x", None] * (index % 3) for index in order],
        "nested": [{"caption": "no", "deep": [{"path": "no"}]} for _ in order],
        "counts": pyarrow.array([[("a", index)] for index in order], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
        "file_name": [names[index] for index in order],
        "caption": [texts[index] for index in order],
        "score": pyarrow.array([index / 3 for index in order]),
    })


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd"])
def test_codecs_and_page_versions(captions, tmp_path, codec, version):
    path = tmp_path / "captions.parquet"
    pyarrow.parquet.write_table(table(), path, compression=codec, data_page_version=version, row_group_size=700,
                                data_page_size=4096)
    assert captions(path) == WANTED


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings(captions, tmp_path, encoding):
    path = tmp_path / "captions.parquet"
    options = {"use_dictionary": ["caption"]} if encoding == "RLE_DICTIONARY" else {
        "use_dictionary": False, "column_encoding": {"caption": encoding, "file_name": encoding}}
    rows = table(400).drop_columns(["counts"])
    pyarrow.parquet.write_table(rows, path, data_page_size=2048, **options)
    group = pyarrow.parquet.ParquetFile(path).metadata.row_group(0)
    chunks = [group.column(index) for index in range(group.num_columns)]
    [used] = [chunk.encodings for chunk in chunks if chunk.path_in_schema == "caption"]
    assert encoding in used
    assert captions(path) == WANTED


@pytest.mark.parametrize("text", [pyarrow.string(), pyarrow.large_string(), pyarrow.string_view(), pyarrow.binary()])
def test_types_of_text(captions, tmp_path, text):
    path = tmp_path / "captions.parquet"
    rows = pyarrow.table({
        "image": pyarrow.array([f"./{name}.png" for name in CAPTIONS], pyarrow.string()),
        "text": pyarrow.array(list(CAPTIONS.values()), pyarrow.string()).cast(text),
    })
    pyarrow.parquet.write_table(rows, path, store_schema=False)
    assert captions(path) == WANTED


def test_required_columns_and_other_names(captions, tmp_path):
    """No row without a value, so no levels; keys in place of paths; names in capitals."""
    path = tmp_path / "captions.parquet"
    schema = pyarrow.schema([pyarrow.field("KEY", pyarrow.string(), False), pyarrow.field("Prompt", pyarrow.string(), False)])
    rows = pyarrow.table([list(WANTED), list(WANTED.values())], schema=schema)
    for version in ("1.0", "2.0"):
        pyarrow.parquet.write_table(rows, path, data_page_version=version)
        # The one without a row has none, either; nobody says that it should.
        assert captions(path) == WANTED | {"c": ""}
        path = tmp_path / "again.parquet"


def test_other_writers(captions, tmp_path):
    import datasets
    import duckdb
    import pandas

    rows = table(50).select(["file_name", "caption", "tags"])
    rows.to_pandas().to_parquet(tmp_path / "pandas.parquet")
    datasets.Dataset(rows).to_parquet(tmp_path / "hf.parquet")
    for options in ("", ", parquet_version v2", ", codec zstd, row_group_size 2048"):
        name = f"duckdb{len(options)}"
        duckdb.sql(f"copy rows to '{tmp_path}/{name}.parquet' (format parquet{options})")
        assert captions(tmp_path / f"{name}.parquet") == WANTED
    assert captions(tmp_path / "pandas.parquet") == WANTED
    assert captions(tmp_path / "hf.parquet") == WANTED
    assert pandas.read_parquet(tmp_path / "hf.parquet").shape == (56, 3)


def test_what_is_refused(captions, tmp_path):
    def write(name, columns, **options):
        path = tmp_path / f"{name}.parquet"
        pyarrow.parquet.write_table(pyarrow.table(columns), path, **options)
        return path

    plain = {"image": ["a.png", "b.png"], "caption": ["x", "y"]}
    for path, part in (
        (write("columns", {"image": ["a.png"], "words": ["x"]}), "captions (caption"),
        (write("numbers", {"image": ["a.png"], "caption": [1]}), "not a column of text"),
        (write("lists", {"image": ["a.png"], "caption": [["x"]]}), "not a column of text"),
        (write("null", {"image": ["a.png", None], "caption": ["x", "y"]}), "row 2: no image"),
        (write("twice", {"image": ["a.png", "./a.png"], "caption": ["x", "y"]}), "row 2: 'a.png'"),
        (write("columns twice", {"image": ["a.png"], "caption": ["x"], "Caption": ["y"]}), "two columns 'Caption'"),
        (write("images twice", {"image": ["a.png"], "IMAGE": ["b.png"], "caption": ["x"]}), "two columns 'IMAGE'"),
        (write("brotli", plain, compression="brotli"), "brotli"),
        (write("lz4", plain, compression="lz4"), "LZ4"),
        (write("long", {"image": ["a.png"], "caption": ["x" * (1 << 20) + "y"]}), "1048576"),
        (write("binary", {"image": ["a.png"], "caption": [b"\xff\xfe"]}), "UTF-8"),
        (write("empty", {"image": pyarrow.array([], pyarrow.string()), "caption": pyarrow.array([], pyarrow.string())}),
         "no caption"),
    ):
        assert part in captions(path, code=3), path
    (tmp_path / "short.parquet").write_bytes(b"PAR1")
    assert "Parquet" in captions(tmp_path / "short.parquet", code=3)
    captions(tmp_path / "absent.parquet", code=6)


@pytest.mark.parametrize("suffix, mark", [("csv", ","), ("tsv", "\t")])
@pytest.mark.parametrize("header, column", [
    ("file_name caption caption", "caption"), ("file_name caption Caption", "caption"), ("file_name FILE_NAME text", "file_name"),
])  # fmt: skip
def test_tables_with_a_column_twice_are_refused(captions, tmp_path, suffix, mark, header, column):
    path = tmp_path / f"t.{suffix}"
    path.write_text(f"{header}\na.png b c\n".replace(" ", mark))
    assert f"two columns '{column}'" in captions(path, code=3)
    path.write_text("file_name caption note note\na.png b c d\n".replace(" ", mark))
    assert captions(path)["a"] == "b"


@pytest.mark.parametrize("codec, version", [("none", "1.0"), ("snappy", "2.0"), ("gzip", "1.0"), ("zstd", "2.0")])
def test_damage_ends_in_one_line(tessera, pictures, tmp_path, codec, version):
    """Cut and with turned bits: one line and no trap; what happens to be right still passes."""
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table(40), buffer, compression=codec, data_page_version=version, row_group_size=20,
                                use_dictionary=version == "1.0",
                                column_encoding=None if version == "1.0" else {"caption": "DELTA_BYTE_ARRAY",
                                                                               "file_name": "DELTA_LENGTH_BYTE_ARRAY"})
    whole, chance = buffer.getvalue(), random.Random(codec)
    outcomes = set()
    for turn in range(24):
        data = bytearray(whole)
        if turn % 4 == 0:
            del data[chance.randrange(len(data)) :]
        else:
            for _ in range(1 + turn % 3):
                # The footer is where the sizes are: half of the turns hit it.
                first = len(data) - 2000 if turn % 2 else 0
                data[chance.randrange(first, len(data))] ^= 1 << chance.randrange(8)
        path = tmp_path / f"{turn}.parquet"
        path.write_bytes(data)
        result = tessera("tokenize", pictures, "-o", tmp_path / f"out-{turn}", "--captions", path, "--resize", "none",
                         "--crop", "none", "--quiet", code=None)
        outcomes.add(result.returncode)
        assert result.returncode in (0, 3), (turn, result.stderr)
        if result.returncode:
            assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1, result.stderr
    assert 3 in outcomes
