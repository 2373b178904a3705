#!/usr/bin/env bash
# Runs tests of operations and notes in a table what each variant of the CPU kernels passed, when
# and on which processor:
#   levels.sh TABLE TEST...
# A verdict counts for the variant that it names. Rows of variants that this processor lacks stay
# as they are. Exit status 0: nothing failed; a test that breaks off leaves the table alone.
set -u
table=$1
shift
here=$(dirname "$0")
log=$(mktemp) || exit 1
trap 'rm -f "$log" "$table.new"' EXIT

broken=0
for test in "$@"; do
    "$test" >"$log.one" 2>&1
    status=$?
    if [ $status -ne 0 ] && ! grep -q '^FAIL' "$log.one"; then
        echo "FAIL $(basename "$test"): exit status $status"
        tail -n 5 "$log.one"
        broken=1
    fi
    grep '^FAIL' "$log.one"
    cat "$log.one" >>"$log"
    rm -f "$log.one"
done
[ $broken -eq 0 ] || exit 1

# "Intel(R) Xeon(R) Processor, family 6, model 207"
processor=$(awk -F '[ \t]*: ' '!($1 in seen) {seen[$1] = $2}
    END {print seen["model name"] ", family " seen["cpu family"] ", model " seen["model"]}' /proc/cpuinfo)

heading() {
    cat <<'END'
# What was seen to pass

Each variant of the CPU kernels, a level and a type, with the date and the processor of the last run
of the tests of operations, and how many of their verdicts on it passed and failed. `make levels` runs
them and writes the rows of what the processor has; the others stay.

| kernels | date | processor | passed | failed |
|---|---|---|---|---|
END
}

row() { # variant
    local passed failed before
    passed=$(grep '^ok' "$log" | grep -cF "cpu, $1")
    failed=$(grep '^FAIL' "$log" | grep -cF "cpu, $1")
    before=$(grep -F "| $1 |" "$table" 2>/dev/null)
    if [ $((passed + failed)) -gt 0 ]; then
        echo "| $1 | $(date +%F) | $processor | $passed | $failed |"
    else
        echo "${before:-| $1 | never | | 0 | 0 |}"
    fi
}

{
    heading
    sed -n 's/^    {"cpu, \(.*\)", CZ_.*/\1/p' "$here/variants.h" | while read -r variant; do
        row "$variant"
    done
} >"$table.new"
mv "$table.new" "$table"
sed -n '/^| kernels/,$p' "$table"
! grep -q '^FAIL' "$log"
