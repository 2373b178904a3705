"""A training step of the reference model in PyTorch, timed: the peer of czhpc's.

    peer.py [--no-text] [--compile] [--threads N] [--batch N] [--steps N]

Prints one line of JSON. fp32, PyTorch's fused attention and fused Adam, every cell with its own
text vector as in the reference; drawing the batch is part of the step, as it is in czhpc.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[2] / "validation"))
from reference.model import FusionModel, Spec, losses, total_loss
from reference.protocol import adam

CELLS, LABELS, LR, DECAY, LAMBDA = 4096, 16, 5.947e-4, 1e-4, 0.358


class Step:
    def __init__(self, spec, batch, compiled):
        torch.manual_seed(0)
        self.batch, self.at = batch, 0
        self.x = torch.randn(CELLS, spec.width)
        self.text = torch.randn(LABELS, spec.text_width)[torch.randint(0, LABELS, (CELLS,))]
        self.codes = [torch.randint(0, h.classes, (CELLS,)) for h in spec.head]
        self.model = FusionModel(spec).train()
        self.optimiser = adam(self.model.parameters(), LR, DECAY, fused=True)
        self.loss = torch.compile(self.forward) if compiled else self.forward

    def forward(self, x, text, codes):
        logits = self.model(x, text, LAMBDA)[1]
        return total_loss(losses(logits, codes), codes)

    def __call__(self):
        if self.at + self.batch > CELLS:
            self.at = 0
        if self.at == 0:
            self.order = torch.randperm(CELLS)
        rows = self.order[self.at : self.at + self.batch]
        self.at += self.batch
        codes = [code[rows] for code in self.codes]
        self.optimiser.zero_grad(set_to_none=True)
        self.loss(self.x[rows], self.text[rows], codes).backward()
        self.optimiser.step()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-text", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    spec = Spec(text=not arguments.no_text)
    with FlopCounterMode(display=False) as counter:
        Step(spec, arguments.batch, False)()
    step = Step(spec, arguments.batch, arguments.compile)
    for _ in range(5):
        step()
    seconds = []
    for _ in range(arguments.steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    result = {
        "ms_per_step": 1e3 * statistics.median(seconds),
        "gflop_per_step": counter.get_total_flops() * 1e-9,
        "torch": torch.__version__,
    }
    print(json.dumps(result))


main()
