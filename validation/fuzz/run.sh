#!/usr/bin/env bash
# Runs the fuzz targets one after another (make fuzz builds them):
#   FUZZ_SECONDS   each, 600
#   ONLY           those with this part in their name
#   BUILD          where they were built, build/fuzz
# Seeds are in validation/fuzz/seeds; what a run finds interesting is kept in $BUILD/corpus for the
# next one, what it finds wrong in $BUILD/found, with the log. Prints ok or FAIL and the figures of
# each target; the exit status is the verdict.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build/fuzz} seconds=${FUZZ_SECONDS:-600} failed=0
# What asks for too much memory gets none, as in the job.
export ASAN_OPTIONS=allocator_may_return_null=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}
export UBSAN_OPTIONS=print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}
mkdir -p "$build/corpus" "$build/found"

number() { grep -oE "stat::$1: +[0-9]+" "$2" | grep -oE '[0-9]+$'; }

for target in "$build"/validation/fuzz/fuzz_*; do
    [ -x "$target" ] || continue
    name=$(basename "$target")
    name=${name#fuzz_}
    case $name in *"${ONLY:-}"*) ;; *) continue ;; esac
    log=$build/found/$name.log
    mkdir -p "$build/corpus/$name"
    timeout --kill-after=10 $((seconds + 120)) "$target" -max_total_time="$seconds" -max_len=4096 \
        -timeout=25 -rss_limit_mb=4096 -print_final_stats=1 -artifact_prefix="$build/found/$name-" \
        "$build/corpus/$name" "validation/fuzz/seeds/$name" >"$log" 2>&1
    status=$?
    runs=$(number number_of_executed_units "$log")
    covered=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 | grep -oE '[0-9]+')
    figures=$(printf '%-12s %5d s %10d executions %6d edges' "$name" "$seconds" "${runs:-0}" "${covered:-0}")
    if [ $status -eq 0 ] && [ "${runs:-0}" -gt 0 ]; then
        echo "ok   $figures, nothing found"
    else
        failed=1
        echo "FAIL $figures, exit status $status, see $log:"
        grep -E 'ERROR|SUMMARY|runtime error|not so:|Test unit written' "$log" | sed 's/^/    /'
    fi
done
exit $failed
