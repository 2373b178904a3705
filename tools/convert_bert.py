"""Converts a BERT's pytorch_model.bin to the model.safetensors that czhpc reads, beside it:

    tools/python.sh tools/convert_bert.py FOLDER

The pickle is read by PyTorch with weights_only, which runs no code of the file's. Needs torch and
safetensors (tools/setup.sh --validate).
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    source, target = folder / "pytorch_model.bin", folder / "model.safetensors"
    if not source.exists():
        sys.exit(f"{source}: is missing")
    if target.exists():
        sys.exit(f"{target}: is there already")
    weights = torch.load(source, map_location="cpu", weights_only=True)
    # Tied tensors share memory, which a safetensors file cannot express.
    weights = {name: tensor.clone().contiguous() for name, tensor in weights.items()}
    unfinished = folder / "model.safetensors.tmp"
    save_file(weights, unfinished, metadata={"format": "pt"})
    unfinished.rename(target)
    print(f"{target}: {len(weights)} tensors")


main()
