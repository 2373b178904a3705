"""A large AnnData file of counts, for compare_scanpy.py.

    make_million.py FILE.h5ad [--cells 1000000] [--genes 2000] [--seed 1]

Cells of 20 types and 48 donors, each of one sex; a type raises some programmes of genes, cells
differ in depth, genes in frequency: about one value in eight is not zero, half of those are 1.
Everything is written as anndata.write_h5ad() does by default: CSR of float32 and int32, chunked,
not compressed. Memory stays below 1 GiB: rows are drawn and written in blocks.
"""
import argparse
import warnings

import anndata
import h5py
import numpy as np
import pandas
import scipy.sparse as sparse

BLOCK = 4000
TYPES, DONORS, PROGRAMMES = 20, 48, 30
warnings.filterwarnings("ignore")


def tables(cells, genes, rng):
    kind = rng.choice(TYPES, cells, p=rng.dirichlet(np.full(TYPES, 2.0)))
    donor = rng.choice(DONORS, cells, p=rng.dirichlet(np.full(DONORS, 8.0)))
    sex = rng.integers(0, 2, DONORS)
    obs = pandas.DataFrame({
        "donor_id": pandas.Categorical([f"D{d:02d}" for d in range(DONORS)])[donor],
        "cell_type": pandas.Categorical([f"type {t:02d}" for t in range(TYPES)])[kind],
        "sex": pandas.Categorical(["female", "male"])[sex[donor]],
    }, index=[f"cell{i:07d}" for i in range(cells)])
    return kind, donor, obs, pandas.DataFrame(index=[f"ENSG{g:011d}" for g in range(genes)])


def blocks(kind, donor, genes, rng):
    """CSR of BLOCK cells at a time."""
    frequency = rng.lognormal(-3.4, 1.7, genes)
    programme = rng.lognormal(0, 0.9, (PROGRAMMES, genes))
    use = rng.dirichlet(np.full(PROGRAMMES, 0.3), TYPES)
    rate = (use @ programme) * frequency
    of_donor = rng.lognormal(0, 0.25, (DONORS, genes))
    for begin in range(0, kind.size, BLOCK):
        rows = slice(begin, begin + BLOCK)
        depth = rng.lognormal(0, 0.45, (kind[rows].size, 1))
        mean = rate[kind[rows]] * of_donor[donor[rows]] * depth
        yield sparse.csr_matrix(rng.poisson(mean).astype(np.float32))


def extend(dataset, values):
    at = dataset.shape[0]
    dataset.resize((at + values.size,))
    dataset[at:] = values


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--cells", type=int, default=1000000)
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    shape = (arguments.cells, arguments.genes)
    kind, donor, obs, var = tables(*shape, rng)
    anndata.AnnData(sparse.csr_matrix(shape, dtype=np.float32), obs, var).write_h5ad(arguments.file)

    with h5py.File(arguments.file, "r+") as file:
        group = file["X"]
        types = {"data": np.float32, "indices": np.int32}
        for name, kept in types.items():
            del group[name]
            # The size first asked for is what h5py derives the chunks from.
            group.create_dataset(name, (shape[0] * shape[1] // 8,), kept, maxshape=(None,)).resize((0,))
        size = [np.zeros(1, np.int64)]
        for block in blocks(kind, donor, shape[1], rng):
            extend(group["data"], block.data)
            extend(group["indices"], block.indices)
            size.append(np.diff(block.indptr))
        group["indptr"][:] = np.cumsum(np.concatenate(size))
        entries = group["data"].shape[0]
        print(f"{arguments.file}: {shape[0]} x {shape[1]}, {entries} values "
              f"({100 * entries / shape[0] / shape[1]:.1f} %), chunks of {group['data'].chunks[0]}")


if __name__ == "__main__":
    main()
