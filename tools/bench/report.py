"""From the runs of a benchmark to its figures, and to their tables in Markdown."""

import statistics

WANTED = 0.95  # of 2 ranks x 1 thread over 1 rank x 2 threads
HEADINGS = ("", "ms a step", "low to high", "cells/s", "GFLOP a step", "GFLOP/s", "of peak",
            "MiB", "waiting", "over PyTorch")  # fmt: skip


def figures(case, runs):
    """Medians over the rounds, and what follows from them."""

    def median(key):
        return statistics.median(run[key] for run in runs)

    ms = median("ms")
    result = {
        "ms": ms,
        "all_ms": [run["ms"] for run in runs],
        "cells_per_s": 1e3 * case.batch / ms,
        "gflop": median("gflop"),
        "gflops": 1e3 * median("gflop") / ms,
        "memory_mib": median("memory_mib"),
    }
    for key in ("waiting_ms", "steps"):
        if key in runs[0]:
            result[key] = median(key)
    if "backend" in runs[0]:
        result["backend"] = runs[0]["backend"]
    return result


class Measured:
    """One case: the figures of every variant, and why others were left out."""

    def __init__(self, case, results, left_out):
        self.case, self.left_out = case, left_out
        self.of = {v: figures(case, runs) for v, runs in results.items()}
        peers = {v: f["ms"] for v, f in self.of.items() if v.program == "PyTorch"}
        self.peer = min(peers, key=peers.get) if peers else None
        for f in self.of.values():
            f["speed"] = peers[self.peer] / f["ms"] if peers else None

    def add_fractions(self, kernels):
        """Of the peak in the variant's precision, where it is known."""
        for variant, f in self.of.items():
            if variant.precision in kernels:
                f["fraction_of_peak"] = f["gflops"] / kernels[variant.precision]["peak_gflops"]

    def json(self):
        return {
            "workload": self.case.workload,
            "batch": self.case.batch,
            "best_of_pytorch": self.peer and str(self.peer),
            "variants": {str(v): f for v, f in self.of.items()},
            "left_out": {str(v): text for v, text in self.left_out.items()},
        }

    def row(self, variant):
        f = self.of[variant]
        fraction, waiting = f.get("fraction_of_peak"), f.get("waiting_ms")
        low, high = number(min(f["all_ms"])), number(max(f["all_ms"]))
        return [
            str(variant),
            number(f["ms"]),
            f"{low} to {high}" if len(f["all_ms"]) > 1 else "one round",
            f"{f['cells_per_s']:.0f}",
            f"{f['gflop']:.2f}",
            f"{f['gflops']:.0f}",
            "-" if fraction is None else f"{100 * fraction:.1f} %",
            f"{f['memory_mib']:.0f}",
            "-" if waiting is None else f"{waiting:.2f}",
            ratio(f["speed"]),
        ]

    def text(self):
        rounds = max((len(f["all_ms"]) for f in self.of.values()), default=0)
        title = f"## {str(self.case).capitalize()} ({rounds} round{'s' * (rounds != 1)})"
        reasons = dict.fromkeys(self.left_out.values())
        left = [
            f"- left out: {'; '.join(str(v) for v in self.left_out if self.left_out[v] == why)}: {why}"
            for why in reasons
        ]
        parts = [title, "", *table(HEADINGS, [self.row(v) for v in self.of])] if self.of else [title]
        return "\n".join(parts + ["", *left] * bool(left))


def number(ms):
    return f"{ms:.1f}" if ms < 1000 else f"{ms:.0f}"


def ratio(value):
    return "-" if value is None else f"{value:.2f}"


def table(headings, rows):
    """Lines of Markdown that are aligned for a terminal too: the first column to the left. Without
    columns that have nothing to say."""
    kept = [i for i in range(len(headings)) if any(row[i] != "-" for row in rows)]
    headings, *rows = cells = [[row[i] for i in kept] for row in (headings, *rows)]
    width = [max(len(row[i]) for row in cells) for i in range(len(headings))]

    def line(row):
        first, *others = (cell.rjust(w) for cell, w in zip(row, width))
        return f"| {row[0].ljust(len(first))} | {' | '.join(others)} |"

    rule = ["-" * width[0], *("-" * (w - 1) + ":" for w in width[1:])]
    return [line(headings), f"| {' | '.join(rule)} |", *map(line, rows)]


def across(measured, rows, value):
    """A table of value(measured, row), None: nothing; a workload's row, a column a batch."""
    batches = sorted({m.case.batch for m in measured})
    lines = []
    for workload in dict.fromkeys(m.case.workload for m in measured):
        of = {m.case.batch: m for m in measured if m.case.workload == workload}
        for row in rows:
            values = [value(of[b], row) if b in of else None for b in batches]
            if any(v is not None for v in values):
                lines.append([f"{workload}, {row}", *map(ratio, values)])
    return table(["", *map(str, batches)], lines) if lines else []


def speed(measured, variant):
    return measured.of[variant]["speed"] if variant in measured.of else None


def ranks_over_threads(measured, precision):
    """Speed of as many ranks as threads, over that of one rank with the threads."""
    of = {v.ranks > 1: f["cells_per_s"] for v, f in measured.of.items()
          if v.program == "czhpc" and v.precision == precision}  # fmt: skip
    return of[True] / of[False] if len(of) == 2 else None


def summary(measured):
    variants = dict.fromkeys(v for m in measured for v in m.of if v.program == "czhpc")
    precisions = dict.fromkeys(v.precision for v in variants)
    parts = []
    speeds = across(measured, variants, speed)
    if speeds:
        parts += ["## Times as fast as PyTorch's best, by batch", "", *speeds, ""]
    together = across(measured, precisions, ranks_over_threads)
    if together:
        parts += [f"## Several ranks over one with their threads, by batch ({WANTED} is wanted)", ""]
        parts += [*together, ""]
    return "\n".join(parts)


NOTES = """\
Each figure is the median over rounds, each round's from a process of its own, the variants in turns.
czhpc is named by its precision and ranks x threads of each; PyTorch has as many threads in all. Both
train on the same cells (base.yaml's, fewer) in the same batches in the same order, or evaluate them
all. ms are means over the steps of a process: of czhpc's with its cold first one, of PyTorch's without
three. "over PyTorch" is the time of PyTorch's best, of eager and compiled, fp32 and bf16, over the time
of the line. PyTorch's bf16 is autocast, with weights and optimiser in fp32, as in czhpc. An evaluation
is forward, losses and likeliest classes; czhpc's goes in blocks of 64 cells whatever the batch, fetches
the cells from their ranks, and gives the probabilities of all classes besides. GFLOP are those executed
in products; the peak is that of multiply-adds in registers in the line's precision. MiB are the most
that the process had, of czhpc's ranks together (what they share counts in each); "waiting" is ms a step
for other workers' gradients. "one round": too far from PyTorch's best to be run again."""
