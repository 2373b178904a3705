"""Writes dtypes.safetensors: values of every type that czhpc reads, each "NAME" beside its fp32
"NAME.f32" as PyTorch converts it, and types that it only steps over; for test_safetensors_read.c.

    make_safetensors.py FOLDER [--compare]
"""
import pathlib
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

# Numbers, edges of fp16 and fp32, what is subnormal there, and halves that round to even.
VALUES = [
    0.0, -0.0, 1.0, -2.5, 0.1, 3.14159265358979, 65504.0, -65504.0, 1e5, 6.103515625e-05, 6e-08, -3e-06,
    1.1754943508222875e-38, 1e-39, -1e-45, 3.4028234663852886e38, 1e39, -1e300, 1e-300, 5e-324,
    1.0000000596046448, 1.000000178813934, 16777217.0, float("inf"), float("-inf"), float("nan"),
]  # fmt: skip


def tensors():
    x = torch.tensor(VALUES, dtype=torch.float64)
    found = {}
    read = {"f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    for name, dtype in read.items():
        found[name] = x.to(dtype).reshape(2, -1)
        found[name + ".f32"] = found[name].to(torch.float32, copy=True)
    found["scalar"] = torch.tensor(0.5, dtype=torch.bfloat16)
    found["scalar.f32"] = found["scalar"].to(torch.float32, copy=True)
    found["empty"] = torch.zeros(3, 0, 2, dtype=torch.float16)
    found["empty.f32"] = found["empty"].to(torch.float32, copy=True)
    for dtype in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
                  torch.float8_e4m3fn, torch.float8_e5m2):  # fmt: skip
        found["other." + str(dtype).removeprefix("torch.")] = torch.tensor([1, 0, 1]).to(dtype)
    return found


def same(old, new):
    return old.keys() == new.keys() and all(
        old[k].dtype == new[k].dtype and old[k].shape == new[k].shape
        and old[k].flatten().view(torch.uint8).equal(new[k].flatten().view(torch.uint8))
        for k in old
    )  # fmt: skip


def main():
    path = pathlib.Path(sys.argv[1]) / "dtypes.safetensors"
    if "--compare" not in sys.argv:
        save_file(tensors(), path, metadata={"format": "pt"})
        return
    with tempfile.TemporaryDirectory() as folder:
        again = pathlib.Path(folder) / "dtypes.safetensors"
        save_file(tensors(), again, metadata={"format": "pt"})
        good = same(load_file(path), load_file(again))
    print("ok   " if good else "FAIL ", "dtypes.safetensors holds what PyTorch makes of the values now", sep="")
    sys.exit(not good)


main()
