"""Two small AnnData files, and what they are together: written by anndata, joined by
anndata.concat, their depth measured by Scanpy.

    make_parts.py FOLDER             writes FOLDER/parts/*.h5ad
    make_parts.py FOLDER --compare   makes them anew and compares with those there

one.h5ad       40 cells, dense counts; Ensembl identifiers of version 3
two.h5ad       25 cells, counts by genes (CSC); other genes, in another order, of version 5; the
               counts of one gene in two columns of that name; the embedding sparse
whole.h5ad     both, genes of both alone, identifiers without version; obs holds Scanpy's metrics
late.h5ad      the cells of whole whose column `late` is yes: the last 30
symbols.h5ad   one, its genes named by symbols, its embedding narrower
"""
import argparse
import os
import sys
import tempfile
import warnings

import anndata
import numpy as np
import pandas as pd
import scanpy
import scipy.sparse as sparse

ONE, TWO, LATE, GENES, WIDTH = 40, 25, 30, 36, 8
warnings.filterwarnings("ignore")


def cells(rng, n, first):
    counts = rng.poisson(rng.gamma(0.8, 2.0, size=(n, GENES))).astype(np.float32)
    counts[:, 0] += 1  # no cell is empty
    obs = pd.DataFrame({
        "donor_id": pd.Categorical(rng.permutation(np.arange(n) % 3).astype(str)),
        "cell_type": pd.Categorical(rng.choice(["b", "a", "c"], n)),
        "sex": pd.Categorical(np.where(np.arange(n) % 2, "male", "female")),
        "late": pd.Categorical(np.where(np.arange(first, first + n) < ONE + TWO - LATE, "no", "yes")),
    }, index=[f"cell{i}" for i in range(first, first + n)])
    var = pd.DataFrame({"symbol": ["MT-CO1", "MT-ND1"] + [f"G{g}" for g in range(2, GENES)]},
                       index=[f"ENSG{g:011d}" for g in range(GENES)])
    data = anndata.AnnData(X=counts, obs=obs, var=var)
    data.obsm["embedding"] = np.where(rng.random((n, WIDTH)) < 0.5, 0,
                                      rng.normal(size=(n, WIDTH))).astype(np.float32)
    return data


def versioned(data, version):
    data = data.copy()
    data.var_names = [f"{name}.{version}" for name in data.var_names]
    return data


def torn(data):
    """The counts of the gene in column 3 partly in another column of its name."""
    part = np.floor(data.X[:, 3:4] / 2)
    other = data[:, 3:4].copy()
    other.X = part
    rest = data.copy()
    rest.X[:, 3:4] -= part
    both = anndata.AnnData(X=np.hstack([rest.X, other.X]), obs=data.obs,
                           var=pd.concat([rest.var, other.var]), obsm=dict(data.obsm))
    return both


def parts():
    rng = np.random.default_rng(11)
    one = cells(rng, ONE, 0)[:, rng.permutation(GENES)[:GENES - 3]].copy()
    two = cells(rng, TWO, ONE)[:, rng.permutation(GENES)[:GENES - 2]].copy()
    whole = anndata.concat([one, two], join="inner", merge="same")
    whole.X = sparse.csr_matrix(whole.X)
    whole.var["mt"] = whole.var["symbol"].str.startswith("MT-")
    assert whole.var["mt"].any()
    scanpy.pp.calculate_qc_metrics(whole, qc_vars=["mt"], percent_top=None, log1p=False,
                                   inplace=True)
    for column in ("donor_id", "cell_type", "sex", "late"):
        whole.obs[column] = whole.obs[column].astype("category")
    symbols = one.copy()
    symbols.var_names = symbols.var["symbol"].astype(str)
    symbols.obsm["embedding"] = symbols.obsm["embedding"][:, :5]
    two = versioned(torn(two), 5)
    two.X = sparse.csc_matrix(two.X)
    two.obsm["embedding"] = sparse.csr_matrix(two.obsm["embedding"])
    return {"one": versioned(one, 3), "two": two, "whole": whole,
            "late": whole[whole.obs["late"] == "yes"].copy(), "symbols": symbols}


def plain(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def same(a, b):
    return (np.array_equal(plain(a.X), plain(b.X)) and a.obs.equals(b.obs) and a.var.equals(b.var)
            and np.array_equal(plain(a.obsm["embedding"]), plain(b.obsm["embedding"])))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--compare", action="store_true")
    arguments = parser.parse_args()
    committed = os.path.join(arguments.folder, "parts")
    with tempfile.TemporaryDirectory() as fresh:
        target = fresh if arguments.compare else committed
        os.makedirs(target, exist_ok=True)
        for name, data in parts().items():
            data.write_h5ad(os.path.join(target, name + ".h5ad"), compression="gzip")
        if not arguments.compare:
            return 0
        good = all(same(anndata.read_h5ad(os.path.join(fresh, file)),
                        anndata.read_h5ad(os.path.join(committed, file)))
                   for file in sorted(os.listdir(fresh)))
    print("ok  " if good else "FAIL", "anndata and Scanpy join the parts as the fixtures say")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
