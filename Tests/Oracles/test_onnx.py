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
SQUARE = ["--resize", "bicubic:exact=64x64", "--crop", "none"]


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

    def check(tokenizer, quantizer, size=SIZE):
        tessera("convert", tokenizer, "-o", tmp_path / "encoder.onnx", "--json")
        tessera("tokenize", *photos, "-o", tmp_path / "dataset", "--tokenizer", tokenizer, "--latents", *size)
        tessera("prepare", *photos, "-o", tmp_path / "pixels", "--as", "npy", *size)
        expected = samples(tmp_path / "dataset")
        keys = sorted(expected)
        pixels = np.stack([np.load(tmp_path / "pixels" / f"{key}.npy") for key in keys])
        outputs, model = run(tmp_path / "encoder.onnx", pixels)
        latents = np.stack([expected[key]["latents.npy"] for key in keys])
        assert np.abs(outputs["latents"] - latents).max() < 1e-4 * latents.std()
        codes = np.stack([expected[key]["codes.npy"] for key in keys])
        assert outputs["codes"].dtype == np.int64 and outputs["codes"].shape == codes.shape
        margins = margins_of(tmp_path, tessera, outputs["latents"], quantizer)
        assert np.array_equal(outputs["codes"][margins > 1e-4], codes[margins > 1e-4])
        # Of codes that depend on hundreds before them, fewer are safe.
        assert (margins > 1e-4).mean() > (0.8 if "scales" in quantizer else 0.95)
        alone, _ = run(tmp_path / "encoder.onnx", pixels[1:2])
        np.testing.assert_array_equal(alone["codes"][0], outputs["codes"][1])
        return model

    return check


def margins_of(folder, tessera, latents, quantizer):
    """How safe each code is; where codes depend on those before them, as safe as the least safe of these."""
    np.save(folder / "latents.npy", latents)
    (folder / "quantizer.json").write_text(json.dumps(quantizer))
    tessera("quantize", folder / "latents.npy", "--quantizer", folder / "quantizer.json", "-o", folder / "codes.npy",
            "--margins", folder / "margins.npy", "--quiet")
    margins = np.load(folder / "margins.npy")
    return np.minimum.accumulate(margins, -1) if quantizer["kind"] in ("residual", "multi-scale") else margins


def test_the_embedded_tokenizer(compare):
    model = compare("tessera-f8", {"kind": "fsq", "variant": "atanh", "levels": [8, 8, 8, 5, 5, 5]})
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["tessera.tokenizer"] == "tessera-f8" and len(metadata["tessera.sha256"]) == 64
    assert json.loads(metadata["tessera.quantizer"])["levels"] == [8, 8, 8, 5, 5, 5]


FSQ = {"kind": "fsq", "levels": [7, 5, 5, 5]}
LFQ = {"kind": "lfq", "order": "big", "dimensions": 4}
VQ = {"kind": "vq", "rule": "l2", "codebook": "book.npy"}
COSINE = {**VQ, "rule": "cosine"}
SMALL = {**VQ, "codebook": "small.npy"}
PAIRS = [{**LFQ, "dimensions": 3}, {**LFQ, "dimensions": 1}]
QUANTIZERS = [
    *({**FSQ, "variant": variant} for variant in ("paper-tan", "atanh", "symmetric", "symmetric-clamp", "sigmoid", "ifsq")),
    {"kind": "fsq", "variant": "s3", "levels": [3, 3, 3, 3]},
    LFQ, {**LFQ, "order": "little"}, {**LFQ, "kind": "bsq"}, {**LFQ, "kind": "bsq", "order": "little"},
    VQ, {**VQ, "rule": "dot"}, COSINE, {**COSINE, "lookup": "stored"}, {**VQ, "rule": "logits"},
    {"kind": "vq", "rule": "logits", "dimensions": 4},
    {"kind": "grouped", "groups": PAIRS}, {"kind": "grouped", "groups": [LFQ]},
    {"kind": "grouped", "groups": [SMALL, {**FSQ, "variant": "ifsq", "levels": [3, 5]}]},
    {"kind": "residual", "stages": [LFQ, LFQ]}, {"kind": "residual", "stages": [VQ]},
    {"kind": "residual", "stages": [VQ, {**COSINE, "lookup": "stored"}, COSINE, {**FSQ, "variant": "symmetric-clamp"}],
     "scales": [[1], [0.5], [0.5, 0.25, 0.5, 1], [0.25]], "soft_clamp": [1, 2, 3, 4]},
    {"kind": "residual", "stages": [{"kind": "grouped", "groups": PAIRS}, {**LFQ, "kind": "bsq", "order": "little"},
                                    {"kind": "residual", "stages": [{**FSQ, "variant": "atanh"}, VQ]},
                                    {**FSQ, "variant": "sigmoid"}]},
    {"kind": "multi-scale", "scales": [1, 2, 3, 5, 8, 16], **{k: v for k, v in VQ.items() if k != "kind"}},
    {"kind": "multi-scale", "scales": [4, 16], "rule": "cosine", "codebook": "book.npy", "lookup": "stored"},
]


def name_of(quantizer):
    parts = quantizer.get("groups") or quantizer.get("stages") or []
    own = [str(quantizer.get(key, "")) for key in ("kind", "variant", "rule", "order", "lookup", "scales")]
    return "-".join(filter(None, own)) + "".join(f"({name_of(part)})" for part in parts)


def with_codebooks(value, name):
    """The quantizer with its codebooks' names changed."""
    if isinstance(value, list):
        return [with_codebooks(item, name) for item in value]
    if isinstance(value, dict):
        return {key: name(item) if key == "codebook" else with_codebooks(item, name) for key, item in value.items()}
    return value


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=name_of)
def test_every_quantizer(compare, tmp_path, quantizer):
    net = torch.nn.Module()
    net.encoder = make.model.Encoder(ch=32, ch_mult=[1, 2], num_res_blocks=1, z_channels=8, patch_size=2, attention=True)
    net.quant_conv = torch.nn.Conv2d(8, 4, 1)
    make.add_level_attention(net.encoder, net.encoder.down)
    tensors = {name: make.parameter(name, tuple(tensor.shape)).contiguous() for name, tensor in net.named_parameters()}
    # Of logits there are as many as codes.
    rows = 4 if quantizer.get("rule") == "logits" else 50
    used = set()
    for name, shape in (("book", (rows, 4)), ("small", (20, 2))):
        book = make.draw(name, shape[0] * shape[1]).reshape(shape)
        np.save(tmp_path / f"{name}.npy", book)
        tensors[name] = torch.from_numpy(book)
    named = with_codebooks(quantizer, lambda file: used.add(file[:-4]) or file[:-4])
    tensors = {name: tensor for name, tensor in tensors.items() if name not in {"book", "small"} - used}
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "tokenizer.json").write_text(json.dumps({
        "name": "test", "family": "cosmos", "checkpoint": "model.safetensors", "quantizer": named,
        "preprocessing": {"resize": "none", "crop": "none", "pad": "none", "orientation": "ignore", "alpha": "drop",
                          "truncation": "refuse", "range": "x/127.5-1"},
    }))
    size = SQUARE if quantizer["kind"] == "multi-scale" else SIZE
    model = compare(tmp_path / "tokenizer.json", quantizer, size)
    fixed = [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
    assert fixed == ([0, 64, 64, 3] if size == SQUARE else [0, 0, 0, 3])


def test_refusals(tessera, tmp_path):
    tessera("convert", "tessera-f8", "-o", tmp_path / "x.onnx", "--plan", code=64)
    tessera("convert", tmp_path / "absent", "-o", tmp_path / "x.onnx", code=6)
    assert not (tmp_path / "x.onnx").exists()
