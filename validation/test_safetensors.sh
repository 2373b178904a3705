#!/usr/bin/env bash
# The weights that test_safetensors writes, read by the safetensors library.
set -u
cd "$(dirname "$0")/.." || exit 1
python=${PYTHON:-python3}
if ! "$python" -c 'import safetensors, numpy' 2>/dev/null; then
    echo "SKIP safetensors: the Python library is not installed"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${BUILD:-build/release}/validation/test_safetensors" "$folder/model.safetensors" || exit 1
"$python" - "$folder/model.safetensors" <<'PYTHON'
import sys
import numpy as np
from safetensors import safe_open

failed = 0


def check(ok, name):
    global failed
    failed += not ok
    print("ok  " if ok else "FAIL", name)


with safe_open(sys.argv[1], framework="np") as file:
    check(file.metadata() == {"format": "pt", "note": 'a "quoted" ä\n'}, "safetensors: metadata")
    check(set(file.keys()) == {"proj.weight", "proj.bias", "norm.weight"}, "safetensors: names")
    want = {
        "proj.weight": [[1, -2, 0.5], [3.25, 1e-20, -0.0]],
        "proj.bias": [7, 8, 9],
        "norm.weight": [0.1],
    }
    for name, value in want.items():
        got, value = file.get_tensor(name), np.array(value, dtype=np.float32)
        check(got.dtype == value.dtype and got.shape == value.shape
              and got.tobytes() == value.tobytes(), f"safetensors: {name}")
sys.exit(failed != 0)
PYTHON
