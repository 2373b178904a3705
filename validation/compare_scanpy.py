"""czhpc's reading and reducing of counts beside Scanpy's, in turns on the same file.

    make build/release/validation/load_cells
    compare_scanpy.py FILE.h5ad [--genes 1000] [--components 50] [--rounds 3] [--solver NAME]

Both read the file, normalise each cell to 10,000, take log1p, choose the most variable genes and
find the leading components: czhpc on 2 ranks of one thread (the loading of a job, with its split,
filters and hashes of cells), Scanpy with 2 threads: read_h5ad, normalize_total, log1p,
highly_variable_genes (flavour "seurat"), pca (svd_solver as its default, or --solver). czhpc fits
on 98 % of the cells, for a job keeps some to test; so variances agree to about a hundredth only.
FILE: make_million.py's, or any with the columns donor_id, cell_type and sex. Exit status 0:
czhpc's median time is no longer than Scanpy's and the variances agree.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LOADER = os.path.join(HERE, "..", os.environ.get("BUILD", "build/release"),
                      "validation/load_cells")


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def scanpy_once(arguments):
    """In a process of its own. Imports and what numba compiles at first use are not counted."""
    import warnings

    import anndata
    import numpy as np
    import scanpy
    import scipy.sparse as sparse

    warnings.filterwarnings("ignore")
    options = {"svd_solver": arguments.solver} if arguments.solver else {}
    small = anndata.AnnData(sparse.random(300, 200, 0.3, "csr", np.float32))
    scanpy.pp.normalize_total(small, target_sum=1e4)
    scanpy.pp.log1p(small)
    scanpy.pp.highly_variable_genes(small, n_top_genes=100)
    scanpy.pp.pca(small, n_comps=10, **options)
    before, at, steps = peak_mib(), [time.perf_counter()], {}

    def done(name):
        at.append(time.perf_counter())
        steps[name] = at[-1] - at[-2]

    data = scanpy.read_h5ad(arguments.file)
    done("read_h5ad")
    scanpy.pp.normalize_total(data, target_sum=1e4)
    done("normalize_total")
    scanpy.pp.log1p(data)
    done("log1p")
    scanpy.pp.highly_variable_genes(data, n_top_genes=arguments.genes)
    done("highly_variable_genes")
    scanpy.pp.pca(data, n_comps=arguments.components, **options)
    done("pca")
    variance = data.obsm["X_pca"].var(0, dtype=np.float64)
    print(json.dumps({"seconds": at[-1] - at[0], "steps": steps, "peak": peak_mib(),
                      "before": before, "share": list(variance / variance.sum()),
                      "explained": 100 * float(data.uns["pca"]["variance_ratio"].sum())}))


def run(command, **environment):
    done = subprocess.run(command, capture_output=True, text=True,
                          env={**os.environ, **environment})
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def scanpy_run(arguments):
    command = [sys.executable, __file__, arguments.file, "--once", "--genes",
               str(arguments.genes), "--components", str(arguments.components)]
    if arguments.solver:
        command += ["--solver", arguments.solver]
    two = {f"{name}_NUM_THREADS": "2" for name in ("OMP", "OPENBLAS", "NUMBA", "MKL")}
    return json.loads(run(command, **two).splitlines()[-1])


def czhpc_run(arguments):
    command = ["mpirun", "-np", "2", "--bind-to", "none", LOADER,
               os.path.join(HERE, "../configs/counts.yaml"),
               f"data.h5ad={os.path.abspath(arguments.file)}",
               f"data.variable_genes={arguments.genes}", f"data.components={arguments.components}",
               "split.train=0.98", "split.validation=0.01", "run.threads=1"]
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OPENBLAS_NUM_THREADS": "1"}
    found = dict(line.split(" ", 1) for line in run(command, **root).splitlines())
    return {"seconds": float(found["seconds"]), "peak": float(found["peak_mib"]),
            "before": float(found["before_mib"]), "features": found["features"],
            "share": [float(v) for v in found["share"].split()]}


def report(name, runs):
    seconds = [r["seconds"] for r in runs]
    print(f"{name:8} {statistics.median(seconds):7.1f} s (from {min(seconds):.1f} to "
          f"{max(seconds):.1f}), peak {max(r['peak'] for r in runs):.0f} MiB a process, "
          f"{runs[0]['before']:.0f} of them before the work")


def compare(arguments):
    ours, theirs = [], []
    for _ in range(arguments.rounds):
        ours.append(czhpc_run(arguments))
        theirs.append(scanpy_run(arguments))
    report("czhpc", ours)
    report("Scanpy", theirs)
    print("         " + ", ".join(f"{step} {seconds:.1f}"
                                  for step, seconds in theirs[-1]["steps"].items()))
    print(f"czhpc    {ours[0]['features']}")
    print(f"Scanpy   {arguments.components} components explain {theirs[0]['explained']:.1f} %")
    gap = max(abs(a / b - 1) for a, b in zip(ours[0]["share"], theirs[0]["share"]))
    ratio = (statistics.median(r["seconds"] for r in theirs)
             / statistics.median(r["seconds"] for r in ours))
    print(f"{'ok  ' if gap < 0.02 else 'FAIL'} the components' parts of their variance agree to "
          f"{100 * gap:.2f} %")
    print(f"{'ok  ' if ratio >= 1 else 'FAIL'} czhpc is {ratio:.2f} times as fast")
    return 0 if gap < 0.02 and ratio >= 1 else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--components", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--solver", default="", help="Scanpy's svd_solver: its default is arpack; "
                        "covariance_eigh takes the genes' products, as czhpc does")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        return scanpy_once(arguments)
    return compare(arguments)


if __name__ == "__main__":
    sys.exit(main())
