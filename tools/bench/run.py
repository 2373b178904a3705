"""czhpc beside PyTorch: a training step of the reference model, on the same shapes and threads.

    tools/bench.sh step [--rounds N] [--threads N] [--batch N] [--no-compile] [--output FILE]

Every figure is from a process of its own; rounds take the variants in turn, so that a change of
the machine's pace meets all of them; medians over the rounds. The ratio is PyTorch's faster
variant, eager or compiled, over czhpc. Writes results/bench/HOST-DATE.json.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "release"
STEPS = 40  # of czhpc, a little more than an epoch of its cells' training part
TRAIN = 0.7


def fail(text):
    sys.exit(f"bench: {text}")


def czhpc(arguments, text):
    """One short training run; what its summary says of a step."""
    cells = int(STEPS * arguments.batch / TRAIN)
    settings = {
        "train.epochs": 1,
        "train.batch": arguments.batch,
        "train.stopping": "none",
        "synthetic.cells": cells,
        "model.text": str(text).lower(),
        "run.threads": arguments.threads,
        "run.precision": "fp32",
        "eval.bayes": "false",
    }
    environment = os.environ | {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_hwloc_base_binding_policy": "none",  # else one rank is bound to one core
    }
    with tempfile.TemporaryDirectory() as folder:
        command = ["mpirun", "-np", "1", BUILD / "czhpc", ROOT / "configs" / "base.yaml"]
        command += ["--results", folder, "--name", "bench"]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            fail(f"czhpc ended with {done.returncode}:\n{done.stderr[-2000:]}")
        timing = json.loads(Path(folder, "bench", "summary.json").read_text())["timing"]
    return {key: timing[key] for key in ("ms_per_step", "gflop_per_step")}


def torch(arguments, text, compiled):
    command = [sys.executable, HERE / "peer.py"]
    command += ["--threads", str(arguments.threads), "--batch", str(arguments.batch)]
    command += [] if text else ["--no-text"]
    command += ["--compile"] if compiled else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"error": (done.stderr.strip() or "no message").splitlines()[-1]}
    return json.loads(done.stdout)


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def kernels(arguments):
    """Level and peak of czhpc's kernels: measured every round, since others may slow a moment."""
    done = subprocess.run(
        [BUILD / "tools/bench/machine", str(arguments.threads)], capture_output=True, text=True
    )
    if done.returncode:
        fail(f"the machine's peak could not be measured: {done.stderr}")
    return json.loads(done.stdout)


def machine(arguments):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return kernels(arguments) | {
        "host": platform.node(),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "threads": arguments.threads,
        "memory_gib": round(memory, 1),
        "system": platform.platform(),
        "load_before": os.getloadavg()[0],
    }


def measure(arguments, facts):
    """Every variant's results, round by round; a variant that fails once is left out. The highest
    of the rounds' peaks goes into `facts`."""
    kinds = ["czhpc", "pytorch eager"] + ["pytorch compiled"] * arguments.compile
    results = {(kind, text): [] for text in (True, False) for kind in kinds}
    failed = {}
    for number in range(arguments.rounds):
        facts["peak_gflops"] = max(facts["peak_gflops"], kernels(arguments)["peak_gflops"])
        for kind, text in results:
            if (kind, text) in failed:
                continue
            if kind == "czhpc":
                got = czhpc(arguments, text)
            else:
                got = torch(arguments, text, kind.endswith("compiled"))
            if "error" in got:
                failed[kind, text] = got["error"]
                continue
            results[kind, text].append(got)
            shape = "with text" if text else "no text"
            print(f"round {number + 1}: {kind:17} {shape:10} {got['ms_per_step']:8.1f} ms", flush=True)
    return results, failed


def main():
    parser = argparse.ArgumentParser(
        prog="tools/bench.sh step", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()

    facts = machine(arguments)
    print(f"{facts['cpu']}, {facts['backend']}, {arguments.threads} threads")
    if facts["load_before"] > 0.5:
        print(
            f"note: the machine is busy (load {facts['load_before']:.1f}), from which PyTorch suffers "
            "more: these ratios say little"
        )
    results, failed = measure(arguments, facts)

    peak = facts["peak_gflops"]
    print(f"\npeak of multiply-adds {peak} GFLOP/s; FLOPs are those executed in products")
    print(f"{'':29}ms a step  GFLOP a step  GFLOP/s  of peak  times czhpc")
    report = {"machine": facts, "date": datetime.datetime.now().isoformat(timespec="seconds")}
    report |= {"batch": arguments.batch, "rounds": arguments.rounds}
    report |= {"ratio": {}, "ratio_of_fastest_rounds": {}}
    for text, name in ((True, "with_text"), (False, "no_text")):
        medians, fastest = {}, {}
        for (kind, _), rounds in [r for r in results.items() if r[0][1] == text]:
            if (kind, text) in failed:
                print(f"{kind:17} {name:10} does not work here: {failed[kind, text]}")
                report.setdefault(name, {})[kind] = {"error": failed[kind, text]}
                continue
            each = [r["ms_per_step"] for r in rounds]
            ms = medians[kind] = statistics.median(each)
            fastest[kind] = min(each)
            gflop = rounds[0]["gflop_per_step"]
            rate = 1e3 * gflop / ms
            print(
                f"{kind:17} {name:10} {ms:9.1f} {gflop:13.2f} {rate:8.1f} {100 * rate / peak:6.1f} % "
                f"{ms / medians['czhpc']:12.2f}"
            )
            report.setdefault(name, {})[kind] = {
                "ms_per_step": ms,
                "all_ms_per_step": each,
                "gflop_per_step": gflop,
                "gflops": rate,
                "fraction_of_peak": rate / peak,
            }
        for key, ms in (("ratio", medians), ("ratio_of_fastest_rounds", fastest)):
            own = ms.pop("czhpc")
            report[key][name] = min(ms.values()) / own if ms else None
    for key in ("ratio", "ratio_of_fastest_rounds"):
        values = [f"{k} {v:.2f}" for k, v in report[key].items() if v]
        print(f"{key.replace('_', ' ')}: {', '.join(values)}")

    day = datetime.date.today().isoformat()
    output = arguments.output or ROOT / "results" / "bench" / f"{platform.node()}-{day}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written to {output}")


main()
