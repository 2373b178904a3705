#!/usr/bin/env bash
# Which type and level a job computes with, for what run.precision and run.level ask, by what this
# processor has; and what is refused.
set -u
cd "$(dirname "$0")/.." || exit 1
czhpc=${CZHPC:-./czhpc}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
runs=0

has() { for flag in "$@"; do grep -qw "$flag" /proc/cpuinfo || return 1; done; }
level=portable
if has avx2 fma; then level=avx2; fi
if has avx2 fma avx512f avx512bw avx512dq avx512vl; then level=avx512; fi
fp32=$level
bf16=portable
if [ $level = avx512 ] && has avx512_bf16; then
    bf16=avx512
    if has amx_bf16 amx_tile; then bf16=amx; fi
fi

job() { # precision level ranks; its status, its words in $work/out
    runs=$((runs + 1))
    timeout 120 mpirun -np "$3" "$czhpc" validation/small.yaml --results "$work" --name "run-$runs" \
        --set train.epochs=1 --set "run.precision=$1" --set "run.level=$2" >"$work/out" 2>&1
}

takes() { # precision level what [ranks]
    if job "$1" "$2" "${4:-1}" && grep -q "Runs on .*, cpu, $3; in " "$work/out"; then
        echo "ok   precision $1, level $2: cpu, $3"
    else
        echo "FAIL precision $1, level $2: not cpu, $3: $(grep -E 'Runs on|error' "$work/out")"
    fi
}

refuses() { # precision level words
    job "$1" "$2" 2
    local status=$?
    if [ $status -eq 4 ] && [ "$(grep -c 'czhpc: error:' "$work/out")" -eq 1 ] &&
        grep -qF "run.level: $3" "$work/out"; then
        echo "ok   precision $1, level $2: refused"
    else
        echo "FAIL precision $1, level $2: exit $status: $(grep -E 'Runs on|error' "$work/out")"
    fi
}

takes fp32 auto "$fp32, fp32"
takes fp64 auto 'portable, fp64'
takes auto portable 'portable, fp32'
takes bf16 portable 'portable, bf16'
refuses fp32 amx 'amx is not to be had, the best for fp32 here'
refuses fp64 avx2 'avx2 is not to be had, the best for fp64 here is portable'
takes bf16 auto "$bf16, bf16"
if [ $bf16 = portable ]; then
    refuses bf16 avx2 'avx2 is not to be had, the best for bf16 here is portable'
    takes auto auto "$fp32, fp32" 2
    if [ "$fp32" = avx512 ]; then takes auto avx512 'avx512, fp32'; else refuses auto avx512 'avx512 is not'; fi
    refuses auto amx 'amx is not to be had, the best for fp32 here'
    echo 'SKIP precision auto, level avx512 in bf16: this processor lacks it'
else
    refuses bf16 avx2 "avx2 has no kernels of that precision, the best for bf16 here is $bf16"
    takes auto auto "$bf16, bf16" 2
    takes auto avx512 'avx512, bf16'
    takes bf16 avx512 'avx512, bf16'
    takes auto avx2 'avx2, fp32'
fi
if [ $bf16 = amx ]; then
    takes auto amx 'amx, bf16'
    takes bf16 amx 'amx, bf16'
else
    refuses bf16 amx "amx is not to be had, the best for bf16 here is $bf16"
    if [ $bf16 = avx512 ]; then refuses auto amx 'amx is not to be had, the best for bf16 here is avx512'; fi
    echo 'SKIP precision auto, level amx: this processor lacks it'
fi

# A state in fp32 does not go on in fp64.
if job auto auto 1; then
    state=$work/run-$runs/checkpoints/best.h5
    timeout 120 mpirun -np 1 "$czhpc" validation/small.yaml --results "$work" --name again \
        --set train.epochs=1 --resume "$state" --set run.precision=fp64 >"$work/out" 2>&1
    status=$?
    if [ $status -eq 3 ] && grep -q 'error: .*use the run.precision' "$work/out"; then
        echo "ok   a state in fp32 is refused in fp64"
    else
        echo "FAIL a state in fp32 in fp64: exit $status: $(grep -E 'Runs on|error' "$work/out")"
    fi
else
    echo "FAIL a job to resume: $(grep error "$work/out")"
fi
