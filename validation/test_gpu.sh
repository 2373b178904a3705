#!/usr/bin/env bash
# Jobs on GPUs, emulated ones: which device a job takes and why, what it says where there is none,
# runs, lists and searches on them, and what becomes of a job whose GPU fails.
set -u
cd "$(dirname "$0")/.." || exit 1
czhpc=$(realpath "${CZHPC:-./czhpc}")
plugin=$(realpath "${BUILD:-build/release}/libczhpc_emulated.so") || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
tiny=(--results "$work" --set synthetic.cells=300 --set synthetic.width=32 --set train.batch=64
    --set train.epochs=3 --set model.fusion_dim=16 --set model.latents=4 --set model.latent_dim=16
    --set model.feedforward=16 --set checkpoint.every_steps=2)

nvidia-smi -L >/dev/null 2>&1 ||
    echo "SKIP a real GPU, tensor cores, NCCL between GPUs, speed: tools/gpu-check.sh where there is one"

verdict() { # name status
    if [ "$2" -eq 0 ]; then echo "ok   $1"; else echo "FAIL $1: $(tail -n 5 "$work/out")"; fi
}

job() { # ranks gpus option...: exit status; words in $work/out
    local ranks=$1 gpus=$2
    shift 2
    CZHPC_CUDA_PLUGIN=$plugin CZHPC_EMULATED_GPUS=$gpus timeout 200 mpirun -np "$ranks" "$czhpc" \
        validation/small.yaml "${tiny[@]}" "$@" >"$work/out" 2>&1
}

ended() { # status expected-status words: one message
    [ "$1" -eq "$2" ] && [ "$(grep -c 'czhpc: error:' "$work/out")" -eq 1 ] &&
        grep -q "czhpc: error: .*$3" "$work/out"
}

# No GPU: auto goes on and says why, cuda ends.
without() { # what words czhpc environment...
    local what=$1 words=$2 program=$3
    shift 3
    env "$@" "$program" validation/small.yaml --dry-run >"$work/out" 2>&1 &&
        grep -q "^device  *CPU: .*$words" "$work/out"
    verdict "$what: auto takes the CPU and says why" $?
    env "$@" "$program" validation/small.yaml "${tiny[@]}" --name none --set run.device=cuda \
        >"$work/out" 2>&1
    ended $? 4 "$words"
    verdict "$what: cuda ends with one message" $?
}
mkdir "$work/alone"
cp -r "$czhpc" configs "$work/alone/"
echo text >"$work/text.so"
echo 'struct { int abi; void *call[2]; } czhpc_gpu_plugin = {9999, {0, 0}};' >"$work/other.c"
without 'no plug-in' 'there is no plug-in for CUDA here' "$work/alone/czhpc" CZHPC_CUDA_PLUGIN=
without 'a plug-in that is no library' 'does not load: .*text.so' "$czhpc" \
    CZHPC_CUDA_PLUGIN="$work/text.so"
if ${CC:-cc} -shared -fPIC -o "$work/other.so" "$work/other.c" 2>/dev/null; then
    without 'a plug-in of another version' 'other.so is not of this version' "$czhpc" \
        CZHPC_CUDA_PLUGIN="$work/other.so"
else
    echo 'SKIP a plug-in of another version: there is no compiler'
fi
without 'no driver' 'driver version is insufficient' "$czhpc" CZHPC_CUDA_PLUGIN="$plugin" \
    CZHPC_EMULATED_GPUS=driver
without 'no device' 'no CUDA-capable device' "$czhpc" CZHPC_CUDA_PLUGIN="$plugin" \
    CZHPC_EMULATED_GPUS=0

# What only CPUs have.
for key in run.precision=fp64 run.level=avx2; do
    job 2 2 --name refused --set run.device=cuda --set $key
    ended $? 2 "run.device: cuda, but ${key%=*}.* is for them alone"
    verdict "run.device: cuda with $key is refused" $?
done
job 1 1 --name cpu --set run.precision=fp64 &&
    grep -q '^Device  *CPU: run.precision: fp64 is for them alone' "$work/out"
verdict 'fp64 goes to the CPU where there is a GPU, and says why' $?

# Whole runs.
job 3 2 --dry-run --set run.device=cuda &&
    grep -q '^device  *GPU 0 of 2 for rank 0; ranks share' "$work/out" &&
    grep -q '^memory  *about [0-9]* MiB' "$work/out"
verdict '--dry-run says that 3 ranks would share 2 GPUs' $?
job 2 2 --name whole --set run.device=cuda &&
    grep -q '^Device  *GPU 0 of 2, emulated GPU 0, 4 GiB$' "$work/out" &&
    grep -q '"device": "emulated GPU 0"' "$work/whole/summary.json" &&
    grep -q '"backend": "cuda, bf16"' "$work/whole/summary.json"
verdict '2 ranks on 2 GPUs: a run and its summary' $?
if command -v gnuplot >/dev/null; then
    [ "$(find "$work/whole/figures" -name '*.png' | wc -l)" -ge 5 ]
    verdict 'its figures are there' $?
else
    echo 'SKIP figures of a run on GPUs: there is no gnuplot'
fi
job 3 2 --name shared --set run.device=cuda --set train.epochs=1 &&
    grep -q '^Device  *GPU 0 of 2, .*; ranks share GPUs' "$work/out"
verdict '3 ranks share 2 GPUs' $?
CZHPC_CUDA_AWARE_MPI=1 job 2 1 --name direct --set run.device=cuda --set train.epochs=1 &&
    grep -q '"transport": "mpi"' "$work/direct/summary.json"
verdict '2 ranks share a GPU, whose memory MPI sums in' $?

# A GPU fails: one message on all ranks, the cause's, and the last state goes on to
# the bytes of an unbroken run.
fails() { # name rank fault words [gpus]
    local command=("$czhpc" validation/small.yaml "${tiny[@]}" --name "$1" --set run.device=cuda)
    local faulty=(env CZHPC_EMULATED_FAULT="$3" "${command[@]}")
    local both=("${faulty[@]}" : -np 1 "${command[@]}")
    if [ "$2" -eq 1 ]; then both=("${command[@]}" : -np 1 "${faulty[@]}"); fi
    CZHPC_CUDA_PLUGIN=$plugin CZHPC_EMULATED_GPUS=${5:-2} CZHPC_EMULATED_PATIENCE=4 timeout 200 \
        mpirun -np 1 "${both[@]}" >"$work/out" 2>&1
    ended $? 4 "$4"
    verdict "$1 of one rank's GPU: exit status 4 and one message" $?
}
fails 'no memory' 1 memory:9 'GPU 1 (emulated GPU 1): no memory for an array'
fails 'a failed kernel' 1 kernel:300 'GPU 1 (emulated GPU 1): .* failed: unspecified launch failure'
CZHPC_CUDA_AWARE_MPI=1 \
    fails 'a failed kernel beside MPI' 1 kernel:300 'GPU 0 .* failed: unspecified launch failure' 1
fails 'a lost rank' 0 remote:9 'NCCL says remote process exited'
fails 'a lost sum' 1 nccl:9 'a rank or its GPU has stopped answering'
job 2 2 --name 'a failed kernel' --resume --set run.device=cuda &&
    cmp -s "$work/whole/metrics.jsonl" "$work/a failed kernel/metrics.jsonl" &&
    cmp -s "$work/whole/model.safetensors" "$work/a failed kernel/model.safetensors"
verdict 'resumed after a failed kernel, the bytes of an unbroken run' $?
job 2 2 --name 'a lost sum' --resume --set run.device=cpu &&
    grep -q 'on cuda, bf16, it goes on with 2 on cpu' "$work/out"
verdict 'resumed after a lost sum on CPUs' $?

# Several trainings in a job: each has what it asks for.
cat >"$work/list.yaml" <<'END'
synthetic: {cells: 300, width: 32}
model: {tokens: 4, heads: 4, fusion_dim: 16, feedforward: 16, latents: 4, latent_dim: 16}
train: {epochs: 1, batch: 64}
eval: {bayes: false}
run: {threads: 1}
search: {trials: 3, epochs: 1, confirm: 0, space: [train.lr = 1e-4 .. 1e-2 log]}
END
several() { # file name option...
    local file=$1 name=$2
    shift 2
    CZHPC_CUDA_PLUGIN=$plugin CZHPC_EMULATED_GPUS=2 timeout 200 mpirun -np 2 "$czhpc" "$file" \
        --results "$work" --name "$name" "$@" >"$work/out" 2>&1
}
several "$work/list.yaml" search --search-hparams --train-model &&
    grep -q '"device": "emulated GPU 0"' "$work/search/summary.json"
verdict 'a search of 3 trials and the training after it, on GPUs' $?
cat >>"$work/list.yaml" <<'END'
experiments:
  - name: base
  - {name: cpu, set: {run.device: cpu}}
  - {name: exact, set: {run.precision: fp64}}
  - {name: single, set: {run.precision: fp32}}
END
several "$work/list.yaml" list
status=$?
backends=$(find "$work/list" -name summary.json -exec grep -h '"backend"' {} +)
[ $status -eq 0 ] && [ "$(grep -c '"cpu, ' <<<"$backends")" -eq 2 ] &&
    [ "$(grep -c '"cuda, ' <<<"$backends")" -eq 2 ] && grep -q 'fp64' <<<"$backends" &&
    grep -q '"cuda, fp32"' <<<"$backends"
verdict 'of a list each item has the device that it asks for' $?
several "$work/list.yaml" late --experiment 3 &&
    grep -q '^Device  *GPU' "$work/out"
verdict 'one of the list alone, on a GPU' $?
sed 's/run.device: cpu/run.device: cuda/' "$work/list.yaml" >"$work/cpus.yaml"
several "$work/cpus.yaml" cpus --set run.device=cpu
grep -q 'run.device: cuda of one item, but the job has no GPUs: run.device says so' "$work/out" &&
    [ "$(find "$work/cpus" -name summary.json | wc -l)" -eq 3 ]
verdict 'an item that wants a GPU in a job on CPUs fails alone' $?
several "$work/list.yaml" small --set run.memory=20
grep -q 'takes about [0-9]* MiB of this rank beside the cells, but 0 are left of run.memory' "$work/out"
verdict 'a list on GPUs that does not fit into run.memory says so' $?

# Stopped between steps.
epochs=10
start() {
    job 2 2 --name stopped --resume --set run.device=cuda --set train.epochs=$epochs
}
start &
started=$!
log=$work/stopped/czhpc.log
until grep -q 'epoch ' "$log" 2>/dev/null || ! kill -0 $started 2>/dev/null; do sleep 0.02; done
pkill -USR1 -f -- "^[^ ]*czhpc.*--results $work .*--name stopped"
wait $started
status=$?
[ $status -eq 75 ] && grep -q 'Stopped by a signal after' "$work/out"
verdict 'SIGUSR1 stops a job on GPUs, its state saved' $?
start && job 2 2 --name unbroken --set run.device=cuda --set train.epochs=$epochs &&
    cmp -s "$work/stopped/metrics.jsonl" "$work/unbroken/metrics.jsonl" &&
    cmp -s "$work/stopped/model.safetensors" "$work/unbroken/model.safetensors"
verdict 'resumed, the bytes of an unbroken job' $?
