#!/usr/bin/env bash
# Runs test programs, side by side; then, one at a time, MPI test programs (on 1 to 4 ranks, those of
# GPUs on 1 and 2) and scripts; each under a time limit:
#   run_checks.sh TEST... -- MPI_TEST... -- SCRIPT...
# Operations and mpi_gpu* are tested on an emulated GPU too, or on that of CZHPC_CUDA_PLUGIN where it
# is set; other programs see no plug-in but where they ask for one.
# Counts their "ok", "FAIL" and "SKIP" lines; a program that dies without a FAIL line, or says
# nothing, counts as failed. Ends with "N passed, N failed"; its exit status is the verdict.
set -u
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_hwloc_base_binding_policy=none
cd "$(dirname "$0")/.." || exit 1
# For SAN=address: whole stacks, so that what Open MPI never frees is told from our leaks.
export ASAN_OPTIONS=fast_unwind_on_malloc=0:allocator_may_return_null=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}
export LSAN_OPTIONS=suppressions=$PWD/validation/lsan.supp:print_suppressions=0
log=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$log"' EXIT
passed=0 failed=0 skipped=0
plugin=${CZHPC_CUDA_PLUGIN:-$PWD/$BUILD/libczhpc_emulated.so}
unset CZHPC_CUDA_PLUGIN CZHPC_VARIANT

# In the background: what a program says, how it ends and how long it took, in $log.
measure() { # name seconds command...
    local name=$1 limit=$2 started=$SECONDS status
    shift 2
    timeout --kill-after=10 "$limit" "$@" >"$log/$name.out" 2>"$log/$name.err" </dev/null &
    trap 'kill $! 2>/dev/null; exit' TERM
    wait $!
    status=$?
    echo "$status $((SECONDS - started))" >"$log/$name.ended"
    mv "$log/$name.ended" "$log/$name.end"
}

tell() { # name
    local out=$log/$1.out status seconds ok bad skip
    read -r status seconds <"$log/$1.end" || status=lost seconds=0
    ok=$(grep -c '^ok' "$out") bad=$(grep -c '^FAIL' "$out") skip=$(grep -c '^SKIP' "$out")
    if { [ "$status" != 0 ] && [ "$bad" -eq 0 ]; } || [ $((ok + bad + skip)) -eq 0 ]; then
        bad=$((bad + 1))
        echo "FAIL $1: exit status $status$([ "$status" = 124 ] && echo ', over its time limit')" >>"$out"
    fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
    printf '%-44s %4d ok %3d failed %3d skipped %4d s\n' "$1" "$ok" "$bad" "$skip" "$seconds"
    grep '^SKIP' "$out"
    if [ "$bad" -ne 0 ]; then grep '^FAIL' "$out"; tail -n 20 "$log/$1.err"; fi
}

# At most so many at once; told in the order in which they began.
begun=() told=0
begin() { # how-many name seconds command...
    local most=$1
    shift
    case $1 in *"${ONLY:-}"*) ;; *) return ;; esac
    while [ "$(jobs -rp | wc -l)" -ge "$most" ]; do wait -n; done
    while [ "$told" -lt ${#begun[@]} ] && [ -e "$log/${begun[told]}.end" ]; do tell_next; done
    measure "$@" &
    begun+=("$1")
}
tell_next() {
    tell "${begun[told]}"
    told=$((told + 1))
}
tell_all() {
    wait
    while [ "$told" -lt ${#begun[@]} ]; do tell_next; done
}

kind=0
for item in "$@"; do
    if [ "$item" = -- ]; then
        tell_all
        kind=$((kind + 1))
        continue
    fi
    name=$(basename "$item")
    case $kind in
    0) begin "$(nproc)" "$name" 300 env CZHPC_CUDA_PLUGIN="$plugin" "$item" ;;
    1) gpu=()
        case $name in mpi_gpu*) gpu=(env CZHPC_CUDA_PLUGIN="$plugin") ;; esac
        counts="1 2 3 4"
        [ ${#gpu[@]} -eq 0 ] || counts="1 2" # emulated ones take their time
        for ranks in $counts; do
            begin 1 "$name on $ranks" 300 mpirun -np "$ranks" "${gpu[@]}" "$item"
        done ;;
    2) begin 1 "$name" 900 "$item" ;;
    esac
done
tell_all
[ $skipped -eq 0 ] || echo "$skipped skipped, each named above"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
