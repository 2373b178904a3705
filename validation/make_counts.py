"""Counts to features by NumPy, SciPy and Scanpy, for the tests of czhpc's own.

    make_counts.py FOLDER             writes counts.h5
    make_counts.py FOLDER --compare   computes anew and compares with the file there

With ../shared/data/onek1k.h5ad at hand, real cells too: the singular values of all of its genes
on the cells whose number modulo 10 is below 7.
"""
import argparse
import os
import sys
import warnings

import anndata
import h5py
import numpy as np
import scanpy
import scipy.linalg
import scipy.sparse as sparse

ONEK1K = os.path.join(os.path.dirname(__file__), "../../shared/data/onek1k.h5ad")
TARGET = 1e4
warnings.filterwarnings("ignore")


def synthetic():
    """Counts of 300 cells and 150 genes with eight programmes, some genes never seen."""
    rng = np.random.default_rng(11)
    programmes = rng.gamma(0.3, 1.0, size=(8, 150))
    use = rng.gamma(0.3, 1.0, size=(300, 8)) * np.array([9, 7, 5, 4, 3, 2.5, 2, 1.5])
    counts = rng.poisson(use @ programmes)
    counts[:, [10, 77]] = 0
    counts[20] = 0
    train = (rng.random(300) < 0.7).astype(np.uint8)
    counts[train == 1, 33] = 0  # seen outside training only
    return sparse.csr_matrix(counts.astype(np.float32)), train


def variable_genes(matrix, want):
    """Scanpy's choice, flavour "seurat", from log1p data; ties are not expected."""
    data = anndata.AnnData(matrix.astype(np.float64))
    scanpy.pp.normalize_total(data, target_sum=TARGET)
    scanpy.pp.log1p(data)
    found = scanpy.pp.highly_variable_genes(data, flavor="seurat", n_top_genes=want, inplace=False)
    return np.flatnonzero(found["highly_variable"].to_numpy()).astype(np.int32)


def fit(matrix, train, genes, components):
    counts = np.asarray(matrix.todense(), np.float64)
    depth = counts.sum(1, keepdims=True)
    logs = np.log1p(counts * np.divide(TARGET, depth, where=depth > 0, out=0 * depth))[:, genes]
    mean = logs[train == 1].mean(0)
    _, singular, loading = scipy.linalg.svd(logs[train == 1] - mean, full_matrices=False)
    explained = (singular[:components] ** 2).sum() / (singular ** 2).sum()
    singular, loading = singular[:components], loading[:components]
    largest = loading[np.arange(components), np.abs(loading).argmax(1)]
    loading *= np.sign(largest)[:, None]
    scale = np.sqrt((singular ** 2).sum() / ((train == 1).sum() * components))
    features = (logs[:40] - mean) @ loading.T / scale
    return {"gene": genes, "mean": mean, "singular": singular, "loading": loading[:8],
            "scale": scale, "explained": explained, "features": features[:, :24]}


def real():
    """Leading components of the real cells, or nothing where the file is not there."""
    if not os.path.exists(ONEK1K):
        return {}
    matrix = anndata.read_h5ad(ONEK1K).X
    train = (np.arange(matrix.shape[0]) % 10 < 7).astype(np.uint8)
    found = fit(matrix, train, np.arange(matrix.shape[1]), 64)
    genes = variable_genes(matrix[train == 1], 300)
    return {"onek1k/singular": found["singular"], "onek1k/loading": found["loading"][:4],
            "onek1k/explained": found["explained"], "onek1k/gene": genes}


def compute():
    matrix, train = synthetic()
    results = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr,
               "train": train}
    cases = {"all": (np.arange(150, dtype=np.int32), 60),
             "chosen": (variable_genes(matrix[train == 1], 120), 8)}
    for name, (genes, components) in cases.items():
        for key, value in fit(matrix, train, genes, components).items():
            results[f"{name}/{key}"] = value
    results.update(real())
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--compare", action="store_true")
    arguments = parser.parse_args()
    path = os.path.join(arguments.folder, "counts.h5")
    results = compute()
    if not arguments.compare:
        with h5py.File(path, "w") as file:
            for key, value in results.items():
                value = np.asarray(value)
                file.create_dataset(key, data=value, compression="gzip" if value.ndim else None)
        return 0
    worst = 0.0
    with h5py.File(path) as file:
        for key, value in results.items():
            scale = np.abs(value).max() or 1
            worst = max(worst, float(np.abs(file[key][()] - value).max() / scale))
    good = worst < 1e-9  # fp64 of another LAPACK
    print("ok  " if good else "FAIL", f"counts against NumPy and Scanpy: largest gap {worst:.1e}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
