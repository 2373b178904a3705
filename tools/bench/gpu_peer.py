"""A training step of the reference model in PyTorch on a GPU, timed: the peer of czhpc's there.

    gpu_peer.py CELLS [--batch N] [--steps N] [--forms FORM,...] [--device cuda|cpu] [--output FILE]

CELLS is the prefix of what validation/dump_cells.c wrote; the cells lie on the GPU, as czhpc's do.
The model and its step are peer.py's: bf16 by autocast, PyTorch's fused attention and fused Adam,
drawing the batch a part of the step. Forms:
  eager         as it is
  compiled      torch.compile
  max-autotune  torch.compile(mode="max-autotune"), which replays CUDA graphs by itself
  graph         compiled by max-autotune-no-cudagraphs, and the whole step, Adam too, in one graph
A form that fails is left out by name. Prints a line for each; FILE is JSON, with best_cells_per_s.
"""

import argparse
import json
import sys
import time
from types import SimpleNamespace

import torch

import peer

WARM = 12  # the first compile, and what a graph is recorded after
ROUNDS = 5  # of `steps`, whose median counts
FORMS = {"eager": None, "compiled": "default", "max-autotune": "max-autotune",
         "graph": "max-autotune-no-cudagraphs"}  # fmt: skip


class Step(peer.Training):
    """A training step on the device: of Peer, with its rows and cells there."""

    def __init__(self, cells, spec, arguments, mode):
        self.device = arguments.device
        options = SimpleNamespace(batch=arguments.batch, precision="bf16", compile=False)
        super().__init__(cells, spec, options)
        self.optimiser = torch.optim.Adam(
            self.model.parameters(), lr=peer.LR, betas=(0.9, 0.999), eps=1e-8,
            weight_decay=peer.DECAY, fused=True, capturable=self.device == "cuda",
        )  # fmt: skip
        if mode:
            self.compute = torch.compile(self.forward, mode=mode)


class Recorded:
    """A step in one CUDA graph. Its batch is drawn from rows that are copied to one place."""

    def __init__(self, step):
        self.step, self.at = step, 0
        self.batches, self.rows = step.batches, step.batches[0].clone()
        step.batches = [self.rows]
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for _ in range(WARM):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            step()

    def __call__(self):
        self.rows.copy_(self.batches[self.at % len(self.batches)])
        self.at += 1
        self.graph.replay()


def on_device(cells, device):
    """The cells with all that a step reads on the device."""
    for name in ("x", "text", "label", "order"):
        setattr(cells, name, getattr(cells, name).to(device))
    cells.codes = [code.to(device) for code in cells.codes]
    return cells


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def milliseconds(step, arguments):
    for _ in range(WARM):
        step()
    rounds = []
    for _ in range(ROUNDS):
        wait(arguments.device)
        begun = time.perf_counter()
        for _ in range(arguments.steps):
            step()
        wait(arguments.device)
        rounds.append(1e3 * (time.perf_counter() - begun) / arguments.steps)
    return sorted(rounds)[ROUNDS // 2]


def measure(form, cells, arguments):
    torch._dynamo.reset()
    step = Step(cells, peer.spec_of(cells, True), arguments, FORMS[form])
    return milliseconds(Recorded(step) if form == "graph" else step, arguments)


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("cells")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--forms", default=",".join(FORMS))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--output")
    return parser.parse_args()


def write(path, found, arguments):
    """After each form: a later one may run out of time."""
    result = {"torch": torch.__version__, "batch": arguments.batch, "ms": found}
    result["best_cells_per_s"] = 1e3 * arguments.batch / min(found.values())
    with open(path, "w") as file:
        json.dump(result, file, indent=1)


def main():
    arguments = parse()
    torch.set_float32_matmul_precision("high")
    cells = on_device(peer.Cells(arguments.cells), arguments.device)
    found = {}
    for form in arguments.forms.split(","):
        try:
            ms = measure(form, cells, arguments)
        except Exception as why:  # whatever a compiler or a graph may raise
            said = str(why).splitlines()[:1]
            print(f"PyTorch {form}: left out: {type(why).__name__}: {''.join(said)}", flush=True)
            continue
        found[form] = ms
        rate = 1e3 * arguments.batch / ms
        print(f"PyTorch {form}: {ms:.4f} ms a step, {rate:.0f} cells/s", flush=True)
        if arguments.output:
            write(arguments.output, found, arguments)
    if not found:
        sys.exit("gpu_peer: nothing ran")


main()
