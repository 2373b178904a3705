#!/usr/bin/env bash
# The tool `study`, as a user meets it: a journal of Optuna's with hard names, files that are none.
set -u
czhpc=$(realpath "${CZHPC:-./czhpc}")
journal=$(realpath validation/fixtures/search/hard_names.log)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

verdict() { # status text
    if [ "$1" -eq 0 ]; then echo "ok   $2"; else echo "FAIL $2"; fi
}

cp "$journal" hard.log
timeout 60 mpirun -np 1 "$czhpc" study hard.log --trials 30 >out 2>err </dev/null
verdict $? "a study of Optuna's is shown"
grep -qx 'Trials       19: 12 complete, 2 pruned, 2 failed, 2 running, 1 waiting' out &&
    grep -q '^Best         2\.67.*, trial 14$' out
verdict $? 'its counts and its best'
awk '/^ trial  state/ { on = 1; next } !NF { if (on) exit } on && $2 == "complete" { print $3 }' out >values
[ "$(wc -l <values)" -eq 12 ] && sort -c -g -r values
verdict $? 'complete trials stand best first'
awk '/^ trial  state/ { on = 1; next } !NF { if (on) exit } on && /^ +[0-9]+  [a-z]/ { print $2 }' out | uniq |
    paste -sd' ' | grep -qx 'complete pruned failed running waiting'
verdict $? 'behind them pruned, failed, running and waiting ones'
grep -q '^        the loss is not finite' out && grep -q 'its lease of 60 s is over$' out &&
    grep -q 'of another program: it has no lease$' out
verdict $? 'why a trial failed, and when a running one was heard of'
[ "$(LC_ALL=C.UTF-8 wc -L <out)" -le 100 ] && ! LC_ALL=C grep -q $'[\001-\011\013-\037]' out
verdict $? 'at most 100 columns, and nothing that controls a terminal'
sed -n '/^Importance/,$p' out | awk '/^  / && match($0, /  [01]\.[0-9][0-9][0-9]/) {
    sum += substr($0, RSTART + 2, 5); n++ } END { exit !(n == 10 && sum > 0.99 && sum < 1.01) }'
verdict $? 'shares of ten parameters sum to 1'
[ "$(find . -name 'ran_*' | wc -l)" -eq 0 ] && cmp -s hard.log "$journal" && [ ! -e hard.log.lock ]
verdict $? 'names run nothing, and the journal stays as it is'
[ "$(head -n 1 hard-figures/trials.csv | cut -d, -f 1-5)" = trial,state,value,started,ended ] &&
    [ "$(grep -cE '^[0-9]+,[a-z]+,[-0-9.e]*,[-0-9T:]*,' hard-figures/trials.csv)" -eq 19 ]
verdict $? 'trials.csv has them all'

figures='optimisation_history slices parallel_coordinates importance'
if command -v gnuplot >/dev/null; then
    for figure in $figures; do
        [ -s "hard-figures/$figure.png" ] && [ -s "hard-figures/$figure.pdf" ] &&
            [ -s "hard-figures/$figure.gp" ] && [ -s "hard-figures/$figure.dat" ]
        verdict $? "$figure is drawn, with its script and data"
    done
    [ ! -e hard-figures/gnuplot.log ]
    verdict $? 'gnuplot has nothing to say'
else
    echo 'SKIP the figures of a study: there is no gnuplot'
fi

mkdir empty
timeout 60 mpirun -np 2 /usr/bin/env PATH="$work/empty" "$czhpc" study hard.log --out other/place --trials 30 \
    --name "hard \`names\` 中" >again 2>err </dev/null
verdict $? 'on 2 ranks, and without gnuplot'
diff <(grep -v 'last heard of' out) <(grep -v 'last heard of' again) >/dev/null
verdict $? 'the same words'
grep -q 'warning: no figures were drawn' err && [ -s other/place/slices.gp ] && [ -s other/place/trials.csv ] &&
    [ ! -e other/place/slices.png ]
verdict $? 'it says so, and leaves scripts, data and trials.csv where --out says'

refuse() { # exit-code words arguments...
    local code=$1 words=$2 got
    shift 2
    timeout 60 mpirun -np "${RANKS:-2}" "$czhpc" study "$@" >refused 2>err </dev/null
    got=$?
    if [ $got -eq "$code" ] && [ "$(grep -c 'czhpc: error:' err)" -eq 1 ] &&
        grep 'czhpc: error:' err | grep -qF -- "$words" && [ ! -s refused ]; then
        echo "ok   refused: $words"
    else
        echo "FAIL refused: '$words': exit $got, wanted $code: $(grep 'czhpc: error:' err | head -n 2)"
    fi
}
: >empty.log
echo 'no journal at all' >text.log
head -c 20000 /dev/urandom >garbage.log
{ head -n 1 hard.log; sed -n '1s/hard/easy/p' hard.log; } >two.log
sed '3s/"op_code":[0-9]*/"op_code":99/' hard.log >unknown.log
refuse 3 'empty.log: holds no study' empty.log
refuse 3 'text.log:1:' text.log
refuse 3 'garbage.log' garbage.log
refuse 3 'missing.log' missing.log
refuse 3 'empty' empty
refuse 3 'unknown.log:3:' unknown.log
refuse 3 "there is no study 'neither'; it holds " two.log --name neither
refuse 2 'czhpc study needs a journal'
timeout 60 mpirun -np 1 "$czhpc" study hard.log --out text.log/in >again 2>err </dev/null
[ $? -eq 4 ] && grep -q 'czhpc: error: .*text.log: the folder cannot be created' err && [ -s again ]
verdict $? 'where no folder can be made the study is shown all the same'
find . -newer two.log -name '*-figures' | grep -q .
verdict $((! $?)) 'what is refused makes no folder'
timeout 60 "$czhpc" study two.log --out two >out 2>err </dev/null &&
    grep -q '^Studies  *.*, easy.*: the first is shown, --name takes another$' out
verdict $? 'of two studies the first is shown, and both are named'
