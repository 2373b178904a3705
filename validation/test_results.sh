#!/usr/bin/env bash
# What a job says of its cells: the same bytes on 1, 2 and 3 ranks of 6 threads in all; tables that
# agree with the summary.
set -u
czhpc=${CZHPC:-./czhpc}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

verdict() { # status text
    if [ "$1" -eq 0 ]; then echo "ok   $2"; else echo "FAIL $2"; fi
}

test_part() { # name
    sed -n '/^  "test": {/,/^  }/p' "$work/$1/summary.json"
}

for ranks in 1 2 3; do
    if ! mpirun -np $ranks "$czhpc" validation/small.yaml --results "$work" --name $ranks \
        --set run.threads=$((6 / ranks)) --set train.epochs=3 >"$work/out" 2>&1; then
        echo "FAIL a job on $ranks ranks: $(tail -n 3 "$work/out")"
        exit 1
    fi
done

for ranks in 2 3; do
    test_part 1 >"$work/one" && [ "$(wc -l <"$work/one")" -gt 100 ] && test_part $ranks |
        cmp -s - "$work/one"
    verdict $? "the test part of summary.json on $ranks ranks: the bytes of 1"
    for table in predictions class_results label_results confusion; do
        cmp -s "$work/1/$table.csv" "$work/$ranks/$table.csv"
        verdict $? "$table.csv on $ranks ranks: the bytes of 1"
    done
done

awk -F, 'NR == 1 { if ($0 !~ /^cell,row,split,label,true,predicted,probability,prob_donor_/) exit 1; classes = NF - 10 }
    NR > 1 { if ($2 != NR - 2) exit 1; part[$3]++; sum = 0
        for (c = 0; c < classes; c++) sum += $(8 + c)
        if (sum < 1 - 1e-4 || sum > 1 + 1e-4) exit 1 }
    END { if (NR != 1501 || part["train"] + part["validation"] + part["test"] != 1500) exit 1 }' \
    "$work/1/predictions.csv"
verdict $? 'predictions.csv: every cell in its order, probabilities that sum to 1'

# By hand from predictions.csv; the first accuracy of the summary is the target's.
from_csv=$(awk -F, '$3 == "test" { n++; right += $5 == $6 } END { printf "%.6f %d", right / n, n }' \
    "$work/1/predictions.csv")
from_json=$(awk -F'[:,]' '/"n":/ && !n { n = $2 + 0 } /"accuracy":/ && !found { found = 1; a = $2 }
    END { printf "%.6f %d", a, n }' "$work/one")
[ "$from_csv" = "$from_json" ]
verdict $? "accuracy and cells by predictions.csv ($from_csv) and by summary.json ($from_json)"

# 3 epochs look at the validation cells, the end at all.
evaluated=$(awk -F'[:,]' '/"evaluated_cells":/ { print $2 + 0 }' "$work/1/summary.json")
expected=$(awk -F, 'NR > 1 { n++; n += 3 * ($3 == "validation") } END { print n }' "$work/1/predictions.csv")
[ "$evaluated" -eq "$expected" ] && [ "$evaluated" -gt 1500 ]
verdict $? "timing.evaluated_cells counts $evaluated of $expected evaluations"
