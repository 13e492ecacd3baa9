"""What the tests read from datasets of tar shards, and make of them, with Python's tarfile and numpy."""

import io
import json
import shutil
import tarfile

import numpy as np


def shard_members(folder):
    """Name and bytes of every member of the shards, in their order."""
    for shard in sorted((folder / "shards").glob("*.tar")):
        with tarfile.open(shard) as archive:
            for member in archive:
                yield member.name, archive.extractfile(member).read()


def tar_samples(folder):
    """The members of every sample by their extensions, as bytes."""
    samples = {}
    for name, data in shard_members(folder):
        key, column = name.split(".", 1)
        samples.setdefault(key, {})[column] = data
    return samples


def shard_arrays(folder):
    """Every array by its member's name."""
    return {name: np.load(io.BytesIO(data)) for name, data in shard_members(folder) if name.endswith(".npy")}


def with_small_codes(source, target, quantizer=None, vocabulary=1000):
    """A copy of a dataset with the codes modulo `vocabulary`, which 4M's int16 holds, of other quantizer settings where given."""
    shutil.copytree(source, target)
    told = json.loads((target / "dataset.json").read_text())
    told["tokenizer"]["vocabulary_size"] = vocabulary
    told["tokenizer"]["quantizer"].update(quantizer or {})
    for shard in told["shards"]:
        with tarfile.open(source / shard["name"]) as old, \
                tarfile.open(target / shard["name"], "w", format=tarfile.USTAR_FORMAT) as new:
            for member in old:
                data = old.extractfile(member).read()
                if member.name.endswith("codes.npy"):
                    buffer = io.BytesIO()
                    np.save(buffer, np.load(io.BytesIO(data)) % vocabulary)
                    data = buffer.getvalue()
                member.size = len(data)
                new.addfile(member, io.BytesIO(data))
    (target / "dataset.json").write_text(json.dumps(told))
    return target
