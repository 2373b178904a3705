#!/usr/bin/env bash
# Runs Python as the benchmarks and oracles need it: tools/python.sh SCRIPT [ARGUMENT]...
# The interpreter is $PYTHON, else that of the active virtual environment, else .venv's, else
# python3. A torch installed without its CUDA packages finds the toolkit's libraries.
here=$(cd "$(dirname "$0")/.." && pwd)
if [ -n "${PYTHON:-}" ]; then python=$PYTHON
elif [ -n "${VIRTUAL_ENV:-}" ]; then python=$VIRTUAL_ENV/bin/python
elif [ -x "$here/.venv/bin/python" ]; then python=$here/.venv/bin/python
else python=python3
fi
prefix=$(dirname "$(dirname "$(command -v "$python")")")
for folder in "$prefix"/lib/python3*/site-packages/nvidia/*/lib /usr/local/cuda/lib64 \
    /usr/local/cuda/extras/CUPTI/lib64; do
    [ -d "$folder" ] && LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
done
export LD_LIBRARY_PATH PYTHONDONTWRITEBYTECODE=1
exec "$python" "$@"
