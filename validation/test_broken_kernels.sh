#!/usr/bin/env bash
# Whether the tests of operations look at every kernel of theirs on the GPU: each in turn leaves out
# its first block, and the test that runs it must fail; which it does not when all are whole.
set -u
cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export CZHPC_CUDA_PLUGIN=$PWD/$BUILD/libczhpc_emulated.so CZHPC_VARIANT=cuda work
tests=(linear rows norm attention heads loss pool)

whole() { # test; lists its kernels
    if CZHPC_EMULATED_LIST=$work/$1 "$BUILD/validation/test_$1" >"$work/out.$1" 2>&1 &&
        ! grep -q '^FAIL' "$work/out.$1" && [ -s "$work/$1" ]; then
        echo "ok   test_$1 passes with all its kernels whole"
    else
        echo "FAIL test_$1 fails, or runs no kernel, with all of them whole"
    fi
}

leave_out() { # test kernel
    # The test ends at its first wrong verdict, when nobody reads on.
    if CZHPC_EMULATED_BREAK=$2 "$BUILD/validation/test_$1" 2>/dev/null |
        grep -qm1 '^FAIL.*cuda'; then
        echo "ok   test_$1 fails where $2 leaves out a block"
    else
        echo "FAIL test_$1 passes where $2 leaves out a block"
    fi
}

export -f whole leave_out
side_by_side() { # function: once for each line, with its words
    xargs -P "$(nproc)" -L 1 bash -c "$1 \"\$@\"" "$1"
}

pairs() { # each kernel with the first test that runs it; deferred work, of several kinds, with all
    for test in "${tests[@]}"; do sed "s/^/$test /" "$work/$test"; done |
        awk '!seen[$2 == "deferred" ? $0 : $2]++'
}

printf '%s\n' "${tests[@]}" | side_by_side whole
pairs | side_by_side leave_out
