#!/usr/bin/env bash
# czhpc beside PyTorch in one run (make bench); tools/bench.sh --help lists its options.
# Needs a build (make) and PyTorch: tools/setup.sh --bench.
cd "$(dirname "$0")/.." || exit 1
if ! tools/python.sh -c 'import torch' 2>/dev/null; then
    echo 'bench: no PyTorch in .venv, in the active virtual environment or in python3:' \
        'tools/setup.sh --bench installs it'
    exit 1
fi
exec tools/python.sh tools/bench/run.py "$@"
