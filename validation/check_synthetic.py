"""Synthetic cells recomputed: the exact posterior from the whole covariance (numpy), the linear
discriminant (scikit-learn), and the file that is written (anndata).
BUILD: the build folder, build/release unless said otherwise."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

failures = 0


def check(ok, name):
    global failures
    print("ok  " if ok else "FAIL", name)
    failures += not ok


def run(*arguments):
    program = Path(os.environ.get("BUILD", "build/release")) / "validation/test_synthetic"
    subprocess.run([program, *arguments], check=True)


def read(path):
    data = open(path, "rb").read()
    at = 0

    def take(dtype, *shape):
        nonlocal at
        count = int(np.prod(shape))
        values = np.frombuffer(data, dtype, count, at).reshape(shape)
        at += values.nbytes
        return values

    n, width, types, donors, libraries, effects = take("i4", 6)
    return dict(
        count=take("i4", types, donors),
        mean=take("f8", types, donors, libraries, effects),
        depth=take("f8", effects),
        offset=take("f4", width),
        spread=take("f4", width),
        loading=take("f4", effects, width),
        x=take("f4", n, width),
        split=take("u1", n),
        target=take("i4", n),
        label=take("i4", n),
        joint=take("f8", n, types, donors),
        fitted=take("i4", n),
        left=len(data) - at,
    )


def posterior(d):
    """log p(type, donor | x) of all cells, every group's density written out in full."""
    loading = d["loading"].astype(float)
    covariance = (loading.T @ loading + np.outer(d["depth"] @ loading, d["depth"] @ loading)
                  + np.diag(d["spread"].astype(float) ** 2))
    inverse = np.linalg.inv(covariance)
    x = d["x"].astype(float) - d["offset"]
    density = np.empty((len(x), *d["mean"].shape[:3]))
    for group in np.ndindex(*d["mean"].shape[:3]):
        gap = x - d["mean"][group] @ loading
        density[(slice(None), *group)] = -0.5 * np.einsum("ij,jk,ik->i", gap, inverse, gap)
    with np.errstate(divide="ignore"):
        density += np.log(d["count"])[None, :, :, None]
    most = density.max(axis=(1, 2, 3), keepdims=True)
    joint = np.exp(density - most).sum(axis=3)
    return joint / joint.sum(axis=(1, 2), keepdims=True)


def check_dump(folder):
    path = folder / "dump"
    run("dump", path)
    d = read(path)
    check(d["left"] == 0, "the dump is as long as its sizes say")
    gap = np.abs(posterior(d) - d["joint"]).max()
    # Exponents of some thousands, known to 1e-16 of themselves times the covariance's condition.
    check(gap < 1e-9, f"posterior against the whole covariance: worst gap {gap:.1e}")
    moments(d)
    try:
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    except ImportError:
        print("SKIP discriminant: no scikit-learn")
        return
    features = np.hstack([d["x"], np.eye(d["label"].max() + 1)[d["label"]]])
    train = d["split"] == 0
    oracle = LinearDiscriminantAnalysis().fit(features[train], d["target"][train])
    # A label that no training cell has lies where the training cells determine nothing.
    known = np.isin(d["label"], d["label"][train])
    differ = (oracle.predict(features) != d["fitted"])[known].sum()
    right = (d["fitted"] == d["target"])[d["split"] == 2].mean()
    check(differ == 0, f"discriminant against scikit-learn: {differ} of {known.sum()} cells "
                       f"differ (test accuracy {right:.3f})")


def moments(d):
    """Rows against the mixture's mean and covariance."""
    n = len(d["x"])
    weight = np.repeat(d["count"][..., None] / n / 2, 2, axis=2)
    loading = d["loading"].astype(float)
    centre = np.einsum("cdl,cdlk->k", weight, d["mean"])
    gap = d["mean"] - centre
    inside = (np.einsum("cdl,cdlk,cdlm->km", weight, gap, gap) + np.eye(len(centre))
              + np.outer(d["depth"], d["depth"]))
    covariance = loading.T @ inside @ loading + np.diag(d["spread"].astype(float) ** 2)
    deviation = np.sqrt(np.diag(covariance))
    far = np.abs(d["x"].mean(axis=0) - d["offset"] - centre @ loading) / deviation * np.sqrt(n)
    check(far.max() < 5, f"means of the features: worst {far.max():.1f} standard errors")
    got = np.cov(d["x"].T)
    error = np.abs(got - covariance) / np.outer(deviation, deviation) * np.sqrt(n / 2)
    check(error.max() < 6, f"their covariances: worst {error.max():.1f} standard errors")


def check_file(folder):
    try:
        import anndata
    except ImportError:
        print("SKIP file: no anndata")
        return
    path = folder / "cells.h5ad"
    run("write", path)
    cells = anndata.read_h5ad(path)
    d = cells.obsm["geneformer"]
    check(cells.shape == (31780, 0) and d.shape == (31780, 512) and d.dtype == np.float32
          and np.isfinite(d).all(), "the file's shape: 31,780 cells, obsm geneformer (512)")
    counts = cells.obs["cell_type"].value_counts()
    check(counts["oligodendrocyte"] == 10924 and counts["ependymal cell"] == 27
          and cells.obs["donor_id"].value_counts()["donor_14"] == 4040,
          "its types and donors are as many as published")
    check(all(str(cells.obs[k].dtype) == "category"
              for k in ("donor_id", "cell_type", "sex", "library_id", "dataset_id"))
          and cells.obs.groupby("donor_id", observed=True)["sex"].nunique().max() == 1,
          "its columns are categories, and a donor has one sex")
    check(cells.obs_names.is_unique and cells.obs_names[0] == "cell_00000", "its cells have names")


with tempfile.TemporaryDirectory() as name:
    check_dump(Path(name))
    check_file(Path(name))
sys.exit(failures != 0)
