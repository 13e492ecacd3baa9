"""The network beside PyTorch, ONNX Runtime and OpenVINO: the same weights, the same image, in turns.

    python scripts/bench_network.py [--shape tessera-f8|vq-16|chameleon] [--size 256] [--pairs 7] [--threads 1]

All draw the weights from the same hash (fixtures/network/make.py); the latents must agree to 1e-4 of their standard
deviation before anything is timed. Each round is one `tessera-bench network` and as many runs of each peer: PyTorch
plain and channels_last, ONNX Runtime and OpenVINO (float32 forced) on the same graph written as ONNX. With one
thread times are processor time; with more they are wall time, and Tessera runs as many processes, each with its own
image, so its time is divided by them. The ratio is the median of the rounds against the fastest peer. `--memory`
measures Tessera's peak resident size alone; with `--weights-mib 700`, that of `tokenize` with one and with two workers
for an encoder of the shape `vq-16` or `chameleon` widened to a file of that size: the second worker may add its
activations, which are three times the first level's, and no weights.
"""

import argparse
import importlib.util
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch


ROOT = pathlib.Path(__file__).resolve().parents[1]


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


make = module(ROOT / "fixtures/network/make.py")

SHAPES = {
    "tessera-f8": dict(ch=64, ch_mult=[1, 2], num_res_blocks=1, z_channels=32, patch_size=4, codes=6),
    "vq-16": dict(ch=128, ch_mult=[1, 1, 2, 2, 4], num_res_blocks=2, z_channels=256, patch_size=1, codes=8,
                  attention=True, level_attention=True),
    "chameleon": dict(ch=128, ch_mult=[1, 1, 2, 2, 4], num_res_blocks=2, z_channels=256, patch_size=1, codes=256,
                      attention=True),
}


def encoder(shape):
    config = dict(SHAPES[shape])
    codes, level_attention = config.pop("codes"), config.pop("level_attention", False)
    net = torch.nn.Module()
    net.encoder = make.model.Encoder(**config)
    net.quant_conv = torch.nn.Conv2d(config["z_channels"], codes, 1)
    if level_attention:
        make.add_level_attention(net.encoder, net.encoder.down)
    for name, tensor in net.named_parameters():
        tensor.copy_(make.parameter(name, tuple(tensor.shape)))
    net.forward = lambda x: net.quant_conv(net.encoder(x))
    return net


class Graph:
    """The encoder as ONNX (opset 17): the layers of training/tessera-f8/model.py, node by node."""

    def __init__(self, net):
        import onnx
        from onnx import helper, numpy_helper

        self.helper, self.numpy_helper = helper, numpy_helper
        self.nodes, self.constants, self.known = [], [], set()
        value = "image"
        for index in range(net.encoder.patches):
            value = self.haar(value, 3 * 4**index)
        value = self.convolution(net.encoder.conv_in, value)
        for level in net.encoder.down:
            for block in level.block:
                value = self.residual(block, value)
                if hasattr(level, "attn"):
                    value = self.attention(level.attn[list(level.block).index(block)], value)
            if hasattr(level, "downsample"):
                value = self.convolution(level.downsample.conv, value, pads=[0, 0, 1, 1])
        value = self.residual(net.encoder.mid.block_1, value)
        if hasattr(net.encoder.mid, "attn_1"):
            value = self.attention(net.encoder.mid.attn_1, value)
        value = self.residual(net.encoder.mid.block_2, value)
        value = self.convolution(net.encoder.conv_out, self.norm(net.encoder.norm_out, value, silu=True))
        value = self.convolution(net.quant_conv, value)
        self.nodes.append(helper.make_node("Identity", [value], ["latents"]))
        image = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, None, None])
        latents = helper.make_tensor_value_info("latents", onnx.TensorProto.FLOAT, [1, net.quant_conv.out_channels, None, None])
        graph = helper.make_graph(self.nodes, "encoder", [image], [latents], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        self.bytes = model.SerializeToString()

    def node(self, operation, inputs, **attributes):
        output = f"{operation}_{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(operation, inputs, [output], **attributes))
        return output

    def constant(self, array, name=None):
        name = name or f"constant_{len(self.constants)}"
        if name not in self.known:
            self.known.add(name)
            self.constants.append(self.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def haar(self, value, channels):
        signs = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]], np.float32) / 4
        weights = np.zeros((4, channels, channels, 4), np.float32)
        for channel in range(channels):
            weights[:, channel, channel] = signs
        weights = self.constant(weights.reshape(4 * channels, channels, 2, 2))
        return self.node("Conv", [value, weights], kernel_shape=[2, 2], strides=[2, 2])

    def convolution(self, layer, value, pads=None):
        parameters = [self.constant(x.numpy()) for x in (layer.weight, layer.bias)]
        pads = pads or [layer.padding[0]] * 4
        return self.node("Conv", [value, *parameters], kernel_shape=list(layer.kernel_size), strides=list(layer.stride), pads=pads)

    def norm(self, layer, value, silu=False):
        shape = self.node("Shape", [value])
        groups = self.constant(np.array([0, 32, -1]), "groups")
        grouped = self.node("Reshape", [value, groups])
        ones, zeros = self.constant(np.ones(32, np.float32), "ones"), self.constant(np.zeros(32, np.float32), "zeros")
        normal = self.node("InstanceNormalization", [grouped, ones, zeros], epsilon=1e-6)
        normal = self.node("Reshape", [normal, shape])
        for operation, parameter in (("Mul", layer.weight), ("Add", layer.bias)):
            normal = self.node(operation, [normal, self.constant(parameter.numpy().reshape(1, -1, 1, 1))])
        return self.node("Mul", [normal, self.node("Sigmoid", [normal])]) if silu else normal

    def residual(self, block, value):
        h = self.convolution(block.conv1, self.norm(block.norm1, value, silu=True))
        h = self.convolution(block.conv2, self.norm(block.norm2, h, silu=True))
        shortcut = self.convolution(block.nin_shortcut, value) if hasattr(block, "nin_shortcut") else value
        return self.node("Add", [shortcut, h])

    def attention(self, block, value):
        channels = block.q.out_channels
        normal = self.norm(block.norm, value)
        shape, flat = self.node("Shape", [normal]), self.constant(np.array([0, channels, -1]), f"flat_{channels}")
        q, k, v = (self.node("Reshape", [self.convolution(layer, normal), flat]) for layer in (block.q, block.k, block.v))
        scores = self.node("MatMul", [self.node("Transpose", [q], perm=[0, 2, 1]), k])
        scores = self.node("Mul", [scores, self.constant(np.float32(channels**-0.5))])
        weights = self.node("Transpose", [self.node("Softmax", [scores], axis=-1)], perm=[0, 2, 1])
        result = self.node("Reshape", [self.node("MatMul", [v, weights]), shape])
        return self.node("Add", [value, self.convolution(block.proj_out, result)])


def onnxruntime_session(model, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"image": x})[0]


def openvino_session(model, threads):
    import openvino

    compiled = openvino.Core().compile_model(openvino.Core().read_model(model), "CPU", {
        "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"})
    return lambda x: compiled(x)[compiled.output(0)]


def peak_of(*command):
    """The peak resident size of a program, in MiB, measured by a parent that has no other child."""
    script = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)")
    command = [sys.executable, "-c", script, *map(str, command)]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


def peak_memory(arguments):
    return peak_of(f"{arguments.program}-bench", "network", "--shape", arguments.shape, "--size", arguments.size,
                   "--runs", 1)


def wide_shapes(shape, width):
    """Names and extents of an encoder as its authors' files have them, with a codebook of 1,024 codes."""
    config = {**SHAPES[shape], "ch": width}
    codes, level_attention = config.pop("codes"), config.pop("level_attention", False)
    with torch.device("meta"):
        net = torch.nn.Module()
        net.encoder = make.model.Encoder(**config)
        net.quant_conv = torch.nn.Conv2d(config["z_channels"], codes, 1)
        if level_attention:
            make.add_level_attention(net.encoder, net.encoder.down)
        net.quantize = torch.nn.Module()
        net.quantize.embedding = torch.nn.Embedding(1024, codes)
    return {name: tuple(tensor.shape) for name, tensor in net.named_parameters()}


def write_wide_encoder(shape, mebibytes, path):
    """Drawn weights in a safetensors file as near to a size as a width of whole groups allows; width and MiB."""
    def size(width):
        return sum(4 * int(np.prod(extents)) for extents in wide_shapes(shape, width).values())

    width = min(range(32, 1025, 32), key=lambda width: abs(size(width) - mebibytes * 2**20))
    shapes, header, end = wide_shapes(shape, width), {}, 0
    for name, extents in shapes.items():
        start, end = end, end + 4 * int(np.prod(extents))
        header[name] = {"dtype": "F32", "shape": extents, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    random = np.random.default_rng(0)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, extents in shapes.items():
            values = random.standard_normal(extents, np.float32)
            values /= np.float32(np.sqrt(np.prod(extents[1:])))
            file.write(values.tobytes())
    return width, path.stat().st_size / 2**20


def shared_weights(arguments):
    """Peaks of `tokenize` in MiB with one worker and with two, beside what a worker's activations are."""
    from PIL import Image

    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        width, weights = write_wide_encoder(arguments.shape, arguments.weights_mib, folder / "encoder.safetensors")
        family = {"vq-16": "llamagen", "chameleon": "chameleon"}[arguments.shape]

        images, side = folder / "images", arguments.size
        images.mkdir()
        for index in range(4):
            Image.fromarray(random.integers(0, 256, (side, side, 3), np.uint8)).save(images / f"{index}.png")
        one, two = (
            peak_of(arguments.program, "tokenize", images, "-o", folder / f"out-{workers}", "--quiet", "--workers", workers,
                    "--tokenizer", f"{family}:{folder}/encoder.safetensors", "--resize", "none", "--crop", "none")
            for workers in (1, 2)
        )
    return {"shape": arguments.shape, "size": side, "weights_mib": round(weights), "one_worker_mib": one,
            "two_workers_mib": two, "second_worker_mib": two - one, "activations_mib": 3 * width * side**2 * 4 // 2**20}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="tessera-f8")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--program", default=str(ROOT / ".build/release/tessera"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--weights-mib", type=int)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.memory and arguments.weights_mib:
        if arguments.shape == "tessera-f8":
            parser.error("--weights-mib widens vq-16 or chameleon")
        result = shared_weights(arguments)
        print(json.dumps(result) if arguments.json else
              "{shape} of {weights_mib} MiB at {size} px: {one_worker_mib} MiB with one worker, {two_workers_mib} with two; "
              "the second adds {second_worker_mib}, its activations are {activations_mib}".format(**result))
        return
    if arguments.memory:
        size = peak_memory(arguments)
        print(json.dumps({"shape": arguments.shape, "size": arguments.size, "peak_mib": size}) if arguments.json else
              f"{arguments.shape} at {arguments.size} px: {size} MiB at the peak")
        return
    torch.set_grad_enabled(False)
    torch.set_num_threads(arguments.threads)
    threads, runs = arguments.threads, 9 if arguments.shape == "tessera-f8" else 3
    clock = time.process_time if threads == 1 else time.perf_counter
    plain = encoder(arguments.shape)
    model = Graph(plain).bytes
    image = make.draw("image", arguments.size**2 * 3).reshape(1, arguments.size, arguments.size, 3)
    x = torch.from_numpy(image).permute(0, 3, 1, 2).contiguous()
    last = x.to(memory_format=torch.channels_last)
    sessions = {"onnxruntime": onnxruntime_session(model, threads), "openvino": openvino_session(model, threads)}
    peers = {
        "torch": lambda: plain.to(memory_format=torch.contiguous_format)(x).numpy(),
        "torch channels_last": lambda: plain.to(memory_format=torch.channels_last)(last).numpy(),
        **{name: lambda session=session: session(x.numpy()) for name, session in sessions.items()},
    }

    def ours(*more, processes=None):
        command = [f"{arguments.program}-bench", "network", "--shape", arguments.shape, "--size", arguments.size,
                   "--runs", runs, *more]
        running = [subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, text=True) for _ in range(processes or threads)]
        outputs = [process.communicate()[0] for process in running]
        assert all(process.returncode == 0 for process in running)
        return max(json.loads(output.splitlines()[0])["milliseconds"] for output in outputs) / (processes or threads)

    def theirs(name):
        times = []
        for _ in range(runs + 1):
            begin = clock()
            peers[name]()
            times.append(1e3 * (clock() - begin))
        return statistics.median(times[1:])

    with tempfile.TemporaryDirectory() as folder:
        ours("--output", pathlib.Path(folder) / "latents.npy", processes=1)
        latents = np.load(pathlib.Path(folder) / "latents.npy")
    differences = {}
    for name, peer in peers.items():
        expected = peer()[0].transpose(1, 2, 0)
        differences[name] = float(np.abs(latents - expected).max() / expected.std())
        assert differences[name] < 1e-4, f"the latents differ from {name}'s by {differences[name]} standard deviations"

    rounds = [(ours(), {name: theirs(name) for name in peers}) for _ in range(arguments.pairs)]
    ratio = statistics.median(min(b.values()) / a for a, b in rounds)
    result = {
        "shape": arguments.shape, "size": arguments.size, "pairs": arguments.pairs, "threads": threads,
        "tessera_milliseconds": round(statistics.median(a for a, _ in rounds), 2),
        "peer_milliseconds": {name: round(statistics.median(b[name] for _, b in rounds), 2) for name in peers},
        "ratios": {name: round(statistics.median(b[name] / a for a, b in rounds), 2) for name in peers},
        "ratio": round(ratio, 2), "largest_difference": max(differences.values()), "torch": torch.__version__,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        lines = [f"{name} {result['peer_milliseconds'][name]} ms ({result['ratios'][name]} times)" for name in peers]
        print(f"{arguments.shape} at {arguments.size} px, {threads} threads, medians of {arguments.pairs} rounds: "
              f"tessera {result['tessera_milliseconds']} ms, {', '.join(lines)}; {result['ratio']} times as fast as the "
              f"fastest; latents within {result['largest_difference']:.1e} standard deviations")


if __name__ == "__main__":
    main()
