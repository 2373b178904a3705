#!/usr/bin/env bash
# Whether the tests of operations look at every kernel of theirs on the GPU: each in turn leaves out its first
# block, and the test that runs it must fail.
set -u
cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export CZHPC_CUDA_PLUGIN=$PWD/$BUILD/libczhpc_emulated.so

for test in linear norm attention heads loss pool; do
    list=$BUILD/kernels.test_$test # of the test's own run, where that was just now
    [ "$list" -nt "$CZHPC_CUDA_PLUGIN" ] ||
        CZHPC_EMULATED_LIST=$list "$BUILD/validation/test_$test" >/dev/null 2>&1
    [ -s "$list" ] || echo "FAIL test_$test runs no kernel of the GPU"
    while read -r kernel; do
        grep -qx "$kernel" "$work/seen" 2>/dev/null && continue
        echo "$kernel" >>"$work/seen"
        # The test ends at its first wrong verdict, when nobody reads on.
        if CZHPC_EMULATED_BREAK=$kernel "$BUILD/validation/test_$test" 2>/dev/null |
            grep -qm1 '^FAIL.*cuda'; then
            echo "ok   test_$test fails where $kernel leaves out a block"
        else
            echo "FAIL test_$test passes where $kernel leaves out a block"
        fi
    done <"$list"
done
