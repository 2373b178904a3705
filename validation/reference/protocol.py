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
