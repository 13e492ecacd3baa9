"""Families by their files: the VQ-VAE checkpoints of others, Su's Keras file, containers, spellings, wrong files, views."""

import hashlib
import json

import family_references as references
import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from dataset_files import shard_arrays as members
from test_families import AS_STORED, store

pytestmark = pytest.mark.usefixtures("without_gradients")

CHECKPOINTS = ["unshuffled_model", "shuffled_model_ema", "shuffled_model_ema_norm_he-et-al"]


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
@pytest.mark.parametrize("picture", ["crop32", "home", "fruits"])
def test_the_vqvae_gives_the_golden_codes(tessera, shared_data, tmp_path, picture, checkpoint):
    golden = shared_data / "golden"
    facts = json.loads((golden / "golden.json").read_text())[f"{picture}/{checkpoint}"]
    pixels = np.load(golden / f"{picture}.rgb.npy")
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images/p.png")
    name = f"vqvae:{shared_data}/weights/vqvae-cifar10/{checkpoint}.pth"
    tessera("tokenize", tmp_path / "images", "-o", tmp_path / "out", "--tokenizer", name, "--quiet", *AS_STORED)
    codes = members(tmp_path / "out")["p.codes.npy"]
    expected = np.load(golden / f"{picture}.{checkpoint}.codes.npy")
    assert codes.shape == expected.shape
    differs = np.flatnonzero(codes.ravel() != expected.ravel())
    assert set(differs) <= set(facts["near_tie_positions"]), differs
    result = tessera("decode", tmp_path / "out", "-o", tmp_path / "decoded", "--tokenizer", name, "--sheet", 0,
                     "--originals", tmp_path / "images", "--json", "--quiet")
    # The listed ratio is of values before they are cut off at 0 and 255, which brings pictures nearer to theirs.
    assert -0.01 < json.loads(result.stdout)["psnr"] - facts["psnr"] < 0.15


# MARK: Su Jianlin's network in the file that Keras 2 writes


def group_norm(x, gamma, beta):
    """Groups of channels c mod 32, as his reshape makes them; channels last."""
    n = x.reshape(*x.shape[:-1], -1, 32)
    mean = n.mean((1, 2, 3), keepdims=True)
    n = (n - mean) / np.sqrt(n.var((1, 2, 3), keepdims=True) + 1e-6)
    return n.reshape(x.shape) * gamma + beta


def conv(x, kernel):
    y = F.conv2d(torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(kernel).permute(3, 2, 0, 1), padding=1)
    return y.permute(0, 2, 3, 1).numpy()


def swish(x):
    return x / (1 + np.exp(-x))


class Su:
    def __init__(self, width=64):
        random = np.random.default_rng(31)

        def half(first, last):
            kernels = [(first, width)] + [(width, width)] * 14 + [(width, last)]
            return (
                [random.normal(size=(3, 3, a, b)).astype("f4") * (9 * a) ** -0.5 for a, b in kernels],
                [(1 + 0.3 * random.normal(size=width).astype("f4"), 0.3 * random.normal(size=width).astype("f4"))
                 for _ in range(8)],
            )

        self.encoder, self.decoder = half(3, 4), half(4, 3)

    def save(self, path):
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = [b"input_3", b"model_1", b"lambda_2", b"model_2"]
            file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.3.1"
            for layer in ("input_3", "lambda_2"):
                file.create_group(layer).attrs["weight_names"] = np.array([], dtype="S1")
            number = 0
            for layer, (kernels, norms) in (("model_1", self.encoder), ("model_2", self.decoder)):
                group, names = file.create_group(layer), []

                def add(name, value):
                    names.append(name.encode())
                    group.create_dataset(name, data=value)

                for i, kernel in enumerate(kernels):
                    add(f"conv2d_{number + i}/kernel:0", kernel)
                    # A norm follows every second convolution, two the last of them.
                    for j in [i // 2 - 1] if 0 < i < 15 and i % 2 == 0 else []:
                        for key, value in zip(("beta", "gamma"), norms[j][::-1]):
                            add(f"group_norm_{number + j}/{key}:0", value)
                    if i == 14:
                        for key, value in zip(("beta", "gamma"), norms[7][::-1]):
                            add(f"group_norm_{number + 7}/{key}:0", value)
                number += 20
                group.attrs["weight_names"] = names

    def run(self, x, half, resample):
        kernels, norms = half
        x = conv(x, kernels[0].astype("f8"))
        for i in range(7):
            x = resample(x, i, "before")
            y = swish(conv(swish(conv(x, kernels[1 + 2 * i].astype("f8"))), kernels[2 + 2 * i].astype("f8")))
            x = resample(group_norm(x + y, *norms[i]), i, "after")
        return conv(group_norm(x, *norms[7]), kernels[15].astype("f8"))

    def encode(self, rgb):
        def pool(x, i, when):
            return x if when == "before" or i > 2 else x.reshape(1, x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1).mean((2, 4))

        return self.run(rgb[None, ..., ::-1] / 255 * 2 - 1, self.encoder, pool)[0]

    def decode(self, values):
        def grow(x, i, when):
            return x.repeat(2, 1).repeat(2, 2) if when == "before" and i > 3 else x

        return (np.tanh(self.run(values[None], self.decoder, grow))[0, ..., ::-1] + 1) * 127.5


def test_sus_keras_file(tessera, root, tmp_path):
    net = Su()
    net.save(tmp_path / "train_model.weights")
    (tmp_path / "images").mkdir()
    pixels = np.array(Image.open(root / "fixtures/photos/astronaut.png").convert("RGB"))[60:124, 60:156]
    Image.fromarray(pixels).save(tmp_path / "images/p.png")
    name = f"su-fsq:{tmp_path}/train_model.weights"
    tessera("tokenize", tmp_path / "images", "-o", tmp_path / "out", "--tokenizer", name, "--latents", "--quiet", *AS_STORED)
    arrays = members(tmp_path / "out")
    expected = net.encode(pixels.astype("f8"))
    assert np.abs(arrays["p.latents.npy"] - expected).max() <= 1e-4 * np.abs(expected).max()
    scaled = 5 / (1 + np.exp(-expected))
    codes = (np.rint(scaled) * 6 ** np.arange(4)).sum(-1).astype(int)
    sure = (0.5 - np.abs(scaled - np.rint(scaled))).min(-1) > 1e-3
    assert np.array_equal(arrays["p.codes.npy"][sure], codes[sure]) and sure.mean() > 0.9
    tessera("decode", tmp_path / "out", "-o", tmp_path / "decoded", "--tokenizer", name, "--sheet", 0, "--quiet")
    values = arrays["p.codes.npy"][..., None].astype(int) // 6 ** np.arange(4) % 6 / 5
    picture = np.array(Image.open(tmp_path / "decoded/p.png")).astype("f8")
    assert np.abs(picture - net.decode(values)).max() <= 0.5 + 0.1275
    with h5py.File(tmp_path / "train_model.weights", "a") as file:
        file.copy("model_2", "model_3")
        file.attrs["layer_names"] = [b"input_3", b"model_1", b"lambda_2", b"model_2", b"model_3"]
    assert "model_3" in tessera("tokenizers", name, code=4).stderr, "a second decoder is not taken in place of the first"


# MARK: Containers and wrong files


@pytest.fixture(scope="module")
def small(tmp_path_factory, root):
    """A LlamaGen checkpoint and one photograph."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "images").mkdir()
    Image.open(root / "fixtures/photos/chelsea.png").convert("RGB").crop((20, 10, 84, 74)).save(folder / "images/p.png")
    reference = references.LlamaGen()
    store(reference, folder / "own.safetensors")
    return folder, reference


def codes_of(tessera, folder, name, output, *more):
    tessera("tokenize", folder / "images", "-o", output, "--tokenizer", name, "--quiet", *(more or AS_STORED))
    return members(output)["p.codes.npy"]


def test_containers_give_the_same_codes(tessera, small, tmp_path):
    folder, reference = small
    expected = codes_of(tessera, folder, f"llamagen:{folder}/own.safetensors", tmp_path / "one")
    inner = {k.removeprefix("model."): v for k, v in reference.state.items() if k.startswith("model.")}
    torch.save({"model": inner, "steps": 7}, tmp_path / "zip.pt")
    torch.save({"model": inner, "steps": 7}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for file in ("zip.pt", "old.pt"):
        assert np.array_equal(codes_of(tessera, folder, f"llamagen:{tmp_path}/{file}", tmp_path / (file + ".out")), expected)


def test_halves_in_torchscript_archives(tessera, small, tmp_path):
    """Cosmos' encoder.jit and decoder.jit; the archive's code is never run."""
    folder = small[0]
    reference = references.Cosmos()
    store(reference, tmp_path / "own.safetensors")
    expected = codes_of(tessera, folder, f"cosmos:{tmp_path}/own.safetensors", tmp_path / "one")
    net = reference.net.float()

    class Encode(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.quant_conv = net.encoder, net.quant_conv

        def forward(self, x):
            return self.quant_conv(self.encoder(x))

    class Decode(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.post_quant_conv, self.decoder = net.post_quant_conv, net.decoder

        def forward(self, x):
            return self.decoder(self.post_quant_conv(x))

    (tmp_path / "cosmos").mkdir()
    torch.jit.trace(Encode(), torch.zeros(1, 48, 8, 8)).save(str(tmp_path / "cosmos/encoder.jit"))
    torch.jit.trace(Decode(), torch.zeros(1, 6, 2, 2)).save(str(tmp_path / "cosmos/decoder.jit"))
    for name in ("cosmos/encoder.jit", "cosmos"):
        output = tmp_path / name.replace("/", "-") / "out"
        assert np.array_equal(codes_of(tessera, folder, f"cosmos:{tmp_path}/{name}", output), expected)
    tessera("decode", tmp_path / "cosmos/out", "-o", tmp_path / "decoded", "--tokenizer", f"cosmos:{tmp_path}/cosmos", "--quiet")


def test_halves_whose_parts_have_numbers(tessera, small, tmp_path):
    """encoder, quant_conv, quantizer and inv_quant, post_quant_conv, decoder as 0, 1, 2, with the quantizer's buffers."""
    reference = references.Cosmos()
    store(reference, tmp_path / "own.safetensors")
    expected = codes_of(tessera, small[0], f"cosmos:{tmp_path}/own.safetensors", tmp_path / "one")
    digits = torch.cartesian_prod(*[torch.arange(level) for level in reference.levels[::-1]]).flip(1)
    half = torch.tensor(reference.levels) // 2
    buffers = {"_levels": torch.tensor(reference.levels, dtype=torch.int32), "implicit_codebook": (digits - half) / half,
               "_basis": torch.tensor([1] + reference.levels[:-1]).cumprod(0).int()}
    (tmp_path / "halves").mkdir()

    def halves(buffers):
        for half, parts in {"encoder": ("encoder", "quant_conv"), "decoder": (None, "post_quant_conv", "decoder")}.items():
            state = {f"{number}.{name.removeprefix(part + '.')}": value.clone().contiguous()
                     for number, part in enumerate(parts) if part
                     for name, value in reference.state.items() if name.startswith(part + ".")}
            at = "2" if half == "encoder" else "0.quantizer"
            save_file(state | {f"{at}.{k}": v.contiguous() for k, v in buffers.items()}, tmp_path / f"halves/{half}.safetensors")

    halves(buffers)
    name = f"cosmos:{tmp_path}/halves"
    assert np.array_equal(codes_of(tessera, small[0], name, tmp_path / "two"), expected)
    tessera("decode", tmp_path / "two", "-o", tmp_path / "decoded", "--tokenizer", name, "--quiet")
    for other in ({"_levels": buffers["_levels"].flip(0)}, {"_basis": buffers["_basis"].flip(0)}, {"layers.0._levels": half},
                  {"implicit_codebook": -buffers["implicit_codebook"]}, {"_levels": torch.tensor([8, 8, 8])}):
        halves(other)
        error = tessera("tokenizers", name, code=4).stderr
        assert f"2.{next(iter(other))}" in error or f"0.quantizer.{next(iter(other))}" in error


def test_values_that_belong_to_another_tokenizer_are_refused(tessera, tmp_path):
    """Buffers that name levels, the order of bits or the patches: those of the checkpoint's own code, changed."""
    powers = 2 ** torch.arange(13)
    for kind, selector, name, value in (
        (references.ShowO, "show-o", "quantize.power_vals", powers),
        (references.ShowO, "show-o", "quantize.embedding", references.ShowO().state["quantize.embedding"].flip(1)),
        (references.OpenMAGVIT2, "open-magvit2", "state_dict.quantize.mask", powers[:10].flip(0)),
        # Patches whose pixels are put side by side.
        (references.Cosmos, "cosmos", "encoder.patcher.wavelets", torch.ones(2)),
    ):
        reference = kind()
        assert name in reference.state
        reference.state[name] = value
        store(reference, tmp_path / "own.safetensors")
        error = tessera("tokenizers", f"{selector}:{tmp_path}/own.safetensors", code=4).stderr
        assert name in error and error.count("\n") == 1


def test_averages_that_are_missing_or_strange_are_named(tessera, tmp_path):
    """A raw weight among averages is neither network; an average of no tensor may be the quantizer's."""
    for kind, selector, prefix in ((references.AveragedIBQ, "ibq", ""), (references.OpenMAGVIT2, "open-magvit2", "state_dict.")):
        reference = kind()
        averages = [name for name in reference.state if name.startswith(f"{prefix}model_ema.encoder")]
        for change in [{name: None} for name in averages[::17]] + [{f"{prefix}model_ema.quantizeembedding_proj": torch.zeros(3)}]:
            other = kind.__new__(kind)
            other.state = {k: v for k, v in (reference.state | change).items() if v is not None}
            store(other, tmp_path / "own.safetensors")
            assert next(iter(change)) in tessera("tokenizers", f"{selector}:{tmp_path}/own.safetensors", code=4).stderr
            # The raw weights are whole; what is average of nothing is strange to them, too.
            code = 0 if None in change.values() else 4
            tessera("tokenizers", f"{selector}@raw:{tmp_path}/own.safetensors", code=code)


def test_a_described_quantizer_takes_any_tensor_of_the_file(tessera, root, tmp_path):
    """Named as the family would, with all that stands before it, or from elsewhere in the file."""
    reference = references.OpenMAGVIT2()
    rows = torch.randn(64, 10, generator=torch.Generator().manual_seed(3))
    (tmp_path / "images").mkdir()
    Image.open(root / "fixtures/photos/chelsea.png").convert("RGB").crop((20, 10, 84, 74)).save(tmp_path / "images/p.png")
    description = {"name": "x", "family": "open-magvit2", "checkpoint": "own.safetensors", "preprocessing": {
        "orientation": "ignore", "resize": "none", "crop": "none", "pad": "none", "alpha": "drop", "truncation": "refuse",
        "range": "x/127.5-1"}}

    def save(stored):
        kept = {k: v.contiguous() for k, v in reference.state.items() if "quantize" not in k}
        save_file(kept | {stored: rows}, tmp_path / "own.safetensors")

    def describe(name):
        quantizer = {"kind": "vq", "rule": "l2", "codebook": name}
        (tmp_path / "tokenizer.json").write_text(json.dumps(description | {"quantizer": quantizer}))

    for index, (stored, name) in enumerate((
        ("state_dict.quantize.embedding.weight", "quantize.embedding.weight"),
        ("state_dict.quantize.embedding.weight", "state_dict.quantize.embedding.weight"),
        ("state_dict.loss.rows", "loss.rows"), ("tables.7", "tables.7"),
    )):
        save(stored)
        describe(name)
        tessera("tokenize", tmp_path / "images", "-o", tmp_path / str(index), "--tokenizer", tmp_path, "--latents", "--quiet")
        arrays = members(tmp_path / str(index))
        distances = torch.cdist(torch.from_numpy(arrays["p.latents.npy"]).double(), rows.double()[None])
        assert np.array_equal(arrays["p.codes.npy"], distances.argmin(-1).numpy()), name
    describe("quantize.other.weight")
    assert "quantize.other.weight" in tessera("tokenizers", tmp_path, code=4).stderr
    # A second table beside the one that is named may be part of the same quantizer.
    save_file({k: v.contiguous() for k, v in reference.state.items() if "quantize" not in k} | {
        "state_dict.quantize.embedding.weight": rows, "state_dict.quantize.embedding_proj.weight": torch.eye(10)},
        tmp_path / "own.safetensors")
    describe("quantize.embedding.weight")
    assert "embedding_proj" in tessera("tokenizers", tmp_path, code=4).stderr


def text(names):
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def test_sus_file_without_a_layer_or_a_variable(tessera, tmp_path):
    net = Su(32)
    net.save(tmp_path / "whole.weights")
    with h5py.File(tmp_path / "whole.weights") as file:
        names = [(half, name) for half in ("model_1", "model_2") for name in text(file[half].attrs["weight_names"])]
    for half, lost in names[::7] + [names[0], names[-1]]:
        net.save(tmp_path / "own.weights")
        with h5py.File(tmp_path / "own.weights", "a") as file:
            del file[half][lost]
            kept = [name.encode() for name in text(file[half].attrs["weight_names"]) if name != lost]
            file[half].attrs["weight_names"] = kept
        error = tessera("tokenizers", f"su-fsq:{tmp_path}/own.weights", code=4).stderr
        # The first and the last number of a half are no gap: only their place is missing.
        is_named = lost in error or "conv.15.weight" in error
        assert is_named and error.count("\n") == 1, (lost, error)


def test_raw_and_averaged_weights_are_chosen(tessera, small, tmp_path):
    folder = small[0]
    store(references.AveragedIBQ(), tmp_path / "both.safetensors")
    codes = [codes_of(tessera, folder, f"ibq{choice}:{tmp_path}/both.safetensors", tmp_path / f"out{i}")
             for i, choice in enumerate(["", "@ema", "@raw"])]
    assert np.array_equal(codes[0], codes[1]) and not np.array_equal(codes[0], codes[2])
    error = tessera("tokenizers", f"llamagen@ema:{folder}/own.safetensors", code=4).stderr
    assert "averages are asked for" in error


def test_wrong_files_are_named(tessera, small, tmp_path):
    folder, reference = small

    def refused(state, family="llamagen"):
        save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "bad.safetensors")
        error = tessera("tokenizers", f"{family}:{tmp_path}/bad.safetensors", code=4).stderr
        assert error.count("\n") == 1, error
        return error

    name = "model.decoder.conv_blocks.0.res.1.conv2.weight"
    state = dict(reference.state)
    assert name in refused({k: v for k, v in state.items() if k != name})
    error = refused(state | {name: state[name][:8]})
    assert name in error and "[8, 64, 3, 3]" in error and "[64, 64, 3, 3]" in error
    assert "model.encoder.surplus.weight" in refused(state | {"model.encoder.surplus.weight": torch.zeros(3)})
    error = refused(state, "open-magvit2")
    assert "llamagen" in error
    error = refused(references.ShowO().state, "taming")
    assert "show-o" in error
    refused({"a.weight": torch.zeros(3)}, "taming")
    # Averages beside the raw weights are told apart by their name; two of one kind are not.
    inner = {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    save_file({f"{set_}.{k}": v.clone() for set_ in ("model", "ema") for k, v in inner.items()}, tmp_path / "two.safetensors")
    tessera("tokenizers", f"llamagen:{tmp_path}/two.safetensors")
    error = refused({f"{set_}.{k}": v.clone() for set_ in ("model", "vqgan") for k, v in inner.items()})
    assert "vqgan.*" in error and "model.*" in error and "--pick" in error
    assert "raw weights are asked for" in refused({f"ema.{k}": v for k, v in inner.items()}, "llamagen@raw")


def test_scales_of_squares_refuse_other_pictures(tessera, root, tmp_path):
    """VAR's scales are sides of squares, which end at the latents' side."""
    store(references.VAR(), tmp_path / "own.safetensors")
    (tmp_path / "images").mkdir()
    photo = Image.open(root / "fixtures/photos/chelsea.png").convert("RGB")
    photo.crop((0, 0, 64, 64)).save(tmp_path / "images/square.png")
    photo.crop((0, 0, 160, 96)).save(tmp_path / "images/wide.png")
    name = f"var@scales=1.2.3.5.8.16:{tmp_path}/own.safetensors"
    tessera("tokenize", tmp_path / "images", "-o", tmp_path / "out", "--tokenizer", name, "--quiet", *AS_STORED)
    rejected = [json.loads(line) for line in (tmp_path / "out/rejected.jsonl").read_text().splitlines()]
    assert [line["source"] for line in rejected] == ["wide.png"]
    assert "24 x 40" in rejected[0]["reason"] and "16 x 16" in rejected[0]["reason"]


def test_the_digest_covers_every_shard(tessera, small, tmp_path):
    """That of the digests of index and shards, a line each: another weight in any of them is another tokenizer."""
    folder, reference = small
    names = sorted(reference.state)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}

    def write(changes={}):
        for file, part in shards.items():
            save_file({k: changes.get(k, reference.state[k]).contiguous() for k in part}, tmp_path / file)

    index = tmp_path / "own.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {k: file for file, part in shards.items() for k in part}}))

    def digest():
        return json.loads(tessera("tokenizers", f"llamagen:{index}", "--json").stdout)[0]["sha256"]

    write()
    lines = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (index, *(tmp_path / file for file in shards))]
    assert digest() == hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()
    expected = codes_of(tessera, folder, f"llamagen:{folder}/own.safetensors", tmp_path / "one")
    assert np.array_equal(codes_of(tessera, folder, f"llamagen:{index}", tmp_path / "two"), expected)
    first = digest()
    name = shards["b.safetensors"][0]
    write({name: reference.state[name] * 2})
    assert digest() != first


def test_shapes_without_values_do_not_overflow(tessera, tmp_path):
    """An extent of 0 makes room for one of 2^62: no value is stored, and sizes are computed from the shape."""
    state = references.Emu3().state
    path, huge = tmp_path / "bad.safetensors", 1 << 62
    for part, shape in (("encoder.conv_out.weight", [huge, 0, 3, 3]),
                        ("encoder.time_conv.0.conv.conv.weight", [huge, 0, 4, 3, 3]),
                        ("encoder.time_conv.1.conv.conv.weight", [0, huge, 4, 3, 3])):
        name = "model.vqmodel." + part
        save_file({k: v.contiguous() for k, v in state.items()} | {name: torch.zeros(0)}, path)
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        header[name]["shape"] = shape
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
        error = tessera("tokenizers", f"emu3:{path}", code=4).stderr
        assert name in error and error.count("\n") == 1, error


def test_views_are_those_of_the_reference_extraction(tessera, root, tmp_path):
    """flip and ten-crop after ADM's centre crop at 281 pixels, as extract_codes_c2i.py of LlamaGen orders them."""
    reference = references.LlamaGen()
    store(reference, tmp_path / "own.safetensors")
    (tmp_path / "images").mkdir()
    image = Image.open(root / "fixtures/photos/coffee.png").convert("RGB")
    image.save(tmp_path / "images/p.png")

    def adm(image, size):
        while min(*image.size) >= 2 * size:
            image = image.resize(tuple(x // 2 for x in image.size), resample=Image.BOX)
        scale = size / min(*image.size)
        array = np.array(image.resize(tuple(round(x * scale) for x in image.size), resample=Image.BICUBIC))
        y, x = (array.shape[0] - size) // 2, (array.shape[1] - size) // 2
        return array[y : y + size, x : x + size]

    small = adm(image, 64)
    large = adm(image, int(64 * 1.1))
    rest = large.shape[0] - 64
    five = [(0, 0), (0, rest), (rest, 0), (rest, rest), (round(rest / 2), round(rest / 2))]
    views = {
        "flip": [small, small[:, ::-1]],
        "ten-crop": [a[y : y + 64, x : x + 64] for a in (large, large[:, ::-1]) for y, x in five],
    }
    for name, pictures in views.items():
        codes = codes_of(tessera, tmp_path, f"llamagen:{tmp_path}/own.safetensors", tmp_path / name, "--resize",
                         "bicubic:adm=64", "--crop", "center:64x64", "--augment", name)
        assert codes.shape == (len(pictures), 256)
        for view, picture in zip(codes, pictures):
            expected, margin = reference.codes(reference.latents(np.ascontiguousarray(picture)))
            assert np.array_equal(view[margin.ravel() > 1e-4], expected.ravel()[margin.ravel() > 1e-4])
        manifest = json.loads((tmp_path / name / "dataset.json").read_text())
        assert manifest["augment"].startswith(name)
        tessera("decode", tmp_path / name, "-o", tmp_path / f"{name}-decoded", "--quiet", "--originals",
                tmp_path / "images", "--tokenizer", f"llamagen:{tmp_path}/own.safetensors")


# MARK: Profiles


def prepared(tessera, root, tmp_path, *rules):
    (tmp_path / "one").mkdir(exist_ok=True)
    Image.open(root / "fixtures/photos/coffee.png").convert("RGB").save(tmp_path / "one/p.png")
    tessera("prepare", tmp_path / "one", "-o", tmp_path / "prepared", "--orientation", "ignore", "--quiet", *rules)
    return np.array(Image.open(tmp_path / "one/p.png")), np.array(Image.open(tmp_path / "prepared/p.png"))


@pytest.mark.parametrize("size", [(256, 384), (150, 123), (200, 300), (500, 700)])
def test_opencvs_filter_is_exact(tessera, root, tmp_path, size):
    import cv2

    rules = ["--resize", f"opencv-linear:exact={size[0]}x{size[1]}", "--crop", "none"]
    stored, ours = prepared(tessera, root, tmp_path, *rules)
    assert np.array_equal(ours, cv2.resize(stored, size[::-1], interpolation=cv2.INTER_LINEAR))
