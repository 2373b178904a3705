"""The fusion model in PyTorch, under czhpc's parameter names, with PyTorch's dropout or with
masks that are handed in."""

from dataclasses import dataclass, field
import math

import torch
from torch import nn
from torch.nn import functional as F

from .philox import mask

# Dropout sites of include/czhpc/model.h.
CROSS_WEIGHTS, CROSS_OUT, POOL_WEIGHTS, POOL_OUT, HEAD, LAYER = 0, 1, 2, 3, 4, 32


@dataclass
class Head:
    name: str
    classes: int
    adversary: bool = False


@dataclass
class Spec:
    """Members and defaults as the section `model` of a configuration."""

    width: int = 512
    text_width: int = 768
    text: bool = True
    tokens: int = 8
    heads: int = 8
    fusion_dim: int = 256
    layers: int = 1
    feedforward: int = 2048
    latents: int = 61
    latent_dim: int = 256
    dropout: float = 0.11378010821029086
    positions: bool = False
    head: list = field(
        default_factory=lambda: [Head("donor_id", 14), Head("sex", 2, adversary=True)]
    )


class TorchDropout:
    """PyTorch's own dropout; active while the model is in training mode."""

    fused = True  # attention may drop its weights by itself

    def __init__(self, p):
        self.p = p

    def __call__(self, x, site, training):
        return F.dropout(x, self.p, training)


class PhiloxDropout:
    """czhpc's masks for the cells of one batch at one step."""

    fused = False

    def __init__(self, p, seed, cell, step, phase=0):
        self.p, self.seed, self.cell, self.step, self.phase = p, seed, cell, step, phase

    def __call__(self, x, site, training):
        if not training or self.p == 0:
            return x
        m = mask(self.p, self.seed, self.cell, self.step, site, self.phase, x.shape[1:])
        return x * torch.as_tensor(m, dtype=x.dtype)


class Reverse(torch.autograd.Function):
    """Identity forward, -lambda times the gradient backward. Ganin et al. 2016."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.factor * gradient, None


class Attention(nn.Module):
    """Multi-head attention with torch.nn.MultiheadAttention's parameters and initial values."""

    def __init__(self, size, heads):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * size, size))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * size))
        self.out_proj = nn.Linear(size, size)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def split(self, x):
        """(B, T, C) -> (B, H, T, C / H)"""
        return x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def forward(self, query, key, drop, site):
        """query (B, Tq, C), key = value (B, Tk, C), or the same tensor for self-attention."""
        size = self.out_proj.in_features
        w, b = self.in_proj_weight, self.in_proj_bias
        if query is key:
            q, k, v = F.linear(query, w, b).chunk(3, -1)
        else:
            q = F.linear(query, w[:size], b[:size])
            k, v = F.linear(key, w[size:], b[size:]).chunk(2, -1)
        q, k, v = self.split(q), self.split(k), self.split(v)
        if drop.fused:
            p = drop.p if self.training else 0.0
            mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=p)
        else:
            weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), -1)
            self.weights = weights.detach()  # (B, H, Tq, Tk) before dropout, for who looks
            mixed = drop(weights, site, self.training) @ v
        return self.out_proj(mixed.transpose(-3, -2).flatten(-2))


class CrossAttention(nn.Module):
    def __init__(self, size, heads):
        super().__init__()
        self.attention = Attention(size, heads)
        self.norm = nn.LayerNorm(size)

    def forward(self, query, key, drop, sites):
        y = self.attention(query, key, drop, sites[0])
        return self.norm(query + drop(y, sites[1], self.training))


class EncoderLayer(nn.Module):
    """torch.nn.TransformerEncoderLayer, post-norm, ReLU."""

    def __init__(self, size, heads, feedforward):
        super().__init__()
        self.self_attn = Attention(size, heads)
        self.linear1 = nn.Linear(size, feedforward)
        self.linear2 = nn.Linear(feedforward, size)
        self.norm1 = nn.LayerNorm(size)
        self.norm2 = nn.LayerNorm(size)

    def forward(self, x, drop, site):
        on = self.training
        x = self.norm1(x + drop(self.self_attn(x, x, drop, site), site + 1, on))
        hidden = drop(F.relu(self.linear1(x)), site + 2, on)
        return self.norm2(x + drop(self.linear2(hidden), site + 3, on))


class Resampler(nn.Module):
    def __init__(self, spec):
        super().__init__()
        size = spec.latent_dim
        self.latents = nn.Parameter(torch.randn(spec.latents, size))
        if size != spec.fusion_dim:
            self.input_proj = nn.Linear(spec.fusion_dim, size)
        self.cross_attn = CrossAttention(size, spec.heads)

    def forward(self, x, drop):
        if hasattr(self, "input_proj"):
            x = self.input_proj(x)
        latents = self.latents.expand(x.shape[0], -1, -1)
        return self.cross_attn(latents, x, drop, (POOL_WEIGHTS, POOL_OUT)).mean(1)


def classifier(size, classes, p):
    return nn.Sequential(
        nn.Linear(size, size),
        nn.ReLU(),
        nn.Dropout(p),
        nn.Linear(size, size // 2),
        nn.ReLU(),
        nn.Dropout(p),
        nn.Linear(size // 2, classes),
    )


class FusionModel(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.spec = spec
        size = spec.fusion_dim
        self.omics_token_proj = nn.Linear(spec.width // spec.tokens, size)
        if spec.text:
            self.text_token_proj = nn.Linear(spec.text_width // spec.tokens, size)
        if spec.positions:
            self.omics_positions = self.position_code()
            if spec.text:
                self.text_positions = self.position_code()
        if spec.text:
            self.cross_attn = CrossAttention(size, spec.heads)
            self.ffn = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, size))
            layers = [EncoderLayer(size, spec.heads, spec.feedforward) for _ in range(spec.layers)]
            # A single layer bears the reference's name, without an index.
            self.transformer_encoder = layers[0] if spec.layers == 1 else nn.ModuleList(layers)
        self.resampler = Resampler(spec)
        self.classifier = self.heads_of_role(False)
        if any(h.adversary for h in spec.head):
            self.adv_classifier = self.heads_of_role(True)

    def position_code(self):
        bound = 1 / math.sqrt(self.spec.fusion_dim)
        code = torch.empty(self.spec.tokens, self.spec.fusion_dim)
        return nn.Parameter(code.uniform_(-bound, bound))

    def heads_of_role(self, adversary):
        s = self.spec
        heads = [h for h in s.head if h.adversary == adversary]
        nets = [classifier(s.latent_dim, h.classes, s.dropout) for h in heads]
        return nets[0] if len(nets) == 1 else nn.ModuleList(nets)

    def networks(self):
        """The classifier of every head, in the order of spec.head."""
        of_role = {}
        for adversary in (False, True):
            net = getattr(self, "adv_classifier" if adversary else "classifier", None)
            of_role[adversary] = iter(net if isinstance(net, nn.ModuleList) else [net])
        return [next(of_role[h.adversary]) for h in self.spec.head]

    def classify(self, z, net, index, drop):
        if drop.fused:
            return net(z)
        for layer, site in ((0, 0), (3, 1)):
            z = drop(F.relu(net[layer](z)), HEAD + 2 * index + site, self.training)
        return net[6](z)

    def tokens(self, x, projection, positions):
        x = projection(x.unflatten(-1, (self.spec.tokens, -1)))
        return x if positions is None else x + positions

    def latent(self, omics, text, drop):
        """omics (B, width), text (B, text_width) or None -> (B, latent_dim)"""
        x = self.tokens(omics, self.omics_token_proj, getattr(self, "omics_positions", None))
        if self.spec.text:
            words = self.tokens(text, self.text_token_proj, getattr(self, "text_positions", None))
            x = self.ffn(self.cross_attn(x, words, drop, (CROSS_WEIGHTS, CROSS_OUT)))
            encoder = self.transformer_encoder
            layers = encoder if isinstance(encoder, nn.ModuleList) else [encoder]
            for i, layer in enumerate(layers):
                x = layer(x, drop, LAYER + 4 * i)
        return self.resampler(x, drop)

    def forward(self, omics, text=None, adv_lambda=0.0, drop=None):
        """The latent vector and the logits of every head."""
        drop = drop or TorchDropout(self.spec.dropout)
        z = self.latent(omics, text, drop)
        logits = []
        for i, (head, net) in enumerate(zip(self.spec.head, self.networks())):
            seen = Reverse.apply(z, adv_lambda) if head.adversary else z
            logits.append(self.classify(seen, net, i, drop))
        return z, logits


def losses(logits, codes):
    """Cross-entropy of every cell and head, 0 where the class is unknown (-1)."""
    return [
        F.cross_entropy(y, code, ignore_index=-1, reduction="none")
        for y, code in zip(logits, codes)
    ]


def total_loss(cell_losses, codes):
    """The sum over heads of the mean over the cells of known class."""
    return sum(
        loss.sum() / (code >= 0).sum().clamp(min=1) for loss, code in zip(cell_losses, codes)
    )
