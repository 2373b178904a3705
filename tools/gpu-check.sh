#!/usr/bin/env bash
# Checks and measures czhpc on this machine's GPU: in a checkout with a build (make gpu-check) or in
# the folder that tools/gpu-node.sh makes.
#   tools/gpu-check.sh [--log FILE] [--keep FOLDER] [PART]...
# Parts, each of at most 10 minutes; all of them unless some are named:
#   conformance   the tests of operations and of training, on the plug-in
#   parity        losses of some 100 steps beside the CPU's; a run that changes between both
#   sanitizer     memcheck and racecheck of a test and of training (compute-sanitizer)
#   bench         base.yaml's step beside PyTorch's best on this GPU
#   base          base.yaml whole: by 1 rank, and by 2 that share the GPU; time and memory
#   kernels       time of each kernel of a step (nsys or ncu)
# The log, results/gpu-check-DATE.log unless named, begins with the machine and ends with "N passed, N
# failed", the exit status' verdict. What cannot be run is SKIPped by name. CZHPC_CUDA_PLUGIN names
# another plug-in; with the emulation's, what needs a GPU is skipped. Runs are kept in FOLDER.
set -u
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
TESTS=(linear rows operation_order gemm attention norm loss pool bf16 heads model model_pytorch)

log='' keep='' parts=()
while [ $# -gt 0 ]; do
    case $1 in
    --log) log=${2:?}; shift ;;
    --keep) keep=${2:?}; shift ;;
    -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    conformance | parity | sanitizer | bench | base | kernels) parts+=("$1") ;;
    *) echo "gpu-check: '$1' is no part; --help lists them" >&2; exit 2 ;;
    esac
    shift
done
[ ${#parts[@]} -gt 0 ] || parts=(conformance parity sanitizer bench base kernels)
log=${log:-results/gpu-check-$(date +%Y%m%d-%H%M%S).log}
work=${keep:-$(mktemp -d)}
mkdir -p "$work" "$(dirname "$log")" || exit 1
[ -n "$keep" ] || trap 'rm -rf "$work"' EXIT
: >"$log" || exit 1
passed=0 failed=0 skipped=0 began=$SECONDS

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
plugin=$PWD/$BUILD/libczhpc_cuda.so
[ -f "$plugin" ] || plugin=$PWD/libczhpc_cuda.so
export CZHPC_CUDA_PLUGIN=${CZHPC_CUDA_PLUGIN:-$plugin}
python=python3 # with PyTorch
[ ! -x tools/python.sh ] || python=tools/python.sh
start=() # what programs are started by
[ ! -x run ] || start=("$PWD/run")
emulated='' gpu=''
case $CZHPC_CUDA_PLUGIN in *emulated*) emulated=yes ;; esac
if nvidia-smi -L >/dev/null 2>&1; then gpu=yes; fi

say() { printf '%s\n' "$*" | tee -a "$log"; }
ok() { passed=$((passed + 1)); say "ok   $*"; }
bad() { failed=$((failed + 1)); say "FAIL $*"; }
skip() { skipped=$((skipped + 1)); say "SKIP $*"; }
tell() { tail -n 5 "$1" | sed 's/^/     /' | tee -a "$log"; } # the end of an output
needs_gpu() { # part
    [ -n "$gpu" ] && [ -z "$emulated" ] && return
    skip "$1: needs a GPU"
    return 1
}

header() {
    say "date      $(date -u '+%F %T') UTC"
    say "machine   $(nvidia-smi -L 2>/dev/null | head -n 8 || true)"
    say "driver    $(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1)"
    say "CUDA      $(nvcc --version 2>/dev/null | tail -n 1)"
    say "CPU       $(awk -F ': ' '/model name/ {print $2; exit}' /proc/cpuinfo), $(nproc) cores"
    say "czhpc     $(cat version 2>/dev/null || git describe --always --dirty 2>/dev/null)"
    say "plug-in   $CZHPC_CUDA_PLUGIN"
    say "parts     ${parts[*]}"
}

# ---- running czhpc ----

job() { # seconds name ranks config options...: a run in $work/NAME, its words in $work/NAME.out
    local limit=$1 name=$2 ranks=$3 config=$4
    shift 4
    timeout --kill-after=10 "$limit" "${start[@]}" mpirun -np "$ranks" "$PWD/$BUILD/czhpc" "$config" \
        --results "$work" --name "$name" --set train.stopping=none --set eval.bayes=false "$@" \
        >"$work/$name.out" 2>&1 </dev/null && return
    bad "$name: exit status $?: $(grep -m 1 'error:' "$work/$name.out")"
    tell "$work/$name.out"
    return 1
}
timing() { # name key: a number of summary.json
    grep -oE "\"$2\": *[0-9.e+-]+" "$work/$1/summary.json" | head -n 1 | sed 's/.*: *//'
}
losses() { # name: the target's training loss of each epoch
    sed -E 's/.*"train":\{"[^"]*":\{"loss":([0-9.eE+-]+).*/\1/' "$work/$1/metrics.jsonl"
}
gap() { # name other: the largest of their losses' differences, as a part of the loss
    paste <(losses "$1") <(losses "$2") | awk 'NF != 2 {off = 1}
        {d = $1 - $2; d = (d < 0 ? -d : d) / $2; if (!(d <= most)) most = d}
        END {print !NR || off ? "inf" : most}'
}
below() { awk -v a="$1" -v b="$2" 'BEGIN {exit !(a + 0 == a && a <= b)}'; }
larger() { awk -v a="$1" -v b="$2" 'BEGIN {print (a > b ? a : b)}'; }

# ---- the parts ----

program() { # seconds name command...: counts its verdicts
    local limit=$1 name=$2 out=$work/$2.out good wrong lacks status
    shift 2
    timeout --kill-after=10 "$limit" "${start[@]}" "$@" >"$out" 2>"$out.err" </dev/null
    status=$?
    good=$(grep -c '^ok' "$out") wrong=$(grep -c '^FAIL' "$out")
    lacks=$(grep '^SKIP' "$out" | grep -c 'cuda')
    cat "$out" >>"$log"
    if [ "$wrong" -eq 0 ] && { [ $status -ne 0 ] || [ "$good" -eq 0 ]; }; then
        wrong=1
        say "FAIL $name: exit status $status$([ $status -eq 124 ] && echo ', over its time limit')"
        tell "$out.err"
    fi
    passed=$((passed + good)) failed=$((failed + wrong)) skipped=$((skipped + lacks))
    say "$(printf '%-28s %4d ok (%d on the GPU) %3d failed' "$name" "$good" "$(grep '^ok' "$out" | grep -c cuda)" "$wrong")"
    grep -E '^FAIL|^SKIP.*cuda' "$out"
}

conformance() {
    local name ranks
    for name in "${TESTS[@]}"; do
        if [ -x "$BUILD/validation/test_$name" ]; then
            program 120 "test_$name" "$PWD/$BUILD/validation/test_$name"
        else skip "test_$name: not in this build"; fi
    done
    [ -x "$BUILD/validation/mpi_gpu" ] || { skip 'mpi_gpu: not in this build'; return; }
    for ranks in 1 2; do
        program 200 "mpi_gpu on $ranks" mpirun -np $ranks "$PWD/$BUILD/validation/mpi_gpu"
    done
}

# Over 100 steps rounding grows: how far is seen on the CPU, between two levels of its kernels in
# fp32, and between bf16 and fp32. The GPU may be some times as far off. At a tenth of the demo's
# rate: at 1e-3 the CPU's own runs in bf16 are 3 % apart by then, whatever is right.
parity() {
    local config=configs/demo.yaml where far least=1e-6 set=()
    set=(--set synthetic.cells=1000 --set train.epochs=10 --set train.lr=1e-4 --set checkpoint.keep=100)
    [ -z "$emulated" ] || { config=validation/small.yaml; set=(--set train.epochs=6 --set checkpoint.keep=100); }
    for where in cuda cpu; do
        job 200 "$where-fp32" 1 "$config" "${set[@]}" --set run.device=$where --set run.precision=fp32 || return
        job 200 "$where-bf16" 1 "$config" "${set[@]}" --set run.device=$where --set run.precision=bf16 || return
    done
    for where in fp32 bf16; do
        job 200 "portable-$where" 1 "$config" "${set[@]}" --set run.device=cpu --set run.level=portable \
            --set run.precision=$where || return
    done
    far=$(larger "$(gap portable-fp32 cpu-fp32)" $least)
    near "fp32 on the GPU and the CPU" cuda-fp32 cpu-fp32 "$(awk -v x="$far" 'BEGIN {print 10 * x}')"
    far=$(larger "$(gap portable-bf16 cpu-fp32)" "$(gap cpu-bf16 cpu-fp32)")
    near "bf16 on the GPU and fp32 on the CPU" cuda-bf16 cpu-fp32 "$(awk -v x="$far" 'BEGIN {print 2 * x}')"
    far=$(larger "$(gap portable-fp32 cpu-fp32)" $least)
    for where in cpu cuda; do changes "$where" "$config" "$(awk -v x="$far" 'BEGIN {print 10 * x}')" "${set[@]}"; done
}
near() { # what name other most
    local found
    found=$(gap "$2" "$3")
    if below "$found" "$4"; then ok "$1: losses of $(steps_of "$2") steps differ by $found of them, at most $4"
    else bad "$1: losses of $(steps_of "$2") steps differ by $found of them, more than $4"; fi
}
steps_of() { tail -n 1 "$work/$1/metrics.jsonl" | grep -oE '"step":[0-9]+' | tr -dc '0-9'; }

changes() { # to config most options...: from the other's state in the middle
    local to=$1 config=$2 most=$3 from
    shift 3
    from=$([ "$to" = cpu ] && echo cuda || echo cpu)-fp32
    cp -r "$work/$from" "$work/to-$to"
    rm "$work/to-$to/summary.json"
    job 200 "to-$to" 1 "$config" "$@" --set run.device="$to" --set run.precision=fp32 \
        --resume "$work/to-$to/checkpoints/phase-0-epoch-003-step-000000.h5" || return
    grep -q '^Resumed  *after' "$work/to-$to.out" || { bad "to-$to: was not resumed"; return; }
    near "a state of $from goes on with $to" "to-$to" "$from" "$most"
}

sanitized() { # tool name command...: a SKIP where it is too slow or refuses the GPU
    local tool=$1 name="$1 of $2" out=$work/$1-$2.out status
    shift 2
    timeout --kill-after=10 110 compute-sanitizer --tool "$tool" --error-exitcode 9 "${start[@]}" "$@" >"$out" 2>&1 </dev/null
    status=$?
    if [ $status -eq 124 ]; then skip "$name: not done after 110 s"
    elif grep -qiE 'device not supported|unable to (attach|find)' "$out"; then skip "$name: $(grep -iE -m 1 'not supported|unable' "$out")"
    elif [ $status -eq 0 ] && grep -qE 'ERROR SUMMARY: 0 errors|\(0 errors' "$out"; then ok "$name: 0 errors"
    else
        bad "$name: exit status $status"
        tell "$out"
    fi
}
sanitizer() {
    local tool
    needs_gpu sanitizer || return
    command -v compute-sanitizer >/dev/null || { skip 'sanitizer: no compute-sanitizer here'; return; }
    for tool in memcheck racecheck; do
        sanitized $tool test_norm "$PWD/$BUILD/validation/test_norm"
        sanitized $tool training "$PWD/$BUILD/czhpc" validation/small.yaml --results "$work" \
            --name "$tool" --set run.device=cuda --set run.precision=bf16 --set train.epochs=1
    done
}

# czhpc, PyTorch, czhpc: a change of the machine's pace shows in the two of czhpc's.
bench() {
    local i peer=$work/peer.json ours
    needs_gpu bench || return
    $python -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null ||
        { skip 'bench: no PyTorch that sees the GPU'; return; }
    timeout 60 "${start[@]}" mpirun -np 1 "$PWD/$BUILD/validation/dump_cells" configs/base.yaml "$work/cells" \
        >"$work/dump.out" 2>&1 || { bad 'bench: dump_cells failed'; tell "$work/dump.out"; return; }
    for i in 1 2; do
        job 120 "bench-$i" 1 configs/base.yaml --set run.device=cuda --set run.precision=bf16 --set train.epochs=10 || return
        say "     czhpc: $(timing "bench-$i" ms_per_step) ms a step, $(timing "bench-$i" cells_per_s) cells/s, $(timing "bench-$i" graph_nodes) nodes"
        [ "$i" = 1 ] || break
        timeout --kill-after=10 300 $python tools/bench/gpu_peer.py "$work/cells" --output "$peer" >"$work/peer.out" 2>&1 ||
            say "     gpu_peer.py ended early, exit status $?: the forms before count"
        grep '^PyTorch' "$work/peer.out" | sed 's/^/     /' | tee -a "$log"
        [ -f "$peer" ] || { bad 'bench: no form of PyTorch ran'; tell "$work/peer.out"; return; }
    done
    ours=$(awk -v a="$(timing bench-1 cells_per_s)" -v b="$(timing bench-2 cells_per_s)" 'BEGIN {print (a + b) / 2}')
    ok "bench: czhpc $ours cells/s, $(awk -v a="$ours" -v b="$(sed -n 's/.*"best_cells_per_s": *\([0-9.e+]*\).*/\1/p' "$peer")" 'BEGIN {print a / b}') times PyTorch's best"
}

memory_of_gpu() { nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits | head -n 1; }
base() {
    local ranks before most now watcher
    needs_gpu base || return
    for ranks in 1 2; do
        before=$(memory_of_gpu)
        (most=0; while now=$(memory_of_gpu); do
            [ "$now" -le "$most" ] || { most=$now; echo "$most" >"$work/memory"; }
            sleep 0.3
        done) &
        watcher=$!
        job 280 "base-$ranks" $ranks configs/base.yaml --set run.device=cuda --set run.precision=bf16
        now=$?
        kill $watcher; wait $watcher 2>/dev/null
        [ $now -eq 0 ] || continue
        most=$(cat "$work/memory")
        grep -E '^Device|^Test|^  donor_id .*\[|^Time|^Training' "$work/base-$ranks.out" | sed 's/^/     /' | tee -a "$log"
        ok "base.yaml, $ranks rank(s): training $(timing "base-$ranks" train_s) s of $(timing "base-$ranks" steps) steps, $(timing "base-$ranks" ms_per_step) ms a step; $((most - before)) MiB of the GPU"
    done
}

kernels() {
    local few=(--results "$work" --name few --set run.device=cuda --set run.precision=bf16
        --set train.epochs=1 --set synthetic.cells=2000 --set eval.bayes=false)
    needs_gpu kernels || return
    if command -v nsys >/dev/null && timeout 200 nsys profile -o "$work/steps" --cuda-graph-trace=node \
        "${start[@]}" "$PWD/$BUILD/czhpc" configs/base.yaml "${few[@]}" >"$work/nsys.out" 2>&1 &&
        nsys stats -q -r cuda_gpu_kern_sum --format csv "$work/steps.nsys-rep" >"$work/kernels.csv" 2>/dev/null; then
        tee -a "$log" <"$work/kernels.csv"
        ok 'kernels: by nsys'
    elif command -v ncu >/dev/null && rm -rf "$work/few" && timeout 250 ncu --graph-profiling node --clock-control none \
        --cache-control none --metrics gpu__time_duration.sum --csv --print-units base --launch-count 240 --target-processes all \
        "${start[@]}" "$PWD/$BUILD/czhpc" configs/base.yaml "${few[@]}" >"$work/kernels.csv" 2>&1; then
        # Mean of each kernel, in the order of the step.
        grep '^"[0-9]' "$work/kernels.csv" | sed 's/","/\t/g; s/"//g' |
            awk -F '\t' '{x = $NF; gsub(",", "", x); if ($(NF - 1) ~ /^n/) x /= 1000
                    if (!($5 in n)) name[++k] = $5
                    n[$5]++; t[$5] += x}
                END {for (i = 1; i <= k; i++) printf "     %5d x %9.2f us  %s\n", n[name[i]], t[name[i]] / n[name[i]], name[i]}' |
            tee -a "$log"
        ok 'kernels: by ncu, of the first two steps'
    else skip 'kernels: neither nsys nor ncu gave a report here'; fi
}

header
for part in "${parts[@]}"; do
    say "== $part"
    if [ -z "$gpu$emulated" ]; then skip "$part: no GPU here (nvidia-smi -L), and no emulation was asked for"
    else $part; fi
done
say "$skipped skipped, each named above; $((SECONDS - began)) s"
say "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
