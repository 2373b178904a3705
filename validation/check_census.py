"""tools/fetch_census.py with a stand-in for the package cellxgene_census, and a job of
configs/census_cns.yaml on the file that it writes. CZHPC: the program, ./czhpc unless said."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

failures = 0

STAND_IN = '''
"""As much of cellxgene_census as tools/fetch_census.py asks for: 600 cells of 2 data sets, every
tenth a copy of the one before, which is no primary data; 3 without an embedding."""
import contextlib
import anndata
import numpy
import pandas

number = numpy.arange(600)
copy = number % 10 == 9
cell = number - copy
obs = pandas.DataFrame({
    "cell_type": numpy.array(["oligodendrocyte", "astrocyte", "neuron"])[cell % 3],
    "donor_id": numpy.array(["H1", "H2"])[(cell // 7) % 2],
    "sex": numpy.array(["female", "male"])[(cell // 7) % 2],
    "dataset_id": numpy.array(["d-1", "d-2"])[cell // 300],
    "is_primary_data": ~copy,
    "soma_joinid": 7000 + number,
    "tissue_general": "central nervous system",
})
x = numpy.random.default_rng(0).normal(size=(600, 512)).astype("f4")[cell]
x[[1, 2, 3]] = numpy.nan


@contextlib.contextmanager
def open_soma(*, census_version):
    assert census_version in ("2023-12-15", "2024-07-01")
    yield census_version


def chosen(value_filter):
    return obs.query(value_filter.replace(" == True", "")).index


def get_obs(census, organism, *, value_filter=None, column_names=None):
    assert organism == "homo_sapiens"
    return obs.loc[chosen(value_filter), column_names]


def get_anndata(census, organism, measurement_name="RNA", *, obs_value_filter=None,
                obs_embeddings=(), obs_column_names=None):
    assert (organism, measurement_name) == ("homo_sapiens", "RNA")
    rows = chosen(obs_value_filter)
    found = anndata.AnnData(
        numpy.ones((len(rows), 2), "f4"),
        obs=obs.loc[rows, obs_column_names].astype({"cell_type": "category"}).rename(index=str),
        var=pandas.DataFrame({"feature_id": ["ENSG01", "ENSG02"]}, index=["0", "1"]))
    for name in obs_embeddings:
        assert name == "geneformer"
        found.obsm[name] = x[rows]
    return found
'''


def check(ok, name):
    global failures
    print("ok  " if ok else "FAIL", name)
    failures += not ok


def fetch(folder, *options):
    command = [sys.executable, "tools/fetch_census.py", *map(str, options)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(folder)},
                          capture_output=True, text=True)


def check_script(folder, path):
    import anndata

    stand_in = folder / "there"
    stand_in.mkdir()
    (stand_in / "cellxgene_census.py").write_text(STAND_IN)
    ran = fetch(stand_in, path)
    print(ran.stderr[-2000:], file=sys.stderr)
    check(ran.returncode == 0 and "600 cells where" in ran.stdout
          and "540 of them are primary data, 60 copies of others" in ran.stdout
          and "540 cells fetched, 512 wide; 3 without an embedding" in ran.stdout
          and "4 donors, 3 cell types, 2 data sets" in ran.stdout,
          "the script tells the counts before and after is_primary_data")
    cells = anndata.read_h5ad(path)
    check(cells.n_obs == 540 and cells.obs["is_primary_data"].all()
          and cells.obsm["geneformer"].shape == (540, 512) and cells.obs_names[0] == "soma_7000"
          and list(cells.var_names) == ["ENSG01", "ENSG02"], "its file holds the primary cells")
    ran = fetch(stand_in, path)
    check(ran.returncode != 0 and "exists already" in ran.stderr, "it overwrites nothing")
    ran = fetch(stand_in, folder / "copies.h5ad", "--copies", "--release", "2024-07-01")
    check(ran.returncode == 0 and anndata.read_h5ad(folder / "copies.h5ad").n_obs == 600,
          "--copies takes the others too")
    ran = fetch(stand_in, folder / "x.h5ad", "--release", "2025-01-30")
    check(ran.returncode == 2 and "2023-12-15" in ran.stderr,
          "a release without the embedding is refused")
    absent = folder / "absent"
    absent.mkdir()
    (absent / "cellxgene_census.py").write_text("raise ImportError('no module')")
    ran = fetch(absent, folder / "y.h5ad")
    check(ran.returncode == 1 and "pip install 'cellxgene-census" in ran.stderr
          and "Traceback" not in ran.stderr, "without the package it says what to install")


def check_job(folder, path):
    small = [f"--set={k}" for k in (
        "train.epochs=1", "model.fusion_dim=32", "model.feedforward=64", "model.latents=8",
        "model.latent_dim=32", "run.threads=1")]
    small = [word for option in small for word in option.split("=", 1)]
    command = [os.environ.get("CZHPC", "./czhpc"), "configs/census_cns.yaml",
               "--results", str(folder), "--set", f"data.h5ad={path}", *small]
    ran = subprocess.run(command, capture_output=True, text=True)
    print(ran.stderr[-3000:], file=sys.stderr)
    check(ran.returncode == 0, "a job of configs/census_cns.yaml runs on the file with copies")
    data = json.load(open(folder / "census_cns" / "summary.json"))["data"]
    count = {rule["name"]: rule["count"] for rule in data["rules"]}
    check(count.get("no embedding") == 3 and count.get("duplicates") == 60
          and data["read"] == 600 and data["left_out"] == 63,
          "and leaves out the copies and what has no embedding")


with tempfile.TemporaryDirectory() as name:
    check_script(Path(name), Path(name) / "census_cns.h5ad")
    check_job(Path(name), Path(name) / "copies.h5ad")
sys.exit(failures != 0)
