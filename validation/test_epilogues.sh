#!/usr/bin/env bash
# Linear layers on a GPU whose cublasLt has no product with an epilogue: bias, ReLU and a bias's
# gradient follow by kernels of their own.
set -u
cd "$(dirname "$0")/.." || exit 1
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
export CZHPC_CUDA_PLUGIN=$PWD/$BUILD/libczhpc_emulated.so CZHPC_EMULATED_EPILOGUES=none

for test in test_linear test_gemm test_model_pytorch; do
    "$BUILD/validation/$test" >"$log" 2>&1
    status=$? passed=$(grep -c '^ok.*cuda' "$log")
    if [ $status -eq 0 ] && [ "$passed" -gt 0 ]; then
        echo "ok   without epilogues: the $passed verdicts of $test on a GPU"
    else
        grep '^FAIL' "$log"
        echo "FAIL without epilogues: $test, exit status $status, $passed verdicts on a GPU passed"
    fi
done
