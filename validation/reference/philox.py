"""Philox4x32-10 (Salmon et al. 2011) and the dropout masks that czhpc draws from it."""

import numpy as np

DROPOUT = 16  # CZ_RNG_DROPOUT: purposes from here on are dropout sites


def philox4x32(counter, key):
    """Four uint32 words for every counter: counter (..., 4), key (2) -> (..., 4)."""
    c = [np.array(counter[..., i], dtype=np.uint64) for i in range(4)]
    k = [int(key[0]), int(key[1])]
    low = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * c[0]
        p1 = np.uint64(0xCD9E8D57) * c[2]
        c = [
            (p1 >> shift) ^ c[1] ^ np.uint64(k[0]),
            p1 & low,
            (p0 >> shift) ^ c[3] ^ np.uint64(k[1]),
            p0 & low,
        ]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c, axis=-1).astype(np.uint32)


def halfwords(seed, cell, step, site, phase, count):
    """The 16 random bits of the first `count` elements of each cell: cell (B) -> (B, count)."""
    cell = np.asarray(cell, dtype=np.uint32)
    blocks = (count + 7) // 8
    counter = np.empty((len(cell), blocks, 4), dtype=np.uint32)
    counter[..., 0] = cell[:, None]
    counter[..., 1] = step
    counter[..., 2] = (DROPOUT + site) << 24 | np.arange(blocks, dtype=np.uint32)
    counter[..., 3] = phase
    words = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF))
    halves = np.stack([words & 0xFFFF, words >> 16], axis=-1)  # low half first
    return halves.reshape(len(cell), blocks * 8)[:, :count]


def threshold(p):
    return int(p * 65536 + 0.5)


def keep_factor(p):
    """What kept elements are multiplied by: the inverse of the rate at which they are kept."""
    return 65536 / (65536 - threshold(p))


def mask(p, seed, cell, step, site, phase, shape):
    """0 or the factor, for every element of (B, *shape)."""
    count = int(np.prod(shape))
    kept = halfwords(seed, cell, step, site, phase, count) >= threshold(p)
    return (kept * keep_factor(p)).reshape((len(cell), *shape))
