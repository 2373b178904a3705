"""How czhpc trains: its schedule and its optimiser."""

import math

import torch


def schedule(step, total, warmup, cycles=1.0):
    """Factor on the peak learning rate: linear warm-up from 0, then `cycles` half cosines."""
    warm = math.floor(warmup * total)
    if step < warm:
        return step / warm
    progress = (step - warm) / (total - warm) if total > warm else 1
    return 0.5 * (1 + math.cos(math.pi * cycles * progress))


def adam(parameters, lr, weight_decay, fused=False):
    """Adam with coupled L2 decay."""
    return torch.optim.Adam(
        parameters, lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay, fused=fused
    )


def set_lr(optimiser, lr):
    for group in optimiser.param_groups:
        group["lr"] = lr


class Stopping:
    """Which epoch is chosen, and whether training stops: the rules `none` and `reference`."""

    def __init__(self, rule):
        if rule not in ("none", "reference"):
            raise SystemExit(f"train.stopping {rule} is not written here: none or reference")
        self.rule, self.best, self.stale, self.last = rule, -1.0, 0, None

    def improved(self, validation):
        better = validation > self.best
        self.best = max(self.best, validation)
        return better

    def stops(self, train, validation):
        """Training accuracy rose while validation fell, three epochs in a row."""
        worse = self.last and train > self.last[0] and validation < self.last[1]
        self.stale = self.stale + 1 if worse else 0
        self.last = train, validation
        return self.rule == "reference" and self.stale >= 3


def accuracy(model, cells, rows):
    """Of the first head, without dropout."""
    model.eval()
    hits = 0
    with torch.no_grad():
        for part in rows.split(1024):
            logits = model(cells.x[part], cells.text_of(part))[1][0]
            hits += int((logits.argmax(1) == cells.codes[0][part]).sum())
    return hits / len(rows)


def train(model, cells, config, seed, report):
    """Trains as czhpc's configuration says; test accuracy at the epoch of best validation.

    cells: x (n, width), text_of(rows), codes (a class per head and cell, -1 unknown), and split,
    the rows of train, validation and test. report(epoch, train, validation) is told of each epoch."""
    from .model import losses, total_loss

    torch.manual_seed(seed)
    settings = config["train"]
    epochs, batch = settings["epochs"], settings["batch"]
    train_rows, validation_rows, test_rows = cells.split
    steps = -(-len(train_rows) // batch)
    optimiser = adam(model.parameters(), settings["lr"], settings["weight_decay"], fused=True)
    stopping, test, done = Stopping(settings["stopping"]), 0.0, 0
    for epoch in range(epochs):
        model.train()
        hits = 0
        for rows in train_rows[torch.randperm(len(train_rows))].split(batch):
            factor = schedule(done, epochs * steps, settings["warmup"], settings["cosine_cycles"])
            set_lr(optimiser, settings["lr"] * factor)
            codes = [code[rows] for code in cells.codes]
            logits = model(cells.x[rows], cells.text_of(rows), settings["adv_lambda"])[1]
            optimiser.zero_grad(set_to_none=True)
            total_loss(losses(logits, codes), codes).backward()
            optimiser.step()
            hits += int((logits[0].argmax(1) == codes[0]).sum())
            done += 1
        validation = accuracy(model, cells, validation_rows)
        if stopping.improved(validation):
            test = accuracy(model, cells, test_rows)
        report(epoch + 1, hits / len(train_rows), validation)
        if stopping.stops(hits / len(train_rows), validation):
            break
    return test
