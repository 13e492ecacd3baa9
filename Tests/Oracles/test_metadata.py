"""What a file says of itself beside its tensors: kept where the result has a place for it, named where not, and compared."""

import json
import os
import struct

os.environ["KERAS_BACKEND"] = "torch"

import gguf
import h5py
import jsonschema
import keras
import numpy as np
import pyarrow
import pytest
import safetensors
import safetensors.numpy
import torch

A = np.arange(64, dtype=np.float32).reshape(2, 32)


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


WIDTHS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<B", 10: "<Q", 11: "<q", 12: "<d"}
SCALARS = {kind: struct.pack(form, 1) for kind, form in WIDTHS.items()} | {8: text("é\0\xff".encode("latin1"))}


def every_value():
    """A value of each type of the format, arrays of each, arrays of arrays, and long ones."""
    values = {f"one.{kind}": (kind, data) for kind, data in SCALARS.items()}
    values |= {f"array.{kind}": (9, struct.pack("<IQ", kind, 3) + data * 3) for kind, data in SCALARS.items()}
    values["empty"] = (9, struct.pack("<IQ", 8, 0))
    values["nested"] = (9, struct.pack("<IQ", 9, 2) + 2 * (struct.pack("<IQ", 4, 2) + struct.pack("<II", 7, 8)))
    values["tokens"] = (9, struct.pack("<IQ", 8, 5000) + b"".join(text(f"token{n}".encode() + b"\xfe") for n in range(5000)))
    return values


def write_gguf(path, values, alignment=32, kind=0, array=A):
    entries = b"".join(text(key) + struct.pack("<I", type_) + data for key, (type_, data) in values.items())
    data = array.tobytes() if kind < 2 else gguf.quants.quantize(array, gguf.GGMLQuantizationType(kind)).tobytes()
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(values)) + entries
    head += text("w") + struct.pack("<I", array.ndim) + b"".join(struct.pack("<Q", n) for n in reversed(array.shape)) + struct.pack("<IQ", kind, 0)
    head += b"\0" * (-len(head) % alignment)
    path.write_bytes(head + data + b"\0" * (-len(data) % alignment))
    return path


def read_gguf(path):
    """The keys with type and bytes as they lie in the file."""
    data, place, values = path.read_bytes(), 24, {}

    def end(kind, at):
        if kind == 8:
            return at + 8 + struct.unpack_from("<Q", data, at)[0]
        if kind != 9:
            return at + struct.calcsize(WIDTHS[kind])
        inner, count = struct.unpack_from("<IQ", data, at)
        at += 12
        for _ in range(count):
            at = end(inner, at)
        return at

    for _ in range(struct.unpack_from("<Q", data, 16)[0]):
        (length,) = struct.unpack_from("<Q", data, place)
        key = data[place + 8 : place + 8 + length].decode()
        place += 8 + length
        (kind,) = struct.unpack_from("<I", data, place)
        after = end(kind, place + 4)
        values[key] = (kind, data[place + 4 : after])
        place = after
    return {key: value for key, value in values.items() if not key.startswith("tessera.")}


ARCHITECTURE = {"general.architecture": (8, text("llama"))}


@pytest.mark.parametrize("options", [(), ("--dtype", "f16"), ("--dtype", "q8_0")])
def test_gguf_keeps_every_key_with_its_type(tessera, tmp_path, options):
    values = ARCHITECTURE | every_value()
    source, out = write_gguf(tmp_path / "in.gguf", values), tmp_path / "out.gguf"
    tessera("convert", source, "-o", out, *options)
    found = read_gguf(out)
    assert {key: found.get(key) for key in values} == values
    assert set(found) - set(values) <= {"general.file_type", "general.quantization_version"}
    # gguf-py reads all of it too, but for the array of arrays.
    assert gguf.GGUFReader(write_gguf(tmp_path / "flat.gguf", {k: v for k, v in found.items() if k != "nested"})).fields["tokens"]
    tessera("verify", source, out, "--tolerance", "1")


def number(value):
    return (4, struct.pack("<I", value))


@pytest.mark.parametrize("kind, stated, options, becomes", [
    (0, 0, (), 0), (0, 0, ("--dtype", "f16"), 1), (0, 0, ("--dtype", "bf16"), 32), (0, 0, ("--dtype", "q8_0"), 7), (8, 7, (), 0), (8, 7, ("--dtype", "f16"), 1),
    (2, 2, (), 0), (8, 7, ("--dtype", "q8_0"), 7),
])
def test_gguf_states_the_type_that_it_has(tessera, tmp_path, kind, stated, options, becomes):
    values = ARCHITECTURE | {"general.file_type": number(stated), "general.quantization_version": number(2)}
    source, out = write_gguf(tmp_path / "in.gguf", values, kind=kind), tmp_path / "out.gguf"
    tessera("convert", source, "-o", out, *options)
    found = read_gguf(out)
    assert found["general.file_type"] == number(becomes) and found["general.quantization_version"] == number(2)


def test_gguf_keeps_its_alignment(tessera, tmp_path):
    values = ARCHITECTURE | {"general.alignment": number(256)}
    source = write_gguf(tmp_path / "in.gguf", values, alignment=256)
    tessera("convert", source, "-o", tmp_path / "out.gguf")
    assert read_gguf(tmp_path / "out.gguf")["general.alignment"] == number(256)
    tensor = gguf.GGUFReader(tmp_path / "out.gguf").tensors[0]
    assert tensor.data_offset % 256 == 0 and tensor.data.tobytes() == A.tobytes()


def test_keys_without_a_place_are_named(tessera, tmp_path):
    source = write_gguf(tmp_path / "in.gguf", ARCHITECTURE | {"general.name": (8, text("x")), "k": number(1)})
    for ending in ("safetensors", "npz", "h5", "pt"):
        run = tessera("convert", source, "-o", tmp_path / f"out.{ending}", "--json")
        notes = json.loads(run.stdout)["notes"]
        assert any("3 values have no place" in note and "general.architecture, general.name, k" in note for note in notes), notes
        assert "general.name" in run.stderr
        assert notes == json.loads(tessera("convert", source, "-o", tmp_path / f"out.{ending}", "--plan", "--json").stdout)["notes"]
    torch.save({"w": torch.ones(2), "epoch": 3, "name": "x"}, tmp_path / "t.pt")
    notes = json.loads(tessera("convert", tmp_path / "t.pt", "-o", tmp_path / "t.safetensors", "--json").stdout)["notes"]
    assert any("2 values have no place in safetensors" in note and "epoch, name" in note for note in notes)


def llama(folder, model_type, settings=True):
    folder.mkdir()
    names = ["model.embed_tokens.weight", "model.norm.weight", "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.q_proj.bias"]
    safetensors.numpy.save_file({name: np.ones((4, 4) if "norm" not in name and "bias" not in name else 4, np.float32) for name in names}, folder / "model.safetensors", {"format": "pt"})
    if settings:
        (folder / "config.json").write_text(json.dumps({"model_type": model_type, "hidden_size": 4}))
    return folder


@pytest.mark.parametrize("model_type", ["qwen2", "mistral", "gemma", "phi3", "brand_new"])
@pytest.mark.parametrize("options", [("--to", "gguf"), (), ("--dtype", "f16")])
def test_unknown_architectures_never_become_gguf(tessera, tmp_path, model_type, options):
    folder = llama(tmp_path / "in", model_type)
    for source in (folder, folder / "model.safetensors"):
        result = tessera("convert", source, "-o", tmp_path / "out.gguf", *options, code=4)
        assert f"no recipe leads from '{model_type}' to gguf" in result.stderr and "llama, mamba" in result.stderr and result.stderr.count("\n") == 1
        tessera("convert", source, "-o", tmp_path / "out.gguf", "--plan", *options, code=4)
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e400"])
def test_numbers_of_python_hide_no_architecture(tessera, tmp_path, number):
    """Python writes what JSON has no number for, such as Mamba-2's time_step_limit."""
    folder = llama(tmp_path / "in", "")
    (folder / "config.json").write_text('{"time_step_limit": [0.0, ' + number + '], "model_type": "qwen2"}')
    for options in (("--to", "gguf"), ()):
        result = tessera("convert", folder, "-o", tmp_path / "out.gguf", *options, code=None)
        assert result.returncode in (3, 4) and result.stderr.count("\n") == 1, result.stderr
        assert ("no recipe leads from 'qwen2'" in result.stderr) == (number != "1e400") or result.returncode == 3, result.stderr


@pytest.mark.parametrize("text", [
    "", "{", "[]", "5", '{"model_type": "qwen2"', "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "<!DOCTYPE html>", "\xff",
])  # fmt: skip
def test_a_folder_with_damaged_settings_is_refused(tessera, tmp_path, text):
    folder = llama(tmp_path / "in", "llama")
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    for output in ("o.gguf", "o.safetensors", "o/"):
        for options in ((), ("--dtype", "f16")):
            said = tessera("convert", folder, "-o", f"{tmp_path}/{output}", *options, code=3).stderr
            assert "config.json: " in said and said.count("\n") == 1, said
    assert "config.json: " in tessera("verify", folder, folder, code=3).stderr
    tessera("convert", folder / "model.safetensors", "-o", tmp_path / "weights.safetensors")


def test_a_model_without_settings_does_not_become_gguf(tessera, tmp_path):
    llama(tmp_path / "in", "", settings=False)
    assert "these names" in tessera("convert", tmp_path / "in/model.safetensors", "-o", tmp_path / "out.gguf", code=4).stderr


# Texts ---------------------------------------------------------------------------------------------------


def texts_of(path):
    if path.suffix == ".safetensors":
        with safetensors.safe_open(path, "np") as file:
            return file.metadata()
    import zipfile

    with zipfile.ZipFile(path) as archive:
        if path.suffix == ".npz":
            return json.loads(archive.comment or b"{}")
        return json.loads(archive.read("archive/extra/tessera.json"))


def test_texts_travel_between_formats(tessera, tmp_path):
    metadata = {"author": "somebody", "license": "é", "modelspec.title": "x" * 3000, "format": "flax"}
    safetensors.numpy.save_file({"w": A}, tmp_path / "0.safetensors", metadata)
    own = {key: value for key, value in metadata.items() if key != "format"}
    path = tmp_path / "0.safetensors"
    for number_, ending in enumerate(["safetensors", "pt", "npz", "pt", "pt", "npz", "npz", "safetensors"], 1):
        out = tmp_path / f"{number_}.{ending}"
        tessera("convert", path, "-o", out)
        found = texts_of(out)
        assert {key: found.get(key) for key in own} == own, ending
        tessera("verify", path, out)
        path = out
    assert texts_of(tmp_path / "1.safetensors")["format"] == "flax" and texts_of(path)["format"] == "pt"
    # What an archive's comment has no room for is named.
    safetensors.numpy.save_file({"w": A}, tmp_path / "long.safetensors", {"long": "y" * 20000, "short": "z"})
    notes = json.loads(tessera("convert", tmp_path / "long.safetensors", "-o", tmp_path / "l.npz", "--json").stdout)["notes"]
    assert any("'long' has no place in npz" in note for note in notes) and texts_of(tmp_path / "l.npz")["short"] == "z"


# HDF5 ----------------------------------------------------------------------------------------------------


def attributes(path):
    found = {}
    with h5py.File(path) as file:
        objects = {"": file}
        file.visititems(lambda name, item: objects.update({name: item}))
        for name, item in objects.items():
            for key in item.attrs:
                if not key.startswith("tessera."):
                    attribute = item.attrs.get_id(key)
                    value = item.attrs[key]
                    found[name, key] = (attribute.dtype.str, attribute.shape, repr(value.tolist() if hasattr(value, "tolist") else value))
        return found, {name for name, item in objects.items() if isinstance(item, h5py.Group)}


def every_attribute(path, libver=None):
    with h5py.File(path, "w", libver=libver) as file:
        file["net/kernel"], file["net/bias"] = A, np.ones(3)
        file.create_group("empty/inner").attrs["why"] = "kept"
        for number_, target in enumerate((file, file["net"], file["net/kernel"])):
            target.attrs["text"], target.attrs["fixed"] = "é x", np.bytes_(b"abc")
            target.attrs["list"], target.attrs["numbers"] = ["a", "bcd"], np.arange(6, dtype=">i2").reshape(2, 3)
            target.attrs["float"], target.attrs["flag"], target.attrs["half"] = 0.1 + number_, True, np.float16(0.5)
            target.attrs["complex"], target.attrs["none"] = np.complex64(1 + 2j), h5py.Empty("f4")
            target.attrs["pair"] = np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])
            target.attrs["enum"] = np.array(1, dtype=h5py.enum_dtype({"NO": 0, "YES": 1}))
        file.attrs["reference"] = file["net"].ref


@pytest.mark.parametrize("libver", [None, "v110"])
def test_hdf5_keeps_every_attribute_and_group(tessera, tmp_path, libver):
    every_attribute(tmp_path / "in.h5", libver)
    for options in ((), ("--dtype", "f16")):
        run = tessera("convert", tmp_path / "in.h5", "-o", tmp_path / "out.h5", "--json", *options)
        before, groups = attributes(tmp_path / "in.h5")
        after, kept = attributes(tmp_path / "out.h5")
        del before["", "reference"]
        assert after == before and kept == groups
        assert any("reference" in note and "no place in h5" in note for note in json.loads(run.stdout)["notes"])
        tessera("verify", tmp_path / "in.h5", tmp_path / "out.h5", "--tolerance", "0.01")
    # A part of the tensors keeps what belongs to them.
    tessera("convert", tmp_path / "in.h5", "-o", tmp_path / "part.h5", "--strip", "net/bias*")
    assert attributes(tmp_path / "part.h5")[0] == before
    run = tessera("convert", tmp_path / "in.h5", "-o", tmp_path / "renamed.h5", "--strip", "net/", "--json")
    after, _ = attributes(tmp_path / "renamed.h5")
    assert {key: value for (name, key), value in after.items() if name == "kernel"} == {key: value for (name, key), value in before.items() if name == "net/kernel"}
    assert any("net@…" in note for note in json.loads(run.stdout)["notes"])
    notes = json.loads(tessera("convert", tmp_path / "in.h5", "-o", tmp_path / "out.npz", "--json").stdout)["notes"]
    assert any("net/kernel@text" in note and "have no place in npz" in note for note in notes)


def test_types_that_are_stated_stay_true(tessera, tmp_path):
    with h5py.File(tmp_path / "in.h5", "w") as file:
        data = file.create_dataset("half", data=np.array([b"\x80\x3f"] * 2, "V2"))
        data.attrs["dtype"], data.attrs["unit"] = "bfloat16", "m"
    tessera("convert", tmp_path / "in.h5", "-o", tmp_path / "out.h5", "--dtype", "f32")
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["half"][:].tolist() == [1, 1] and dict(file["half"].attrs) == {"unit": "m"}


def test_legacy_keras_files_open_after_a_conversion(tessera, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5), keras.layers.Dense(2)])
    model.save(tmp_path / "in.h5")
    tessera("convert", tmp_path / "in.h5", "-o", tmp_path / "out.h5")
    again = keras.saving.load_model(tmp_path / "out.h5")
    x = np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(np.asarray(again(x).detach()), np.asarray(model(x).detach()))


def test_links_and_filters(tessera, tmp_path):
    with h5py.File(tmp_path / "links.h5", "w") as file:
        file["a"] = h5py.SoftLink("/z/data")
        file["z/data"] = A
        file["z/near"], file["both"] = h5py.SoftLink("data"), h5py.SoftLink("/z")
    shown = json.loads(tessera("inspect", tmp_path / "links.h5", "--json").stdout)
    assert {t["name"]: t.get("alias_of") for t in shown["tensors"]} == {"z/data": None, "a": "z/data", "z/near": "z/data"}
    assert any("both: a second name of the group 'z'" in note for note in shown["notes"])
    tessera("convert", tmp_path / "links.h5", "-o", tmp_path / "out.safetensors")
    assert all(np.array_equal(value, A) for value in safetensors.numpy.load_file(tmp_path / "out.safetensors").values())
    (tmp_path / "other.h5").write_bytes((tmp_path / "links.h5").read_bytes())
    for name, link in {"lost": h5py.SoftLink("/none"), "out": h5py.ExternalLink("other.h5", "/z/data"), "round": h5py.SoftLink("/round")}.items():
        with h5py.File(tmp_path / "bad.h5", "w") as file:
            file["w"], file[name] = A, link
            if name == "out":
                file["through"] = h5py.SoftLink("/out")
        result = tessera("convert", tmp_path / "bad.h5", "-o", tmp_path / "bad.safetensors", code=3)
        assert f"{name}: a" in result.stderr
        tessera("convert", tmp_path / "bad.h5", "-o", tmp_path / "good.safetensors", "--strip", f"{name}*", *(("--strip", "through*") if name == "out" else ()))
        assert set(safetensors.numpy.load_file(tmp_path / "good.safetensors")) == {"w"}


def chunked(path, name, filters, encode, array=np.arange(600, dtype=np.float32).reshape(20, 30)):
    """A dataset whose chunks this test packs itself, with filters that h5py does not have."""
    with h5py.File(path, "a") as file:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk((10, 10))
        for number_, values in filters:
            creation.set_filter(number_, h5py.h5z.FLAG_OPTIONAL, values)
        dataset = h5py.h5d.create(file.id, name.encode(), h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((20, 30)), creation)
        for row in range(0, 20, 10):
            for column in range(0, 30, 10):
                dataset.write_direct_chunk((row, column), encode(array[row : row + 10, column : column + 10].copy()), 0)
    return array


def zstd(data):
    return pyarrow.Codec("zstd").compress(data, asbytes=True)


def shuffled(array):
    return np.frombuffer(array.tobytes(), np.uint8).reshape(-1, 4).T.tobytes()


def test_filters_are_read_or_named(tessera, tmp_path):
    path = tmp_path / "f.h5"
    expected = {"plain": chunked(path, "plain", [(32015, (3,))], lambda a: zstd(a.tobytes()))}
    expected["mixed"] = chunked(path, "mixed", [(2, (4,)), (32015, ())], lambda a: zstd(shuffled(a)))
    with h5py.File(path, "a") as file:
        file.create_dataset("gzip", data=expected["plain"], chunks=(7, 9), compression="gzip", shuffle=True, fletcher32=True)
    tessera("convert", path, "-o", tmp_path / "out.safetensors")
    found = safetensors.numpy.load_file(tmp_path / "out.safetensors")
    assert set(found) == {"plain", "mixed", "gzip"} and all(np.array_equal(value, expected["plain"]) for value in found.values())
    chunked(tmp_path / "bad.h5", "w", [(32015, ())], lambda a: zstd(a.tobytes())[:-3])
    assert "zstd data are damaged" in tessera("convert", tmp_path / "bad.h5", "-o", tmp_path / "x.npz", code=3).stderr
    for number_, word in {32001: "blosc", 32008: "bitshuffle", 32004: "lz4", 32026: "blosc2", 307: "bzip2"}.items():
        other = tmp_path / f"{word}.h5"
        chunked(other, "packed", [(number_, ())], lambda a: a.tobytes())
        with h5py.File(other, "a") as file:
            file["w"] = A
        result = tessera("convert", other, "-o", tmp_path / "n.safetensors", code=4)
        assert f"packed: filter '{word}'" in result.stderr and "h5repack" in result.stderr and result.stderr.count("\n") == 1
        tessera("convert", other, "-o", tmp_path / "n.safetensors", "--strip", "packed*")
        assert set(safetensors.numpy.load_file(tmp_path / "n.safetensors")) == {"w"}
    with h5py.File(tmp_path / "lzf.h5", "w") as file:
        file.create_dataset("w", data=A, compression="lzf")
    assert "filter 'lzf'" in tessera("convert", tmp_path / "lzf.h5", "-o", tmp_path / "n.npz", code=4).stderr


@pytest.mark.parametrize("growing", [False, True])
def test_newer_files_are_read_or_named(tessera, tmp_path, growing):
    array = np.arange(600, dtype=np.float32).reshape(20, 30)
    for libver in ("v108", "v110", "v112", "latest"):
        with h5py.File(tmp_path / "n.h5", "w", libver=(libver, libver)) as file:
            file.create_dataset("w", data=array, chunks=(10, 10), compression="gzip", maxshape=(None, None) if growing else None)
        run = tessera("convert", tmp_path / "n.h5", "-o", tmp_path / "out.safetensors", code=None)
        if run.returncode == 0:
            np.testing.assert_array_equal(safetensors.numpy.load_file(tmp_path / "out.safetensors")["w"], array)
        else:
            assert run.returncode == 4 and "w: " in run.stderr and "could not open the dataset" in run.stderr and libver == "latest"


# Keras' folders and shards ----------------------------------------------------------------------------------


def test_folders_of_keras_have_their_settings(tessera, tmp_path):
    layers = keras.layers
    model = keras.Sequential([keras.Input((16,)), layers.BatchNormalization(scale=False), layers.Dense(8)])
    model.save(tmp_path / "folder", zipped=False)
    model.save(tmp_path / "model.keras")
    for source in (tmp_path / "folder", tmp_path / "folder/model.weights.h5"):
        tessera("convert", source, "-o", tmp_path / "out.safetensors", "--to", "torch")
        tessera("convert", tmp_path / "model.keras", "-o", tmp_path / "same.safetensors", "--to", "torch")
        found, same = (safetensors.numpy.load_file(tmp_path / name) for name in ("out.safetensors", "same.safetensors"))
        assert found.keys() == same.keys() and all(np.array_equal(found[name], same[name]) for name in found)
        assert json.loads(tessera("inspect", source, "--json").stdout)["format"] == "keras"


def test_shards_of_keras(tessera, tmp_path):
    layers = keras.layers
    model = keras.Sequential([keras.Input((64,)), *[layers.Dense(64) for _ in range(4)]])
    model.save_weights(tmp_path / "m.weights.json", max_shard_size=0.00002)
    parts = sorted(path.name for path in tmp_path.glob("m_*.weights.h5"))
    assert len(parts) > 2
    tessera("convert", tmp_path / "m.weights.json", "-o", tmp_path / "out.safetensors")
    found = safetensors.numpy.load_file(tmp_path / "out.safetensors")
    model.save_weights(tmp_path / "whole.weights.h5")
    with h5py.File(tmp_path / "whole.weights.h5") as file:
        expected = {}
        file.visititems(lambda name, item: expected.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    assert found.keys() == expected.keys() and len(found) == 8 and all(np.array_equal(found[name], expected[name]) for name in found)
    tessera("convert", tmp_path / "m.weights.json", "-o", tmp_path / "again.weights.h5")
    keras.Sequential([keras.Input((64,)), *[layers.Dense(64) for _ in range(4)]]).load_weights(tmp_path / "again.weights.h5")
    tessera("convert", tmp_path / "m.weights.json", "-o", tmp_path / "t.safetensors", "--to", "torch")
    result = tessera("convert", tmp_path / parts[1], "-o", tmp_path / "p.safetensors", code=4)
    assert "one part of several" in result.stderr and "m.weights.json" in result.stderr
    index = json.loads((tmp_path / "m.weights.json").read_text())
    for change, words in {"../x.h5": "leaves the folder", "gone.weights.h5": "gone.weights.h5"}.items():
        index["weight_map"]["/layers/dense/vars"] = [change]
        (tmp_path / "bad.weights.json").write_text(json.dumps(index))
        assert words in tessera("convert", tmp_path / "bad.weights.json", "-o", tmp_path / "b.npz", code=None).stderr
    del index["weight_map"]["/layers/dense/vars"]
    index["weight_map"]["/layers/none/vars"] = parts[0]
    (tmp_path / "bad.weights.json").write_text(json.dumps(index))
    tessera("convert", tmp_path / "bad.weights.json", "-o", tmp_path / "b.npz", code=3)


# verify and diff -----------------------------------------------------------------------------------------


def changed(path, values):
    """Copies of a GGUF file with a value changed, a key gone, another type, one more."""
    one = dict(values)
    yield "changed", write_gguf(path.with_name("changed.gguf"), one | {"general.name": (8, text("other"))})
    yield "gone", write_gguf(path.with_name("gone.gguf"), {k: v for k, v in one.items() if k != "general.name"})
    yield "type", write_gguf(path.with_name("type.gguf"), one | {"n": (10, struct.pack("<Q", 1))})
    yield "more", write_gguf(path.with_name("more.gguf"), one | {"extra": number(1)})
    yield "tokens", write_gguf(path.with_name("tokens.gguf"), one | {"t": (9, struct.pack("<IQ", 8, 2) + text("a") + text("c"))})


def test_verify_and_diff_compare_what_files_say(tessera, root, tmp_path):
    values = ARCHITECTURE | {"general.name": (8, text("x")), "n": number(1), "t": (9, struct.pack("<IQ", 8, 2) + text("a") + text("b"))}
    source = write_gguf(tmp_path / "in.gguf", values)
    pairs = [(source, other) for _, other in changed(source, values)]
    for number_, metadata in enumerate(({"a": "2"}, {}, {"a": "1", "b": "1"})):
        safetensors.numpy.save_file({"w": A}, tmp_path / "s.safetensors", {"a": "1"})
        other = tmp_path / f"s{number_}.safetensors"
        safetensors.numpy.save_file({"w": A}, other, metadata)
        pairs.append((tmp_path / "s.safetensors", other))
    for number_ in range(3):
        for name in ("h.h5", f"h{number_}.h5"):
            with h5py.File(tmp_path / name, "w") as file:
                file["net/w"] = A
                file["net/w"].attrs["unit"], file["net"].attrs["x"], file.attrs["y"] = "m", 1, "z"
                if name != "h.h5":
                    target = [file, file["net"], file["net/w"]][number_]
                    target.attrs["x"] = 5
        pairs.append((tmp_path / "h.h5", tmp_path / f"h{number_}.h5"))
    for a, b in pairs:
        for verb in ("verify", "diff"):
            run = tessera(verb, a, b, "--json", code=4)
            report = json.loads(run.stdout)
            jsonschema.validate(report, json.loads((root / f"schemas/{verb}.schema.json").read_text()))
            found = report["metadata"]
            assert found["only_in_first"] or found["only_in_second"] or found["different"], (verb, b)
            assert "metadata: " in run.stderr
            report = json.loads(tessera(verb, a, a, "--json").stdout)
            jsonschema.validate(report, json.loads((root / f"schemas/{verb}.schema.json").read_text()))
            assert report["metadata"]["compared"] > 0
    # What conversions add is no difference, and files of other formats say other things.
    for a, ending in ((source, "gguf"), (tmp_path / "s.safetensors", "safetensors"), (tmp_path / "s.safetensors", "pt"), (tmp_path / "h.h5", "h5")):
        tessera("convert", a, "-o", tmp_path / f"own.{ending}")
        for verb in ("verify", "diff"):
            tessera(verb, a, tmp_path / f"own.{ending}")
    tessera("convert", source, "-o", tmp_path / "cross.safetensors")
    assert "metadata" not in json.loads(tessera("diff", source, tmp_path / "cross.safetensors", "--json").stdout)
