"""A training step or an evaluation of the reference model in PyTorch, timed: the peer of czhpc's.

    peer.py CELLS [--evaluate] [--no-text] [--compile] [--precision fp32|bf16] [--threads N]
            [--batch N] [--steps N] [--seconds S]

CELLS is the prefix of what validation/dump_cells.c wrote: its batches are those of czhpc's first
epoch, in their order. Prints one line of JSON: ms of a batch (the mean, as czhpc's), its GFLOP, and
the most memory that the process had.

PyTorch's fused attention and fused Adam; every cell with its own text vector, as in the reference;
drawing the batch is part of the step, as it is in czhpc. bf16 is autocast around forward and loss:
weights, gradients and optimiser stay in fp32, as czhpc's do. (All of the model in bf16 trains
another model: Adam's small steps are lost in 8 bits.) Steps end after S seconds, but not before
three.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[2] / "validation"))
from reference.cells import Cells
from reference.model import FusionModel, Head, Spec, losses, total_loss
from reference.protocol import adam

LR, DECAY, LAMBDA = 5.947e-4, 1e-4, 0.358
WARM, FEWEST = 3, 3


def spec_of(cells, text):
    """base.yaml's model; the defaults of Spec are its values."""
    sexes = int(cells.codes[1].max()) + 1
    heads = [Head("donor_id", cells.donors), Head("sex", sexes, adversary=True)]
    return Spec(width=cells.width, text_width=cells.text_width, text=text, head=heads)


class Peer:
    """Called, it takes the next batch: `rows` in their order, whole batches, over and over."""

    device = "cpu"

    def __init__(self, cells, spec, rows, arguments):
        torch.manual_seed(0)
        self.cells, self.text = cells, spec.text
        self.batches = [rows for rows in rows.split(arguments.batch) if len(rows) == arguments.batch]
        self.at = 0
        self.bf16 = arguments.precision == "bf16"
        self.model = FusionModel(spec).to(self.device)
        self.compute = torch.compile(self.forward) if arguments.compile else self.forward

    def next_batch(self):
        rows = self.batches[self.at % len(self.batches)]
        self.at += 1
        text = self.cells.text_of(rows) if self.text else None
        return self.cells.x[rows], text, [code[rows] for code in self.cells.codes]

    def autocast(self):
        return torch.autocast(self.device, torch.bfloat16, enabled=self.bf16)


class Training(Peer):
    def __init__(self, cells, spec, arguments):
        super().__init__(cells, spec, cells.order, arguments)
        self.model.train()
        self.optimiser = adam(self.model.parameters(), LR, DECAY, fused=True)

    def forward(self, x, text, codes):
        return total_loss(losses(self.model(x, text, LAMBDA)[1], codes), codes)

    def __call__(self):
        batch = self.next_batch()
        self.optimiser.zero_grad(set_to_none=True)
        with self.autocast():
            loss = self.compute(*batch)
        loss.backward()
        self.optimiser.step()


class Evaluation(Peer):
    """Loss and likeliest class of every cell and head."""

    def __init__(self, cells, spec, arguments):
        super().__init__(cells, spec, torch.arange(len(cells.x)), arguments)
        self.model.eval()

    def forward(self, x, text, codes):
        logits = self.model(x, text)[1]
        return losses(logits, codes), [y.argmax(1) for y in logits]

    def __call__(self):
        batch = self.next_batch()
        with torch.inference_mode(), self.autocast():
            self.compute(*batch)


def mean_seconds(step, most, seconds):
    """Of at most `most` steps after some to warm up: the first compiles."""
    begun = time.perf_counter()
    for i in range(WARM):
        step()
        if i > 0 and time.perf_counter() - begun > seconds:
            break
    begun, done = time.perf_counter(), 0
    while done < most and (done < FEWEST or time.perf_counter() - begun < seconds):
        step()
        done += 1
    return (time.perf_counter() - begun) / done, done


def gflop(spec, batch, training):
    """Of a batch's matrix products, counted on tensors without values."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model = FusionModel(spec).train(training)
        text = torch.empty(batch, spec.text_width) if spec.text else None
        logits = model(torch.empty(batch, spec.width), text, LAMBDA)[1]
        if training:
            sum(y.sum() for y in logits).backward()
    return counter.get_total_flops() * 1e-9


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("cells")
    parser.add_argument("--evaluate", action="store_true")
    parser.add_argument("--no-text", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=3)
    return parser.parse_args()


def main():
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    cells = Cells(arguments.cells)
    spec = spec_of(cells, not arguments.no_text)
    step = (Evaluation if arguments.evaluate else Training)(cells, spec, arguments)
    seconds, steps = mean_seconds(step, arguments.steps, arguments.seconds)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {
        "ms": 1e3 * seconds,
        "steps": steps,
        "gflop": gflop(spec, arguments.batch, not arguments.evaluate),
        "memory_mib": memory,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
