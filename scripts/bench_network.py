"""The network beside PyTorch: the same weights, the same image, one thread each, in turns.

    python scripts/bench_network.py [--shape tessera-f8|vq-16] [--size 256] [--pairs 7]

Both sides draw the weights from the same hash (fixtures/network/make.py); the latents must agree to 1e-4 of their
standard deviation before anything is timed. Each pair is one `tessera bench network` and as many runs of
PyTorch (plain and channels_last, the faster counts); times are processor time, the ratio is the median of the
pairs. A process on the other core disturbs both alike.
"""

import argparse
import importlib.util
import json
import pathlib
import statistics
import subprocess
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="tessera-f8")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--program", default=str(ROOT / ".build/release/tessera"))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    runs = 3 if arguments.shape == "vq-16" else 9
    plain = encoder(arguments.shape)
    image = make.draw("image", arguments.size**2 * 3).reshape(1, arguments.size, arguments.size, 3)
    x = torch.from_numpy(image).permute(0, 3, 1, 2).contiguous()
    inputs = {"contiguous": x, "channels_last": x.to(memory_format=torch.channels_last)}

    def ours(*more):
        command = [arguments.program, "bench", "network", "--shape", arguments.shape, "--size", arguments.size,
                   "--runs", runs, "--json", "--quiet", *more]
        lines = subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout
        return json.loads(lines.splitlines()[0])["milliseconds"]

    def theirs(layout):
        net = plain.to(memory_format=getattr(torch, layout if layout != "contiguous" else "contiguous_format"))
        times = []
        for _ in range(runs + 1):
            begin = time.process_time()
            output = net(inputs[layout])
            times.append(1e3 * (time.process_time() - begin))
        return statistics.median(times[1:]), output

    with tempfile.TemporaryDirectory() as folder:
        ours("--output", pathlib.Path(folder) / "latents.npy")
        latents = np.load(pathlib.Path(folder) / "latents.npy")
    expected = theirs("contiguous")[1][0].permute(1, 2, 0).numpy()
    difference = float(np.abs(latents - expected).max() / expected.std())
    assert difference < 1e-4, f"the latents differ by {difference} standard deviations"

    pairs = [(ours(), min(theirs(layout)[0] for layout in inputs)) for _ in range(arguments.pairs)]
    ratio = statistics.median(b / a for a, b in pairs)
    result = {
        "shape": arguments.shape, "size": arguments.size, "pairs": arguments.pairs,
        "tessera_milliseconds": round(statistics.median(a for a, _ in pairs), 2),
        "torch_milliseconds": round(statistics.median(b for _, b in pairs), 2),
        "ratio": round(ratio, 2), "largest_difference": difference, "torch": torch.__version__,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        print(f"{arguments.shape} at {arguments.size} px, one thread, medians of {arguments.pairs} pairs: "
              f"tessera {result['tessera_milliseconds']} ms, torch {torch.__version__} "
              f"{result['torch_milliseconds']} ms, {result['ratio']} times as fast; "
              f"latents within {difference:.1e} standard deviations")


if __name__ == "__main__":
    main()
