"""The cost of a file is bounded by its bytes: at most 5 s of CPU and 512 MiB for any file up to 1 MiB, whatever it claims.

Each test draws a file that claims much in few bytes. A verb may take it or refuse it, but with one line and at no great cost.
Times are those of a release build."""

import io
import json
import os
import pickle
import random
import shutil
import struct
import subprocess
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from layouts import ANY_CODES

MIB = 1 << 20
# Two workers share the units of a core: the same work then takes up to twice the processor's time.
CPU_SECONDS, PEAK_MIB = (10 if "PYTEST_XDIST_WORKER" in os.environ else 5), 512
CODES = (0, 1, 3, 4, 5)

@pytest.fixture(scope="session")
def cheap(measured):
    """Runs the program under its limits; returns exit code and error text."""

    def run(*arguments, codes=CODES, cpu=CPU_SECONDS, peak=PEAK_MIB, is_report=False, suffix=""):
        code, errors, seconds, size = measured(*arguments, suffix=suffix, cpu=120, address_space=16 << 30)
        if "COSTS" in os.environ:
            print(f"{seconds:7.2f} s {size:6.0f} MiB exit {code} {' '.join(map(str, arguments))[-90:]} {errors.strip()[-150:]}")
        assert code in codes, (arguments, code, errors[-2000:])
        # A report has a line for each mismatch.
        if code not in (0, 1) and not (is_report and code == 4):
            assert errors.startswith("Error: ") and errors.count("\n") == 1, errors[-2000:]
        assert seconds <= cpu and size <= peak, (arguments, seconds, size, errors[-500:])
        return code, errors

    return run


def written(path, data):
    assert len(data) <= 1.6 * MIB, (path, len(data))
    path.write_bytes(data)
    return path


def looked_at(cheap, tmp_path, path, **options):
    """Lists and converts a checkpoint."""
    listed = cheap("inspect", path, "--json", **options)
    converted = cheap("convert", path, "-o", tmp_path / "out.safetensors", "--quiet", **options)
    (tmp_path / "out.safetensors").unlink(missing_ok=True)
    return listed, converted


# MARK: Pickles


def pickled(*parts):
    return b"\x80\x02" + b"".join(parts) + b"."


def text(data):
    return b"X" + struct.pack("<I", len(data)) + data


def get(index):
    return b"h" + bytes([index]) if index < 256 else b"j" + struct.pack("<I", index)


HUGE = text(b"k" * 400_000)
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\nq\1"


def numpy_states(count):
    """Arrays that share one long text as their data: each has a shape and state of its own."""
    head = b"0cnumpy\ndtype\n(X\2\0\0\0u1K\0K\1tR(K\3X\1\0\0\0|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tbq\2"
    encode = b"0c_codecs\nencode\n" + b"h\0X\6\0\0\0latin1\x86Rq\3"
    one = b"h\1cnumpy\nndarray\nK\0\x85C\1b\x87R(K\1J" + struct.pack("<i", 400_000) + b"\x85h\2\x89h\3tb"
    return pickled(HUGE + b"q\0" + b"0" + RECONSTRUCT, head, encode, b"0(" + one * count + b"l")


PICKLES = {
    "list of marks": pickled(b"N" * 500_000, b"(t0" * 150_000),
    "tuples on a full stack": pickled(b"N" * 300_000 + b"(N\x85t" * 170_000 + b"0" * 10),
    "one list in many appends": pickled(b"]" + b"K\1a" * 300_000),
    "one dictionary in many stores": pickled(b"}" + b"".join(b"M" + struct.pack("<H", n % 65536) + b"Ns" for n in range(200_000))),
    "record in many appends": pickled(b"ccollections\nOrderedDict\n)R" + b"K\1a" * 300_000),
    "long key": pickled(HUGE + b"q\0" + b"0}(" + b"h\0N" * 180_000 + b"u"),
    "long key in many dictionaries": pickled(HUGE + b"q\0" + b"0](" + b"}h\0Ns" * 110_000 + b"e"),
    "long module": pickled(HUGE + b"q\0" + b"0](" + b"h\0h\0\x93" * 110_000 + b"e"),
    "long global": pickled(b"](" + (b"c" + b"m" * 60_000 + b"\n" + b"n" * 60_000 + b"\n") * 8 + b"e"),
    "long storage key": pickled(
        HUGE + b"q\0" + b"0](" + (b"(X\7\0\0\0storagectorch\nFloatStorage\nh\0X\3\0\0\0cpuK\4tQ") * 9_000 + b"e"),
    "shared text as data": numpy_states(8_000),
    "shared state": pickled(
        b"}(" + b"".join(text(b"%05d" % n) + b"N" for n in range(40_000)) + b"uq\0" + b"0cm\nC\nq\1" + b"0](" + b"h\1)Rh\0b" * 50_000 + b"e"),
    "shared list of texts": pickled(text(b"x" * 900) + b"q\0" + b"0](" + b"h\0" * 60 + b"eq\1" + b"0](" + b"h\1" * 400_000 + b"e"),
    "tuple of texts as a key": pickled(text(b"x" * 900) + b"q\0" + b"0(" + b"h\0" * 60 + b"tq\1" + b"0}(" + b"h\1N" * 250_000 + b"u"),
    "laughs": pickled(b"N" + b"q\0" + b"h\0h\0\x86q\0" * 60_000),
    "laughs of lists": pickled(b"](K\1" + text(b"x") + b"eq\0" + (b"](" + b"h\0" * 10 + b"eq\0") * 30_000),
    "deep": pickled(b"]" * 400_000 + b"a" * 399_999),
    "deep tuples": pickled(b")" + b"\x85" * 900_000),
    "memo": pickled(b"N" + b"".join(b"r" + struct.pack("<I", n * 7919 % (1 << 32)) for n in range(180_000))),
    "duplicates": pickled(b"]" + b"2" * 900_000 + b"0" * 10),
    "long integers": pickled(b"](" + (b"\x8b" + struct.pack("<I", 60_000) + b"\x7f" * 60_000) * 14 + b"e"),
    "long decimals": pickled(b"](" + (b"L" + b"9" * 1000 + b"L\n") * 900 + b"e"),
    "scales": pickled(
        b"](" + b"K\1" * 200_000 + b"eq\0" + b"0ctorch._utils\n_rebuild_qtensor\nq\1" + b"0](" + b"h\1(NK\0)h\0h\0\x89}tR" * 20_000 + b"e"),
    "dtype": pickled(text(b"<" * 400_000) + b"q\0" + b"0cnumpy\ndtype\nh\0\x85Rq\1" + b"0cnumpy.core.multiarray\nscalar\nq\2" + b"0](" + b"h\2h\1C\1b\x86R" * 60_000 + b"e"),
    "class names": pickled(
        text(b"x" * 400_000) + b"q\0" + b"0ctorch_utils.persistence\n_reconstruct_persistent_obj\nq\1" + b"0](" + b"h\1}(X\x0a\0\0\0class_nameh\0u\x85R" * 20_000 + b"e"),
}


@pytest.mark.parametrize("name", PICKLES)
def test_pickles(cheap, tmp_path, name):
    looked_at(cheap, tmp_path, written(tmp_path / "x.pkl", PICKLES[name]))


@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickles_take_linear_time(cheap, tmp_path, protocol):
    count = 60_000
    values = {
        "dict": {f"k{i}": i for i in range(count)}, "list": list(range(count)), "numbers": {i: float(i) for i in range(count)}, "tuple": tuple(range(count)),
        "set": set(range(count)), "frozen": frozenset(range(count)), "pairs": [(i, str(i)) for i in range(count)], "nested": [[[i]] for i in range(count)],
        "bytes": [bytes([i % 256]) * (i % 7) for i in range(count)],
    }
    for name, value in values.items():
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(value, protocol))
        cheap("inspect", tmp_path / "x.pkl", codes=(0,), cpu=1.5)


# MARK: Archives


def tensor(storage, shape, strides, offset=0, key=b"0", kind=b"FloatStorage"):
    def numbers(values):
        return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", value) for value in values) + b"t"

    identity = b"(X\x07\0\0\0storagectorch\n" + kind + b"\n" + text(key) + b"X\x03\0\0\0cpu\x8a\x08" + struct.pack("<q", storage) + b"tQ"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + identity + b"\x8a\x08" + struct.pack("<q", offset) + numbers(shape) + numbers(strides)
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def torch_file(path, pickle_bytes, *storages, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("x/data.pkl", pickle_bytes)
        for index, data in enumerate(storages):
            archive.writestr(f"x/data/{index}", data)
    assert path.stat().st_size < 1.6 * MIB
    return path


def test_torch_archives(cheap, tmp_path):
    views = b"".join(text(b"%d" % n) + tensor(100_000, (100_000 - n,), (1,), n) for n in range(2000))
    cases = {
        "many views": ((pickled(b"}(" + views + b"u"), bytes(400_000)), {}),
        "strides of 0": ((pickled(b"}" + text(b"w") + tensor(4, (1 << 20, 1 << 20), (0, 0)) + b"s"), bytes(16)), {}),
        "deflated nothing": ((pickled(b"N0" * (40 << 20)), b""), {"method": zipfile.ZIP_DEFLATED}),
        "deflated marks": ((pickled(b"(" * (3 << 20)), b""), {"method": zipfile.ZIP_DEFLATED}),
        "deflated numbers": ((pickled(b"(" + b"G" + b"\0" * 8 * (1 << 20) + b"t"), b""), {"method": zipfile.ZIP_DEFLATED}),
        "deflated texts": ((pickled(b"(" + text(b"x" * 50_000) * 300 + b"t"), b""), {"method": zipfile.ZIP_DEFLATED}),
    }
    for name, (parts, options) in cases.items():
        looked_at(cheap, tmp_path, torch_file(tmp_path / "x.pt", *parts, **options))


def npz(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    assert path.stat().st_size < 1.6 * MIB, path.stat().st_size
    return path


def npy(shape, dtype="<f4", data=b""):
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + data


def test_numpy_archives(cheap, tmp_path):
    zeros = npy((16 << 20,), data=bytes(64 << 20))
    looked_at(cheap, tmp_path, npz(tmp_path / "x.npz", [(f"a{n}.npy", zeros) for n in range(12)]), codes=(3,))
    looked_at(cheap, tmp_path, npz(tmp_path / "x.npz", [(f"a{n}.npy", zeros) for n in range(3)]), codes=(0,))
    looked_at(cheap, tmp_path, npz(tmp_path / "x.npz", [(f"{n}.npy", npy((1,), data=bytes(4))) for n in range(7000)], zipfile.ZIP_STORED))
    looked_at(cheap, tmp_path, npz(tmp_path / "x.npz", [(f"{n}.npy", npy((1,), data=bytes(4))) for n in range(6000)]))
    # Whether the file has the bytes is known before anything is made of its shape.
    for shape in ((1 << 40,), (1 << 31, 1 << 31), (0, 1 << 62), (1,) * 64):
        looked_at(cheap, tmp_path, written(tmp_path / "x.npy", npy(shape, data=bytes(4))))


# MARK: HDF5


def test_hdf5(cheap, tmp_path):
    h5py = pytest.importorskip("h5py")

    def make(name, fill):
        with h5py.File(tmp_path / name, "w") as file:
            fill(file)
        assert (tmp_path / name).stat().st_size < 1.6 * MIB
        return tmp_path / name

    zeros = np.zeros(MIB, np.float32)

    def chunked(file):
        for n in range(200):
            file.create_dataset(f"d{n}", data=np.zeros(4 * MIB // 4, np.float32), chunks=(MIB // 4,), compression="gzip", compression_opts=9)

    cases = {
        "unwritten": lambda file: file.create_dataset("w", (1 << 38,), "f4"),
        "filled": lambda file: file.create_dataset("w", (1 << 29,), "f4", fillvalue=1),
        "unwritten chunks": lambda file: file.create_dataset("w", (1 << 29,), "f4", chunks=(1 << 10,)),
        "many filled": lambda file: [file.create_dataset(f"w{n}", (1 << 24,), "f4", fillvalue=1) for n in range(200)],
        "tiny chunks": lambda file: file.create_dataset("w", (1 << 26,), "f4", chunks=(1,))[:10].sum(),
        "zeros in gzip": lambda file: file.create_dataset("w", data=np.zeros((64, MIB), np.float32), chunks=(1, MIB), compression="gzip", compression_opts=9),
        "many zeros in gzip": chunked,
        "shuffled": lambda file: file.create_dataset("w", data=np.zeros((32, MIB), np.float32), chunks=(1, MIB), compression="gzip", shuffle=True, fletcher32=True),
        "many groups": lambda file: [file.create_group(f"g{n}") for n in range(1500)],
        "attributes": lambda file: [file.attrs.create(f"a{n}", np.zeros(4000)) for n in range(20)],
        "names of one": lambda file: [file.create_dataset("w", data=zeros[:1000])] + [file.__setitem__(f"n{n}", file["w"]) for n in range(8000)],
    }
    for name, fill in cases.items():
        looked_at(cheap, tmp_path, make("x.h5", fill))


@pytest.fixture(scope="module")
def hdf5(tmp_path_factory):
    """Makes an HDF5 file, and says where in it some bytes stand."""
    h5py = pytest.importorskip("h5py")
    folder = tmp_path_factory.mktemp("hdf5")

    def make(fill):
        with h5py.File(folder / "x.h5", "w") as file:
            fill(h5py, file)
        return bytearray((folder / "x.h5").read_bytes())

    return make


def same_references(data, count, length, size=16):
    """Lets all texts of a list lie where its first does, which has `length` bytes and stands before texts of 7."""
    place = data.find(struct.pack("<I", length))
    while place >= 0 and data[place + size : place + size + 4] != struct.pack("<I", 7):
        place = data.find(struct.pack("<I", length), place + 1)
    assert place >= 0
    data[place : place + size * count] = bytes(data[place : place + size]) * count
    return data


def texts_of(count, length):
    return np.array(["z" * length, *(f"q{n:06d}" for n in range(1, count))], object)


LONG = "g" * 60_000
NAMES = {
    "datasets": lambda h5py, file: [file.create_group(LONG).create_dataset(str(n), data=np.zeros(1)) for n in range(1)] + [file[LONG].create_dataset(f"d{n}", data=np.zeros(1)) for n in range(1500)],
    "groups": lambda h5py, file: [file.create_group(f"{LONG}/{n}") for n in range(1200)],
    "second names": lambda h5py, file: file.create_dataset("w", data=np.zeros(1)) and [file.create_group(LONG).__setitem__("0", file["w"])] + [file[LONG].__setitem__(f"n{n}", file["w"]) for n in range(8000)],
    "soft links": lambda h5py, file: file.create_dataset("w", data=np.zeros(1)) and [file.create_group(LONG)] + [file[LONG].__setitem__(f"n{n}", h5py.SoftLink("/w")) for n in range(8000)],
    "attributes": lambda h5py, file: [file.create_group(LONG)] + [file[LONG].attrs.__setitem__(str(n), 1) for n in range(1000)],
    "deep": lambda h5py, file: [file.create_group("/".join(["n" * 3000] * 100)).create_dataset("w", data=np.zeros(1))] + [file["/".join(["n" * 3000] * 100)].create_dataset(str(n), data=np.zeros(1)) for n in range(800)],
    "attributes of second names": lambda h5py, file: [file.create_dataset("w", data=np.zeros(1)).attrs.__setitem__("a", "x" * 60_000)] + [file.__setitem__(f"n{n}", file["w"]) for n in range(5000)],
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_hdf5_groups(cheap, tmp_path, hdf5, name):
    """A group's name stands in the path of all that is in it, and a dataset's attributes at each of its names."""
    looked_at(cheap, tmp_path, written(tmp_path / "x.h5", hdf5(NAMES[name])), codes=(3,))


def test_texts_that_share_their_bytes(cheap, tmp_path, hdf5):
    def text_attributes(names, count, length):
        def fill(h5py, file):
            file["w"] = np.zeros(4, np.float32)
            for name in names:
                file["w"].attrs.create(name, texts_of(count, length), dtype=h5py.string_dtype())
        return hdf5(fill)

    for count, length in ((3900, 60_000), (3900, 900_000), (200, 1_000_000)):
        path = written(tmp_path / "x.h5", same_references(text_attributes("a", count, length), count, length))
        looked_at(cheap, tmp_path, path, codes=(0,))
        cheap("convert", path, "-o", tmp_path / "out.h5", "--quiet", codes=(0,))
        (tmp_path / "out.h5").unlink()
    # As many texts as are stored are read.
    written(tmp_path / "x.h5", text_attributes("ab", 3900, 60_000))
    cheap("convert", tmp_path / "x.h5", "-o", tmp_path / "out.h5", "--quiet", codes=(0,))
    import h5py
    with h5py.File(tmp_path / "out.h5") as file:
        assert list(file["w"].attrs["a"]) == list(texts_of(3900, 60_000))


def heap_without_end(data, kind):
    """Damages the objects of the file's first global heap, so that a walk over them comes back."""
    heap = data.find(b"GCOL")
    assert heap >= 0
    place = heap + 16
    if kind == "no size":
        struct.pack_into("<HHIQ", data, place, 0, 0, 0, 0)
    else:
        struct.pack_into("<Q", data, place + 8, (1 << 64) - 16)
    return data


@pytest.mark.parametrize("kind", ["no size", "a size below 0"])
def test_heaps_without_end(cheap, tmp_path, hdf5, kind):
    """libhdf5 1.10 goes round such a heap for ever."""
    data = hdf5(lambda h5py, file: [file.create_dataset("w", data=np.zeros(4, np.float32)), file.attrs.create("a", ["x" * 50] * 9, dtype=h5py.string_dtype())])
    path = written(tmp_path / "x.h5", heap_without_end(data, kind))
    looked_at(cheap, tmp_path, path)
    cheap("convert", path, "-o", tmp_path / "out.h5", "--quiet")


# MARK: Other checkpoints


def safetensors(header, data=b""):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header)) + header + data


def gguf(*parts, tensors=0, keys=0):
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys) + b"".join(parts) + bytes(64)


def gguf_text(data):
    return struct.pack("<Q", len(data)) + data


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def nested_field(number, depth):
    data = b""
    for _ in range(depth):
        data = field(number, data)
    return data


def message_arrays(depth):
    return b"\x81\xa1k" + b"\x91" * depth + b"\1"


CHECKPOINTS = {
    "many.safetensors": safetensors({f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(15_000)}),
    "ranks.safetensors": safetensors({"t": {"dtype": "U8", "shape": [1] * 300_000, "data_offsets": [0, 1]}}, b"0"),
    "names.safetensors": safetensors({"t" * 900_000: {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}, b"0"),
    "numbers.safetensors": safetensors(b'{"t":{"dtype":"U8","shape":[' + b"9" * 900_000 + b'],"data_offsets":[0,1]}}', b"0"),
    "deep.safetensors": safetensors(b'{"t":' + b"[" * 900_000),
    "deep objects.safetensors": safetensors(b'{"t":' * 150_000),
    "metadata.safetensors": safetensors({"__metadata__": {f"k{n}": "v" for n in range(60_000)}}),
    "escapes.safetensors": safetensors(b'{"__metadata__":{"k":"' + b"\\u0041" * 150_000 + b'"}}'),
    "same keys.safetensors": safetensors(b'{"__metadata__":{' + b",".join(b'"k":"v"' for _ in range(100_000)) + b"}}"),
    "array.gguf": gguf(gguf_text(b"a") + struct.pack("<IIQ", 9, 4, 1 << 60), keys=1),
    "empty texts.gguf": gguf(gguf_text(b"a") + struct.pack("<IIQ", 9, 8, 120_000) + bytes(8 * 120_000), keys=1),
    "nested arrays.gguf": gguf(gguf_text(b"a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 80_000, keys=1),
    "no bytes.gguf": gguf(gguf_text(b"a") + struct.pack("<IIQ", 9, 9, 1 << 40), keys=1),
    "bytes.gguf": gguf(gguf_text(b"a") + struct.pack("<IIQ", 9, 0, 1_000_000) + bytes(1_000_000), keys=1),
    "keys.gguf": gguf(*(gguf_text(b"k%d" % n) + struct.pack("<IB", 0, 1) for n in range(45_000)), keys=45_000),
    "tensors.gguf": gguf(*(gguf_text(b"t%d" % n) + struct.pack("<IQIQ", 1, 0, 0, 0) for n in range(25_000)), tensors=25_000),
    "counts.gguf": gguf(tensors=1 << 60, keys=1 << 60),
    "axes.gguf": gguf(gguf_text(b"t") + struct.pack("<I", 1 << 30), tensors=1),
    "deep.msgpack": message_arrays(900_000),
    "wide.msgpack": b"\x81\xa1k\xdd\xff\xff\xff\xff" + b"\1" * 900_000,
    "maps.msgpack": b"\x81\xa1k" * 300_000 + b"\1",
    "bytes.msgpack": b"\x81\xa1k\xc6\xff\xff\xff\xff" + bytes(900_000),
    "empty arrays.msgpack": b"\x81\xa1k\xdd" + struct.pack(">I", 900_000) + b"\x90" * 900_000,
    "texts.msgpack": b"\x81\xa1k\xdd" + struct.pack(">I", 900_000) + b"\xa0" * 900_000,
    "attributes.msgpack": b"\x81\xda" + struct.pack(">H", 60_000) + b"k" * 60_000 + b"\xdd" + struct.pack(">I", 900_000) + b"\1" * 900_000,
    "shared prefix.msgpack": b"\x81\xda" + struct.pack(">H", 60_000) + b"k" * 60_000 + b"\xde" + struct.pack(">H", 40_000) + b"".join(b"\xa5%05d\1" % n for n in range(40_000)),
    "shared prefix of arrays.msgpack": b"\x81\xda" + struct.pack(">H", 60_000) + b"k" * 60_000 + b"\xde" + struct.pack(">H", 20_000)
    + b"".join(b"\xa5%05d\xc7\x11\1\x93\x91\1\xa7float32\xc4\4\0\0\0\0" % n for n in range(20_000)),
    "long prefixes.msgpack": (b"\x81\xda" + struct.pack(">H", 600) + b"k" * 600) * 90 + b"\xde" + struct.pack(">H", 40_000) + b"".join(b"\xa5%05d\1" % n for n in range(40_000)),
    "deep.onnx": field(7, nested_field(1, 300) * 200),
    "empty tensors.onnx": field(7, field(5, b"") * 400_000),
    "empty nodes.onnx": field(7, field(1, b"") * 400_000),
    "dims.onnx": field(7, field(5, b"\x08\x01" * 400_000 + field(8, b"w"))),
    "packed dims.onnx": field(7, field(5, field(1, b"\1" * 900_000) + field(8, b"w"))),
    "shape.onnx": field(7, field(5, b"\x08" + varint(1 << 40) + b"\x10\x01" + field(8, b"w"))),
    "floats.onnx": field(7, field(5, b"\x08" + varint(200_000) + b"\x10\x01" + field(4, bytes(800_000)) + field(8, b"w"))),
    "numbers.onnx": field(7, field(5, b"\x08" + varint(900_000) + b"\x10\x07" + field(7, b"\1" * 900_000) + field(8, b"w"))),
    "index.safetensors.index.json": json.dumps({"weight_map": {f"t{n}": "a.safetensors" for n in range(30_000)}}).encode(),
    "deep.safetensors.index.json": b'{"weight_map":' + b"[" * 900_000,
    "deep objects.safetensors.index.json": b'{"weight_map":' * 60_000,
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoints(cheap, tmp_path, name):
    # A shard that is not there is a failure of input.
    codes = (6,) if name.startswith("index.") else CODES
    looked_at(cheap, tmp_path, written(tmp_path / name.replace(" ", "_"), CHECKPOINTS[name]), codes=codes)


# MARK: Captions


def picture(path, color=(200, 10, 30)):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32), color).save(path)


def captioned(cheap, tmp_path, captions, **options):
    """Tokenizes two pictures with a list of captions."""
    for n in range(2):
        picture(tmp_path / "pictures" / f"{n}.png")
    subprocess.run(["rm", "-rf", tmp_path / "tokens"], check=True)
    arguments = ["tokenize", tmp_path / "pictures", "-o", tmp_path / "tokens", "--quiet", "--workers", "1"]
    return cheap(*arguments, "--captions", captions, **options)


def thrift_lists(count, kind):
    """A footer of lists that are each as long as the bytes behind them."""
    body, rest = [], 1
    for _ in range(count):
        entry = bytes([0xF0 | kind]) + varint(rest)
        body.append(entry)
        rest += len(entry)
    data = b"\x49\xf9" + varint(count) + b"".join(reversed(body)) + b"\0"
    return b"PAR1" + data + struct.pack("<I", len(data)) + b"PAR1"


def footer(data):
    return b"PAR1" + data + struct.pack("<I", len(data)) + b"PAR1"


def test_parquet_footers(cheap, tmp_path):
    cases = [thrift_lists(count, kind) for count in (3_000, 60_000) for kind in (1, 2, 3, 8, 9, 12)]
    cases += [
        footer(b"\x19\xfc" + varint(900_000) + bytes(900_000)), footer(b"\x19\xf8" + varint(900_000) + bytes(900_000)), footer(b"\x11" * 900_000), footer(b"\x1c" * 900_000),
        footer(b"\x19" * 900_000), footer(b"\x01\x02" * 400_000), footer(b"\x18" + varint(1 << 40)), footer((b"\x49\xfc" + varint(10) + b"\x15\0" * 10) * 20_000),
        footer(b"\x29\x1c\x45\x01\0"),
    ]
    for data in cases:
        captioned(cheap, tmp_path, written(tmp_path / "c.parquet", data), codes=(3,))


def test_parquet_captions(cheap, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

    def save(columns, **options):
        pq.write_table(pa.table(columns), tmp_path / "c.parquet", **{"compression": "zstd", **options})
        assert (tmp_path / "c.parquet").stat().st_size < 1.6 * MIB
        return tmp_path / "c.parquet"

    def repeated(value, count):
        return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([value]))

    names = [f"{n}.png" for n in range(3000)]
    # A dictionary of one caption: 3 GB by the rows, 1 MiB in the file.
    captioned(cheap, tmp_path, save({"file_name": names, "caption": repeated("x" * MIB, 3000)}, row_group_size=3000), codes=(0,))
    captioned(cheap, tmp_path, save({"file_name": names, "caption": repeated("é" * (MIB // 2), 3000)}, row_group_size=10))
    # Names that share all but their last letters, and names that are long.
    long = [("n" * 60_000) + f"{n}.png" for n in range(4000)]
    captioned(cheap, tmp_path, save({"file_name": long, "caption": ["x"] * 4000}, use_dictionary=False, column_encoding={"file_name": "DELTA_BYTE_ARRAY", "caption": "PLAIN"}), codes=(3,))
    captioned(cheap, tmp_path, save({"file_name": long, "caption": ["x"] * 4000}, use_dictionary=False), codes=(3,))
    # Rows without values, and one value for all rows.
    none = pa.array([None] * 6_000_000, pa.string())
    captioned(cheap, tmp_path, save({"file_name": none, "caption": none}, row_group_size=6_000_000), codes=(3,))
    captioned(cheap, tmp_path, save({"file_name": repeated("0.png", 6_000_000), "caption": repeated("x", 6_000_000)}, row_group_size=6_000_000), codes=(3,))
    # As many rows as there are, told short.
    captioned(cheap, tmp_path, save({"file_name": [f"{n}.png" for n in range(150_000)], "caption": [str(n) for n in range(150_000)]}), codes=(0,))


def test_caption_lists(cheap, tmp_path):
    header = b"file_name,caption\n"
    cases = {
        "c.csv": [
            header + b'0.png,"' + b"x" * 1_000_000, header + b"0.png" + b"," * 1_000_000, header + b'0.png,"' + b'""' * 500_000 + b'"\n', b"," * 1_000_000,
            header + b"\n" * 1_000_000, header + b'"' * 1_000_001, header + b"".join(b"%d.png,x\n" % n for n in range(80_000)),
        ],
        "c.jsonl": [
            b'{"file_name":"0.png","caption":' + b"[" * 1_000_000, b'{"file_name":' * 80_000, b'{"file_name":"0.png","caption":' + b"9" * 1_000_000 + b"}",
            b'{"file_name":"0.png","caption":"' + b"\\u0041" * 160_000 + b'"}', b"{}\n" * 350_000, b"\n" * 1_000_000, b'{"file_name":"0.png","caption":0.' + b"9" * 1_000_000 + b"}",
            b'{"file_name":"0.png","x":[' + b"[]," * 300_000 + b"[]]}", b'{"file_name":"0.png","x":{' + b'"k":0,' * 150_000 + b'"k":0}}',
            b'{"file_name":"0.png","caption":1e' + b"9" * 1_000_000 + b"}", b'{"a":' * 500 + b"1" + b"}" * 500,
        ],
    }
    for name, files in cases.items():
        for data in files:
            captioned(cheap, tmp_path, written(tmp_path / name, data))


def test_sidecars(cheap, tmp_path):
    picture(tmp_path / "in" / "a.png")
    for data in (b"[" * 1_000_000, b'{"caption":' * 90_000, b'{"caption":' + b"9" * 1_000_000 + b"}", b'{"caption":"' + b"\\n" * 500_000 + b'"}'):
        (tmp_path / "in" / "a.json").write_bytes(data)
        subprocess.run(["rm", "-rf", tmp_path / "tokens"], check=True)
        cheap("tokenize", tmp_path / "in", "-o", tmp_path / "tokens", "--captions", "sidecar", "--quiet", "--workers", "1")


# MARK: Pictures


def png(width, height, depth=8, color=2, interlace=0, extra=b"", level=6):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    size = 0
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)] if interlace else [(0, 0, 1, 1)]
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        size += rows * (1 + (columns * bits + 7) // 8) if columns > 0 and rows > 0 else 0
    packer, packed = zlib.compressobj(level), []
    while size > 0:
        packed.append(packer.compress(bytes(min(size, 1 << 24))))
        size -= 1 << 24
    data = b"".join(packed) + packer.flush()
    palette = chunk(b"PLTE", bytes(3)) if color == 3 else b""
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)) + palette + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def jpeg(width, height, process, scans, tables=b"", sampling=0x11, components=1):
    """A JPEG of given scans, each its header's parameters and its bits."""

    def segment(marker, data):
        return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data

    parts = b"".join(bytes([n + 1, sampling if n == 0 else 0x11, 0]) for n in range(components))
    data = b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64) + segment(process, struct.pack(">BHHB", 8, height, width, components) + parts) + tables
    for chosen, (start, end, approximation), bits in scans:
        head = bytes([len(chosen)]) + b"".join(bytes([n + 1, 0]) for n in chosen) + bytes([start, end, approximation])
        data += segment(0xDA, head) + bits
    return data + b"\xff\xd9"


def huffman(kind, symbol):
    """A table of one code, a zero bit, for one symbol."""
    return b"\xff\xc4" + struct.pack(">H", 2 + 17 + 1) + bytes([kind]) + b"\1" + bytes(15) + bytes([symbol])


def end_of_band_runs(blocks):
    """Bits that pass over so many blocks in runs of 32767 (the code is a zero bit, then 14 ones)."""
    bits = "0" + "1" * 14
    text = bits * -(-blocks // 32767)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def progressive(width, height, scans, components=1):
    blocks = -(-width // 8) * -(-height // 8)
    tables = huffman(0x00, 0) + huffman(0x10, 0xE0)
    first = (range(components), (0, 0, 0), bytes(blocks * components // 8 + 1))
    others = [((n % components,), (1, 63, 0), end_of_band_runs(blocks)) for n in range(scans)]
    return jpeg(width, height, 0xC2, [first, *others], tables, components=components)


def decoded(cheap, tmp_path, data, name, **options):
    """Prepares one picture, in full and small, lists its size and tokenizes it."""
    subprocess.run(["rm", "-rf", tmp_path / "in", tmp_path / "out", tmp_path / "tokens"], check=True)
    (tmp_path / "in").mkdir()
    written(tmp_path / "in" / name, data)
    cheap("prepare", tmp_path / "in", "-o", tmp_path / "out", "--quiet", **options)
    subprocess.run(["rm", "-rf", tmp_path / "out"], check=True)
    cheap("prepare", tmp_path / "in", "-o", tmp_path / "out", "--quiet", "--resize", "bicubic:short=64", "--crop", "center:64x64", **options)
    cheap("grid", tmp_path / "in", "--quiet", **options)


PNGS = {
    "bits": lambda: png(13_000, 13_000, 1, 0), "colors": lambda: png(10_000, 9_000), "wide": lambda: png(178_000_000, 1, 1, 0), "tall": lambda: png(1, 178_000_000 // 100, 1, 0), "tallest": lambda: png(1, 30_000_000, 1, 0),
    "largest": lambda: png(8192, 8192, 1, 0), "interlaced": lambda: png(8000, 8000, 1, 0, 1), "palette": lambda: png(8192, 8192, 1, 3), "deep": lambda: png(4000, 4000, 16, 6), "thin": lambda: png(4, 60_000),
    "profile": lambda: png(8, 8, extra=png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(200 << 20), 1))), "text": lambda: png(8, 8, extra=png_chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(200 << 20), 1))),
    "itext": lambda: png(8, 8, extra=png_chunk(b"iTXt", b"x\0\1\0\0\0" + zlib.compress(bytes(200 << 20), 1))), "chunks": lambda: png(8, 8, extra=png_chunk(b"tEXt", b"x\0") * 60_000),
    "palettes": lambda: png(8, 8, 8, 3, extra=png_chunk(b"sPLT", b"x\0\x08" + bytes(600)) * 1_500), "claims": lambda: png(8, 8)[:16] + struct.pack(">II", 65_500, 65_500) + png(8, 8)[24:],
}


@pytest.mark.parametrize("name", PNGS)
def test_pngs(cheap, tmp_path, name):
    decoded(cheap, tmp_path, PNGS[name](), "a.png")


JPEGS = {
    "scans": lambda: progressive(5792, 5792, 490), "scans of a large one": lambda: progressive(8192, 8192, 490), "scans of three": lambda: progressive(3000, 3000, 490, 3),
    "scans of a small one": lambda: progressive(512, 512, 499), "allowed scans": lambda: progressive(5792, 5792, 8), "most scans": lambda: progressive(5792, 5792, 70),
    "arithmetic": lambda: jpeg(5792, 5792, 0xC9, [((0,), (0, 63, 0), b"\0")]), "arithmetic zeros": lambda: jpeg(2040, 2040, 0xC9, [((0,), (0, 63, 0), b"\x12\x34" * 400_000)]),
    "arithmetic scans": lambda: jpeg(2040, 2040, 0xCA, [((0,), (0, 0, 0), b"\0")] + [((0,), (1, 63, 0), b"\x5a" * 60)] * 490),
    "huge": lambda: jpeg(65_500, 65_500, 0xC0, [((0,), (0, 63, 0), b"\0")], huffman(0, 0) + huffman(0x10, 0)), "no data": lambda: jpeg(5792, 5792, 0xC0, [((0,), (0, 63, 0), b"\0")], huffman(0, 0) + huffman(0x10, 0)),
    "large, no data": lambda: jpeg(13_000, 13_000, 0xC0, [((0,), (0, 63, 0), b"\0")], huffman(0, 0) + huffman(0x10, 0)), "thin": lambda: jpeg(8, 65_500, 0xC0, [((0,), (0, 63, 0), bytes(2100))], huffman(0, 0) + huffman(0x10, 0)),
    "markers": lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * 200_000 + jpeg(8, 8, 0xC0, [((0,), (0, 63, 0), b"\0")], huffman(0, 0) + huffman(0x10, 0))[2:],
    "fill": lambda: b"\xff\xd8" + b"\xff" * 900_000 + jpeg(8, 8, 0xC0, [((0,), (0, 63, 0), b"\0")], huffman(0, 0) + huffman(0x10, 0))[2:],
    "stray": lambda: b"\xff\xd8\xff\xfe\0\2" + b"\0" * 900_000 + jpeg(8, 8, 0xC0, [((0,), (0, 63, 0), b"\0")], huffman(0, 0) + huffman(0x10, 0))[2:],
    "tables": lambda: b"\xff\xd8" + huffman(0, 0) * 40_000 + jpeg(8, 8, 0xC0, [((0,), (0, 63, 0), b"\0")], huffman(0, 0) + huffman(0x10, 0))[2:],
    "restarts": lambda: jpeg(5792, 5792, 0xC0, [((0,), (0, 63, 0), b"".join(b"\0" + bytes([0xFF, 0xD0 + n % 8]) for n in range(300_000)))], b"\xff\xdd\0\4\0\1" + huffman(0, 0) + huffman(0x10, 0)),
    "truncated": lambda: progressive(5792, 5792, 3)[:-20_000],
}


@pytest.mark.parametrize("name", JPEGS)
def test_jpegs(cheap, tmp_path, name):
    decoded(cheap, tmp_path, JPEGS[name](), "a.jpg")


def test_a_progressive_jpeg_costs_ten_times_a_plain_one_at_most(cheap, tmp_path, program):
    """Scans that say nothing, against a plain picture of the same size in pixels."""
    import resource

    def cost(data):
        subprocess.run(["rm", "-rf", tmp_path / "in", tmp_path / "out"], check=True)
        (tmp_path / "in").mkdir()
        written(tmp_path / "in" / "a.jpg", data)
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run([program, "prepare", tmp_path / "in", "-o", tmp_path / "out", "--quiet", "--resize", "bicubic:short=64", "--crop", "center:64x64"], check=False)
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before

    size = 4096
    plain = jpeg(size, size, 0xC0, [((0,), (0, 63, 0), bytes(size * size // 64 // 4 + 1))], huffman(0, 0) + huffman(0x10, 0))
    usual = cost(plain)
    for scans in (9, 12, 60, 490):
        assert cost(progressive(size, size, scans)) <= 10 * usual + 0.05, (scans, usual)


def test_archives_of_pictures(cheap, tmp_path):
    def archive(fill, format=tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "in.tar", "w", format=format) as tar:
            fill(tar)
        assert (tmp_path / "in.tar").stat().st_size < 1.6 * MIB
        subprocess.run(["rm", "-rf", tmp_path / "out"], check=True)
        cheap("prepare", tmp_path / "in.tar", "-o", tmp_path / "out", "--quiet", codes=(*CODES, 64))

    def empty(count, name):
        def fill(tar):
            for n in range(count):
                tar.addfile(tarfile.TarInfo(name(n)))
        return fill

    archive(empty(2000, lambda n: f"{n}.png"))
    archive(empty(300, lambda n: "d/" * 600 + f"{n}.png"))
    archive(empty(200, lambda n: "d/" * 900 + f"{n}.png"), tarfile.GNU_FORMAT)
    archive(empty(1, lambda n: "n" * 60_000 + ".png"))
    header = bytearray(tarfile.TarInfo("a.png").tobuf())
    for size in (b"77777777777\0", b"\x80" + b"\xff" * 11, b"00000000000\0"):
        header[124:136] = size
        header[148:156] = b"        "
        header[148:156] = b"%06o\0 " % sum(header)
        (tmp_path / "in.tar").write_bytes(bytes(header) + bytes(1024))
        cheap("prepare", tmp_path / "in.tar", "-o", tmp_path / "out", "--quiet")


# MARK: Texts, sizes, recipes


def tokenizer(model, **parts):
    return json.dumps({"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": model, **parts}).encode()


def pairs(vocabulary, merges=()):
    return {"type": "BPE", "vocab": {name: n for n, name in enumerate(vocabulary)}, "merges": list(merges), "unk_token": vocabulary[0]}


ALPHABET = ["<unk>", *"abcdefghijklmnopqrstuvwxyz"]


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def replaced(old, new, kind="String"):
    return {"type": "Replace", "pattern": {kind: old}, "content": new}


TOKENIZERS = {
    "nested groups": tokenizer(pairs(ALPHABET), pre_tokenizer=split("(a*)*b")), "nested pluses": tokenizer(pairs(ALPHABET), pre_tokenizer=split("(a+)+$b")),
    "alternatives": tokenizer(pairs(ALPHABET), pre_tokenizer=split("(a|a|aa)*c")), "optional": tokenizer(pairs(ALPHABET), pre_tokenizer=split("a?" * 60 + "a" * 60)),
    "empty loop": tokenizer(pairs(ALPHABET), pre_tokenizer=split("(?:a*)*(?:a*)*x")), "counted": tokenizer(pairs(ALPHABET), pre_tokenizer=split("((a{0,500}){0,100}){0,1}b")),
    "lookahead": tokenizer(pairs(ALPHABET), pre_tokenizer=split("(?=a*b)(?=a*c)a")), "tail": tokenizer(pairs(ALPHABET), pre_tokenizer=split("a+b|a+c|a")),
    "wide class": tokenizer(pairs(ALPHABET), pre_tokenizer=split("[" + "".join(chr(0x4E00 + 2 * n) for n in range(10_000)) + "]*ÿ")),
    "steps": tokenizer(pairs(ALPHABET), pre_tokenizer={"type": "Sequence", "pretokenizers": [split("a")] * 9_000}),
    "doubling": tokenizer(pairs(ALPHABET), normalizer={"type": "Sequence", "normalizers": [replaced("a", "aa")] * 10_000}),
    "many normalizers": tokenizer(pairs(ALPHABET), normalizer={"type": "Sequence", "normalizers": [replaced("x", "y")] * 12_000}),
    "long pattern": tokenizer(pairs(ALPHABET), normalizer=replaced("a" * 300_000 + "b", "c")), "long literal": tokenizer(
        pairs(ALPHABET), pre_tokenizer={"type": "Split", "pattern": {"String": "a" * 300_000 + "b"}, "behavior": "Isolated", "invert": False}),
    "prepend": tokenizer(pairs(ALPHABET), normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "a" * 100_000}] * 8}),
    "merges": tokenizer(pairs(ALPHABET + ["a" * n for n in range(2, 800)], [["a", "a" * n] for n in range(1, 799)])),
    "long token": tokenizer(pairs(ALPHABET + ["a" * 400_000])),
    "long added token": tokenizer(pairs(ALPHABET), added_tokens=[{"id": 27, "content": "a" * 400_000 + "b", "special": False, "normalized": False}]),
    "spaces before tokens": tokenizer(pairs(ALPHABET), added_tokens=[{"id": 27, "content": "z", "special": False, "normalized": False, "lstrip": True, "rstrip": True}]),
    "unigram": tokenizer({"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0], ["a" * 400_000, -2.0]]}),
    "unigram of all": tokenizer({"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], *(["a" * n, -1.0] for n in range(1, 1200))]}),
    "words": tokenizer({"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "", "max_input_chars_per_word": 1000, "vocab": {"<unk>": 0, "a": 1}}),
    "long prefix": tokenizer({"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "#" * 300_000, "max_input_chars_per_word": 1000, "vocab": {"<unk>": 0, "a": 1}}),
    "vocabulary": tokenizer(pairs([f"{n:x}" for n in range(50_000)])), "same words": b'{"model":{"type":"BPE","merges":[],"vocab":{' + b",".join(b'"a":%d' % n for n in range(90_000)) + b"}}}",
    "ids": tokenizer({"type": "BPE", "vocab": {"a": (1 << 31) - 1}, "merges": []}), "deep": b'{"model":' * 100_000, "deep lists": b'{"model":' + b"[" * 900_000,
    "members": b"{" + b'"k":0,' * 150_000 + b'"model":{}}', "numbers": b'{"model":' + b"9" * 900_000 + b"}", "deep normalizer": tokenizer(pairs(ALPHABET)).replace(
        b'"normalizer": null', b'"normalizer": ' + b'{"type":"Sequence","normalizers":[' * 2000 + b"]}" * 2000),
    "pieces": field(1, field(1, b"a") + b"\x15\0\0\0\0") * 60_000, "long pieces": b"".join(field(1, field(1, b"a" * n) + b"\x15" + struct.pack("<f", -n)) for n in range(1, 1000)),
    "one long piece": field(1, field(1, b"a" * 800_000)), "nested": nested_field(3, 200) * 100,
}

CAPTIONS = {"letters": "a" * 400_000, "spaces": " " * 400_000 + "z", "mixed": ("ab " * 100_000), "ideographs": "一丁丂" * 60_000}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_text_tokenizers(cheap, tmp_path, name):
    path = written(tmp_path / "tokenizer.json", TOKENIZERS[name])
    for caption in CAPTIONS.values():
        (tmp_path / "lines.txt").write_text(caption)
        cheap("text", tmp_path / "lines.txt", "--text-tokenizer", path, "-o", tmp_path / "ids.npy", suffix="-bench")


SEGMENTS = {
    "image": b'{"image":[1000000,1000000]}', "images": b'{"image":[1000,1000]}\n' * 40_000, "text": b'{"text":1000000000000}', "texts": b'{"text":1000000}\n' * 50_000,
    "video": b'{"video":[100000,10000,10000]}', "long video": b'{"video":[1000000000,1,1],"seconds_per_grid":1e-300}', "deep": b'{"image":' + b"[" * 900_000, "lists": b"[" * 900_000,
    "pack": b'[{"text":1}]\n' * 70_000, "largest": b'{"text":9223372036854775807}\n{"text":9223372036854775807}', "numbers": b'{"text":' + b"9" * 900_000 + b"}",
    "small": b'{"text":1}\n' * 90_000, "one line": b"[" + b'{"text":1},' * 80_000 + b'{"text":1}]', "lines": b"\n" * 1_000_000, "row": b'{"image":[1,60000000]}',
}


@pytest.mark.parametrize("name", SEGMENTS)
def test_positions(cheap, tmp_path, name):
    path = written(tmp_path / "s.jsonl", SEGMENTS[name])
    for scheme in ("mrope", "tie", "rope2d"):
        cheap("positions", path, "--scheme", scheme, "-o", tmp_path / "ids.npy", "--quiet")
        (tmp_path / "ids.npy").unlink(missing_ok=True)
    cheap("positions", path, "--scheme", "mrope", "--json", "--quiet")
    cheap("positions", path, "--scheme", "tv", "--check", "--quiet")


QUANTIZERS = {
    "levels": {"kind": "fsq", "variant": "atanh", "levels": [2] * 100_000}, "large levels": {"kind": "fsq", "variant": "atanh", "levels": [1 << 40]},
    "levels that overflow": {"kind": "fsq", "variant": "atanh", "levels": [1 << 20] * 16}, "dimensions": {"kind": "lfq", "order": "little", "dimensions": 1 << 40},
    "many": {"kind": "residual", "stages": [{"kind": "fsq", "variant": "atanh", "levels": [3, 3]}] * 12_000},
    "grouped": {"kind": "bsq", "order": "little", "dimensions": 1 << 62},
}


@pytest.mark.parametrize("name", [*QUANTIZERS, "nested", "deep"])
def test_quantizers(cheap, tmp_path, name):
    np.save(tmp_path / "latents.npy", np.zeros((4, 2), np.float32))
    data = json.dumps(QUANTIZERS.get(name, {})).encode()
    if name == "nested":
        data = b'{"kind":"residual","stages":[' * 20_000
    if name == "deep":
        data = b'{"kind":"residual","stages":[' * 400 + b"1" + b"]}" * 400
    path = written(tmp_path / "q.json", data)
    cheap("quantize", tmp_path / "latents.npy", "--quantizer", path, "-o", tmp_path / "codes.npy", "--quiet")


def recipe(rules, **parts):
    fixed = {"name": "x", "version": 1, "title": "x", "family": "x", "left": "a", "right": "b"}
    return json.dumps({**fixed, "rules": rules, **parts}).encode()


RECIPES = {
    "dots": recipe([{"left": "{a:dotted}.{b:dotted}.{c:dotted}.x", "right": "{a:dotted}.{b:dotted}.{c:dotted}.y"}]),
    "wide alternatives": recipe([{"left": "{a:" + "|".join(map(str, range(60_000))) + "}", "right": "{a:" + "|".join(map(str, range(60_000))) + "}"}]),
    "many dots": recipe([{"left": "{a:dotted}.{b:dotted}.{c:dotted}.{d:dotted}.x", "right": "{a:dotted}.{b:dotted}.{c:dotted}.{d:dotted}.y"}]),
    "rules": recipe([{"left": f"l{n}", "right": f"r{n}"} for n in range(20_000)]), "words": recipe([{"left": "{a:word}" * 60 + "x", "right": "{a:word}" * 60 + "y"}]),
    "alternatives": recipe([{"left": "".join(f"{{a{n}:x|y}}" for n in range(40)), "right": "".join(f"{{a{n}:x|y}}" for n in range(40))}]),
    "sizes": recipe([{"left": "w", "right": "v", "shape": ["(" * 400 + "n" + ")" * 400]}], sizes={"n": "x"}), "sums": recipe([{"left": "w", "right": "v", "shape": ["+".join("n" * 500)]}], sizes={"n": "x"}),
    "stars": recipe([{"left": "w", "right": "v", "shape": ["*".join(["999999999"] * 100)]}]), "names": recipe([{"left": "w" * 400_000, "right": "v" * 400_000}]),
    "constants": recipe([{"left": "w", "right": "v"}], constants=[{"side": "right", "name": "c", "shape": [1 << 40], "value": 0, "reason": "x"}]),
    "deep": b'{"rules":' * 100_000, "lists": b'{"rules":' + b"[" * 900_000,
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes(cheap, tmp_path, name):
    path = written(tmp_path / "r.json", RECIPES[name])
    names = [".".join(["a"] * 400), "w", *(f"l{n}" for n in range(200)), *(".".join(["a"] * 100) + str(n) for n in range(50))]
    tensors, place = {}, 0
    for n in names:
        tensors[n] = {"dtype": "F32", "shape": [1], "data_offsets": [place, place + 4]}
        place += 4
    written(tmp_path / "x.safetensors", safetensors(tensors, bytes(place)))
    cheap("convert", tmp_path / "x.safetensors", "--recipe", path, "-o", tmp_path / "y.safetensors", "--quiet")


# MARK: Datasets


@pytest.fixture(scope="module")
def tokenized(tessera, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenized")
    for n in range(2):
        picture(folder / "in" / f"{n}.png", (n, 90, 200 - n))
    tessera("tokenize", folder / "in", "-o", folder / "tokens", "--positions", "mrope", "--quiet")
    return folder / "tokens"


@pytest.fixture
def exported(tessera, tokenized, tmp_path):
    """A dataset of two samples in a layout."""

    def export(layout):
        if layout == "webdataset":
            shutil.copytree(tokenized, tmp_path / "data")
        else:
            tessera("export", tokenized, "-o", tmp_path / "data", "--format", layout, "--quiet")
        return tmp_path / "data"

    return export


def exports_cheaply(cheap, folder, **options):
    for layout in ("jsonl", "parquet"):
        cheap("export", folder, "-o", folder.parent / "again", "--format", layout, "--quiet", **options)
        subprocess.run(["rm", "-rf", folder.parent / "again"], check=True)


@pytest.mark.parametrize("layout", ANY_CODES)
def test_numbers_of_datasets(cheap, exported, layout):
    """Any number in a file of any layout may be as large as its bytes allow."""
    folder = exported(layout)
    draws = random.Random(ANY_CODES.index(layout))
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 8)
    data = [path for path in files if path.name not in ("dataset.json", "rejected.jsonl")]
    for draw in range(10):
        path = draws.choice(data if draw else files)
        whole = path.read_bytes()
        place = draws.randrange(min(len(whole) - 4, draws.choice([64, 1024, 1 << 20])))
        value = draws.choice([b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\x10", b"9999"])
        path.write_bytes(whole[:place] + value + whole[place + 4 :])
        cheap("export", folder, "-o", folder.parent / "again", "--format", "jsonl", "--quiet", codes=(*CODES, 6))
        subprocess.run(["rm", "-rf", folder.parent / "again"], check=True)
        path.write_bytes(whole)


def lists_claiming(lengths):
    def change(h5py, file, size):
        _, chunk = file["codes"].id.read_direct_chunk((0,))
        chunk = bytearray(chunk)
        for row, length in enumerate(lengths(size)):
            struct.pack_into("<I", chunk, 16 * row, length)
        file["codes"].id.write_direct_chunk((0,), bytes(chunk))
    return change


def rows_of(width, kind="i4"):
    def change(h5py, file, size):
        del file["crop"]
        file.create_dataset("crop", (2, width), kind, chunks=(1, min(width, 1 << 16)), maxshape=(None, width))
    return change


HDF5_ROWS = {
    "a long list": lists_claiming(lambda size: [1 << 31]), "lists that share": lists_claiming(lambda size: [size // 2] * 2), "a longer list": lists_claiming(lambda size: [size]),
    "wide rows": rows_of(1 << 28), "wider rows": rows_of(1 << 40), "rows of no size": rows_of(1 << 30, "u1"),
}


@pytest.mark.parametrize("name", HDF5_ROWS)
def test_rows_of_hdf5(cheap, exported, name):
    h5py = pytest.importorskip("h5py")
    folder = exported("hdf5")
    size = (folder / "data.h5").stat().st_size
    with h5py.File(folder / "data.h5", "r+") as file:
        HDF5_ROWS[name](h5py, file, size)
    exports_cheaply(cheap, folder, codes=(3,))


def mosaic(folder, count, width):
    """Packs as many rows, each of so many codes, into one shard with zstd."""
    pyarrow = pytest.importorskip("pyarrow")
    index, manifest = (json.loads((folder / name).read_text()) for name in ("index.json", "dataset.json"))
    shard = index["shards"][0]
    raw = (folder / "shard.00000.mds").read_bytes()
    first, end = struct.unpack_from("<2I", raw, 4)
    names, sizes = shard["column_names"], shard["column_sizes"]
    lengths = list(struct.unpack_from(f"<{sizes.count(None)}I", raw, first))
    place, cells = first + 4 * len(lengths), {}
    for name, size in zip(names, sizes):
        size = lengths.pop(0) if size is None else size
        cells[name] = raw[place : place + size]
        place += size
    assert place == end
    cells["codes"] = bytes([2 << 2 | 2]) + struct.pack("<2I", 1, width) + bytes(4 * width)
    cells["positions"] = bytes([2 << 2 | 2]) + struct.pack("<2I", 3, width) + bytes(12 * width)
    cells["grid"] = struct.pack("<2i", 1, width)
    rows = []
    for n in range(count):
        cells["key"] = b"%06x" % n
        rows.append(b"".join(struct.pack("<I", len(cells[k])) for k, size in zip(names, sizes) if size is None) + b"".join(cells[k] for k in names))
    places = [4 + 4 * (count + 1)]
    for row in rows:
        places.append(places[-1] + len(row))
    data = struct.pack(f"<{count + 2}I", count, *places) + b"".join(rows)
    packed = pyarrow.Codec("zstd", 3).compress(data, asbytes=True)
    assert len(packed) < 1.6 * MIB
    (folder / "shard.00000.mds").unlink()
    (folder / "shard.00000.mds.zstd").write_bytes(packed)
    shard.update(samples=count, compression="zstd", zip_data={"basename": "shard.00000.mds.zstd", "bytes": len(packed), "hashes": {}})
    shard["raw_data"]["bytes"] = len(data)
    manifest.update(samples=count, tokens=count * width)
    manifest["shards"][0].update(samples=count, tokens=count * width, bytes=len(packed), name="shard.00000.mds.zstd")
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "dataset.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("count, width, code", [(1, 20_000_000, 3), (1, 6_000_000, 0), (100, 60_000, 0), (2000, 3000, 0), (100_000, 1, 0)])
def test_packed_shards(cheap, exported, count, width, code):
    folder = exported("mds")
    mosaic(folder, count, width)
    exports_cheaply(cheap, folder, codes=(code,))


def rewritten_arrow(folder, change, **options):
    """The rows of an Arrow stream, changed, as pyarrow writes them behind our own schema."""
    pa = pytest.importorskip("pyarrow")

    def messages(data):
        place, found = 0, []
        while (size := struct.unpack_from("<2I", data, place)[1]) != 0:
            body = pa.ipc.read_message(pa.BufferReader(data[place:])).body
            end = place + 8 + size + (body.size if body else 0)
            found.append(data[place:end])
            place = end
        return found

    [path] = folder.glob("*.arrow")
    whole = path.read_bytes()
    table = pa.ipc.open_stream(pa.BufferReader(whole)).read_all()
    rows = change(table.slice(0, 1).to_pylist()[0])
    sink = pa.BufferOutputStream()
    encoded = options.pop("dictionary", False)
    table = pa.table({field.name: pa.array([row[field.name] for row in rows], field.type) for field in table.schema})
    if encoded:
        table = table.set_column(0, "key", table["key"].dictionary_encode())
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    data = messages(whole)[0] + b"".join(messages(sink.getvalue().to_pybytes())[1:]) + struct.pack("<2I", 0xFFFFFFFF, 0)
    written(path, data)
    told = json.loads((folder / "dataset.json").read_text())
    told["samples"] = told["shards"][0]["samples"] = len(rows)
    (folder / "dataset.json").write_text(json.dumps(told))


ARROWS = {
    "rows": (lambda row: [{**row, "key": f"{n:x}", "codes": [[1]], "positions": [[1]] * len(row["positions"])} for n in range(3000)], {}, 0),
    "a long row": (lambda row: [{**row, "codes": [[0] * 60_000], "positions": [[0] * 50_000] * len(row["positions"])}], {}, 0),
    "empty lists": (lambda row: [{**row, "codes": [[]] * 150_000}], {}, 0),
    "lz4": (lambda row: [{**row, "codes": [[0] * 20_000_000]}], {"compression": "lz4"}, 3),
    "zstd": (lambda row: [{**row, "codes": [[0] * 20_000_000]}], {"compression": "zstd"}, 3), "small zstd": (lambda row: [row], {"compression": "zstd"}, 3),
    "dictionary": (lambda row: [row] * 3, {"dictionary": True}, 3),
}


@pytest.mark.parametrize("name", ARROWS)
def test_rows_of_arrow(cheap, exported, name):
    folder = exported("arrow")
    change, options, code = ARROWS[name]
    rewritten_arrow(folder, change, **options)
    exports_cheaply(cheap, folder, codes=(code,))


def test_messages_of_arrow(cheap, exported):
    folder = exported("arrow")
    [path] = folder.glob("*.arrow")
    whole = path.read_bytes()
    schema = whole[: 8 + struct.unpack_from("<2I", whole)[1]]
    empty = struct.pack("<2I", 0xFFFFFFFF, 8) + bytes(8)
    heads = [schema * 300, schema + empty * 60_000, struct.pack("<2I", 0xFFFFFFFF, 1_000_000) + bytes(1_000_000), struct.pack("<2I", 0xFFFFFFFF, 1 << 31)]
    for data in heads:
        written(path, data)
        exports_cheaply(cheap, folder, codes=(3,))


def test_chunks_of_litdata(cheap, exported):
    folder = exported("litdata")
    [path] = folder.glob("*.bin")
    whole = path.read_bytes()
    count = struct.unpack_from("<I", whole)[0]
    first, end = struct.unpack_from("<2I", whole, 4)
    told = json.loads((folder / "dataset.json").read_text())
    columns = [column["name"] for column in told["layout"]["table"]["columns"]]
    item, width = whole[first:end], 4 * (len(columns) + 1)
    sizes = struct.unpack_from(f"<{len(columns) + 1}I", item)
    leaves = [item[width + sum(sizes[:n]) : width + sum(sizes[: n + 1])] for n in range(len(sizes))]
    assert count == 2 and "codes" in columns

    def chunk(items):
        places = [4 * (len(items) + 2)]
        for one in items:
            places.append(places[-1] + len(one))
        return struct.pack(f"<{len(items) + 2}I", len(items), *places) + b"".join(items)

    def with_codes(extents, data):
        changed = list(leaves)
        head = struct.unpack_from("<I", leaves[1 + columns.index("codes")])[0]
        changed[1 + columns.index("codes")] = struct.pack(f"<{2 + len(extents)}I", head, len(extents), *extents) + data
        return struct.pack(f"<{len(changed)}I", *map(len, changed)) + b"".join(changed)

    bodies = [chunk([with_codes(*drawn)]) for drawn in [
        ([1 << 31, 1 << 31], b""), ([(1 << 32) - 1] * 2, bytes(64)), ([0, (1 << 32) - 1], b""), ([1] * 1000, bytes(4)), ([1, 300_000], bytes(600_000)),
    ]]
    bodies += [chunk([b""] * 200_000), struct.pack("<I", (1 << 32) - 1) + bytes(100_000), chunk([item] * 1000)[: MIB]]
    for body in bodies:
        written(path, body)
        told["samples"] = told["shards"][0]["samples"] = struct.unpack_from("<I", body)[0]
        (folder / "dataset.json").write_text(json.dumps(told))
        exports_cheaply(cheap, folder, codes=(0, 3))


def columns_of(count, **parts):
    def change(told):
        first = told["layout"]["table"]["columns"][0]
        told["layout"]["table"]["columns"] += [{**first, "name": f"c{n}", **parts} for n in range(count)]
    return change


MANIFESTS = {
    "axes": columns_of(1, shape=[None] * 150_000), "columns": columns_of(6000), "extents": columns_of(1, shape=[1 << 62, 1 << 62]), "a long name": columns_of(1, name="n" * 900_000),
    "shards": lambda told: told["shards"].extend({**told["shards"][0], "name": f"s/{n}", "samples": 0} for n in range(6000)),
    "samples": lambda told: told["shards"][0].update(samples=1 << 52), "levels": lambda told: told["tokenizer"]["quantizer"].update(levels=[8] * 200_000),
    "sizes": lambda told: told["layout"]["files"].extend({"name": f"f{n}", "bytes": 1 << 52, "sha256": "0" * 64} for n in range(9000)),
    "sizes of other files": lambda told: told["files"].extend({"name": f"f{n}", "bytes": 1 << 52, "sha256": "0" * 64} for n in range(9000)),
    "renames": lambda told: told["layout"].update(renamed={f"k{n}": f"v{n}" for n in range(40_000)}), "omissions": lambda told: told["layout"].update(omitted=["x"] * 200_000),
}


@pytest.mark.parametrize("layout", ["arrow", "litdata", "npy"])
def test_manifests(cheap, exported, layout):
    folder = exported(layout)
    whole = (folder / "dataset.json").read_text()
    for change in MANIFESTS.values():
        told = json.loads(whole)
        change(told)
        written(folder / "dataset.json", json.dumps(told).encode())
        _, errors = cheap("export", folder, "-o", folder.parent / "again", "--format", "jsonl", "--quiet", codes=(*CODES, 6))
        assert len(errors) < 20_000
        subprocess.run(["rm", "-rf", folder.parent / "again"], check=True)
        cheap("verify", folder, codes=(3, 4), is_report=True)
    (folder / "dataset.json").write_text(whole)
    line = '{"bytes":%d,"name":"f%d","sha256":"%s"}\n'
    for path in folder.glob("files.jsonl"):
        written(path, "".join(line % (1 << 52, n, "0" * 64) for n in range(8000)).encode())
        cheap("verify", folder, codes=(4,), is_report=True)


LAYOUTS_OF_SEQUENCES = {
    "names": {"begin_of_document": [f"<{n}>" for n in range(90_000)]}, "ids": {"begin_of_image": [1] * 300_000}, "a long name": {"pad": "n" * 900_000},
    "table": {"codes": {"table": [0] * 400_000}}, "huge ids": {"codes": {"table": [1 << 62] * 50_000}}, "a long prefix": {"codes": {"names": {"prefix": "p" * 900_000, "suffix": "s"}}},
    "a long placeholder": {"codes": {"separate": {"placeholder": "p" * 900_000}}}, "a size of much text": {"size": {"text": "{height}{width}" * 60_000}},
    "a token of many numbers": {"size": {"token": "{}" * 400_000, "base": 1 << 31, "digits": 18}}, "unknown": {f"k{n}": 0 for n in range(80_000)}, "an unknown name": {"k" * 900_000: 0},
    "offset": {"codes": {"offset": (1 << 63) - 1}},
}
TEXTS_OF_SEQUENCES = {
    "deep": b'{"codes":' * 100_000, "lists": b"[" * 1_000_000, "members": b"{" + b'"name":"x",' * 80_000 + b'"codes":{"offset":1}}', "digits": b'{"codes":{"offset":' + b"9" * 900_000 + b"}}",
    "escapes": b'{"name":"' + b"\\ud83d" * 150_000 + b'","codes":{"offset":0}}', "nothing": bytes(1_000_000),
}


@pytest.mark.parametrize("name", [*LAYOUTS_OF_SEQUENCES, *TEXTS_OF_SEQUENCES])
def test_layouts_of_sequences(cheap, tokenized, tmp_path, name):
    plain = {"name": "x", "codes": {"offset": 0}}
    data = TEXTS_OF_SEQUENCES.get(name) or json.dumps({**plain, **LAYOUTS_OF_SEQUENCES[name]}).encode()
    written(tmp_path / "tokenizer.json", tokenizer(pairs(ALPHABET)))
    layout = written(tmp_path / "s.json", data)
    _, errors = cheap("export", tokenized, "-o", tmp_path / "out", "--format", "jsonl", "--sequence", layout, "--text-tokenizer", tmp_path / "tokenizer.json", "--quiet")
    assert len(errors) < 20_000


def described(**parts):
    steps = {"resize": "none", "crop": "none", "pad": "none", "range": "x/127.5-1", "alpha": "drop", "orientation": "apply", "truncation": "refuse"}
    quantizer = {"kind": "vq", "rule": "l2", "codebook": "quantize.embedding.weight"}
    return {"name": "x", "family": "vqvae", "checkpoint": "w.safetensors", "quantizer": quantizer, "preprocessing": steps, **parts}


def of_shape(*shape, end=0, name="quantize.embedding.weight"):
    return safetensors({name: {"dtype": "U8", "shape": list(shape), "data_offsets": [0, end]}}, bytes(end))


DESCRIPTIONS = {
    "levels": ({"quantizer": {"kind": "fsq", "variant": "atanh", "levels": [2] * 100_000}}, None), "bits": ({"quantizer": {"kind": "lfq", "order": "little", "dimensions": 1 << 62}}, None),
    "stages": ({"quantizer": {"kind": "residual", "stages": [{"kind": "fsq", "variant": "atanh", "levels": [3, 3]}] * 12_000}}, None),
    "logits": ({"quantizer": {"kind": "vq", "rule": "logits", "dimensions": 1 << 30}}, None), "a long family": ({"family": "f" * 900_000}, None),
    "a long path": ({"checkpoint": "a/" * 400_000 + "w"}, None), "a long name": ({"name": "n" * 900_000}, None), "a long codebook": ({"quantizer": {"kind": "vq", "rule": "l2", "codebook": "c" * 900_000}}, None),
    "size": ({"preprocessing": {**described()["preprocessing"], "resize": "bicubic:exact=999999999x999999999"}}, None),
    "range": ({"preprocessing": {**described()["preprocessing"], "range": "x/" + "9" * 500_000}}, None), "itself": ({"checkpoint": "tokenizer.json"}, None),
    "extents": ({}, of_shape(1 << 40, 1 << 20)), "no values": ({}, of_shape(1 << 40, 0)), "narrow": ({}, of_shape(1_000_000, 1, end=1_000_000)), "wide": ({}, of_shape(1, 1_000_000, end=1_000_000)),
    "axes": ({}, of_shape(*[1] * 300_000, end=1)), "tensors": ({}, safetensors({f"decoder.conv_in.{n}.weight": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(9000)})),
    "levels of the network": ({"family": "taming"}, safetensors({f"encoder.down.{n}.block.0.conv1.weight": {"dtype": "U8", "shape": [1, 1, 1, 1], "data_offsets": [n, n + 1]} for n in range(4000)}, bytes(4000))),
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_descriptions_of_tokenizers(cheap, tmp_path, name):
    parts, weights = DESCRIPTIONS[name]
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "t").mkdir()
    written(tmp_path / "t" / "tokenizer.json", json.dumps(described(**parts)).encode())
    written(tmp_path / "t" / "w.safetensors", weights or of_shape(4, 4, end=16))
    _, errors = cheap("tokenize", tmp_path / "in", "-o", tmp_path / "out", "--tokenizer", tmp_path / "t", "--quiet", codes=(3, 4, 5))
    assert len(errors) < 20_000


# MARK: State spaces


def save_hdf5(path, arrays):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            if array.size > 100_000:
                # Never written: all elements are the first.
                file.create_dataset(name, array.shape, array.dtype, fillvalue=array.flat[0], chunks=(1, array.shape[-1]) if name == "A" else None)
            else:
                file[name] = array


STATE_SPACES = {
    "zeros": (np.zeros, 2000), "decay": (lambda shape: -np.eye(shape[0]), 2000), "triangle": (lambda shape: -np.tril(np.ones(shape)), 1500),
    "one value": (lambda shape: np.full(shape, -1.0), 900), "largest": (lambda shape: np.random.default_rng(1).standard_normal(shape) / 60 - np.eye(shape[0]), 500),
}


@pytest.mark.parametrize("ending", ["npz", "h5"])
@pytest.mark.parametrize("name", STATE_SPACES)
def test_state_spaces(cheap, tmp_path, name, ending):
    """Matrices that take few bytes where they are packed, or never written: work grows with the cube of their order."""
    make, order = STATE_SPACES[name]
    arrays = {"A": make((order, order)).astype("f4"), "B": np.ones((order, 1), "f4"), "C": np.ones((1, order), "f4")}
    path = tmp_path / f"x.{ending}"
    np.savez_compressed(path, **arrays) if ending == "npz" else save_hdf5(path, arrays)
    codes = CODES if name == "largest" else (5,)
    verbs = [("check", "--json"), ("discretize", "--method", "zoh", "--dt", "0.01", "-o", tmp_path / "y.npz"), ("kernel", "--length", "100", "--dt", "0.1", "--method", "bilinear", "-o", tmp_path / "k.npy"),
             ("diagonalize", "-o", tmp_path / "z.npz"), ("rate", "--factor", "2", "-o", tmp_path / "r.npz")]
    for verb in verbs:
        cheap("ssm", verb[0], path, "--system", "dense", "--quiet", *verb[1:], codes=codes)


# MARK: Arrays


ARRAYS = {
    "huge": npy((1 << 40, 2), data=bytes(8)), "many empty": npy((1 << 62, 0)), "empty": npy((0, 1 << 40)), "rows of none": npy((1 << 20, 0, 2)), "axes": npy((1,) * 64, data=bytes(4)),
    "wide": npy((1, 1 << 17), data=bytes(1 << 19)), "tall": npy((1 << 17, 1), data=bytes(1 << 19)), "pairs": npy((1 << 16, 2), data=bytes(1 << 19)), "codes": npy((1 << 17,), "<u4", bytes(1 << 19)),
    "header": b"\x93NUMPY\2\0" + struct.pack("<I", 900_053) + b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"1," * 450_000 + b")}", "no header": b"\x93NUMPY\2\0\xff\xff\xff\xff{",
}
MAPS = ["softmax", "entmax:1.5", "sparsemax", "softmax:top-p=0.9", "softmax:top-k=64", "taylor:64"]


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(cheap, tmp_path, name):
    path = written(tmp_path / "x.npy", ARRAYS[name])
    (tmp_path / "q.json").write_text('{"kind": "fsq", "variant": "atanh", "levels": [8, 8]}')

    def run(*arguments):
        cheap(*arguments, "--quiet")
        (tmp_path / "out").unlink(missing_ok=True)

    for inverse in ([], ["--inverse"]):
        run("quantize", path, "--quantizer", tmp_path / "q.json", "-o", tmp_path / "out", *inverse)
    for kind in MAPS:
        run("soften", path, "--map", kind, "-o", tmp_path / "out")
    run("ssm", "encode", path, "--measure", "legs", "--order", "8", "--convention", "optimal", "-o", tmp_path / "out")


# MARK: Valid compressed files


def drawn_array(random_numbers, generator):
    """An array whose packed form may end in very few bits."""
    rank = random_numbers.choice([0, 1, 1, 2, 2, 3])
    most = random_numbers.choice([3, 40, 300, 3000, 70_000])
    shape = tuple(random_numbers.randrange(0, max(2, int(most ** (1 / max(1, rank))))) for _ in range(rank))
    if random_numbers.random() < 0.03:
        shape = random_numbers.choice([(256, 256), (512, 512), (1024, 1024), (768, 3072), (65536,), (1000, 1000), (131_072,)])
    dtype = random_numbers.choice(["f2", "f4", "f8", "i1", "i4", "i8", "u1", "u2", "?"])
    count = int(np.prod(shape))
    kind = random_numbers.choice(["zeros", "ones", "noise", "half", "tail", "steps", "sparse"])
    values = np.zeros(count) if kind in ("zeros", "half", "tail", "sparse") else np.ones(count)
    if kind == "noise":
        values = generator.integers(-100, 100, count)
    if kind == "half":
        values[: count // 2] = generator.integers(0, 100, count // 2)
    if kind == "tail":
        values[-1:] = 1
    if kind == "steps":
        values = np.arange(count) // 17 % 100
    if kind == "sparse" and count:
        values[generator.integers(0, count, max(1, count // 100))] = 7
    return np.abs(values).astype(dtype).reshape(shape) if dtype in ("u1", "u2", "?") else values.astype(dtype).reshape(shape)


def deflated(data, random_numbers):
    strategy = random_numbers.choice([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED])
    packer = zlib.compressobj(random_numbers.randrange(1, 10), zlib.DEFLATED, -random_numbers.choice([9, 12, 15, 15]), random_numbers.choice([1, 8, 9]), strategy)
    packed = b""
    if random_numbers.random() < 0.2 and data:
        # Some writers flush on the way.
        cut = random_numbers.randrange(len(data))
        packed = packer.compress(data[:cut]) + packer.flush(random_numbers.choice([zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH]))
        data = data[cut:]
    return packed + packer.compress(data) + packer.flush()


def zipped(path, members, random_numbers):
    """A zip file whose members are deflated in ways that zipfile itself does not offer."""
    body, directory = b"", b""
    for name, data in members:
        packed, name = deflated(data, random_numbers), name.encode()
        head = struct.pack("<HHHHHIII", 20, 0, 8, 0, 33, zlib.crc32(data), len(packed), len(data))
        directory += b"PK\1\2" + struct.pack("<H", 20) + head + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, len(body)) + name
        body += b"PK\3\4" + head + struct.pack("<HH", len(name), 0) + name + packed
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(body), 0)
    path.write_bytes(body + directory + end)


def npy_bytes(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


FILES = int(os.environ.get("COMPRESSED_FILES", "300"))


def test_random_compressed_files_convert(tessera, tmp_path):
    """`COMPRESSED_FILES=10000 pytest Tests/Oracles/test_costs.py -k compressed_files` draws as many; each compressed array counts, a hundred to a file."""
    from safetensors.numpy import load_file
    import h5py

    seed = int(os.environ.get("COMPRESSED_SEED", "11"))
    random_numbers, generator = random.Random(seed), np.random.default_rng(seed)
    done = 0
    while done < FILES:
        arrays = {f"a{n}": drawn_array(random_numbers, generator) for n in range(min(100, FILES - done))}
        done += len(arrays)
        zipped(tmp_path / "x.npz", [(f"{name}.npy", npy_bytes(array)) for name, array in arrays.items()], random_numbers)
        with np.load(tmp_path / "x.npz") as read:
            assert all(np.array_equal(read[name], array) for name, array in arrays.items())
        rezip(tmp_path / "x.pt", arrays, random_numbers)
        with h5py.File(tmp_path / "x.h5", "w") as file:
            for name, array in arrays.items():
                packing = {"compression": "gzip", "compression_opts": random_numbers.randrange(0, 10), "shuffle": random_numbers.random() < 0.5} if array.size else {}
                file.create_dataset(name, data=array.astype("u1") if array.dtype == bool else array, **(packing if array.ndim else {}))
        for path in ("x.npz", "x.pt", "x.h5"):
            tessera("convert", tmp_path / path, "-o", tmp_path / "y.safetensors", "--quiet", "--no-source-hash")
            result = load_file(tmp_path / "y.safetensors")
            (tmp_path / "y.safetensors").unlink()
            assert set(result) == set(arrays), path
            for name, array in arrays.items():
                assert result[name].shape == array.shape and np.array_equal(result[name], array), (path, name, array.shape, array.dtype)


KINDS = {"f2": b"Half", "f4": b"Float", "f8": b"Double", "i1": b"Char", "i4": b"Int", "i8": b"Long", "u1": b"Byte", "b1": b"Bool"}


def rezip(path, arrays, random_numbers):
    """The arrays as torch saves them, in an archive that was packed again; torch has no unsigned 16 bits of old."""
    entries, storages = b"", []
    for name, array in arrays.items():
        kind = KINDS.get(array.dtype.str[1:], b"UInt16")
        strides = [int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim)]
        if kind == b"UInt16":
            kind = b"Untyped"
        if kind == b"Untyped":
            array, strides, kind = array.astype("i4"), strides, b"Int"
            arrays[name] = array
        entries += text(name.encode()) + tensor(array.size, array.shape, strides, 0, str(len(storages)).encode(), kind + b"Storage")
        storages.append((f"x/data/{len(storages)}", array.tobytes()))
    zipped(path, [("x/data.pkl", pickled(b"}(" + entries + b"u")), ("x/version", b"3\n"), *storages], random_numbers)


def test_files_of_zeros_and_ones_convert(tessera, tmp_path):
    """The last bits of a stream stand for all that is left: the stream ends when its output does, not its input."""
    for dtype in ("f4", "f2"):
        for shape in ((768,), (768, 768), (3072, 768), (1024, 1024), (2048, 2048), (512, 512, 3, 3), (8192, 1024), (16384, 256)):
            arrays = {"zeros": np.zeros(shape, dtype), "ones": np.ones(shape, dtype)}
            for name, array in arrays.items():
                np.savez_compressed(tmp_path / "x.npz", w=array)
                tessera("convert", tmp_path / "x.npz", "-o", tmp_path / "y.npz", "--quiet", "--no-source-hash")
                assert np.array_equal(np.load(tmp_path / "y.npz")["w"], array), (dtype, shape, name)
                (tmp_path / "y.npz").unlink()
