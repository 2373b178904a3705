"""czhpc and the same model in PyTorch, trained by the same protocol on the same synthetic cells with
the same split, several seeds each: test accuracies side by side. Fails when their means differ by
more than a point.

    compare_training.py [CONFIG] [--set KEY=VALUE]... [--seeds N] [--threads N]

CONFIG is configs/demo.yaml unless named; base.yaml takes hours on two cores. After make; needs
tools/setup.sh --validate.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent))
from reference.cells import Cells
from reference.model import FusionModel, Head, Spec
from reference.protocol import train

POINTS = 1.0  # of a mean over seeds; each test accuracy is uncertain by about half a point
MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
}


def run(command):
    done = subprocess.run(command, env=os.environ | MPI, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def model_of(config, cells):
    m = config["model"]
    shape = ("text", "tokens", "heads", "fusion_dim", "layers", "feedforward", "latents",
             "latent_dim", "dropout")  # fmt: skip
    sexes = int(cells.codes[1].max()) + 1
    spec = Spec(
        width=cells.width,
        text_width=cells.text_width,
        positions=m["positions"] == "learned",
        head=[Head("target", cells.donors), Head("adversary", sexes, adversary=True)],
        **{key: m[key] for key in shape},
    )
    return FusionModel(spec)


def torch_accuracy(config, cells, seed):
    torch.manual_seed(seed)
    model = model_of(config, cells)

    def report(epoch, accuracy, validation):
        print(
            f"  PyTorch seed {seed} epoch {epoch}: train {100 * accuracy:.2f} %, "
            f"validation {100 * validation:.2f} %",
            flush=True,
        )

    return train(model, cells, config, seed, report)


def czhpc_summary(command, seed, threads):
    with tempfile.TemporaryDirectory() as folder:
        run([
            "mpirun", "-np", "1", ROOT / "czhpc", *command, "--set", f"run.seed={seed}",
            "--set", f"run.threads={threads}", "--results", folder, "--name", "run",
        ])  # fmt: skip
        return json.loads(Path(folder, "run", "summary.json").read_text())


def line(name, accuracies):
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0
    each = " ".join(f"{100 * a:.2f}" for a in accuracies)
    mean = 100 * statistics.mean(accuracies)
    print(f"{name:8} test accuracy {mean:.2f} % (standard deviation {100 * spread:.2f}): {each}")
    return mean


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", default=ROOT / "configs" / "demo.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = [part for setting in arguments.set for part in ("--set", setting)]
    command = [arguments.config, *settings]

    config = yaml.safe_load(run([ROOT / "czhpc", *command, "--print-config"]))
    with tempfile.TemporaryDirectory() as folder:
        dump = ROOT / "build" / "release" / "validation" / "dump_cells"
        run([dump, arguments.config, f"{folder}/cells", *arguments.set])
        cells = Cells(f"{folder}/cells")
    ours, theirs = [], []
    for seed in range(arguments.seeds):
        summary = czhpc_summary(command, seed, arguments.threads)
        head = summary["test"]["heads"][0]
        ours.append(head["accuracy"])
        print(f"czhpc seed {seed}: test {100 * ours[-1]:.2f} %", flush=True)
        theirs.append(torch_accuracy(config, cells, seed))
        print(f"PyTorch seed {seed}: test {100 * theirs[-1]:.2f} %", flush=True)

    optimum = f"{100 * head['bayes']:.2f} %" if head.get("bayes") else "not known"
    print(f"best possible {optimum}, discriminant {100 * (head['linear_discriminant'] or 0):.2f} %")
    gap = line("czhpc", ours) - line("PyTorch", theirs)
    good = abs(gap) <= POINTS
    print("ok  " if good else "FAIL", f"czhpc and PyTorch differ by {gap:+.2f} points")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
