#!/usr/bin/env bash
# Whether the tests of operations look at every kernel of theirs on the GPU: each in turn leaves out
# its first block, and the test that runs it must fail.
set -u
cd "$(dirname "$0")/.." || exit 1
export CZHPC_CUDA_PLUGIN=$PWD/$BUILD/libczhpc_emulated.so

leave_out() { # test kernel
    # The test ends at its first wrong verdict, when nobody reads on.
    if CZHPC_VARIANT=cuda CZHPC_EMULATED_BREAK=$2 "$BUILD/validation/test_$1" 2>/dev/null | grep -qm1 '^FAIL.*cuda'; then
        echo "ok   test_$1 fails where $2 leaves out a block"
    else
        echo "FAIL test_$1 passes where $2 leaves out a block"
    fi
}
export -f leave_out

pairs() { # each kernel with the first test that runs it; deferred work, of several kinds, with all
    for test in linear rows norm attention heads loss pool; do
        list=$BUILD/kernels.test_$test # of the test's own run, where that was just now
        [ "$list" -nt "$CZHPC_CUDA_PLUGIN" ] ||
            CZHPC_EMULATED_LIST=$list "$BUILD/validation/test_$test" >/dev/null 2>&1
        [ -s "$list" ] || echo "FAIL test_$test runs no kernel of the GPU" >&2
        sed "s/^/$test /" "$list"
    done | awk '!seen[$2 == "deferred" ? $0 : $2]++'
}

pairs 2>&1 | grep '^FAIL'
pairs 2>/dev/null | xargs -P "$(nproc)" -L 1 bash -c 'leave_out "$@"' leave_out
