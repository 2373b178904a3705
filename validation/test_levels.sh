#!/usr/bin/env bash
# Every variant of the CPU kernels has passed its tests on some machine, by the table that make
# levels writes; and that table is kept right.
set -u
cd "$(dirname "$0")" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

verdict() { # condition's status, words
    if [ "$1" -eq 0 ]; then echo "ok   $2"; else echo "FAIL $2"; fi
}

while read -r variant; do
    grep -qE "^\| $variant \| 2[0-9]{3}-[0-9-]{5} \| [^|]+ \| [1-9][0-9]* \| 0 \|$" levels.md
    verdict $? "$variant has passed: $(grep -F "| $variant |" levels.md)"
done < <(sed -n 's/^    {"cpu, \(.*\)", CZ_.*/\1/p' variants.h)

program() { # name, lines; a test that prints them
    printf '#!/bin/sh\ncat <<END\n%s\nEND\n%s\n' "$2" "${3:-}" >"$work/$1"
    chmod +x "$work/$1"
}
program here 'ok   cpu, amx, bf16: one
ok   sums, cpu, amx, bf16: another
ok   cpu, avx2, fp32: a third
ok   of no variant'
program elsewhere 'SKIP cpu, amx, bf16: this processor lacks it
FAIL cpu, avx2, fp32: worse
ok   cpu, avx2, fp32: a third' 'exit 1'
program breaks 'ok   cpu, avx2, fp32: a third' 'kill -SEGV $$'

./levels.sh "$work/table" "$work/here" >/dev/null
verdict $? 'levels.sh: all passed'
grep -qE '^\| amx, bf16 \| [0-9-]{10} \| .* \| 2 \| 0 \|$' "$work/table" &&
    grep -qE '^\| avx2, fp32 \| .* \| 1 \| 0 \|$' "$work/table" &&
    grep -qF '| portable, fp32 | never |' "$work/table"
verdict $? 'levels.sh: verdicts count for the variant they name'

sed -i 's/^| amx, bf16 | [0-9-]*/| amx, bf16 | 2001-02-03/' "$work/table"
./levels.sh "$work/table" "$work/elsewhere" >/dev/null
[ $? -eq 1 ] && grep -qE '^\| avx2, fp32 \| .* \| 1 \| 1 \|$' "$work/table"
verdict $? 'levels.sh: what failed is counted, and is an error'
grep -qE '^\| amx, bf16 \| 2001-02-03 \| .* \| 2 \| 0 \|$' "$work/table"
verdict $? 'levels.sh: what this processor lacks keeps its row'

cp "$work/table" "$work/before"
./levels.sh "$work/table" "$work/here" "$work/breaks" >/dev/null 2>&1
[ $? -eq 1 ] && cmp -s "$work/table" "$work/before"
verdict $? 'levels.sh: a test that breaks off leaves the table alone'
