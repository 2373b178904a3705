"""Small AnnData files, written by anndata itself, and what anndata reads out of them.

    make_h5ad.py FOLDER             writes forms.h5ad, refused.h5ad and h5ad.json
    make_h5ad.py FOLDER --compare   makes h5ad.json anew and compares it with the one there
"""
import argparse
import json
import os
import sys
import tempfile
import warnings

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sparse

CELLS, GENES, RAW_GENES, WIDTH = 30, 24, 28, 10
warnings.filterwarnings("ignore")


def counts_of(rng, genes):
    counts = rng.poisson(rng.gamma(0.6, 2.0, size=(CELLS, genes))).astype(np.float32)
    counts[7] = counts[3]  # a cell that stands twice
    counts[11] = 0         # a cell without counts
    return counts


def forms():
    """Every form that is read, in one file."""
    rng = np.random.default_rng(3)
    donors = rng.choice(["d2", "d10", "d1", "unused"], CELLS, p=[0.4, 0.3, 0.3, 0.0])
    donors[7] = donors[3]  # whose counts are the same too
    types = rng.choice(["T cell", "B cell", "größer α-Zelle"], CELLS)
    sexes = rng.choice(["male", "female"], CELLS).astype(object)
    sexes[[0, 5]] = None
    sexes[9] = "unknown"
    gaps = np.where(np.arange(CELLS) == 4, None, donors.astype(object))
    pooled = np.where(np.arange(CELLS) == 2, "pooled", donors.astype(object))
    raw = counts_of(rng, RAW_GENES)
    counts = raw[:, :GENES]
    obs = pd.DataFrame({
        "donor_id": pd.Categorical(donors, categories=["d1", "d10", "d2", "unused"]),
        "cell_type": pd.Categorical(types),
        "sex": pd.Categorical(sexes),
        "gaps": pd.Categorical(gaps),
        "pooled": pd.Categorical(pooled),
        "nothing": pd.Categorical([None] * CELLS),
        "plain": types.astype(object),
        "number": rng.integers(5, 8, CELLS),
        "number_category": pd.Categorical(rng.integers(-1, 2, CELLS)),
        "flag": rng.random(CELLS) < 0.5,
        "score": rng.random(CELLS),
        "dataset_id": pd.Categorical(rng.choice(["x", "y"], CELLS)),
    }, index=[f"cell-{i}" for i in range(CELLS)])
    var = pd.DataFrame({"symbol": [f"sym{g}" for g in range(RAW_GENES)]},
                       index=[f"ENSG{g:03d}" for g in range(RAW_GENES)])
    data = anndata.AnnData(X=sparse.csr_matrix(raw), obs=obs, var=var)
    data.raw = data
    data = data[:, :GENES].copy()
    data.X = sparse.csr_matrix(counts)
    wide = sparse.csr_matrix(counts.astype(np.int64))
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    data.layers["wide"] = wide
    data.layers["small"] = sparse.csr_matrix(counts.astype(np.uint16))
    data.layers["csc"] = sparse.csc_matrix(counts)
    data.layers["dense"] = counts.astype(np.float64)
    data.layers["half"] = counts.astype(np.float16)
    data.layers["logs"] = sparse.csr_matrix(np.log1p(counts))
    embedding = rng.normal(size=(CELLS, WIDTH)).astype(np.float32)
    data.obsm["geneformer"] = embedding
    data.obsm["double"] = embedding.astype(np.float64)[:, :8]
    data.obsm["sparse"] = sparse.csr_matrix(embedding)
    data.obsm["columns"] = sparse.csc_matrix(embedding)
    data.obsm["frame"] = pd.DataFrame(embedding, index=data.obs_names,
                                      columns=[f"d{i}" for i in range(WIDTH)])
    data.obsm["gaps"] = np.where(np.isin(np.arange(CELLS), [6, 29])[:, None], np.nan, embedding)
    data.obsm["broken"] = np.where(np.arange(CELLS * WIDTH).reshape(CELLS, WIDTH) == 123, np.inf,
                                   embedding)
    return data


def write_forms(path):
    """The file, chunked and compressed, and one column as old writers left it: of fixed length."""
    data = forms()
    data.write_h5ad(path, compression="gzip")
    with h5py.File(path, "a") as file:
        column = file.create_dataset("obs/fixed", data=data.obs["plain"].map(
            lambda text: text.encode()).to_numpy().astype(h5py.string_dtype("utf-8", 20)))
        column.attrs["encoding-type"] = "string-array"
        column.attrs["encoding-version"] = "0.2.0"
        names = [*file["obs"].attrs["column-order"], "fixed"]
        file["obs"].attrs.create("column-order", names, dtype=h5py.string_dtype())
        # The same counts with each row's genes in descending order, and one count in two parts.
        group = file.create_group("layers/shuffled")
        for name, value in file["X"].attrs.items():
            group.attrs[name] = value
        rows = sparse.csr_matrix(data.X)
        indices, values, indptr = [], [], [0]
        for i in range(CELLS):
            part = slice(rows.indptr[i], rows.indptr[i + 1])
            genes, amounts = list(rows.indices[part][::-1]), list(rows.data[part][::-1])
            if i == 0:
                amounts[0] -= 1
                genes.append(genes[0])
                amounts.append(1)
                genes.append(int(np.setdiff1d(np.arange(GENES), genes)[0]))
                amounts.append(0)
            indices += genes
            values += amounts
            indptr.append(len(indices))
        group["indices"] = np.array(indices, np.int32)
        group["indptr"] = np.array(indptr, np.int32)
        group["data"] = np.array(values, np.float32)


def write_refused(path):
    """What is no matrix of counts, and a column that tells nothing apart."""
    data = forms()
    del data.raw
    data.obs = data.obs[["donor_id", "cell_type", "sex"]]
    data.layers.clear()
    data.obsm.clear()
    data.layers["negative"] = -data.X
    data.layers["negative dense"] = -data.X.toarray()
    data.layers["negative columns"] = sparse.csc_matrix(-data.X)
    holes = data.X.copy()
    holes.data[5] = np.nan
    data.layers["nan"] = holes
    data.obs["one"] = pd.Categorical(["same"] * CELLS)
    data.write_h5ad(path)


def numbered(values):
    """Codes in order of first appearance, -1 where missing, and the names."""
    names, codes = [], []
    for value in values:
        if pd.isna(value) or str(value) in ("unknown", "pooled"):
            codes.append(-1)
            continue
        name = str(value)
        if name not in names:
            names.append(name)
        codes.append(names.index(name))
    return {"codes": codes, "names": names}


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def expected(path):
    data = anndata.read_h5ad(path)
    columns = {key: numbered(data.obs[key])
               for key in ("donor_id", "cell_type", "sex", "gaps", "pooled", "plain", "number",
                           "number_category", "flag")}
    columns["fixed"] = columns["plain"]
    joined = [f"{a}+{b}" for a, b in zip(data.obs["dataset_id"], data.obs["donor_id"])]
    columns["dataset_id+donor_id"] = numbered(joined)
    matrices = {"X": data.X, "raw": data.raw.X, "layer:wide": data.layers["wide"],
                "layer:small": data.layers["small"], "layer:shuffled": data.X,
                "layer:csc": data.layers["csc"],
                "layer:dense": sparse.csr_matrix(data.layers["dense"]),
                "layer:half": sparse.csr_matrix(data.layers["half"].astype(np.float32))}
    return {
        "cells": list(data.obs_names), "columns": columns,
        "genes": {"X": list(data.var_names), "raw": list(data.raw.var_names)},
        "symbols": list(data.var["symbol"]),
        "counts": {key: np.asarray(value.todense()).tolist() for key, value in matrices.items()},
        "obsm": {key: np.asarray(dense(data.obsm[key]), np.float32).tolist()
                 for key in ("geneformer", "double", "sparse", "columns", "frame")},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--compare", action="store_true")
    arguments = parser.parse_args()
    forms_path = os.path.join(arguments.folder, "forms.h5ad")
    json_path = os.path.join(arguments.folder, "h5ad.json")
    if not arguments.compare:
        write_forms(forms_path)
        write_refused(os.path.join(arguments.folder, "refused.h5ad"))
        with open(json_path, "w", encoding="utf-8") as file:
            json.dump(expected(forms_path), file, indent=None, separators=(",", ":"))
        return 0
    with open(json_path, encoding="utf-8") as file:
        committed = json.load(file)
    with tempfile.TemporaryDirectory() as folder:
        fresh_path = os.path.join(folder, "forms.h5ad")
        write_forms(fresh_path)
        good = expected(forms_path) == committed and expected(fresh_path) == committed
    print("ok  " if good else "FAIL", "AnnData reads the fixture as h5ad.json says")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
