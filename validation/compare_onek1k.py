#!/usr/bin/env python3
"""czhpc on the OneK1K cells beside a logistic regression: same cells, same split, same features plus
the one-hot cell type, its penalty chosen by validation. Prints both test accuracies and the 95 %
interval of their paired difference; fails when czhpc is worse.

    compare_onek1k.py CELLS.h5ad      in the project's folder, after make
"""
import csv
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from sklearn.linear_model import LogisticRegression

PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1)
MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}


def run(command):
    subprocess.run(command, check=True, env=os.environ | MPI, stdout=subprocess.DEVNULL)


def load(prefix):
    """Features with one-hot types, donors and split, as validation/dump_cells.c wrote them."""
    n, width, _, labels, _ = map(int, pathlib.Path(f"{prefix}.shape").read_text().split())
    x = np.fromfile(f"{prefix}.x.f32", np.float32).reshape(n, width)
    types = np.eye(labels, dtype=np.float32)[np.fromfile(f"{prefix}.label.i32", np.int32)]
    donors = np.fromfile(f"{prefix}.target.i32", np.int32)
    return np.hstack([x, types]), donors, np.fromfile(f"{prefix}.split.u8", np.uint8)


def regression_hits(x, donors, split):
    """Which test cells the best regression names rightly, and its penalty."""
    fits = [LogisticRegression(C=c, max_iter=1000).fit(x[split == 0], donors[split == 0]) for c in PENALTIES]
    scores = [fit.score(x[split == 1], donors[split == 1]) for fit in fits]
    best = int(np.argmax(scores))
    return fits[best].predict(x[split == 2]) == donors[split == 2], PENALTIES[best]


def czhpc_hits(folder, split):
    with open(folder / "predictions.csv", newline="", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "test"]
    assert [int(r["row"]) for r in rows] == list(np.flatnonzero(split == 2))
    return np.array([r["true"] == r["predicted"] for r in rows])


def main():
    h5ad = sys.argv[1]
    with tempfile.TemporaryDirectory() as work:
        prefix = f"{work}/cells"
        settings = [f"data.h5ad={h5ad}", "text.table=configs/labels.h5"]
        run(["mpirun", "-np", "1", "build/release/validation/dump_cells", "configs/counts.yaml", prefix, *settings])
        run(["mpirun", "-np", "2", "./czhpc", "configs/counts.yaml", "--set", settings[0], "--results", work,
             "--name", "run"])
        x, donors, split = load(prefix)
        ours = czhpc_hits(pathlib.Path(work) / "run", split)
    theirs, penalty = regression_hits(x, donors, split)
    gap = ours.astype(float) - theirs
    half = 1.96 * gap.std(ddof=1) / np.sqrt(len(gap))
    verdict = "ok  " if gap.mean() + half >= 0 else "FAIL"
    print(f"{verdict} czhpc {100 * ours.mean():.2f} %, logistic regression {100 * theirs.mean():.2f} % (C {penalty}) "
          f"of {len(gap)} test cells; paired difference {100 * gap.mean():+.2f} points, "
          f"95 % interval [{100 * (gap.mean() - half):+.2f}, {100 * (gap.mean() + half):+.2f}]")
    return verdict == "FAIL"


if __name__ == "__main__":
    sys.exit(main())
