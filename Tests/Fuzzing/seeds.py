"""Small valid files of each format, from which the fuzzer starts: python Tests/Fuzzing/seeds.py FOLDER.

Needs torch, numpy, gguf, flax, onnx and safetensors (Tests/Oracles/requirements.txt); a package that is absent leaves
its format with one empty seed.
"""

import io
import pathlib
import pickle
import struct
import sys
import tempfile
import zipfile

FOLDER = pathlib.Path(sys.argv[1])


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


for reader in ("pickle", "zip", "safetensors", "gguf", "npy", "msgpack", "onnx"):
    seed(reader, "nothing", b"")
for make in (numpy_seeds, torch_seeds, gguf_seeds, flax_seeds, onnx_seeds, safetensors_seeds):
    try:
        make()
    except ImportError as error:
        print(f"{make.__name__}: {error}", file=sys.stderr)
