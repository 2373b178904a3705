"""czhpc beside PyTorch: a training step and an evaluation of base.yaml's model.

    tools/bench.sh step [OPTION]...

Each figure is from a process of its own; rounds take the variants in turns, every other one
backwards, so that a change of the machine's pace meets all of them; medians over the rounds.
A variant that fails is left out by name. PyTorch has its best of eager and compiled, fp32 and
bf16 (autocast): what is far from that in the first round is not run again, and what is hopeless
at one batch not at the larger ones.

Writes results/bench/CPU-DATE.json and .md; with an option that narrows it, CPU-DATE-part.*, which
git does not keep.
"""

import argparse
import datetime
import os
import sys
import tempfile
import time
from pathlib import Path

import facts
import report
from runs import HOLDS, WORKLOADS, Case, Failed, Runs, Variant

BATCHES = (128, 512, 2048)
WHOLE = {"batch": list(BATCHES), "workload": list(WORKLOADS), "precision": ["fp32", "bf16"],
         "compile": True, "quick": False, "rounds": None, "threads": 2, "steps": 0,
         "seconds": 3, "level": None}  # fmt: skip
NEAR, HOPELESS = 1.5, 5.0  # times PyTorch's best


def rounds_of(case, arguments):
    """More where the figures count most."""
    usual = 5 if case.training and case.batch == BATCHES[0] and not arguments.quick else 3
    return arguments.rounds or usual


def variants(arguments):
    threads = arguments.threads
    found = []
    for precision in arguments.precision:
        found.append(Variant("czhpc", precision, 1, threads))
        if threads > 1:
            found.append(Variant("czhpc", precision, threads, 1))
    for precision in arguments.precision:
        for compiled in (False, True) if arguments.compile else (False,):
            found.append(Variant("PyTorch", precision, 1, threads, compiled))
    return found


class Bench:
    def __init__(self, arguments, work):
        self.arguments = arguments
        self.runs = Runs(work, arguments.steps, arguments.seconds, arguments.level)
        self.facts = facts.describe(arguments.threads, arguments.level)
        self.out = {}  # (workload, variant): why it is not run, at larger batches either
        for variant in variants(arguments):
            if variant.program == "czhpc" and variant.precision not in self.facts["kernels"]:
                why = f"the kernels for {variant.precision} are the portable ones here, if any"
                self.out |= {(workload, variant): why for workload in WORKLOADS}
        self.begun = time.perf_counter()

    def say(self, text):
        print(f"{time.perf_counter() - self.begun:6.0f} s  {text}", flush=True)

    def attempt(self, case, variant, results):
        try:
            run = self.runs.run(case, variant)
        except Failed as why:
            self.out[case.workload, variant] = str(why)
            del results[variant]
            self.say(f"{variant} left out: {why}")
            return
        results[variant].append(run)
        self.say(f"{str(variant):23} {report.number(run['ms']):>8} ms")

    def narrow(self, case, results):
        """After the first round: the variants that go on, all of czhpc's and PyTorch's near its
        best."""
        ms = {v: runs[0]["ms"] for v, runs in results.items() if v.program == "PyTorch"}
        best = min(ms, key=ms.get, default=None)
        times = {v: ms[v] / ms[best] for v in ms}
        for variant in times:
            if times[variant] > HOPELESS:
                self.out[case.workload, variant] = (
                    f"{times[variant]:.1f} times as slow as {best} at batch {case.batch}"
                )
        return [v for v in results if times.get(v, 1) <= NEAR]

    def case(self, case):
        """Runs all rounds of a case."""
        rounds = rounds_of(case, self.arguments)
        asked = variants(self.arguments)
        results = {v: [] for v in asked if (case.workload, v) not in self.out}
        going = list(results)
        for number in range(rounds):
            self.say(f"{case}, round {number + 1} of {rounds}")
            peaks = facts.kernels(self.arguments.threads, self.arguments.level)
            self.facts["kernels"] = facts.higher(self.facts["kernels"], peaks)
            for variant in going if number % 2 == 0 else going[::-1]:
                if variant in results:
                    self.attempt(case, variant, results)
            if number == 0:
                going = self.narrow(case, results)
        left_out = {v: self.out[case.workload, v] for v in asked if v not in results}
        return report.Measured(case, results, left_out)


def parse():
    def several(of, kind=str):
        def parts(text):
            values = [kind(part) for part in text.split(",")]
            if of and not set(values) <= set(of):
                raise ValueError
            return values

        parts.__name__ = "list"
        return parts

    parser = argparse.ArgumentParser(
        prog="tools/bench.sh step", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--quick", action="store_true", help="batch 128 alone, 3 rounds")
    add("--batch", type=several(None, int), metavar="N,...", help="batches (128,512,2048)")
    add("--workload", type=several(WORKLOADS), default=list(WORKLOADS), metavar="W,...",
        help="of text,no-text,evaluation (all)")  # fmt: skip
    add("--precision", type=several(("fp32", "bf16")), default=["fp32", "bf16"], metavar="P,...",
        help="of fp32,bf16 (both)")  # fmt: skip
    add("--no-compile", dest="compile", action="store_false", help="PyTorch eager alone")
    add("--rounds", type=int, help="of every case (5 of training at batch 128, else 3)")
    add("--threads", type=int, default=2, help="in all (2)")
    add("--steps", type=int, default=0,
        help="batches a process trains on (some 5,000 cells, 6 at least)")  # fmt: skip
    add("--seconds", type=float, default=3, help="after which PyTorch's steps end, but for 3 (3)")
    add("--level", choices=list(HOLDS), help="hold both to these instructions")
    add("--output", type=Path, metavar="PATH", help="writes PATH.json and PATH.md instead")
    arguments = parser.parse_args()
    arguments.batch = arguments.batch or list(BATCHES[:1] if arguments.quick else BATCHES)
    if min(*arguments.batch, arguments.threads) < 1:
        parser.error("a batch and the threads must be 1 or more")
    return arguments


def is_part(arguments):
    return vars(arguments) != WHOLE | {"output": arguments.output}


def main():
    arguments = parse()
    begun = datetime.datetime.now()
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(arguments, work)
        print("\n".join(facts.lines(bench.facts)), flush=True)
        if bench.facts["load_before"] > 0.5:
            print("note: the machine is busy, from which PyTorch suffers more: ratios say little")
        cases = [Case(w, b) for w in arguments.workload for b in sorted(arguments.batch)]
        done = [bench.case(case) for case in cases]
    bench.facts["load_after"] = os.getloadavg()[0]
    for measured in done:
        measured.add_fractions(bench.facts["kernels"])

    tables = "\n\n".join([*(m.text() for m in done), report.summary(done)]).strip()
    print(f"\n{tables}\n")
    head = "\n".join(f"- {line}" for line in facts.lines(bench.facts))
    title = f"# czhpc beside PyTorch, {begun.date().isoformat()}"
    path = arguments.output or facts.place("part" if is_part(arguments) else "")
    content = {
        "machine": bench.facts,
        "date": begun.isoformat(timespec="seconds"),
        "command": " ".join(["tools/bench.sh step", *sys.argv[1:]]),
        "cases": [m.json() for m in done],
    }
    facts.write(path, content, f"{title}\n\n{head}\n\n{report.NOTES}\n\n{tables}")
    failed = [str(v) for m in done for v in m.left_out if (v.program, v.precision) == ("czhpc", "fp32")]
    sys.exit(f"bench: left out, but must work: {failed[0]}" if failed else 0)


main()
