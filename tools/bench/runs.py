"""Single runs of czhpc and of PyTorch, each in a process of its own, and what they measured."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "release"
CONFIG = ROOT / "configs" / "base.yaml"
TRAIN, CLASSES = 0.7, 14  # of base.yaml's cells
WORKLOADS = ("text", "no-text", "evaluation")
LONGEST = 300  # seconds that a process may take
MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}


# What holds PyTorch, its compiler and its libraries to the instructions of a level of czhpc's.
HOLDS = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "TORCHINDUCTOR_CPP_MARCH": "x86-64-v3",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
}


class Failed(Exception):
    """A run that did not come to its end; the text says why in one line."""


@dataclass(frozen=True)
class Case:
    workload: str  # one of WORKLOADS; text and no-text are training, evaluation has text
    batch: int

    @property
    def text(self):
        return self.workload != "no-text"

    @property
    def training(self):
        return self.workload != "evaluation"

    def __str__(self):
        what = {"text": "training with text", "no-text": "training without text"}
        return f"{what.get(self.workload, 'evaluation with text')}, batch {self.batch}"


@dataclass(frozen=True)
class Variant:
    program: str  # czhpc or PyTorch
    precision: str
    ranks: int = 1
    threads: int = 1  # of each rank
    compiled: bool = False

    def __str__(self):
        if self.program == "czhpc":
            return f"czhpc {self.precision}, {self.ranks} x {self.threads}"
        return f"PyTorch {self.precision}, {'compiled' if self.compiled else 'eager'}"


def reason(stderr):
    """The line of an error output that says what was wrong."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    told = [line.removeprefix("czhpc: error: ") for line in lines if line.startswith("czhpc: error: ")]
    told += [line for line in lines if re.match(r"[\w.]+(Error|Exception)\w*: ", line)]
    if lines and lines[0].startswith("-----"):  # what mpirun says stands between rules
        told += lines[1:2]
    return (told or lines[-1:] or ["no message"])[0]


def call(command, environment):
    """The output of a command. Raises Failed."""
    try:
        done = subprocess.run(
            command, env=os.environ | environment, capture_output=True, text=True, timeout=LONGEST
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"not done after {LONGEST} s") from None
    if done.returncode:
        raise Failed(f"{reason(done.stderr)} (exit status {done.returncode})")
    return done.stdout


class Runs:
    """Runs in the folder `work`. Every run of a batch has the same cells: as many as give `steps`
    batches to train on (0: some 5,000 cells' worth, 6 at least)."""

    def __init__(self, work, steps=0, seconds=3.0, level=None):
        self.work, self.given_steps, self.seconds = Path(work), steps, seconds
        self.level = level
        self.empty = self.work / "empty"
        self.empty.mkdir()

    def steps(self, batch):
        return self.given_steps or max(6, 5120 // batch)

    def cells(self, batch):
        """The split rounds each class, and a last batch of a few cells would be no step like the
        others: the last one is a little short."""
        return max(200, int((self.steps(batch) * batch - CLASSES // 2) / TRAIN))

    def czhpc(self, case, variant, name, *options):
        """One job; its summary."""
        settings = {
            "train.epochs": 1,
            "train.batch": case.batch,
            "train.stopping": "none",
            "synthetic.cells": self.cells(case.batch),
            "model.text": str(case.text).lower(),
            "run.threads": variant.threads,
            "run.precision": variant.precision,
            "run.level": self.level or "auto",
            "eval.bayes": "false",
        }
        # Without gnuplot in sight: the figures take seconds and are no part of what is timed.
        command = ["mpirun", "-np", str(variant.ranks), "/usr/bin/env", f"PATH={self.empty}"]
        command += [BUILD / "czhpc", CONFIG, "--results", self.work, "--name", name, *options]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        call(command, MPI)
        return json.loads(Path(self.work, name, "summary.json").read_text())

    def train(self, case, variant, name):
        shutil.rmtree(self.work / name, ignore_errors=True)
        return self.czhpc(case, variant, name)

    def czhpc_training(self, case, variant, name):
        summary = self.train(case, variant, name)
        timing = summary["timing"]
        cells = summary["split"]["train"] / timing["steps"]  # of a step, the short one included
        return {
            "ms": 1e3 * case.batch / timing["cells_per_s"],
            "gflop": timing["gflop_per_step"] * case.batch / cells,
            "waiting_ms": 1e3 * timing["exposed_reduction_s"] / timing["steps"],
        } | self.czhpc_facts(summary)

    def czhpc_evaluation(self, case, variant, name):
        """A trained run that is resumed only evaluates: validation, test and training cells."""
        if not (self.work / name / "summary.json").exists():
            self.train(case, variant, name)
        (self.work / name / "summary.json").unlink()
        summary = self.czhpc(case, variant, name, "--resume")
        timing = summary["timing"]
        return {
            "ms": 1e3 * case.batch * timing["evaluate_s"] / timing["evaluated_cells"],
            "gflop": 1e-3 * case.batch * timing["evaluate_mflop_per_cell"],
        } | self.czhpc_facts(summary)

    def czhpc_facts(self, summary):
        """Memory of all ranks: pages that they share count in each."""
        memory = summary["ranks"] * summary["timing"]["peak_mib_per_rank"]
        return {"memory_mib": memory, "backend": summary["backend"]}

    def dump(self, case):
        """The prefix of the batch's cells as PyTorch reads them."""
        prefix = self.work / f"cells-{case.batch}"
        if not Path(f"{prefix}.order.i32").exists():
            settings = [f"synthetic.cells={self.cells(case.batch)}"]
            dump = BUILD / "validation" / "dump_cells"
            call(["mpirun", "-np", "1", dump, CONFIG, prefix, *settings], MPI)
        return prefix

    def pytorch(self, case, variant):
        command = [sys.executable, HERE / "peer.py", self.dump(case)]
        command += ["--precision", variant.precision, "--threads", str(variant.threads)]
        command += ["--batch", str(case.batch), "--steps", str(self.steps(case.batch))]
        command += ["--seconds", str(self.seconds)]
        command += [] if case.training else ["--evaluate"]
        command += [] if case.text else ["--no-text"]
        command += ["--compile"] if variant.compiled else []
        # What was compiled in one round serves the next, and no other benchmark.
        environment = {"TORCHINDUCTOR_CACHE_DIR": str(self.work / "inductor")}
        return json.loads(call(command, environment | HOLDS.get(self.level, {})))

    def run(self, case, variant):
        """ms and GFLOP of a batch, memory in MiB, and more of czhpc. Raises Failed."""
        if variant.program == "PyTorch":
            return self.pytorch(case, variant)
        text = "text" if case.text else "no-text"
        name = f"{variant}-{case.batch}-{text}".replace(", ", "-").replace(" ", "-")
        measure = self.czhpc_training if case.training else self.czhpc_evaluation
        return measure(case, variant, name)
