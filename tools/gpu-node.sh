#!/usr/bin/env bash
# Packs czhpc for a machine with a GPU on which nothing can be installed (make gpu-node):
#   tools/gpu-node.sh [--plugin FILE] [--nccl] [FOLDER]
# FOLDER (build/gpu-node/czhpc-gpu) and FOLDER.tar.gz hold the program, its plug-in, the tests of
# operations and of training on a GPU, and every library that they open; FOLDER/run starts them
# there. Needs a build (make gpu-node makes all it uses).
#   --plugin FILE   instead of ./libczhpc_cuda.so, such as the emulation's
#   --nccl          and NCCL (190 MB more), for a machine without PyTorch
#
# What is copied are the files that this machine's programs load, as ldd and Open MPI find them:
# they are Debian's packages as they were tested here, in one folder that needs no dpkg.
# Not copied, for the machine has its own, and newer ones serve programs that were linked to older
# ones, never the reverse: the C library and its loader (two versions of which do not mix within a
# process), libstdc++ and libgcc (the plug-in and NCCL want those of the machine).
# Nor cublasLt (540 MB) nor, unless asked, NCCL (218 MB): `run` finds them in the CUDA toolkit or
# beside PyTorch. Nor gnuplot, whose libraries are 57 MB: figures are left out, which czhpc says;
# tools/figures.sh draws those of a run that was brought back.
set -euo pipefail
cd "$(dirname "$0")/.."

plugin=libczhpc_cuda.so nccl='' folder=build/gpu-node/czhpc-gpu
while [ $# -gt 0 ]; do
    case $1 in
    --plugin) plugin=${2:?}; shift ;;
    --nccl) nccl=yes ;;
    -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    -*) echo "gpu-node: unknown option '$1'" >&2; exit 2 ;;
    *) folder=$1 ;;
    esac
    shift
done
BUILD=${BUILD:-build/release}
PROGRAMS=(test_linear test_rows test_gemm test_attention test_norm test_loss test_pool test_bf16
    test_heads test_operation_order test_model test_model_pytorch mpi_gpu dump_cells)
WHERE=$(dirname "$(ldconfig -p | awk '/libmpi\.so/ {print $NF; exit}')") # /lib/x86_64-linux-gnu

fail() { echo "gpu-node: $*" >&2; exit 1; }
[ -f "$BUILD/czhpc" ] || fail "$BUILD/czhpc is missing: make gpu-node"
[ -f "$plugin" ] || fail "$plugin is missing: make gpu-node (needs nvcc)"
[ -d "/usr$WHERE/openmpi/lib/openmpi3" ] || fail "no Open MPI 4 of Debian's here"

rm -rf "$folder" "$folder.tar.gz"
lib=$folder/usr/lib
mkdir -p "$lib" "$folder/usr/bin" "$folder/$BUILD/validation"

# The programs where a checkout has them, so that tests find their files and the checks run in both.
own() {
    local program
    strip --strip-debug -o "$folder/$BUILD/czhpc" "$BUILD/czhpc"
    for program in "${PROGRAMS[@]}"; do
        [ -f "$BUILD/validation/$program" ] || { echo "gpu-node: no $program in this build"; continue; }
        strip --strip-debug -o "$folder/$BUILD/validation/$program" "$BUILD/validation/$program"
    done
    cp "$plugin" "$folder/$BUILD"
    cp --parents -r configs validation/fixtures/model validation/small.yaml validation/reference \
        validation/gpu tools/gpu-check.sh tools/bench/gpu_peer.py tools/bench/peer.py "$folder"
    rm -rf "$folder"/validation/*/__pycache__
    git describe --always --dirty >"$folder/version" 2>/dev/null || true
}

# Open MPI, laid out as Debian has it, and PMIx, which it starts processes by. Components for
# fabrics and for OpenSHMEM, which would bring theirs along, are left out: two ranks talk through
# shared memory.
mpi() {
    local component
    cp -L /usr/bin/mpirun /usr/bin/orted "$folder/usr/bin"
    mkdir -p "$lib/openmpi3" "$folder/usr/share"
    for component in "/usr$WHERE"/openmpi/lib/openmpi3/mca_*.so; do
        if ! ldd "$component" | grep -qE 'lib(ucp|ibverbs|fabric|psm|nl-|oshmem)'; then
            cp -L "$component" "$lib/openmpi3"
        fi
    done
    cp -r /usr/share/openmpi "$folder/usr/share"
    cp -rL /etc/openmpi "$folder/usr/etc"
    mkdir -p "$lib/pmix2"
    cp -rL "/usr$WHERE/pmix2/lib" "/usr$WHERE/pmix2/share" "$lib/pmix2"
    rm -f "$lib"/pmix2/lib/libpmix.* # `libraries` brings it
    find "$lib/pmix2" -name '*.la' -delete
}

# All libraries that what was copied loads, but for those that must be the machine's.
libraries() {
    local here='^(linux-vdso|ld-linux|libc|libm|libdl|librt|libpthread|libresolv|libutil|libstdc\+\+|libgcc_s|libcublasLt|libnccl|libcuda|libcudart)[.-]'
    # ldd fails on scripts, which it is shown too.
    { find "$folder" -type f \( -name '*.so*' -o -perm -u+x \) -exec ldd {} + 2>/dev/null || true; } |
        awk '$2 == "=>" && $3 ~ /^\// {print $1, $3}' | sort -u |
        while read -r name path; do
            [[ $name =~ $here ]] || [ -e "$lib/$name" ] || cp -L "$path" "$lib/$name"
        done
    [ -z "$nccl" ] || cp -L "$(ldconfig -p | awk '/libnccl\.so\.2/ {print $NF; exit}')" "$lib/libnccl.so.2"
}

write_run() {
    cat >"$folder/run" <<'END'
#!/usr/bin/env bash
# Starts a program of this folder with its libraries, wherever the folder lies:
#   ./run czhpc configs/demo.yaml        ./run mpirun -np 2 czhpc configs/demo.yaml
#   ./run build/release/validation/test_gemm
# Only programs of this folder: a machine's own are not to meet these libraries.
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
# cublasLt and NCCL: the loader's, else the toolkit's, else those beside PyTorch.
cuda=''
find_library() {
    local name=$1 place
    ldconfig -p 2>/dev/null | grep -q "$name" && return
    for place in "$here/usr/lib" ${LD_LIBRARY_PATH//:/ } /usr/local/cuda/lib64 \
        /usr/local/cuda/targets/*/lib /usr/local/cuda-*/lib64 $beside_torch; do
        [ -e "$place/$name" ] && { cuda=$cuda:$place; return; }
    done
    return 1
}
beside_torch=$(python3 - 2>/dev/null <<'PYTHON'
import glob, importlib.util as u
found = u.find_spec("nvidia")
for place in found.submodule_search_locations if found else []:
    print(*glob.glob(place + "/*/lib"))
PYTHON
)
missing=''
for name in libcublasLt.so.13 libnccl.so.2; do find_library $name || missing="$missing $name"; done
[ -z "$missing" ] || echo "run: not found on this machine, so no GPU can be used:$missing" >&2
export PATH=$here/build/release:$here/usr/bin:$PATH
export LD_LIBRARY_PATH=$here/usr/lib$cuda${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export OPAL_PREFIX=$here/usr OPAL_SYSCONFDIR=$here/usr/etc OPAL_LIBDIR=$here/usr/lib
export OPAL_PKGLIBDIR=$here/usr/lib/openmpi3 OPAL_PKGDATADIR=$here/usr/share/openmpi
export PMIX_PREFIX=$here/usr/lib/pmix2 PMIX_LIBDIR=$here/usr/lib/pmix2/lib
export PMIX_PKGLIBDIR=$here/usr/lib/pmix2/lib/pmix PMIX_PKGDATADIR=$here/usr/lib/pmix2/share/pmix
export PMIX_SYSCONFDIR=$here/usr/lib/pmix2/share
export PMIX_MCA_mca_base_component_path=$PMIX_PKGLIBDIR
export HWLOC_PLUGINS_PATH=$here/usr/lib/hwloc # none: not those of the machine's own hwloc
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
# One machine: nobody to reach by ssh, which a bare one lacks.
export OMPI_MCA_plm=isolated OMPI_MCA_btl=self,vader OMPI_MCA_pml=ob1
export OMPI_MCA_btl_vader_single_copy_mechanism=none # containers forbid it
exec "$@"
END
    chmod +x "$folder/run"
}

# What is packed starts, and its plug-in loads: a missing symbol shows only then.
try() {
    local said
    said=$(CZHPC_CUDA_PLUGIN=$(realpath "$folder")/$BUILD/$(basename "$plugin") "$folder/run" czhpc \
        validation/small.yaml --results "$folder/tried" --set train.epochs=1 --set run.device=cuda 2>&1) || true
    rm -rf "$folder/tried"
    grep -qE 'CUDA says|^Device +GPU' <<<"$said" || fail "what was packed does not run: $(grep -m 1 error <<<"$said")"
}

own
mpi
libraries
write_run
find "$lib" -name '*.so*' -type f -exec strip --strip-unneeded {} + 2>/dev/null || true
try
tar -C "$(dirname "$folder")" -cf - "$(basename "$folder")" | gzip -9 >"$folder.tar.gz"
echo "gpu-node: $folder ($(du -sh "$folder" | cut -f1)) and $folder.tar.gz ($(du -h "$folder.tar.gz" | cut -f1))"
