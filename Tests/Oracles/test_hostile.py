"""Files made to harm: listed or refused, never run. The kernel itself watches that no process starts."""

import json
import os
import pickle
import resource
import signal
import struct
import subprocess
import time
import zipfile

import numpy as np
import pytest


@pytest.fixture(scope="session")
def confined(program, tmp_path_factory):
    """Runs the program so that the kernel kills it where it starts a process or opens a socket."""
    folder = tmp_path_factory.mktemp("confine")
    source, library = os.path.join(os.path.dirname(__file__), "confine.c"), folder / "confine.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    environment = os.environ | {"LD_PRELOAD": str(library)}

    def run(*arguments, command=None):
        start = time.monotonic()
        result = subprocess.run([command or program, *map(str, arguments)], capture_output=True, text=True, timeout=30, env=environment)
        assert time.monotonic() - start < 5
        return result

    # The guard works: a shell under it dies when it starts something, and a plain command does not.
    assert run("-c", "/bin/true; /bin/true", command="/bin/sh").returncode == -signal.SIGSYS
    assert run("-c", "exit 4", command="/bin/sh").returncode == 4
    return run


def one_line(result):
    return result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1


def test_every_hostile_pickle_of_others(confined, shared_data, tmp_path):
    files = sorted((shared_data / "pickles").rglob("*.*"))
    assert len(files) > 40
    canary = tmp_path / "canary"
    listed = refused = 0
    before = set(os.listdir("/tmp"))
    for path in files:
        shown = confined("inspect", path, "--json")
        assert shown.returncode in (0, 3), (path, shown.stderr)
        if shown.returncode == 3:
            assert one_line(shown), shown.stderr
            refused += 1
            continue
        listed += 1
        notes = json.loads(shown.stdout)["notes"]
        if path.name.startswith("malicious") and path.name != "malicious6.pkl":
            assert any("global '" in note and ("dangerous" in note or "unknown" in note) for note in notes), (path, notes)
        converted = confined("convert", path, "-o", tmp_path / "x.safetensors", "--quiet")
        assert converted.returncode in (0, 3, 4), (path, converted.stderr)
    assert listed > 30 and refused > 5
    assert not canary.exists()
    assert {name for name in set(os.listdir("/tmp")) - before if "pwn" in name.lower()} == set()


class Call:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def payloads(canary):
    touch = f"touch {canary}"
    return {
        "system": Call(os.system, touch), "popen": Call(subprocess.Popen, ["touch", str(canary)]), "open": Call(open, str(canary), "w"),
        "eval": Call(eval, f"open({str(canary)!r}, 'w')"), "nested": {"model": [1, {"x": Call(exec, f"open({str(canary)!r}, 'w')")}]},
        "inner": Call(getattr, Call(__import__, "os"), "system"), "object": Call(os.system, touch),
    }


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_called(confined, tmp_path, protocol):
    canary = tmp_path / "canary"
    for name, value in payloads(canary).items():
        data = pickle.dumps(value, protocol=protocol)
        (tmp_path / "bad.pkl").write_bytes(data)
        with zipfile.ZipFile(tmp_path / "bad.pt", "w") as archive:
            archive.writestr("bad/data.pkl", data)
            archive.writestr("bad/version", "3\n")
        legacy = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
        (tmp_path / "legacy.pt").write_bytes(legacy + data + pickle.dumps([], 2))
        for file in ("bad.pkl", "bad.pt", "legacy.pt"):
            shown = confined("inspect", tmp_path / file, "--json")
            assert shown.returncode == 0, (name, file, shown.stderr)
            notes = json.loads(shown.stdout)["notes"]
            assert any(note.startswith("dangerous global '") for note in notes), (name, file, notes)
            confined("convert", tmp_path / file, "-o", tmp_path / "x.safetensors", "--quiet")
        # Python itself would have run it.
        if name in ("system", "open", "eval", "nested"):
            pickle.loads(data)
            assert canary.exists(), name
            canary.unlink()
    assert not canary.exists()


def pickled(*parts):
    return b"\x80\x02" + b"".join(parts) + b"."


BAD_PICKLES = {
    "cut": (b"\x80\x02}", "cut short"), "empty stack": (pickled(), "more values than there are"), "opcode": (pickled(b"\xff"), "no pickle instruction"),
    "protocol": (b"\x80\x09N.", "protocol 9"), "memo": (pickled(b"h\x07"), "memo entry 7"), "list setitem": (pickled(b"]K\x01K\x02s"), "no container"),
    "dict append": (pickled(b"}K\x01a"), "no container"), "tuple append": (pickled(b")K\x01a"), "no container"), "odd": (pickled(b"}(K\x01u"), "key without a value"),
    "reduce int": (pickled(b"K\x01)R"), "neither class nor function"), "reduce arguments": (pickled(b"cos\nsystem\nK\x01R"), "no tuple"),
    "build": (pickled(b"K\x01}b"), "a state"), "extension": (pickled(b"\x82\x01"), "not in the file"), "buffer": (pickled(b"\x97"), "not in the file"),
    "text": (pickled(b"X\xff\xff\xff\x7f"), "cut short"), "bytes8": (pickled(b"\x8e" + b"\xff" * 8), "no length"), "utf8": (pickled(b"X\x02\0\0\0\xff\xfe"), "not UTF-8"),
    "long": (pickled(b"\x8b\xff\xff\xff\x7f"), "an integer of"), "frame": (pickled(b"\x95" + b"\xff" * 7 + b"\x00"), "frame"), "mark": (pickled(b"t"), "more values"),
    "pop mark": (pickled(b"(1N0"), "more values"), "global": (pickled(b"K\x01K\x02\x93"), "whose name is no text"),
    "deep": (pickled(b"]" * 3000 + b"a" * 2999), "nest too deeply"), "storage": (pickled(b"X\x01\0\0\0xQ"), "no storage of torch"),
    "lost storage": (pickled(b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ"), "not in the file"),
}


def refuses(confined, path, data, words):
    """A file of these bytes is malformed, which one line with these words says."""
    path.write_bytes(data)
    result = confined("inspect", path)
    assert result.returncode == 3 and one_line(result) and words in result.stderr, (result.returncode, result.stderr)


@pytest.mark.parametrize("name", BAD_PICKLES)
def test_damaged_pickles(confined, tmp_path, name):
    refuses(confined, tmp_path / "bad.pkl", *BAD_PICKLES[name])


def test_values_that_contain_themselves_or_multiply(confined, tmp_path):
    loop = {"a": 1}
    loop["self"] = [loop]
    (tmp_path / "loop.pkl").write_bytes(pickle.dumps(loop))
    assert confined("inspect", tmp_path / "loop.pkl").returncode == 0
    # 2^40 paths to one value in a few hundred bytes.
    (tmp_path / "laughs.pkl").write_bytes(pickled(b"N" + b"q\0" + b"h\0h\0\x86q\0" * 40))
    assert confined("inspect", tmp_path / "laughs.pkl").returncode == 0
    # The same with a tensor at the end of each path: all of them would have names.
    with zipfile.ZipFile(tmp_path / "laughs.pt", "w") as archive:
        archive.writestr("x/data.pkl", tensor_pickle()[:-1] + b"q\0" + b"h\0h\0\x86q\0" * 40 + b".")
        archive.writestr("x/data/0", bytes(16))
    result = confined("inspect", tmp_path / "laughs.pt")
    assert result.returncode == 3 and one_line(result) and "shared beyond measure" in result.stderr, result.stderr


def storage_id(kind=b"FloatStorage", key=b"0", count=4):
    return (
        b"(X\x07\0\0\0storagectorch\n" + kind + b"\nX" + struct.pack("<I", len(key)) + key + b"X\x03\0\0\0cpu" + b"\x8a\x08" + struct.pack("<q", count) + b"tQ"
    )


def integer(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def tensor_pickle(offset=0, size=(4,), stride=(1,), storage=None):
    def numbers(values):
        return b"(" + b"".join(map(integer, values)) + b"t"

    return pickled(
        b"}X\x01\0\0\0w" + b"ctorch._utils\n_rebuild_tensor_v2\n(" + (storage or storage_id()) + integer(offset) + numbers(size) + numbers(stride)
        + b"\x89ccollections\nOrderedDict\n)RtRs"
    )


TENSORS = {
    "offset": (tensor_pickle(offset=1), "leaves its storage"), "negative offset": (tensor_pickle(offset=-1), "leaves its storage"),
    "size": (tensor_pickle(size=(5,)), "leaves its storage"), "negative size": (tensor_pickle(size=(-4,)), "is no shape"),
    "stride": (tensor_pickle(size=(2,), stride=(4,)), "leaves its storage"), "negative stride": (tensor_pickle(size=(2,), stride=(-1,)), "leaves its storage"),
    "overflow": (tensor_pickle(size=(1 << 40, 1 << 40), stride=(1, 1)), "leaves its storage"),
    "stride overflow": (tensor_pickle(size=(3,), stride=((1 << 63) - 1,)), "leaves its storage"), "rank": (tensor_pickle(size=(2, 2), stride=(1,)), "leaves its storage"),
    "claims": (tensor_pickle(storage=storage_id(count=1 << 40)), "are claimed"), "huge claims": (tensor_pickle(storage=storage_id(count=(1 << 63) - 1)), "are claimed"),
    "missing": (tensor_pickle(storage=storage_id(key=b"9")), "is not in the archive"), "climbing": (tensor_pickle(storage=storage_id(key=b"../../x")), "is not in the archive"),
    "wide": (tensor_pickle(storage=storage_id(kind=b"DoubleStorage")), "are claimed"),
    "pairs": (tensor_pickle(offset=1 << 62, storage=storage_id(kind=b"float4_e2m1fn_x2Storage")), "leaves its storage"),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_stay_in_their_storage(confined, tmp_path, name):
    data, words = TENSORS[name]
    with zipfile.ZipFile(tmp_path / "bad.pt", "w") as archive:
        archive.writestr("bad/data.pkl", data)
        archive.writestr("bad/data/0", np.arange(4, dtype=np.float32).tobytes())
    result = confined("inspect", tmp_path / "bad.pt")
    assert result.returncode == 3 and one_line(result) and words in result.stderr, (result.returncode, result.stderr)


def test_expanded_tensors_are_no_bomb(confined, tmp_path):
    """Stride 0 makes terabytes of four bytes: shown, and never held in memory."""
    with zipfile.ZipFile(tmp_path / "wide.pt", "w") as archive:
        archive.writestr("w/data.pkl", tensor_pickle(size=(1 << 20, 1 << 20), stride=(0, 0)))
        archive.writestr("w/data/0", bytes(16))
    result = confined("inspect", tmp_path / "wide.pt")
    assert result.returncode == 0 and "[1048576, 1048576]" in result.stdout


def nested(start, step, end, count=300_000):
    """A value inside of a value: `step` makes the next of memo entry 0, and `end` uses the last."""
    return pickled(start + b"q\0" + (b"0" + step + b"q\0") * count + b"0" + end)


NESTED = {
    "function": (nested(b"ctorch._tensor\n_rebuild_from_type_v2\nq\x01)", b"h\x01h\x01h\0\x87", b"h\x01h\0R"), "is given itself"),
    "storage": (
        nested(b"ctorch.storage\nTypedStorage\nq\x01N\x85", b"h\x01h\0R\x85", b"ctorch._utils\n_rebuild_tensor_v2\n(h\x01h\0RK\0K\x01\x85K\x01\x85\x89}tR"),
        "its storage is none",
    ),
    "size": (nested(b"ctorch\nSize\nq\x01)", b"h\x01h\0R\x85", b"ctorch._utils\n_rebuild_tensor_v2\n(NK\0h\x01h\0RK\x01\x85\x89}tR"), "without storage, offset, size"),
    "bytes": (
        nested(b"cbuiltins\nbytearray\nq\x01C\0\x85", b"cbuiltins\nbytearray\nh\0R\x85", b"ctorch.storage\n_load_from_bytes\nh\0R"), "is not bytes",
    ),
    "shown": (nested(b"ctorch\nSize\nq\x01]", b"]h\x01h\0\x85Ra", b"h\0"), "nest too deeply"),
    "itself": (pickled(b"]q\0ctorch\nSize\nh\0\x85Ra"), None),
    "multiplied": (pickled(b"ctorch\nSize\nq\x010]q\0" + (b"0](" + b"h\x01h\0\x85R" * 60 + b"eq\0") * 12), None),
}


@pytest.mark.parametrize("name", NESTED)
def test_calls_inside_of_calls(confined, tmp_path, name):
    data, words = NESTED[name]
    (tmp_path / "bad.pkl").write_bytes(data)
    result = confined("inspect", tmp_path / "bad.pkl")
    if words is None:
        assert result.returncode == 0, result.stderr
    else:
        assert result.returncode == 3 and one_line(result) and words in result.stderr, (result.returncode, result.stderr)


def message_text(data):
    return b"\xda" + struct.pack(">H", len(data)) + data


def test_long_keys_do_not_multiply(program, tmp_path):
    """A key stands in the name of everything below it: a small file would ask for gigabytes of names."""
    key, many = message_text(b"k" * 60_000), b"\xdd" + struct.pack(">I", 200_000)
    array = b"\xc7\x0c\x01\x93\x91\x01\xa5uint8\xc4\x01\0"
    text = b"X" + struct.pack("<I", 1 << 20) + b"k" * (1 << 20) + b"q\0"
    leaves = b"0}(" + b"".join(b"X\x02\0\0\0%02xK\x01" % n for n in range(200)) + b"uq\x01"
    cases = {
        "bytes.msgpack": (b"\x81" + key + many + b"\xc4\0" * 200_000, 0), "numbers.msgpack": ((b"\x81" + key) * 100 + many + b"\x01" * 200_000, 0),
        "arrays.msgpack": ((b"\x81" + key) * 100 + b"\x92" + array * 2, 3), "all.msgpack": (b"\x81" + key + many + array * 200_000, 3),
        "numbers.pkl": (pickled(text + leaves + b"0}h\0h\x01sq\x01" * 150), 0),
    }
    for name, (data, code) in cases.items():
        (tmp_path / name).write_bytes(data)
        result = subprocess.run(
            [program, "inspect", tmp_path / name, "--json"], capture_output=True, text=True, timeout=30,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)),
        )
        assert result.returncode == code, (name, result.returncode, result.stderr[-1000:])
        assert code == 0 or (one_line(result) and "too long" in result.stderr), (name, result.stderr[-1000:])


def test_numbers_of_split_models(confined, tmp_path):
    def entry(key, value):
        return struct.pack("<Q", len(key)) + key + struct.pack("<Iq", 11, value)

    for number, code in ((1, 0), ((1 << 63) - 1, 3), (-1, 3)):
        header = b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + entry(b"split.count", 2) + entry(b"split.no", number)
        (tmp_path / "split.gguf").write_bytes(header + bytes(64))
        result = confined("inspect", tmp_path / "split.gguf")
        assert result.returncode == code and (code == 0 or one_line(result)), (number, result.returncode, result.stderr)
        assert ("file 2 of 2" in result.stdout) == (code == 0)


def test_zip_bombs_and_climbing_names(confined, tmp_path):
    def write(name, *members, method=zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / name, "w", method) as archive:
            for member, data in members:
                archive.writestr(member, data)
        return tmp_path / name

    good = tensor_pickle()
    cases = {
        write("climb.pt", ("bad/data.pkl", good), ("../../outside", b"")): "its name leaves the archive",
        write("absolute.pt", ("bad/data.pkl", good), ("/etc/x", b"")): "its name leaves the archive",
        write("backslash.pt", ("bad/data.pkl", good), ("bad\\..\\x", b"")): "its name leaves the archive",
        write("bomb.pt", ("bad/data.pkl", good), ("bad/data/0", bytes(300 << 20))): "a zip bomb",
    }
    data = bytearray(write("lies.pt", ("bad/data.pkl", good), ("bad/data/0", bytes(1 << 16))).read_bytes())
    # The directory says 16 bytes where 64 KiB unpack.
    place = data.rindex(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<I", 16)
    (tmp_path / "lies.pt").write_bytes(data)
    # Two entries of the directory that point to one member's bytes.
    plain = bytearray(write("overlap.pt", ("bad/data.pkl", good), ("bad/data/0", bytes(16)), ("bad/data/1", bytes(16)), method=zipfile.ZIP_STORED).read_bytes())
    entries = [plain.index(b"bad/data/1", plain.index(b"PK\x01\x02")) - 46, plain.index(b"bad/data/0", plain.index(b"PK\x01\x02")) - 46]
    plain[entries[0] + 42 : entries[0] + 46] = plain[entries[1] + 42 : entries[1] + 46]
    (tmp_path / "overlap.pt").write_bytes(plain)
    cases[tmp_path / "overlap.pt"] = "overlap"
    for path, words in cases.items():
        result = confined("inspect", path)
        assert result.returncode == 3 and one_line(result) and words in result.stderr, (path, result.stderr)
    result = confined("convert", tmp_path / "lies.pt", "-o", tmp_path / "x.safetensors")
    assert result.returncode == 3 and "more than the declared 16 bytes" in result.stderr.splitlines()[-1], result.stderr
    assert not (tmp_path / "x.safetensors").exists()


def safetensors(header, data=b"", length=None):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def entry(start=0, end=4, dtype="F32", shape=(1,)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


SAFETENSORS = {
    "duplicate": (safetensors(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', b"12"), "occurs twice"),
    "hole": (safetensors({"a": entry(0, 4), "b": entry(8, 12)}, bytes(12)), "hole"), "overlap": (safetensors({"a": entry(0, 4), "b": entry(2, 6)}, bytes(6)), "overlaps"),
    "trailing": (safetensors({"a": entry()}, bytes(5)), "belong to none"), "cut": (safetensors({"a": entry()}, bytes(3)), "cut off"),
    "bomb": (safetensors(b"{}", length=1 << 62), "the format allows"), "length": (safetensors(b"{}", length=1000), "cut off"), "short": (b"1234", "too few"),
    "dtype": (safetensors({"a": entry(dtype="F99")}, bytes(4)), "unknown dtype"), "c128": (safetensors({"a": entry(0, 16, "C128")}, bytes(16)), "unknown dtype"),
    "shape overflow": (safetensors({"a": entry(shape=(1 << 62, 4))}, bytes(4)), "overflows"), "size": (safetensors({"a": entry(shape=(2,))}, bytes(4)), "takes 8 bytes"),
    "float extent": (safetensors(b'{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}', bytes(4)), "whole number"),
    "negative": (safetensors(b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', bytes(4)), "whole number"),
    "backwards": (safetensors({"a": entry(4, 0)}, bytes(4)), "no range"), "missing": (safetensors({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)), "lacks one"),
    "json": (safetensors(b'{"a":', b""), "header"), "array": (safetensors(b"[]"), "start with '{'"), "nested": (safetensors(b'{"a":' + b"[" * 200 + b"]" * 200 + b"}"), "header"),
    "metadata": (safetensors({"__metadata__": {"a": 1}}), "header"), "surrogate": (safetensors(b'{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'), "surrogate"),
    "sub-byte": (safetensors({"a": entry(0, 1, "F4", (1,))}, b"1"), "no whole number"),
}


@pytest.mark.parametrize("name", SAFETENSORS)
def test_safetensors_refusals(confined, tmp_path, name):
    refuses(confined, tmp_path / "bad.safetensors", *SAFETENSORS[name])


def test_control_characters_do_not_reach_the_terminal(confined, tmp_path):
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps({"a\x1b[31m\nb": 1}, 2))
    result = confined("inspect", tmp_path / "bad.pkl")
    assert result.returncode == 0 and "\x1b" not in result.stdout
    with zipfile.ZipFile(tmp_path / "bad.pt", "w") as archive:
        archive.writestr("x/data.pkl", tensor_pickle(storage=storage_id(key=b"\x1b[31m\n")))
    result = confined("inspect", tmp_path / "bad.pt")
    assert result.returncode == 3 and one_line(result) and "\x1b" not in result.stderr
