"""Orders of clustered rows by scipy (average linkage, Euclidean): make_clustering.py FOLDER [--compare]"""
import os
import sys

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage


def text():
    rng = np.random.default_rng(7)
    cases = []
    for rows, columns in ((1, 3), (2, 2), (3, 1), (10, 4), (32, 8), (61, 8), (64, 16)):
        x = np.exp(rng.normal(size=(rows, columns)))
        x = x / x.sum(1, keepdims=True) if columns > 1 else x
        x = np.vectorize(lambda v: float(f"{v:.6f}"))(x)
        order = leaves_list(linkage(x, "average")) if rows > 1 else [0]
        cases.append(f"{rows} {columns}\n")
        cases.extend(" ".join(f"{v:.6f}" for v in row) + "\n" for row in x)
        cases.append(" ".join(map(str, order)) + "\n")
    return "".join(cases)


path = os.path.join(sys.argv[1], "clustering.txt")
if "--compare" in sys.argv:
    same = open(path).read() == text()
    print("ok   " if same else "FAIL ", "clustering.txt is what scipy says", sep="")
    sys.exit(not same)
with open(path, "w") as out:
    out.write(text())
