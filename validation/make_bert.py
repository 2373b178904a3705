"""A small BERT and what transformers makes of labels by it, in FOLDER/bert; and live comparisons.

    make_bert.py FOLDER [--compare]

The model has 2 layers of 32 columns, random weights, and the cased vocabulary of make_tokenizer.py;
its weights stand there three times: as fp32 under today's names, as bf16 under BERT's prefix and the
old names of LayerNorm, and as fp16; cls.h5 and mean.h5 beside each hold labels with their vectors.

--compare runs transformers anew, and czhpc (mpi_embed) on two models that are too large to commit: a
randomly initialised cased BERT of BioBERT's size, and the real model in the folder that CZHPC_BERT
names, else in models/minilm (tools/fetch_bert.sh).
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

BUILD = os.environ.get("BUILD", "build/release")
ONTOLOGY = pathlib.Path("../shared/data/cell_ontology.tsv")
SAMPLE = [
    "neuron", "Neuron", "CD4-positive, alpha-beta T cell", "Müller cell of the rétine",
    "oligodendrocyte precursor cell", "plasmacytoid dendritic cell, human", "[MASK] of the B cell", "T",
    "double negative (CD4-/CD8-) thymocyte " * 6, "differentiation-committed oligodendrocyte precursor",
]  # fmt: skip


def small_config(vocabulary):
    return BertConfig(
        vocab_size=vocabulary, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=72, max_position_embeddings=96, initializer_range=0.3,
    )  # fmt: skip


def random_model(config, seed):
    """As transformers initialises it, but for biases of 0 and gains of 1, which would hide mistakes."""
    torch.manual_seed(seed)
    model = BertModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.1)
            elif "LayerNorm" in name:
                parameter.normal_(1, 0.2)
    return model


def old_name(name):
    return "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def new_name(name):
    return name.removeprefix("bert.").replace(".gamma", ".weight").replace(".beta", ".bias")


def write_folder(folder, model, tokenizer, weights):
    folder.mkdir(parents=True, exist_ok=True)
    config = {k: v for k, v in model.config.to_dict().items() if k in (
        "model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size",
        "max_position_embeddings", "type_vocab_size", "hidden_act", "layer_norm_eps")}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    for name in ("vocab.txt", "tokenizer_config.json"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(os.path.relpath(tokenizer / name, folder))
    save_file(weights, folder / "model.safetensors")


def embed(model, encode, labels, batch=64):
    """cls and mean, (labels, width) each; encode(label) gives token ids."""
    order = sorted(range(len(labels)), key=lambda i: len(labels[i]))
    out = {p: np.zeros((len(labels), model.config.hidden_size), np.float32) for p in ("cls", "mean")}
    with torch.no_grad():
        for begin in range(0, len(order), batch):
            part = order[begin : begin + batch]
            ids = [encode(labels[i]) for i in part]
            longest = max(map(len, ids))
            mask = torch.tensor([[1] * len(x) + [0] * (longest - len(x)) for x in ids])
            ids = torch.tensor([x + [0] * (longest - len(x)) for x in ids])
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
            out["cls"][part] = hidden[:, 0].numpy()
            weight = mask.unsqueeze(-1).float()
            out["mean"][part] = ((hidden * weight).sum(1) / weight.sum(1)).numpy()
    return out


def write_table(path, labels, vectors):
    with h5py.File(path, "w") as file:
        file.create_dataset("labels", data=labels, dtype=h5py.string_dtype("utf-8"))
        file.create_dataset("vectors", data=vectors)


def encoder(tokenizer, limit):
    tokenizer.enable_truncation(limit)
    tokenizer.no_padding()
    return lambda label: tokenizer.encode(label).ids


def cased_tokenizer(folder):
    from tokenizers.implementations import BertWordPieceTokenizer

    return BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=False)


def small(fixtures):
    tokens = (fixtures / "tokenizer" / "cased" / "vocab.txt").read_text().splitlines()
    return random_model(small_config(len(tokens)), 5)


def sample_vectors(model, folder):
    """By the weights that the folder holds, whatever their names."""
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict({new_name(k): v.float() for k, v in weights.items()})
    return embed(model, encoder(cased_tokenizer(folder), 96), SAMPLE)


def make(fixtures):
    model = small(fixtures)
    source = fixtures / "tokenizer" / "cased"
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    forms = {
        "fp32": weights,
        "bf16": {old_name(k): v.bfloat16() for k, v in weights.items()},
        "fp16": {k: v.half() for k, v in weights.items()},
    }
    for form, values in forms.items():
        folder = fixtures / "bert" / form
        write_folder(folder, model, source, values)
        for pooling, vectors in sample_vectors(model, folder).items():
            write_table(folder / f"{pooling}.h5", SAMPLE, vectors)


def verdict(ok, text):
    print("ok   " if ok else "FAIL ", text, sep="", flush=True)
    return ok


def compare_small(fixtures):
    for form in ("fp32", "bf16", "fp16"):
        folder = fixtures / "bert" / form
        for pooling, vectors in sample_vectors(small(fixtures), folder).items():
            with h5py.File(folder / f"{pooling}.h5") as file:
                gap = np.abs(file["vectors"][()] - vectors).max()
            verdict(gap < 1e-5, f"bert/{form}/{pooling}.h5 holds what transformers makes now, to {gap:.1e}")


def run_czhpc(folder, labels, vectors, name):
    with tempfile.TemporaryDirectory() as work:
        for pooling in vectors:
            write_table(f"{work}/{pooling}.h5", labels, vectors[pooling])
        command = ["mpirun", "-np", "2", f"{BUILD}/validation/mpi_embed", str(folder), work, name]
        done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout, end="")
    if not done.stdout or done.returncode and "FAIL" not in done.stdout:
        verdict(False, f"{name}: mpi_embed ended with {done.returncode}: {done.stderr[-500:]}")


def ontology():
    if not ONTOLOGY.exists():
        print("SKIP the cell ontology's labels: the file is not here")
        return SAMPLE
    labels = [line.split("\t")[1] for line in ONTOLOGY.read_text().splitlines()]
    return list(dict.fromkeys(labels + SAMPLE))


def compare_biobert_size(fixtures):
    """12 layers, 768 columns, 28,996 tokens, cased, written by transformers itself."""
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        tokens = (fixtures / "tokenizer" / "cased" / "vocab.txt").read_text().splitlines()
        tokens += [f"[filler{i}]" for i in range(28996 - len(tokens))]
        model = random_model(BertConfig(vocab_size=28996), 7)
        model.save_pretrained(work)
        (work / "vocab.txt").write_text("\n".join(tokens) + "\n")
        labels = SAMPLE + ontology()[:50] + ["word " * 700]
        labels = list(dict.fromkeys(labels))
        vectors = embed(model, encoder(cased_tokenizer(work), 512), labels, 16)
        run_czhpc(work, labels, vectors, "12 layers of 768, random, cased")


def compare_real():
    folder = pathlib.Path(os.environ.get("CZHPC_BERT") or "models/minilm")
    if not (folder / "model.safetensors").exists():
        print("SKIP the real model: CZHPC_BERT does not name its folder (tools/fetch_bert.sh)")
        return
    labels = ontology()
    model = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    vectors = embed(model, lambda text: tokenizer(text, truncation=True).input_ids, labels)
    run_czhpc(folder, labels, vectors, folder.name)


def main():
    fixtures = pathlib.Path(sys.argv[1])
    if "--compare" not in sys.argv:
        make(fixtures)
        return
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                      OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_hwloc_base_binding_policy="none")
    compare_small(fixtures)
    compare_biobert_size(fixtures)
    compare_real()


main()
