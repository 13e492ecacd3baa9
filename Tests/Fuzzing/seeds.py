"""Small valid files of each format, from which the fuzzer starts: python Tests/Fuzzing/seeds.py FOLDER.

Needs the packages of Tests/Oracles/requirements.txt, which write the files, and for datasets the program itself, named
by TESSERA: their folders need a manifest that only it writes. Everything is generated here or lies in fixtures/.
"""

import contextlib
import io
import json
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile

FOLDER = pathlib.Path(sys.argv[1])
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# What stands before each file of an input of several files, as FuzzFiles has it.
MARK = bytes([0x1C, 0x1D, 0x1E, 0x1F])


def seed(reader, name, data):
    folder = FOLDER / reader
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def numpy_seeds():
    import numpy as np

    for name, array in {"c": np.ones((2, 3), "f4"), "f": np.asfortranarray(np.ones((2, 3), "<i2")), "big": np.ones(3, ">f8"), "zero": np.zeros((0, 4), "f4")}.items():
        stream = io.BytesIO()
        np.save(stream, array)
        seed("npy", name, stream.getvalue())
    for name, save in {"stored": np.savez, "deflated": np.savez_compressed}.items():
        stream = io.BytesIO()
        save(stream, a=np.ones((2, 2), "f4"), b=np.arange(3))
        seed("npy", f"npz-{name}", stream.getvalue())
        seed("zip", f"npz-{name}", stream.getvalue())
    value = {"a": np.ones((2, 2), "f4"), "s": np.float64(2), "x": [1, (2.5, None, True)], "b": b"abc", "set": {1, 2}, "big": 1 << 70}
    for protocol in range(6):
        seed("pickle", f"numpy{protocol}", pickle.dumps(value, protocol=protocol))


def torch_seeds():
    import torch

    base = torch.arange(6.0)
    value = {"a": base.reshape(2, 3).t(), "b": base[1:3], "c": torch.ones(2, dtype=torch.complex64).conj(), "p": torch.nn.Parameter(torch.ones(2)), "n": 3, "e": torch.ones(2, dtype=torch.float8_e5m2)}
    for name, new in {"zip": True, "legacy": False}.items():
        stream = io.BytesIO()
        torch.save(value, stream, _use_new_zipfile_serialization=new)
        seed("zip" if new else "pickle", f"torch-{name}", stream.getvalue())
        if new:
            with zipfile.ZipFile(stream) as archive:
                again = io.BytesIO()
                with zipfile.ZipFile(again, "w", zipfile.ZIP_DEFLATED) as target:
                    for member in archive.namelist():
                        target.writestr(member, archive.read(member))
                        if member.endswith("data.pkl"):
                            seed("pickle", "data.pkl", archive.read(member))
                seed("zip", "torch-deflated", again.getvalue())
    seed("pickle", "module", pickle.dumps(torch.nn.Linear(2, 2), protocol=4))


def gguf_seeds():
    import gguf
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "m.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_uint32("n", 7)
        writer.add_array("list", [1, 2])
        writer.add_array("texts", ["a", "b"])
        writer.add_tensor("f", np.ones((2, 3), np.float32))
        for name in ("Q4_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"):
            kind = gguf.GGMLQuantizationType[name]
            elements, size = gguf.GGML_QUANT_SIZES[kind]
            writer.add_tensor(name, np.ones((1, size), np.uint8), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        seed("gguf", "all", path.read_bytes())
    seed("gguf", "empty", b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + bytes(8))


def flax_seeds():
    import flax.serialization
    import numpy as np

    tree = {"p": {"k": np.ones((2, 3), np.float32)}, "n": np.float32(1), "z": 1j, "t": "x", "l": [1, 2.5, None]}
    seed("msgpack", "tree", flax.serialization.to_bytes(tree))
    flax.serialization.MAX_CHUNK_SIZE = 16
    seed("msgpack", "chunks", flax.serialization.to_bytes({"w": np.ones(9, np.float32)}))


def onnx_seeds():
    import numpy as np
    from onnx import helper, numpy_helper

    tensors = [numpy_helper.from_array(np.ones((2, 3), np.float32), "raw"), helper.make_tensor("typed", 1, (2,), [1.0, 2.0]), helper.make_tensor("ints", 7, (2,), [1, -1]), helper.make_tensor("bytes", 3, (2,), [1, -1])]
    graph = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensors[0])], "g", [], [], initializer=tensors)
    seed("onnx", "model", helper.make_model(graph).SerializeToString())


def safetensors_seeds():
    import numpy as np
    from safetensors.numpy import save

    seed("safetensors", "two", save({"a": np.ones((2, 3), np.float32), "b": np.arange(3)}, {"format": "pt"}))


def files_seed(target, name, files):
    """An input of several files: pairs of path and bytes."""
    seed(target, name, b"".join(MARK + path.encode() + b"\n" + data for path, data in files))


def folder_files(folder, first):
    """The files below a folder, the named one first."""
    paths = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: (path.name != first, path))
    return [(str(path.relative_to(folder)), path.read_bytes()) for path in paths]


def shard_seeds():
    import numpy as np
    import torch
    from safetensors.numpy import save

    parts = [("model-00001-of-00002", "a"), ("model-00002-of-00002", "b")]
    for ending, write in {"safetensors": lambda name: save({name: np.ones((2, 2), np.float32)}), "bin": torch_bytes}.items():
        index = {"metadata": {"total_size": 32}, "weight_map": {name: f"{file}.{ending}" for file, name in parts}}
        prefix = "model" if ending == "safetensors" else "pytorch_model"
        files = [(f"{prefix}.{ending}.index.json", json.dumps(index).encode())]
        files_seed("shards", ending, files + [(f"{file}.{ending}", write(name)) for file, name in parts])


def torch_bytes(name):
    import torch

    stream = io.BytesIO()
    torch.save({name: torch.ones(2, 2)}, stream)
    return stream.getvalue()


def fixture_seeds():
    weights = ROOT / "fixtures" / "weights"
    for folder, ending, target in [("hdf5", ".h5", "hdf5"), ("keras", ".h5", "hdf5"), ("keras", ".keras", "keras"), ("archives", ".keras", "keras"), ("torch", ".pth", "pickle"), ("formats", ".pkl", "pickle"), ("formats", ".pt", "zip"), ("formats", ".npz", "zip"), ("formats", ".onnx", "onnx"), ("formats", ".gguf", "gguf"), ("formats", ".msgpack", "msgpack"), ("formats", ".npy", "npy")]:
        for path in sorted((weights / folder).glob("*" + ending)):
            if path.stat().st_size <= 1 << 17:
                seed(target, f"{folder}-{path.name}", path.read_bytes())
    for path in sorted((ROOT / "Sources" / "CRecipes" / "recipes").glob("*.json")):
        if path.stat().st_size < 4096:
            seed("recipe", path.name, path.read_bytes())


def hdf5_seeds():
    import h5py
    import numpy as np

    for name, options in {"plain": {}, "gzip": {"chunks": (2, 2), "compression": "gzip", "shuffle": True, "fletcher32": True}, "latest": {"chunks": (2, 2), "maxshape": (None, 4)}}.items():
        stream = io.BytesIO()
        with h5py.File(stream, "w", libver="latest" if name == "latest" else None) as file:
            file.create_dataset("g/a", data=np.arange(16, dtype="f4").reshape(4, 4), **options)
            file["b"] = np.arange(3)
            file.attrs["text"] = "words"
        seed("hdf5", name, stream.getvalue())
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.attrs["layer_names"] = np.array([b"dense"])
        file.attrs["keras_version"] = "2.15.0"
        group = file.create_group("dense")
        group.attrs["weight_names"] = np.array([b"dense/kernel:0", b"dense/bias:0"])
        group["dense/kernel:0"], group["dense/bias:0"] = np.ones((3, 2), "f4"), np.ones(2, "f4")
    seed("hdf5", "keras2", stream.getvalue())
    inner = io.BytesIO()
    with h5py.File(inner, "w") as file:
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = np.ones((3, 2), "f4"), np.ones(2, "f4")
    layer = {"class_name": "Dense", "module": "keras.layers", "config": {"name": "dense", "units": 2, "use_bias": True}}
    config = {"class_name": "Sequential", "module": "keras", "config": {"name": "s", "layers": [layer]}}
    for name, method in {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}.items():
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
            archive.writestr("config.json", json.dumps(config))
            archive.writestr("model.weights.h5", inner.getvalue())
        seed("keras", name, stream.getvalue())


# By the ending of a picture's name: its encoding, which names the target too.
ENCODINGS = {"jpg": "jpeg", "png": "png", "webp": "webp", "gif": "gif"}


def images():
    """Small pictures as bytes by file name."""
    import numpy as np
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    draw = np.random.default_rng(1)
    rgb = Image.fromarray(draw.integers(0, 255, (17, 24, 3), dtype=np.uint8))
    found = {}

    def save(name, image, **options):
        stream = io.BytesIO()
        image.save(stream, ENCODINGS[name.rsplit(".")[-1]].upper(), **options)
        found[name] = stream.getvalue()

    exif = Image.Exif()
    exif[0x0112] = 6
    for name, options in {"base": {}, "progressive": {"progressive": True}, "444": {"subsampling": 0}, "422": {"subsampling": 1}, "restart": {"restart_marker_blocks": 1}, "exif": {"exif": exif}, "best": {"quality": 100, "optimize": True}, "comment": {"comment": b"words"}, "icc": {"icc_profile": bytes(200)}}.items():
        save(f"{name}.jpg", rgb, **options)
    for mode in ("L", "CMYK"):
        save(f"{mode}.jpg", rgb.convert(mode), progressive=mode == "CMYK")
    for mode in ("1", "L", "P", "RGB", "RGBA", "LA", "I;16"):
        image = Image.fromarray(draw.integers(0, 65535, (9, 7), dtype=np.uint16)) if mode == "I;16" else rgb.convert(mode)
        save(f"{mode.replace(';', '')}.png", image)
    save("keyed.png", rgb, transparency=(1, 2, 3))
    save("palette.png", rgb.convert("P", palette=Image.Palette.ADAPTIVE, colors=4), transparency=bytes([0, 9]), bits=2)
    text = PngInfo()
    text.add_text("key", "value " * 20, zip=True)
    save("text.png", rgb, pnginfo=text, exif=exif, dpi=(72, 72))
    clear = rgb.copy()
    clear.putalpha(rgb.convert("L"))
    for name, options in {"lossy": {"quality": 60}, "lossless": {"lossless": True}, "best": {"quality": 100, "method": 6}}.items():
        save(f"{name}.webp", rgb, **options)
        save(f"{name}-alpha.webp", clear, exact=True, **options)
    save("plain.gif", rgb.quantize(8))
    save("clear.gif", rgb.quantize(16), transparency=3, interlace=1)
    save("gray.gif", rgb.convert("L"), comment=b"words")
    save("frames.gif", rgb, save_all=True, append_images=[rgb.rotate(180), clear], disposal=2, loop=0)
    save("palette.webp", rgb.quantize(4).convert("RGB"), lossless=True)
    save("metadata.webp", rgb, exif=exif, xmp=b"<x tiff:Orientation='3'/>", icc_profile=bytes(200))
    save("frames.webp", rgb, save_all=True, append_images=[rgb.rotate(180), rgb.convert("L").convert("RGB")])
    save("frames-alpha.webp", clear, save_all=True, append_images=[rgb.convert("RGBA")], lossless=True)
    return found


def image_seeds():
    found = images()
    for name, data in found.items():
        seed(ENCODINGS[name.rsplit(".")[-1]], name, data)
    members = {"a.png": found["L.png"], "a.txt": b"a caption\n", "b.jpg": found["L.jpg"], "b.json": b'{"caption": "words"}'}
    for name, kind in {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}.items():
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=kind) as archive:
            for path, data in members.items():
                # Names beyond 100 bytes are stored in ways of their own.
                long = "folder/" * 16 + "é" + path if name != "ustar" and path.startswith("b") else path
                member = tarfile.TarInfo(long)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
            link = tarfile.TarInfo("link.png")
            link.type, link.linkname = tarfile.SYMTYPE, "a.png"
            archive.addfile(link)
        data = stream.getvalue()
        seed("tar", name, data[: len(data.rstrip(bytes(1))) // 512 * 512 + 1536])


def torch_tar_seeds():
    import collections

    import torch

    sys.path.insert(0, str(ROOT / "Tests" / "Oracles"))
    from test_torch import write_tar

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "old.tar"
        base = torch.arange(6.0)
        write_tar(path, collections.OrderedDict(a=base, b=base[1:3].reshape(2, 1)))
        data = path.read_bytes()
        seed("torch-tar", "old", data[: len(data.rstrip(bytes(1))) // 512 * 512 + 1536])


def text_seeds():
    sys.path.insert(0, str(ROOT / "Tests" / "Oracles"))
    import sentencepiece
    from text_references import KINDS, lines, train

    texts = lines(60)
    for kind in KINDS:
        found = json.loads(train(kind, texts).to_str())
        shrink(found)
        seed("tokenizer-json", kind, json.dumps(found, ensure_ascii=False).encode())
    with tempfile.TemporaryDirectory() as folder:
        corpus = pathlib.Path(folder) / "corpus.txt"
        # Few characters, each of which takes a piece.
        corpus.write_text("\n".join("".join(letter for letter in line if letter in "abcdefgé ,.あ") for line in lines(2000)))
        for kind, size in {"unigram": 320, "bpe": 320, "word": 60, "char": 20}.items():
            prefix = f"{folder}/{kind}"
            options = {"byte_fallback": True} if kind in ("unigram", "bpe") else {}
            # A small table of replacements: the usual ones have 240 KB.
            rules = pathlib.Path(folder) / "rules.tsv"
            rules.write_text("41\t61\n42\t62 63\n3042\t61\nE9\t65 301\n")
            options |= {"normalization_rule_tsv": str(rules)} if kind == "unigram" else {"normalization_rule_name": "identity"}
            sentencepiece.SentencePieceTrainer.train(input=str(corpus), model_prefix=prefix, model_type=kind, vocab_size=size, character_coverage=0.98, hard_vocab_limit=False, minloglevel=2, num_threads=1, **options)
            data = pathlib.Path(prefix + ".model").read_bytes()
            seed("sentencepiece", kind, data)


def shrink(found):
    """Keeps a few dozen entries of a vocabulary, and the merges between them."""
    model = found["model"]
    if isinstance(model["vocab"], list):
        model["vocab"] = model["vocab"][:80]
        return
    special = {token["content"] for token in found["added_tokens"]}
    kept = [token for token in model["vocab"] if token in special or len(token) == 1][:96]
    merges = []
    for merge in model.get("merges", []):
        a, b = merge.split(" ") if isinstance(merge, str) else merge
        if a in kept and b in kept and a + b in model["vocab"] and len(merges) < 24:
            merges.append(merge)
            kept.append(a + b) if a + b not in kept else None
    kept += [token for token in model["vocab"] if token.startswith("##")][:16]
    model["vocab"] = {token: index for index, token in enumerate(dict.fromkeys([*kept, *special]))}
    for token in found["added_tokens"]:
        token["id"] = model["vocab"][token["content"]]
    if "merges" in model:
        model["merges"] = merges


def caption_seeds():
    import pyarrow
    import pyarrow.parquet

    rows = [("a.png", "a \"cat\", é"), ("./b/c.jpg", ""), ("d", "two\nlines")]
    table = [["file_name", "caption"], *rows]
    for name, separator in {"csv": ",", "tsv": "\t"}.items():
        quoted = "\r\n".join(separator.join('"' + field.replace('"', '""') + '"' for field in row) for row in table)
        seed(f"captions-{name}", "quoted", quoted.encode())
        seed(f"captions-{name}", "mark", b"\xef\xbb\xbf" + f"key{separator}text\na{separator}b\n\nc{separator}d".encode())
    lines = [{"file_name": name, "caption": text} for name, text in rows] + [{"image": "x", "text": "é😀", "more": [1, {"a": None}]}]
    seed("captions-jsonl", "lines", "\n".join(json.dumps(line) for line in lines).encode())
    seed("captions-jsonl", "utf8", "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode() + b"\n\n")
    columns = {"file_name": [name for name, _ in rows] * 4, "caption": [text for _, text in rows[:2]] * 4 + [None] * 4}
    columns["file_name"] = [f"{index}-{name}" for index, name in enumerate(columns["file_name"])]
    plain = pyarrow.table({**columns, "n": list(range(12)), "l": [[1, 2], [], None] * 4})
    large = pyarrow.table({"key": pyarrow.array(columns["file_name"], pyarrow.large_string()), "text": pyarrow.array(columns["caption"], pyarrow.large_string())})
    variants = {"plain": {"compression": "NONE", "use_dictionary": False}, "snappy": {}, "zstd": {"compression": "zstd"}, "gzip": {"compression": "gzip"}, "lz4": {"compression": "lz4"}, "v2": {"data_page_version": "2.0"}, "groups": {"row_group_size": 5, "data_page_size": 8}, "delta": {"use_dictionary": False, "column_encoding": {"file_name": "DELTA_BYTE_ARRAY", "caption": "DELTA_LENGTH_BYTE_ARRAY"}}}
    for name, options in variants.items():
        stream = io.BytesIO()
        content = plain.select(["file_name", "caption"]) if name == "delta" else plain
        pyarrow.parquet.write_table(content, stream, store_schema=False, **options)
        seed("captions-parquet", name, stream.getvalue())
    stream = io.BytesIO()
    pyarrow.parquet.write_table(large, stream)
    seed("captions-parquet", "large", stream.getvalue())
    files_seed("captions-sidecar", "text", [("a.txt", b"a caption\r\n"), ("b.json", b'{"caption": "words", "n": 1.5}')])
    files_seed("captions-sidecar", "json", [("a.json", b'{"text": "words \\ud83d\\ude00"}'), ("b.txt", "é".encode())])


def dataset_seeds():
    program = os.environ.get("TESSERA")
    if program is None:
        raise ImportError("TESSERA names no program: no seeds of datasets")

    def run(*arguments):
        subprocess.run([program, *map(str, arguments)], check=True, capture_output=True)

    sys.path.insert(0, str(ROOT / "Tests/Oracles"))
    from layouts import LAYOUTS

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "images").mkdir()
        for path, data in images().items():
            if path in ("L.png", "base.jpg"):
                (folder / "images" / path).write_bytes(data)
                (folder / "images" / path).with_suffix(".txt").write_text(f"a caption of {path} é\n")
        (folder / "images" / "broken.png").write_bytes(b"no image")
        common = ["--captions", "sidecar", "--resize", "bicubic:exact=16x24", "--crop", "none"]
        run("tokenize", folder / "images", "-o", folder / "plain", *common)
        run("tokenize", folder / "images", "-o", folder / "rich", *common, "--soft", "softmax:top-k=3", "--latents", "--positions", "mrope")
        run("tokenize", folder / "images", "-o", folder / "views", *common, "--augment", "flip")
        small_vocabulary(folder / "plain", folder / "small")
        for format in LAYOUTS:
            makers = {"plain": [], "codes": ["--columns", "codes"], "rich": [], "views": []}
            if format in ("parquet", "mds"):
                makers |= {"stored": ["--zstd", 0], "packed": ["--zstd", 9]}
            if format == "litdata":
                makers |= {"tokens": ["--variant", "tokens", "--columns", "codes"]}
            if format == "4m":
                makers = {"small": []}
            for variant, options in makers.items():
                source = folder / (variant if variant in ("rich", "views", "small") else "plain")
                out = folder / f"{variant}-{format}"
                with contextlib.suppress(subprocess.CalledProcessError):
                    run("export", source, "-o", out, "--format", format, *options)
                    files = [(path, cut(path, data)) for path, data in folder_files(out, "dataset.json")]
                    files_seed(f"dataset-{format}", variant, files)


def cut(path, data):
    """ArrayRecord pads to 64 KiB blocks: what stands behind the last sample is not read."""
    return data[: len(data[: 1 << 16].rstrip(bytes(1))) + 64] if path.endswith(".arrayrecord") else data


def small_vocabulary(source, target):
    """The same dataset with codes below 1000, which 4M's int16 can hold."""
    sys.path.insert(0, str(ROOT / "Tests" / "Oracles"))
    from dataset_files import with_small_codes

    with_small_codes(source, target, quantizer={"levels": [8, 5, 5, 5]})


for make in (numpy_seeds, torch_seeds, gguf_seeds, flax_seeds, onnx_seeds, safetensors_seeds, shard_seeds, fixture_seeds, hdf5_seeds, image_seeds, torch_tar_seeds, text_seeds, caption_seeds, dataset_seeds):
    try:
        make()
    except ImportError as error:
        print(f"{make.__name__}: {error}", file=sys.stderr)
