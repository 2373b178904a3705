#!/usr/bin/env bash
# czhpc beside PyTorch in one run (make bench):
#   tools/bench.sh                    a training step, then labels to vectors
#   tools/bench.sh step [OPTION]...   one of them; --help lists its options
#   tools/bench.sh labels [OPTION]...
# Needs a build (make), PyTorch and transformers (tools/setup.sh --bench), and for labels a model
# (tools/fetch_bert.sh).
cd "$(dirname "$0")/.." || exit 1
if ! tools/python.sh -c 'import torch' 2>/dev/null; then
    echo 'bench: no PyTorch in .venv, in the active virtual environment or in python3:' \
        'tools/setup.sh --bench installs it'
    exit 1
fi
part=${1:-}
[ $# -eq 0 ] || shift
case $part in
step) exec tools/python.sh tools/bench/run.py "$@" ;;
labels) exec tools/python.sh tools/bench/labels.py "$@" ;;
'') tools/python.sh tools/bench/run.py && echo && exec tools/python.sh tools/bench/labels.py ;;
*) sed -n '2,/^cd/{/^#/s/^# \{0,1\}//p}' "$0"; [ "$part" = --help ] ;;
esac
