"""`convert TOKENIZER -o FILE.onnx`: onnx's checker accepts it, ONNX Runtime gives tokenize's codes and latents."""

import io
import json
import sys
import tarfile

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(__import__("pathlib").Path(__file__).resolve().parents[2] / "fixtures/network"))
import make  # noqa: E402

pytestmark = pytest.mark.usefixtures("without_gradients")
SIZE = ["--resize", "bicubic:exact=64x48", "--crop", "none"]


def run(path, pixels):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [opset.version for opset in model.opset_import] == [17]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    return dict(zip(outputs, session.run(outputs, {"pixels": pixels}))), model


def samples(folder):
    found = {}
    with tarfile.open(folder / "shards/00000.tar") as tar:
        for member in tar:
            key, column = member.name.split(".", 1)
            if column.endswith(".npy"):
                found.setdefault(key, {})[column] = np.load(io.BytesIO(tar.extractfile(member).read()))
    return found


@pytest.fixture
def compare(tessera, tmp_path, root):
    """Tokenizes three photographs, runs the ONNX file on the same pixels, and compares."""
    photos = sorted(path for path in (root / "fixtures/photos").iterdir() if path.suffix == ".jpg")[:3]

    def check(tokenizer, has_codes=True):
        tessera("convert", tokenizer, "-o", tmp_path / "encoder.onnx", "--json")
        tessera("tokenize", *photos, "-o", tmp_path / "dataset", "--tokenizer", tokenizer, "--latents", *SIZE)
        tessera("prepare", *photos, "-o", tmp_path / "pixels", "--as", "npy", *SIZE)
        expected = samples(tmp_path / "dataset")
        keys = sorted(expected)
        pixels = np.stack([np.load(tmp_path / "pixels" / f"{key}.npy") for key in keys])
        outputs, model = run(tmp_path / "encoder.onnx", pixels)
        latents = np.stack([expected[key]["latents.npy"] for key in keys])
        assert np.abs(outputs["latents"] - latents).max() < 1e-4 * latents.std()
        assert ("codes" in outputs) == has_codes
        if has_codes:
            codes = np.stack([expected[key]["codes.npy"] for key in keys])
            assert outputs["codes"].dtype == np.int64 and outputs["codes"].shape == codes.shape
            assert (outputs["codes"] == codes).mean() > 0.998
            alone, _ = run(tmp_path / "encoder.onnx", pixels[1:2])
            np.testing.assert_array_equal(alone["codes"][0], outputs["codes"][1])
        return model

    return check


def test_the_embedded_tokenizer(compare):
    model = compare("tessera-f8")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["tessera.tokenizer"] == "tessera-f8" and len(metadata["tessera.sha256"]) == 64
    assert json.loads(metadata["tessera.quantizer"])["levels"] == [8, 8, 8, 5, 5, 5]


FSQ = {"kind": "fsq", "levels": [7, 5, 5, 5]}
LFQ = {"kind": "lfq", "order": "big", "dimensions": 4}
QUANTIZERS = [
    *({**FSQ, "variant": variant} for variant in ("paper-tan", "atanh", "symmetric", "sigmoid", "ifsq")),
    {"kind": "fsq", "variant": "s3", "levels": [3, 3, 3, 3]},
    LFQ, {**LFQ, "order": "little"}, {**LFQ, "kind": "bsq"},
    {"kind": "grouped", "groups": [{**LFQ, "dimensions": 3}, {**LFQ, "dimensions": 1}]},
    {"kind": "residual", "stages": [LFQ, LFQ]},
]


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=lambda q: "-".join(str(v) for v in q.values())[:40])
def test_every_quantizer(compare, tmp_path, quantizer):
    net = torch.nn.Module()
    net.encoder = make.model.Encoder(ch=32, ch_mult=[1, 2], num_res_blocks=1, z_channels=8, patch_size=2, attention=True)
    net.quant_conv = torch.nn.Conv2d(8, 4, 1)
    make.add_level_attention(net.encoder, net.encoder.down)
    tensors = {name: make.parameter(name, tuple(tensor.shape)).contiguous() for name, tensor in net.named_parameters()}
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "tokenizer.json").write_text(json.dumps({
        "name": "test", "family": "cosmos", "checkpoint": "model.safetensors", "quantizer": quantizer,
        "preprocessing": {"resize": "none", "crop": "none", "pad": "none", "orientation": "ignore", "alpha": "drop",
                          "truncation": "refuse", "range": "x/127.5-1"},
    }))
    compare(tmp_path / "tokenizer.json", has_codes=quantizer["kind"] != "residual")


def test_refusals(tessera, tmp_path):
    tessera("convert", "tessera-f8", "-o", tmp_path / "x.onnx", "--plan", code=64)
    tessera("convert", tmp_path / "absent", "-o", tmp_path / "x.onnx", code=6)
    assert not (tmp_path / "x.onnx").exists()
