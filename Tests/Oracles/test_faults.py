"""Every call to the system may fail: no exit 0 with other bytes, and the next run makes all good.

`make test` draws, for each verb, some faults of each kind (what is done to which call); TESSERA_FAULTS_SEED draws others.
`make test-faults` (TESSERA_FAULTS=1) takes all.
"""

import pathlib
import shutil
import subprocess
import tempfile

import family_references
import fault_harness
import numpy as np
import pytest
import torch
from conftest import memory_for
from fault_harness import Harness, tree
from layouts import LAYOUTS
from PIL import Image
from safetensors.torch import save_file as save_tensors

TINY = ["--resize", "nearest:exact=8x8", "--crop", "none", "--workers", "1"]
CHECKPOINTS = {
    "safetensors": ["out.safetensors"],
    "sharded": ["model.safetensors", "--shard-size", "100"],
    "npz": ["out.npz"],
    "h5": ["out.h5"],
    "pt": ["out.pt"],
    "gguf": ["out.gguf"],
    "folder": ["model/"],
    "exact": ["out.safetensors", "--dtype", "bf16", "--keep-exact"],
    "graph": ["out.onnx"],
}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return fault_harness.build(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    noise = np.random.default_rng(3)
    for name in ("a.png", "b/c.png", "b/d.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / name)
        (folder / name).with_suffix(".txt").write_text(f"a caption of {name}\n")
    (folder / "bad.png").write_bytes((folder / "a.png").read_bytes()[:40])
    return folder


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A network so small that a run takes few milliseconds."""
    path = tmp_path_factory.mktemp("tokenizer") / "small.safetensors"
    with torch.no_grad():
        save_tensors(dict(family_references.LlamaGen().state), path)
    return f"llamagen:{path}"


@pytest.fixture(scope="module")
def dataset(tessera, images, tokenizer, tmp_path_factory):
    out = tmp_path_factory.mktemp("dataset") / "out"
    options = ["--tokenizer", tokenizer, "--shard-samples", 2, "--captions", "sidecar", "--quiet", *TINY]
    tessera("tokenize", images, "-o", out, *options)
    return out


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from safetensors.numpy import save_file

    folder = tmp_path_factory.mktemp("checkpoint") / "model"
    folder.mkdir()
    random = np.random.default_rng(4)
    tensors = {f"layer.{n}.weight": random.standard_normal((4, 5)).astype(np.float32) for n in range(3)}
    # What a file of GGUF has to say, and no recipe does here.
    save_file(tensors, folder / "model.safetensors", {"general.architecture": "none"})
    (folder / "config.json").write_text('{"model_type": "none"}\n')
    (folder / "tokenizer.json").write_text("{}\n")
    return folder


@pytest.fixture(scope="module")
def harness(program, library):
    """Works in memory."""
    with tempfile.TemporaryDirectory(dir=memory_for(32 << 20)) as folder:

        def make(name, arguments, **options):
            return Harness(program, library, arguments, pathlib.Path(folder) / name, **options)

        yield make


def passes(checked):
    broken = checked.harness.check(checked.expected, checked.faults)
    print(f"{checked.harness.folder.name}: {len(checked.faults)} faults, {len(broken)} broken (TESSERA_FAULTS_SEED={fault_harness.SEED})")
    assert not broken, f"{len(broken)} of {len(checked.faults)}:\n" + "\n".join(broken[:20])


@pytest.fixture(scope="module")
def exports(harness, dataset):
    def arguments(layout):
        return lambda folder: ["export", dataset, "-o", folder / "out", "--format", layout]

    return fault_harness.drawn({layout: harness(f"export-{layout}", arguments(layout)) for layout in LAYOUTS})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_export(exports, layout):
    passes(exports[layout])


@pytest.mark.parametrize("verb", ["export", "tokenize"])
def test_what_replaced_published_files_stays(harness, images, dataset, tokenizer, verb):
    """A run was killed while it published; what then has the names of its files may be the user's."""
    def arguments(folder):
        source = [dataset] if verb == "export" else [images, "--tokenizer", tokenizer, "--shard-samples", "2", *TINY]
        return [verb, *source, "-o", folder / "out", "--format", "npy"]

    runs = harness(f"replaced-{verb}", arguments)
    expected, log = runs.undisturbed()
    count = sum(line.startswith("rename ") for line in log)
    replaced = 0
    for at in range(count - 8, count + 1):
        runs.clean()
        runs.run(fault_harness.Fault("rename", at, "kill"))
        out = runs.folder / "out"
        record = out / ".tessera" / "published"
        moved = [path for path in out.iterdir() if path.name != ".tessera"] if record.exists() else []
        if not moved or (out / "dataset.json").exists():
            continue
        replaced += 1
        for path in moved:
            # The number of the file may be given again.
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            path.mkdir()
            (path / "mine").write_text("mine")
        result = runs.run()
        assert result.returncode == 4 and str(out) in result.stderr and result.stderr.count("\n") == 1, result.stderr
        assert all((path / "mine").read_text() == "mine" for path in moved)
        for path in moved:
            shutil.rmtree(path)
        assert runs.run().returncode == 0 and tree(runs.folder) == expected
    assert replaced > 1


@pytest.fixture(scope="module")
def tokenizations(harness, images, tokenizer):
    def arguments(layout):
        options = ["--tokenizer", tokenizer, "--format", layout, "--shard-samples", "2"]
        return lambda folder: ["tokenize", images, "-o", folder / "out", *options, *TINY]

    return fault_harness.drawn({layout: harness(f"tokenize-{layout}", arguments(layout)) for layout in LAYOUTS})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tokenize(tokenizations, layout):
    passes(tokenizations[layout])


@pytest.fixture(scope="module")
def conversions(harness, checkpoint, tokenizer):
    def arguments(kind):
        name, *options = CHECKPOINTS[kind]
        source = {"folder": checkpoint, "graph": tokenizer}.get(kind, checkpoint / "model.safetensors")
        return lambda folder: ["convert", source, "-o", f"{folder}/{name}", *options]

    return fault_harness.drawn({kind: harness(f"convert-{kind}", arguments(kind), again=["--force"]) for kind in CHECKPOINTS})


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_convert(conversions, kind):
    passes(conversions[kind])


def alone(harness):
    """The one command of its verb."""
    return fault_harness.drawn({"": harness})[""]


def test_quantize_with_margins(harness, tmp_path):
    np.save(tmp_path / "latents.npy", np.random.default_rng(5).standard_normal((64, 4)).astype(np.float32))
    (tmp_path / "fsq.json").write_text('{"kind": "fsq", "variant": "atanh", "levels": [8, 5, 5, 5]}')

    def arguments(folder):
        files = ["-o", folder / "codes.npy", "--margins", folder / "margins.npy"]
        return ["quantize", tmp_path / "latents.npy", "--quantizer", tmp_path / "fsq.json", *files]

    passes(alone(harness("quantize-margins", arguments)))


def test_decode(harness, dataset, tokenizer):
    options = ["--tokenizer", tokenizer, "--workers", "1"]
    arguments = lambda folder: ["decode", dataset, "-o", folder / "out", *options]  # noqa: E731
    passes(alone(harness("decode", arguments, refuses_complete=True)))


def test_prepare(harness, images):
    passes(alone(harness("prepare", lambda folder: ["prepare", images, "-o", folder / "out", *TINY])))


@pytest.mark.parametrize("verb", ["tokenize", "export", "convert", "decode", "prepare"])
def test_a_disk_copied_at_exit_holds_the_result(program, images, dataset, tokenizer, checkpoint, tmp_path, verb):
    """What is on the disk at the moment of exit 0, before anything else is written out."""
    arguments = {
        "tokenize": ["tokenize", images, "-o", "out", "--format", "npy", *TINY],
        "export": ["export", dataset, "-o", "out", "--format", "parquet"],
        "convert": ["convert", checkpoint / "model.safetensors", "-o", "model.safetensors", "--shard-size", "100"],
        "decode": ["decode", dataset, "-o", "out", "--tokenizer", tokenizer],
        "prepare": ["prepare", images, "-o", "out", *TINY],
    }[verb]
    image, copy, mount = (tmp_path / name for name in ("disk", "copy", "mount"))
    with open(image, "wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["/sbin/mkfs.ext4", "-q", "-E", "lazy_itable_init=0", image], check=True)
    mount.mkdir()
    # A commit interval so long that nothing gets to the disk by itself.
    first = subprocess.run(["mount", "-o", "loop,commit=3000", image, mount], capture_output=True)
    if first.returncode != 0:
        # Without loop devices, what each test above says of fsync has to do.
        return
    try:
        subprocess.run([program, *map(str, arguments), "--quiet"], cwd=mount, check=True, capture_output=True)
        shutil.copyfile(image, copy)
        written = {name: data for name, data in tree(mount).items()}
    finally:
        subprocess.run(["umount", mount], check=True)
    subprocess.run(["mount", "-o", "loop", copy, mount], check=True)
    try:
        assert tree(mount) == written and len(written) > 1
    finally:
        subprocess.run(["umount", mount], check=True)
