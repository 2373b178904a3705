#!/usr/bin/env bash
# Lists of experiments as whole jobs: a table of all, one of them alone, stopped and resumed.
set -u
czhpc=${CZHPC:-./czhpc}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

verdict() { # name status
    if [ "$2" -eq 0 ]; then echo "ok   $1"; else echo "FAIL $1"; fi
}

cat >"$work/list.yaml" <<'END'
synthetic: {cells: 1500, width: 64}
model: {tokens: 4, heads: 4, fusion_dim: 32, feedforward: 64, latents: 8, latent_dim: 32}
train: {epochs: 3, batch: 64}
eval: {bayes: false}
run: {threads: 1, ranks_per_item: 1}
experiments:
  - name: base
    seeds: [0, 1]
  - name: no-text
    set: {model.text: false}
    seeds: [0, 1]
    compare_to: base
  - name: split_1
    splits: [0, 1]
END

job() { # name ranks options...: exit status
    local name=$1 ranks=$2
    shift 2
    timeout 120 mpirun -np "$ranks" "$czhpc" "$work/list.yaml" --results "$work" --name "$name" "$@" \
        >>"$work/$name.out" 2>&1
}

"$czhpc" "$work/list.yaml" --check-config >"$work/items" 2>/dev/null
[ "$(wc -l <"$work/items")" -eq 6 ] && [ "$(awk '{ print $2 }' "$work/items" | sort -u | wc -l)" -eq 5 ] &&
    grep -q '^   5 .* split_1/seed-0-split-1$' "$work/items"
verdict '--check-config lists six items; equal configurations have equal hashes' $?

job list 2
verdict 'a list of experiments ends' $?
[ "$(find "$work/list" -name summary.json | wc -l)" -eq 6 ] && [ "$(wc -l <"$work/list/table.csv")" -eq 4 ] &&
    grep -q '^| no-text | 2 of 2 | ' "$work/list/table.md" && grep -q 'split\\_1' "$work/list/table.tex"
verdict 'the table has a row for each, in three forms' $?

# Mean and deviation against the summaries themselves.
accuracy() { grep -m1 '"accuracy":' "$1/summary.json" | tr -dc '0-9.e-'; }
awk -F, -v a="$(accuracy "$work/list/no-text/seed-0")" -v b="$(accuracy "$work/list/no-text/seed-1")" \
    -v c="$(accuracy "$work/list/base/seed-0")" -v d="$(accuracy "$work/list/base/seed-1")" '
    function off(x, y) { return x - y > 1e-9 || y - x > 1e-9 }
    function root(x, y) { return sqrt((x - y) * (x - y) / 2) }
    $1 == "no-text" { bad = off($4, (a + b) / 2) || off($5, root(a, b)) || off($(NF - 1), (a + b - c - d) / 2) ||
        off($NF, root(a - c, b - d)) || $(NF - 3) != "base" || $(NF - 2) != 2; seen = 1 }
    END { exit bad || !seen }' "$work/list/table.csv"
verdict 'mean, deviation and difference are those of the summaries' $?

job alone 1 --experiment 3 &&
    cmp -s "$work/alone/no-text/seed-1/predictions.csv" "$work/list/no-text/seed-1/predictions.csv"
verdict '--experiment N gives what the list gave' $?
for i in 0 1 2 4 5; do job alone 1 --experiment $i || echo "FAIL experiment $i"; done
drop_times() { awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i ~ /^total_s/) no[i] = 1 } { for (i = 1; i <= NF; i++) if (!no[i]) printf "%s,", $i; print "" }' "$1"; }
[ "$(drop_times "$work/alone/table.csv")" = "$(drop_times "$work/list/table.csv")" ]
verdict 'the last of them completes the table' $?

job stopped 1 &
pid=$!
for _ in $(seq 500); do [ -s "$work/stopped/no-text/seed-0/metrics.jsonl" ] && break; sleep 0.02; done
pkill -TERM -f -- "^[^ ]*czhpc $work/list.yaml --results $work --name stopped"
wait $pid
[ $? -eq 75 ]
verdict 'SIGTERM stops a list with exit code 75' $?
job stopped 2 --resume && [ "$(drop_times "$work/stopped/table.csv")" = "$(drop_times "$work/list/table.csv")" ]
verdict 'resumed, on other ranks, the list ends with the same table' $?

job list 1
[ $? -eq 2 ]
verdict 'a finished list is not begun again without --resume' $?
job list 1 --resume --set train.lr=1e-3
[ $? -eq 2 ] && grep -q 'finished run of another configuration' "$work/list.out"
verdict 'a changed configuration on resume is refused' $?
job list 1 --experiment 6
[ $? -eq 2 ] && grep -q 'there is no experiment 6' "$work/list.out"
verdict 'an experiment that is not there is refused' $?
job tight 1 --set run.memory=1
[ $? -eq 5 ]
verdict 'where no item fits into memory the list exits 5' $?

# Two files of one name: each experiment has the cells of its own.
for n in 300 400; do
    mkdir "$work/$n"
    "$czhpc" "$work/list.yaml" --set synthetic.cells=$n --write-synthetic "$work/$n/cells.h5ad" 2>/dev/null ||
        echo "FAIL the file of $n cells"
done
cat >"$work/files.yaml" <<END
data: {source: h5ad, features: obsm, h5ad: $work/300/cells.h5ad}
model: {tokens: 4, heads: 4, fusion_dim: 32, feedforward: 64, latents: 8, latent_dim: 32}
train: {epochs: 1, batch: 64}
run: {threads: 1}
experiments:
  - name: few
  - name: many
    set: {data.h5ad: [$work/400/cells.h5ad]}
END
timeout 120 "$czhpc" "$work/files.yaml" --results "$work" >"$work/files.out" 2>&1 &&
    [ "$(wc -l <"$work/files/few/seed-0/predictions.csv")" -eq 301 ] &&
    [ "$(wc -l <"$work/files/many/seed-0/predictions.csv")" -eq 401 ]
verdict 'experiments on files of one name have each their own cells' $?
sed '/- name: many/i\  - name: wrong\n    set: {split.method: "group:nope"}' "$work/files.yaml" >"$work/wrong.yaml"
for each in 1 2; do
    timeout 120 mpirun -np 2 "$czhpc" "$work/wrong.yaml" --results "$work" --name "wrong-$each" \
        --set run.ranks_per_item=$each >"$work/wrong.out" 2>&1
    [ $? -eq 5 ] && grep -q "wrong/seed-0: failed: .*'nope'" "$work/wrong.out" &&
        grep -q '^| wrong | 0 of 1 ' "$work/wrong-$each/table.md" &&
        grep -q '^| many | 1 of 1 ' "$work/wrong-$each/table.md"
    verdict "one whose column is not there fails, on $each of 2 ranks; the others are done, exit 5" $?
done
timeout 120 mpirun -np 2 "$czhpc" "$work/files.yaml" --results "$work" --name none \
    --set "data.h5ad=$work/none.h5ad" >"$work/none.out" 2>&1
[ $? -eq 3 ] && grep -q 'none.h5ad' "$work/none.out" && [ ! -e "$work/none/many" ]
verdict 'a file that all of them read and that is not there ends the list, exit 3' $?
job one 1 --resume "$work/list/base/seed-0/checkpoints"
[ $? -eq 2 ]
verdict '--resume PATH is refused for a list' $?

# A table holds runs of one configuration only.
rm -r "$work/list/base/seed-1"
job list 1 --experiment 1 --set train.lr=1e-3 && grep -q '^| base | 1 of 2 | ' "$work/list/table.md"
verdict 'the table leaves runs of another configuration out' $?
