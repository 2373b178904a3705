"""Writes packed.h5: datasets packed as h5py packs them, for test_packed.c, which knows the values.

    make_packed.py FOLDER [--compare]
"""
import pathlib
import sys
import tempfile

import h5py
import numpy as np


def values(n, kind):
    """Repeating (packs well), mixed, or noise (does not pack: h5py stores such chunks as they are)."""
    i = np.arange(n, dtype=np.int64)
    if kind == "flat":
        return i // 200
    if kind == "mixed":
        return i * 7919 % 251
    return (i * 6364136223846793005 + 1442695040888963407) ^ (i << 17)


def write(path):
    with h5py.File(path, "w") as f:
        for kind in ("flat", "mixed", "noise"):
            x = values(1000, kind)
            for name, options in {
                "plain": {},
                "gzip": {"compression": "gzip"},
                "gzip_shuffle": {"compression": "gzip", "shuffle": True},
                "lzf": {"compression": "lzf"},
                "lzf_shuffle": {"compression": "lzf", "shuffle": True},
                "lzf_checked": {"compression": "lzf", "shuffle": True, "fletcher32": True},
            }.items():
                chunks = None if name == "plain" else (300,)
                f.create_dataset(f"{kind}/{name}", data=x, chunks=chunks, **options)
        f.create_dataset("fill/chunked", shape=(100000,), dtype="f4", chunks=(1000,), compression="lzf", fillvalue=2.5)
        f.create_dataset("fill/contiguous", shape=(100000,), dtype="f4", fillvalue=2.5)
        part = f.create_dataset("fill/part", shape=(100000,), dtype="f4", chunks=(1000,), compression="lzf", fillvalue=2.5)
        part[5000:6000] = 1.5


def read(path):
    found = {}
    with h5py.File(path) as f:
        f.visititems(lambda name, item: found.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None)
    return found


def main():
    path = pathlib.Path(sys.argv[1]) / "packed.h5"
    if "--compare" not in sys.argv:
        write(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        again = pathlib.Path(folder) / "packed.h5"
        write(again)
        old, new = read(path), read(again)
    same = old.keys() == new.keys() and all(np.array_equal(old[k], new[k]) for k in old)
    print("ok   " if same else "FAIL ", "packed.h5 holds what h5py packs now", sep="")
    sys.exit(not same)


main()
