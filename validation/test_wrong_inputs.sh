#!/usr/bin/env bash
# What a user can get wrong: each case ends, on 1 and on 3 ranks, with its exit code and exactly one
# error line that says the words expected.
set -u
czhpc=${CZHPC:-./czhpc}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
small=validation/small.yaml
kind=setup

# Both at once: most of the time goes by while mpirun waits.
if [ -z "${RANKS:-}" ]; then
    RANKS=3 "$0" >"$work/three" &
    RANKS=1 "$0"
    one=$?
    wait $!
    three=$?
    cat "$work/three"
    exit $((one | three))
fi

expect() { # exit-code words arguments...
    local code=$1 words=$2
    shift 2
    # mpirun waits for what is left of the ranks before it kills them; of one nothing is.
    OMPI_MCA_odls_base_sigkill_timeout=$((RANKS > 1)) \
        timeout 60 mpirun -np "$RANKS" "$czhpc" "$@" >"$work/out" 2>"$work/err" </dev/null
    local got=$? lines
    lines=$(grep -c 'czhpc: error:' "$work/err")
    if [ $got -eq "$code" ] && [ "$lines" -eq 1 ] &&
        grep 'czhpc: error:' "$work/err" | grep -qF -- "$words"; then
        echo "ok   $kind: $words ($RANKS)"
    else
        echo "FAIL $kind: '$words' on $RANKS ranks: exit $got, wanted $code; $lines error lines: $(
            grep 'czhpc: error:' "$work/err" | head -n 2) [czhpc $*]"
    fi
}

config() { # lines of YAML; prints the path of the file
    printf '%s\n' "$@" >"$work/config.yaml"
    echo "$work/config.yaml"
}

kind="command line"
expect 2 'no configuration'
expect 2 '--dry-rum' $small --dry-rum
expect 2 '--set' $small --set
expect 2 "train.lr" $small --set train.lr
expect 2 'configs/demo.yaml' $small configs/demo.yaml
expect 2 '--pretrain-resampler' $small --pretrain-resampler
expect 2 '--profile is of a run' $small --profile --dry-run

kind=config
expect 3 'no-such-file.yaml' no-such-file.yaml
expect 2 "did you mean 'train.lr'" "$(config 'train:' '  lrr: 1e-3')"
expect 2 'config.yaml:2:' "$(config 'train:' '  epochs: many')"
expect 2 'model.dropout' "$(config 'model:' '  dropout: 1.5')"
expect 2 'config.yaml:2:' "$(config 'train:' "$(printf '\tlr: 1')")"
expect 2 'train.lr' $small --set train.lr=nan
expect 2 'model.heads' $small --set model.heads=5
expect 3 'is a folder' "$work"
expect 2 'data.h5ad' "$(config 'data:' '  source: h5ad')"
expect 2 'train.epochs' "$(config 'train:' '  epochs: 1' '  epochs: 2')"

expect 2 'expected KEY = A | B' $small --set 'data.filter=sex male'
expect 2 'data.source is synthetic' $small --set 'data.filter=sex = male'
expect 2 "split.method names 'tissue'" $small --dry-run --set split.method=group:tissue
expect 2 'data.adversary_keys=[] trains' $small --dry-run --set 'data.adversary_keys=[age]'
expect 3 'found male, female' $small --results "$work" --set split.method=column:sex

kind=h5ad
h5ad() { # exit-code words file settings...
    local code=$1 words=$2 file=$3
    shift 3
    local sets=()
    for s in "$@"; do sets+=(--set "$s"); done
    expect "$code" "$words" $small --results "$work" --set data.source=h5ad --set "data.h5ad=$file" \
        --set data.features=obsm "${sets[@]}"
}
mpirun -np 1 "$czhpc" $small --write-synthetic "$work/cells.h5ad" >/dev/null 2>&1 ||
    echo "FAIL --write-synthetic"
expect 2 'cells.h5ad is there already' $small --write-synthetic "$work/cells.h5ad"
expect 2 'data.source is h5ad' $small --write-synthetic "$work/new.h5ad" --set data.source=h5ad \
    --set "data.h5ad=$work/cells.h5ad"
: >"$work/empty.h5ad"
echo 'not HDF5' >"$work/text.h5ad"
head -c 5000 "$work/cells.h5ad" >"$work/short.h5ad"
head -c "$(($(stat -c %s "$work/cells.h5ad") * 2 / 3))" "$work/cells.h5ad" >"$work/cut.h5ad"
h5ad 3 'missing.h5ad' "$work/missing.h5ad"
h5ad 3 'empty.h5ad' "$work/empty.h5ad"
h5ad 3 'text.h5ad' "$work/text.h5ad"
h5ad 3 'short.h5ad' "$work/short.h5ad"
h5ad 3 'cut.h5ad' "$work/cut.h5ad"
h5ad 3 'nobody' "$work/cells.h5ad" data.target_key=nobody
h5ad 3 'data.adversary_keys=[] trains' "$work/cells.h5ad" 'data.adversary_keys=[age]'
h5ad 3 "did you mean 'male'" "$work/cells.h5ad" 'data.filter=sex = Male'
h5ad 3 'no cell is left' "$work/cells.h5ad" data.min_cells=1000000
h5ad 3 'found donor_' "$work/cells.h5ad" split.method=column:donor_id
h5ad 3 'umap' "$work/cells.h5ad" data.obsm=umap
h5ad 3 'X' "$work/cells.h5ad" data.features=counts

kind='label table'
table() { # exit-code words file
    expect "$1" "$2" $small --results "$work" --name table --set "text.table=$3"
    rm -rf "$work/table"
}
head -c 3000 configs/labels.h5 >"$work/labels-cut.h5"
table 3 'missing.h5' "$work/missing.h5"
table 3 'text.h5ad' "$work/text.h5ad"
table 3 'labels' "$work/cells.h5ad"
table 3 'labels-cut.h5' "$work/labels-cut.h5"
h5ad 3 'donor_01' "$work/cells.h5ad" data.label_key=donor_id data.target_key=cell_type
h5ad 2 'would tell the answer' "$work/cells.h5ad" data.label_key=donor_id
h5ad 2 'what is held out' "$work/cells.h5ad" data.label_key=sex

kind=checkpoint
mpirun -np 1 "$czhpc" $small --results "$work" --name run --set train.epochs=2 >"$work/out" 2>&1 ||
    { echo "FAIL a job to resume"; cat "$work/out"; }
state=$work/run/checkpoints/best.h5
echo garbage >"$work/garbage.h5"
head -c 4000 "$state" >"$work/state-cut.h5"
resume() { # exit-code words path settings...
    local code=$1 words=$2 path=$3
    shift 3
    rm -rf "$work/again"
    expect "$code" "$words" $small --results "$work" --name again --set train.epochs=2 --resume "$path" "$@"
}
expect 2 'finished' $small --results "$work" --name run
resume 3 'no-such' "$work/no-such.h5"
resume 3 'garbage.h5' "$work/garbage.h5"
resume 3 'state-cut.h5' "$work/state-cut.h5"
resume 3 'resampler.latents' "$state" --set model.latents=9
resume 3 'config' "$state" --set train.lr=1e-5
resume 3 'cells.h5ad' "$work/cells.h5ad"

kind=environment
expect 4 'text.h5ad: the folder cannot be created' $small --results "$work/text.h5ad/blocked"
large=(--set model.fusion_dim=1024 --set model.latent_dim=1024 --set train.epochs=1 --set run.threads=1)
expect 4 'training takes about' $small --results "$work" --name large "${large[@]}" --set run.memory=200
expect 4 'avx512' $small --results "$work" --name fp64 --set run.precision=fp64 --set run.level=avx512
