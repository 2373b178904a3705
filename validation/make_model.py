"""Small models in fp64 by PyTorch, each with its weights, inputs, forward values, losses,
gradients and 20 steps of Adam. validation/test_model_pytorch.c reads them.

    make_model.py FOLDER               writes model/model.h5
    make_model.py FOLDER --compare     computes anew and compares with the file there
    make_model.py FOLDER --reference   writes reference.h5, one model of the reference's size
"""

import argparse
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))
from reference.model import FusionModel, Head, PhiloxDropout, Spec, losses, total_loss
from reference.protocol import adam, schedule, set_lr

STEPS, CELLS, BATCH, LABELS = 20, 14, 5, 4
SEED, PHASE = 0x0123456789ABCDEF, 3
LR, DECAY, WARMUP, LAMBDA = 3e-3, 1e-2, 0.2, 0.4

DONOR, SEX = Head("donor", 5), Head("sex", 2, adversary=True)
SMALL = dict(
    width=12, text_width=16, tokens=4, heads=2, fusion_dim=8, layers=1, feedforward=12,
    latents=5, latent_dim=8, dropout=0.0, head=[DONOR, SEX],
)  # fmt: skip
CASES = {
    "no dropout": Spec(**SMALL),
    "masks": Spec(**SMALL | dict(dropout=0.25, tokens=2, heads=3, fusion_dim=12, latent_dim=12)),
    "input projection": Spec(**SMALL | dict(dropout=0.1, latent_dim=10)),
    "no text": Spec(**SMALL | dict(dropout=0.1, text=False)),
    "no layers": Spec(**SMALL | dict(dropout=0.1, layers=0)),
    "many heads": Spec(
        **SMALL | dict(
            dropout=0.3, layers=2, positions=True,
            head=[DONOR, SEX, Head("batch", 3), Head("study", 4, adversary=True)],
        )
    ),
    "factored resampler": Spec(**SMALL | dict(dropout=0.2, tokens=2, latents=20, latent_dim=16)),
    "plain resampler": Spec(**SMALL | dict(dropout=0.2, latents=2)),
    "class weights": Spec(**SMALL | dict(dropout=0.1)),
}  # fmt: skip
CLASS_WEIGHTS = {"class weights": [0.5, 2.0, 0.0, 1.25, 3.0]}  # of the donor's classes


def random_weights(model, rng):
    """Sizes as at the start of training, but no bias 0 and no gain 1, which would hide mistakes."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            gain = name.endswith("weight") and p.dim() == 1
            p.copy_(torch.from_numpy(gain + rng.normal(0, p.shape[-1] ** -0.5, tuple(p.shape))))


def random_cells(spec, rng):
    """Inputs of CELLS cells, and the rows of every step's batch. Classes of adversaries are
    unknown here and there; in the second batch all are."""
    known = rng.permutation(CELLS)
    order = np.stack([rng.permutation(CELLS)[:BATCH] for _ in range(STEPS)])
    order[1] = known[:BATCH]
    code = np.stack([rng.integers(0, h.classes, CELLS) for h in spec.head])
    for h, head in enumerate(spec.head):
        if head.adversary:
            code[h, known[: BATCH + 1]] = -1
    return dict(
        x=rng.normal(0, 1, (CELLS, spec.width)).astype(np.float32),
        text=rng.normal(0, 1, (LABELS, spec.text_width)).astype(np.float32),
        label=rng.integers(0, LABELS, CELLS).astype(np.int32),
        cell=rng.integers(0, 2**32, CELLS).astype(np.uint32),
        code=code.astype(np.int32),
        order=order.astype(np.int32),
    )


def run(model, cells, rows, step, weights=None):
    """One batch: latent, logits, losses of every cell, and the loss that is differentiated."""
    spec = model.spec
    omics = torch.from_numpy(cells["x"][rows]).double()
    text = torch.from_numpy(cells["text"][cells["label"][rows]]).double()
    codes = [torch.from_numpy(code[rows]).long() for code in cells["code"]]
    drop = PhiloxDropout(spec.dropout, SEED, cells["cell"][rows], step, PHASE)
    z, logits = model(omics, text if spec.text else None, LAMBDA, drop)
    each = losses(logits, codes)
    if weights is None:
        return z, logits, each, total_loss(each, codes)
    target = F.cross_entropy(logits[0], codes[0], torch.tensor(weights).double(), ignore_index=-1)
    return z, logits, each, target + total_loss(each[1:], codes[1:])


def write_attention(group, model):
    """Mean over the cells of the batch and the heads."""
    group["resampler attention"] = model.resampler.cross_attn.attention.weights.mean((0, 1))
    if model.spec.text:
        group["fusion attention"] = model.cross_attn.attention.weights.mean((0, 1))


def write_outcome(group, z, logits, each):
    group["latent"] = z.detach()
    group["loss"] = torch.stack(each).detach()
    for h, y in enumerate(logits):
        group[f"probs.{h}"] = torch.softmax(y, -1).detach()


def flat(tensors):
    return torch.cat([t.detach().flatten() for t in tensors])


def write_case(group, spec, seed, class_weights):
    rng = np.random.default_rng(seed)
    model = FusionModel(spec).double()
    random_weights(model, rng)
    cells = random_cells(spec, rng)
    for key in ("width", "text_width", "text", "tokens", "heads", "fusion_dim", "layers",
                "feedforward", "latents", "latent_dim", "positions"):  # fmt: skip
        group.attrs[key] = np.int32(getattr(spec, key))
    group.attrs.update(
        dropout=spec.dropout, seed=np.uint64(SEED), phase=np.int32(PHASE), lr=LR,
        decay=DECAY, warmup=WARMUP, adv_lambda=LAMBDA,
    )  # fmt: skip
    group["classes"] = np.array([h.classes for h in spec.head], dtype=np.int32)
    group["adversary"] = np.array([h.adversary for h in spec.head], dtype=np.int32)
    for key, value in cells.items():
        group[key] = value
    if class_weights:
        group["class_weights"] = np.array(class_weights)
    # The tensors of each array stand behind one another in this order.
    names, weights = zip(*model.named_parameters())
    group["names"] = np.array(names, dtype="S96")
    group["shapes"] = np.array([[*w.shape, 0][:2] for w in weights], dtype=np.int32)
    group["weights"] = flat(weights)

    model.eval()
    with torch.no_grad():
        evaluated = group.create_group("evaluated")
        write_outcome(evaluated, *run(model, cells, cells["order"][0], 0)[:3])
        write_attention(evaluated, model)

    model.train()
    optimiser = adam(model.parameters(), LR, DECAY)
    loss_of_step = []
    for step, rows in enumerate(cells["order"]):
        z, logits, each, loss = run(model, cells, rows, step, class_weights)
        optimiser.zero_grad()
        loss.backward()
        if step == 0:
            write_outcome(group.create_group("trained"), z, logits, each)
            group["gradients"] = flat(w.grad for w in weights)
        loss_of_step.append(loss.item())
        set_lr(optimiser, LR * schedule(step, STEPS, WARMUP))
        optimiser.step()
    group["losses"] = np.array(loss_of_step)
    group["final"] = flat(weights)


def write(path, cases):
    with h5py.File(path, "w") as file:
        for seed, (name, spec) in enumerate(cases.items()):
            write_case(file.create_group(name), spec, seed, CLASS_WEIGHTS.get(name))


def largest_gap(committed, fresh):
    """Over all datasets of two files, relative to the largest element of each."""
    worst, names = 0.0, set()

    def visit(name, node):
        nonlocal worst
        names.add(name)
        if not isinstance(node, h5py.Dataset):
            return
        a, b = node[()], fresh[name][()]
        if a.shape != b.shape or (a.dtype.kind != "f" and (a != b).any()):
            worst = np.inf
        elif a.dtype.kind == "f":
            worst = max(worst, float(np.abs(a - b).max() / (np.abs(b).max() or 1)))

    committed.visititems(visit)
    fresh.visit(lambda name: names.discard(name))
    return np.inf if names else worst


def compare(path):
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "model.h5"), CASES)
        with h5py.File(path) as committed, h5py.File(Path(folder, "model.h5")) as fresh:
            gap = largest_gap(committed, fresh)
    good = gap < 1e-12  # fp64 of another PyTorch
    print("ok  " if good else "FAIL", f"{len(CASES)} models by PyTorch, largest gap {gap:.1e}")
    return 0 if good else 1


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--reference", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    path = arguments.folder / "model" / "model.h5"
    if arguments.compare:
        return compare(path)
    if arguments.reference:
        write(arguments.folder / "reference.h5", {"reference": Spec()})
    else:
        path.parent.mkdir(exist_ok=True)
        write(path, CASES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
