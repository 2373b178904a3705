#!/usr/bin/env python3
"""Fetches the cells of the human central nervous system from the CELLxGENE Census, with their
Geneformer embeddings, into an AnnData file that configs/census_cns.yaml reads:

    pip install 'cellxgene-census>=1.15'
    tools/fetch_census.py census_cns.h5ad
    mpirun -np 2 ./czhpc configs/census_cns.yaml --set data.h5ad=census_cns.h5ad

Needs internet, and Python 3.10 to 3.12. It was tested against a stand-in for the package
(validation/check_census.py), not against the Census itself.
"""

import argparse
import os
import sys

# Geneformer embeddings exist for these two releases alone.
RELEASES = ("2023-12-15", "2024-07-01")
TISSUE = "tissue_general == 'central nervous system'"
COLUMNS = ["cell_type", "donor_id", "sex", "dataset_id", "is_primary_data", "soma_joinid"]


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", metavar="FILE.h5ad", help="the file to write; must not exist")
    parser.add_argument(
        "--release",
        choices=RELEASES,
        default=RELEASES[0],
        help="release of the Census (default: %(default)s)",
    )
    parser.add_argument(
        "--copies",
        action="store_true",
        help="also take cells that stand in the Census before (is_primary_data False), as the "
        "published set of 31,780 cells does",
    )
    parser.add_argument(
        "--filter",
        default=TISSUE,
        metavar="TEXT",
        help='which cells, in the Census\'s own words (default: "%(default)s")',
    )
    return parser.parse_args()


def the_census():
    try:
        import cellxgene_census
    except ImportError as missing:
        sys.exit(
            f"fetch_census: the package cellxgene_census cannot be imported ({missing}): install "
            "it by pip install 'cellxgene-census>=1.15', with Python 3.10 to 3.12"
        )
    return cellxgene_census


def count_cells(package, census, cells):
    """Cells in all, and those that are no copy of one elsewhere in the Census."""
    obs = package.get_obs(
        census, "homo_sapiens", value_filter=cells, column_names=["is_primary_data"]
    )
    return len(obs), int(obs["is_primary_data"].sum())


def fetch(package, census, cells):
    """Counts, embedding and the columns that czhpc asks for."""
    data = package.get_anndata(
        census,
        "homo_sapiens",
        "RNA",
        obs_value_filter=cells,
        obs_embeddings=["geneformer"],
        obs_column_names=COLUMNS,
    )
    # donor_id is unique within dataset_id, soma_joinid everywhere.
    data.obs_names = ["soma_" + str(number) for number in data.obs["soma_joinid"]]
    data.var_names = data.var["feature_id"].astype(str)
    return data


def describe(data):
    import numpy

    embedding = numpy.asarray(data.obsm["geneformer"])
    lost = int(numpy.isnan(embedding).all(axis=1).sum())
    donors = data.obs["dataset_id"].astype(str) + "+" + data.obs["donor_id"].astype(str)
    print(f"{data.n_obs} cells fetched, {embedding.shape[1]} wide; {lost} without an embedding")
    print(
        f"{donors.nunique()} donors, {data.obs['cell_type'].nunique()} cell types, "
        f"{data.obs['dataset_id'].nunique()} data sets"
    )


def main():
    given = arguments()
    if os.path.exists(given.output):
        sys.exit(f"fetch_census: {given.output} exists already: name another file, or remove it")
    package = the_census()
    with package.open_soma(census_version=given.release) as census:
        everything, primary = count_cells(package, census, given.filter)
        print(f"Census {given.release}: {everything} cells where {given.filter}")
        print(f"{primary} of them are primary data, {everything - primary} copies of others")
        cells = f"({given.filter})"
        if not given.copies:
            cells += " and is_primary_data == True"
        if (everything if given.copies else primary) == 0:
            sys.exit("fetch_census: no cell is left to fetch")
        data = fetch(package, census, cells)
    describe(data)
    unfinished = given.output + ".tmp"
    data.write_h5ad(unfinished, compression="gzip")
    os.rename(unfinished, given.output)
    print(f"wrote {given.output}")


if __name__ == "__main__":
    main()
