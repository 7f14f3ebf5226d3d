"""Time a linear layer with its weights packed once (`autojudge.engine.packing`) against the plain one, in turn.

    PYTHONPATH=workflow_scripts python benchmarks/packing.py --shape 8960 1536 --rows 1 4 16 64 256

The layers' weights (twelve of them) are larger than the cache, as a model's are.
"""

import argparse
import statistics
import time

import torch

from autojudge.engine.packing import PackedLinear

LAYERS = 12


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=2, default=[8960, 1536], metavar=("OUT", "IN"))
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 4, 16, 64, 256])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def seconds(layers, inputs):
    begin = time.perf_counter()
    for layer in layers:
        layer(inputs)
    return (time.perf_counter() - begin) / len(layers)


def main():
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    size_out, size_in = args.shape
    print(f"{'dtype':10s} {'rows':>5s} {'plain ms':>9s} {'packed ms':>9s} {'ratio':>6s}")
    for dtype in args.dtypes:
        kinds = [torch.nn.Linear(size_in, size_out, bias=False).to(getattr(torch, dtype)) for _ in range(LAYERS)]
        plain = [layer.requires_grad_(False) for layer in kinds]
        packed = [PackedLinear(layer, shared=True) for layer in plain]
        for rows in args.rows:
            inputs = torch.randn(rows, size_in).to(getattr(torch, dtype))
            with torch.inference_mode():
                times = [(seconds(plain, inputs), seconds(packed, inputs)) for _ in range(args.rounds)][1:]
            a, b = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
            print(f"{dtype:10s} {rows:5d} {a:9.2f} {b:9.2f} {a / b:6.1f}", flush=True)


if __name__ == "__main__":
    main()
