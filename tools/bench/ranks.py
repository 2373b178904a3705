"""czhpc on several ranks beside one rank with as many threads, in turns.

    tools/bench.sh ranks [OPTION]...

Each round runs both, every other one the other way round, and has a ratio of its own: cells a second
of the ranks over those of the threads. The median counts.
"""

import argparse
import os
import statistics
import sys
import tempfile

from report import WANTED
from runs import WORKLOADS, Case, Failed, Runs, Variant


def one_round(runs, case, pair, backwards):
    got = {variant: runs.run(case, variant) for variant in (pair[::-1] if backwards else pair)}
    return [got[variant] for variant in pair]


def told(variant, run):
    waiting = f" ({run['waiting_ms']:5.2f} waiting)" if "waiting_ms" in run else ""
    return f"{variant.ranks} x {variant.threads} {run['ms']:8.2f} ms{waiting}"


def median_of(each):
    return {key: statistics.median(run[key] for run in each) for key in each[0] if key != "backend"}


def measure(runs, case, pair, rounds):
    print(f"{case}, {pair[0].precision}, load {os.getloadavg()[0]:.1f}")
    done, ratios = [], []
    for number in range(rounds):
        done.append(one_round(runs, case, pair, number % 2))
        threads, ranks = done[-1]
        ratios.append(threads["ms"] / ranks["ms"])
        line = "   ".join(map(told, pair, done[-1]))
        print(f"round {number + 1:2}:  {line}   ratio {ratios[-1]:.3f}", flush=True)
    medians = [median_of(each) for each in zip(*done)]
    print(f"medians:   {'   '.join(map(told, pair, medians))}   ratio {statistics.median(ratios):.3f}")
    one, several = (f"{each['memory_mib']:.0f} MiB" for each in medians)
    print(f"{one} on one rank, {several} on {pair[1].ranks}; ", end="")
    print(f"ratios {min(ratios):.3f} to {max(ratios):.3f}, {WANTED} is wanted")


def main():
    parser = argparse.ArgumentParser(
        prog="tools/bench.sh ranks", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--rounds", type=int, default=5)
    add("--batch", type=int, default=128)
    add("--workload", choices=WORKLOADS, default="text")
    add("--precision", default="fp32")
    add("--threads", type=int, default=2, help="in all: as many ranks (2)")
    add("--steps", type=int, default=0, help="batches of a run (some 5,000 cells, 6 at least)")
    arguments = parser.parse_args()
    if arguments.threads < 2 or arguments.rounds < 1 or arguments.batch < 1:
        parser.error("threads must be 2 or more, rounds and batch 1 or more")
    pair = [
        Variant("czhpc", arguments.precision, 1, arguments.threads),
        Variant("czhpc", arguments.precision, arguments.threads, 1),
    ]
    with tempfile.TemporaryDirectory() as work:
        try:
            case = Case(arguments.workload, arguments.batch)
            measure(Runs(work, arguments.steps), case, pair, arguments.rounds)
        except Failed as why:
            sys.exit(f"bench: {why}")


main()
