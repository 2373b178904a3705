"""The oracle's own random numbers against the known answers of Random123, and its attention and
encoder layer against torch.nn's."""

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from reference.model import Attention, EncoderLayer, FusionModel, Spec, TorchDropout
from reference.philox import philox4x32

failures = 0


def check(ok, name):
    global failures
    print("ok  " if ok else "FAIL", name)
    failures += not ok


# kat_vectors of Random123: counter, key, result of philox4x32-10.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def words(text):
    return np.array([int(word, 16) for word in text.split()], dtype=np.uint32)


for counter, key, result in KNOWN:
    got = philox4x32(words(counter)[None], words(key))[0]
    check((got == words(result)).all(), f"philox4x32-10 of {counter}")

torch.manual_seed(1)
torch.set_default_dtype(torch.float64)
ours, theirs = Attention(24, 4), torch.nn.MultiheadAttention(24, 4, batch_first=True)
theirs.load_state_dict(ours.state_dict())
q, k = torch.randn(3, 5, 24), torch.randn(3, 7, 24)
gap = (ours(q, k, TorchDropout(0.0), 0) - theirs(q, k, k)[0]).abs().max().item()
check(gap < 1e-14, f"attention is torch.nn.MultiheadAttention, {gap:.1e}")

ours = EncoderLayer(24, 4, 40)
theirs = torch.nn.TransformerEncoderLayer(24, 4, 40, 0.0, batch_first=True)
theirs.load_state_dict(ours.state_dict())
gap = (ours(q, TorchDropout(0.0), 0) - theirs(q)).abs().max().item()
check(gap < 1e-14, f"encoder layer is torch.nn.TransformerEncoderLayer, {gap:.1e}")

count = sum(p.numel() for p in FusionModel(Spec()).parameters())
check(count == 2230544, f"the reference has {count} parameters")
count = sum(p.numel() for p in FusionModel(Spec(text=False)).parameters())
check(count == 495376, f"and {count} without text")
sys.exit(failures > 0)
