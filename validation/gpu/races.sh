#!/usr/bin/env bash
# Looks for races of the kernels' threads: the tests of operations on the emulated GPU, whose threads
# ThreadSanitizer sees as threads that only barriers, __syncwarp(), launches and fences order
# (cuda/emulated/races.h). Then without one of these, where races must be found.
#   validation/gpu/races.sh [TEST...]     some tests only; needs make, gcc's libtsan and setarch
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-build/release}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(test_rows test_loss test_norm test_linear test_heads test_pool test_attention)
make -s "$BUILD/libczhpc_races.so" "${tests[@]/#/$BUILD/validation/}" >&2 || exit 1
tsan=$(gcc -print-file-name=libtsan.so)
passed=0 failed=0

# Of a test, what is not told ("": nothing), and the seconds that it may take: the number of races.
races() {
    rm -f "$work"/races.*
    LD_PRELOAD=$tsan CZHPC_CUDA_PLUGIN=$PWD/$BUILD/libczhpc_races.so CZHPC_RACES_WITHOUT=$2 \
        TSAN_OPTIONS="exitcode=0 log_path=$work/races" timeout "$3" \
        setarch -R "$BUILD/validation/$1" >"$work/out" 2>&1
    status=$?
    found=$(cat "$work"/races.* 2>/dev/null | grep -c '^SUMMARY')
}
verdict() { # 0: good; words
    if [ "$1" -eq 0 ]; then echo "ok   $2" && passed=$((passed + 1)); else echo "FAIL $2" && failed=$((failed + 1)); fi
}

for test in "${tests[@]}"; do
    races "$test" '' 1800
    # What is told to ThreadSanitizer is no matter of the test: its own verdicts hold as always.
    [ $status -eq 0 ] && [ "$found" -eq 0 ] && grep -q '^ok .*cuda' "$work/out"
    good=$?
    verdict $good "$test: $found races, exit status $status, $(grep -c '^ok .*cuda' "$work/out") verdicts on a GPU"
    [ $good -eq 0 ] || grep -h -A 12 '^WARNING' "$work"/races.* | head -n 40
done
if [ $# -eq 0 ]; then
    for control in 'block test_heads' 'warp test_norm' 'fence test_attention'; do
        races "${control#* }" "${control% *}" 60
        [ "$found" -gt 0 ]
        verdict $? "without ${control% *}, ${control#* } has races: $found"
    done
fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
