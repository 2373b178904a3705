#!/usr/bin/env bash
# czhpc beside PyTorch in one run (make bench), with reports in results/bench:
#   tools/bench.sh                    training and evaluation, then labels to vectors: 30 minutes
#   tools/bench.sh step [OPTION]...   one of them; --help lists its options
#   tools/bench.sh labels [OPTION]...
#   tools/bench.sh ranks [OPTION]...  czhpc alone: two ranks beside one with two threads
# Needs a build (make bench makes all it uses), PyTorch and transformers (tools/setup.sh --bench),
# and for labels a model (tools/fetch_bert.sh); ranks needs none of these.
cd "$(dirname "$0")/.." || exit 1
part=${1:-}
[ $# -eq 0 ] || shift
case $part in
'' | step | labels)
    if ! tools/python.sh -c 'import torch' 2>/dev/null; then
        echo 'bench: no PyTorch in .venv, in the active virtual environment or in python3:' \
            'tools/setup.sh --bench installs it'
        exit 1
    fi
    ;;
esac
case $part in
step | labels | ranks) exec tools/python.sh "tools/bench/$part.py" "$@" ;;
'') tools/python.sh tools/bench/step.py && echo && exec tools/python.sh tools/bench/labels.py ;;
*) sed -n '2,/^cd/{/^#/s/^# \{0,1\}//p}' "$0"; [ "$part" = --help ] ;;
esac
