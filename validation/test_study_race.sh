#!/usr/bin/env bash
# Many processes on one study, some killed at random moments: no trial is lost, none is there twice,
# none is told twice, and all that was told is right.
#   PROCESSES, TRIALS, KILLS   16, 128, 12
#   STUDY                      the journal, else a file that is removed
set -u
play=${BUILD:-build/release}/validation/play_study
processes=${PROCESSES:-16} trials=${TRIALS:-128} kills=${KILLS:-12} steps=3
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
study=${STUDY:-$work/study.log}
RANDOM=${SEED:-7}
# A trial is taken over after 3 s, the lock of a dead process after half of that.
export CZHPC_LEASE=3
[ -x "$play" ] || { echo "SKIP the race: $play is not built"; exit 0; }

started=0
declare -a workers
start() { # place
    "$play" run "$study" race "$trials" $steps >"$work/out.$started" 2>"$work/err.$started" &
    workers[$1]=$!
    started=$((started + 1))
}

failed=0
verdict() { # status of a condition, text
    if [ "$1" -eq 0 ]; then echo "ok   $2"; else echo "FAIL $2"; failed=$((failed + 1)); fi
}

began=$SECONDS
for ((i = 0; i < processes; i++)); do start $i; done
killed=0
for ((k = 0; k < kills; k++)); do
    sleep "0.$(printf %03d $((RANDOM % 250)))"
    victim=$((RANDOM % processes))
    if kill -KILL "${workers[$victim]}" 2>/dev/null; then
        killed=$((killed + 1))
        wait "${workers[$victim]}" 2>/dev/null
        start $victim
    fi
done
bad=0
for worker in "${workers[@]}"; do wait "$worker" || bad=$((bad + 1)); done
took=$((SECONDS - began))

asked=$(cat "$work"/out.* | grep -c '^asked')
[ $bad -eq 0 ] && [ "$asked" -gt "$trials" ]
verdict $? "$processes processes, $trials trials, $killed killed, $((asked - trials)) taken over, $took s"
[ $bad -eq 0 ] || sort "$work"/err.* | uniq -c | head >&2

"$play" dump "$study" race >"$work/dump" || exit 1
states=$(grep -c '^   "state": 1,' "$work/dump")
[ "$states" -eq "$trials" ] && [ "$(grep -c '^   "number":' "$work/dump")" -eq "$trials" ]
verdict $? "every trial is there once and complete ($states)"

# What its owner heard, and what stands in the file.
twice=$(cat "$work"/out.* | grep '^told' | sort | uniq -d | wc -l)
lines=$(grep -c '"op_code":6' "$study")
[ "$twice" -eq 0 ] && [ "$lines" -eq "$trials" ]
verdict $? "none is told twice ($twice heard, $lines in the file)"

# number + step / 100, whoever ran it
awk -v steps=$steps '
    /^   "number":/ { number = $2 + 0 }
    /^   "value":/ { value = $2 + 0; if (value - number - steps / 100 > 1e-9 || number + steps / 100 - value > 1e-9) exit 1 }
' "$work/dump" && [ "$(grep -c '^    \[' "$work/dump")" -eq $((steps * trials)) ]
verdict $? 'every step and value is the right one'
[ $failed -eq 0 ]
