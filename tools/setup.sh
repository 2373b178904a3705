#!/usr/bin/env bash
# Installs what czhpc is built from, and says what it did; a second run finds nothing to do.
#   tools/setup.sh [--lint] [--bench] [--validate] [--fuzz] [--slurm]
#     (nothing)    compiler, MPI, parallel HDF5, libyaml, jansson, liblzf, libdeflate, OpenBLAS, LAPACKE,
#                  gnuplot
#     --lint       and what `make lint` runs
#     --bench      and .venv/ with PyTorch and transformers, for `make bench`
#     --validate   and .venv/ with PyTorch and the other oracles, for `make validate`
#     --fuzz       and clang with libFuzzer, for `make fuzz`
#     --slurm      and SLURM, for `make slurm-check`
# Only Debian's packages are installed, and only where a probe finds their content missing; on
# another system, or without root, it names what is missing. Exit status: 0 all there, 1 not.
set -u
cd "$(dirname "$0")/.." || exit 1

lint='' bench='' validate='' fuzz='' slurm=''
for option in "$@"; do
    case $option in
    --lint) lint=yes ;;
    --bench) bench=yes ;;
    --validate) validate=yes ;;
    --fuzz) fuzz=yes ;;
    --slurm) slurm=yes ;;
    -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) echo "setup: unknown option '$option'; one of --lint --bench --validate --fuzz --slurm" >&2; exit 2 ;;
    esac
done

missing=() remedies=() needed=''

# need PACKAGE 'what to do elsewhere than Debian' PROBE...: notes the package if the probe fails
need() {
    want "$@" || needed=yes
}
want() { # the same, where czhpc can do without
    local package=$1 remedy=$2
    shift 2
    "$@" >/dev/null 2>&1 && return
    missing+=("$package")
    remedies+=("$remedy")
    return 1
}

any_of() { # pkg-config names, one of which is enough
    local name
    for name in "$@"; do pkg-config --exists "$name" && return; done
    return 1
}
parallel_hdf5() { any_of hdf5-openmpi hdf5-mpich hdf5-mpi || command -v h5pcc; }
toolchain() { command -v cc && command -v c++ && command -v make && command -v ar; }
a_font() { [ -n "$(find /usr/share/fonts /usr/local/share/fonts ~/.fonts -name '*.ttf' -print -quit 2>/dev/null)" ]; }
venv_module() { python3 -c 'import venv, ensurepip'; }

clang_version() { # of the clang that is there, else of the one to come
    local found
    found=$(clang -dumpversion 2>/dev/null) ||
        found=$(apt-cache depends clang 2>/dev/null | grep -oE 'clang-[0-9]+' | tr -dc '0-9\n' | head -n 1)
    echo "${found%%.*}"
}
libfuzzer() { # a program that holds its main()
    local out status
    out=$(mktemp) || return
    echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
        clang -x c -fsanitize=fuzzer,address,undefined -o "$out" -
    status=$?
    rm -f "$out"
    return $status
}

look() {
    missing=() remedies=() needed=''
    local path='its .pc file in PKG_CONFIG_PATH'
    need build-essential 'a C11 and a C++20 compiler and GNU make in PATH' toolchain
    need pkg-config 'pkg-config (or pkgconf) in PATH' command -v pkg-config
    need openmpi-bin 'mpirun in PATH' command -v mpirun
    need libopenmpi-dev 'MPI 3: mpicc in PATH, or make MPICC=/path/to/mpicc' command -v mpicc
    need libhdf5-openmpi-dev "HDF5 built with MPI: $path, or h5pcc in PATH" parallel_hdf5
    need libyaml-dev "libyaml: $path" any_of yaml-0.1
    need libjansson-dev "jansson: $path" any_of jansson
    # Serial: czhpc calls it from its own threads. Debian's default is the threaded build.
    need libopenblas-serial-dev "OpenBLAS, serial build: $path" any_of openblas
    need liblzf-dev "liblzf: $path" any_of liblzf
    want libdeflate-dev "libdeflate: $path (gzip is unpacked faster)" any_of libdeflate
    need zlib1g-dev "zlib: $path" any_of libdeflate zlib
    need liblapacke-dev "LAPACKE: $path" any_of lapacke
    want gnuplot-nox 'gnuplot in PATH (figures only)' command -v gnuplot
    want fonts-dejavu-core 'a TrueType font (figures only)' a_font
    want hdf5-tools 'h5diff in PATH (tests only)' command -v h5diff
    want strace 'strace in PATH (tests only)' command -v strace
    want procps 'pkill in PATH (tests only)' command -v pkill
    want xz-utils 'xz in PATH (tests only)' command -v xz
    if [ -n "$lint" ]; then
        need clang-format 'clang-format in PATH' command -v clang-format
        need clang-tidy 'clang-tidy in PATH' command -v clang-tidy
        need cppcheck 'cppcheck in PATH' command -v cppcheck
        need shellcheck 'shellcheck in PATH' command -v shellcheck
    fi
    if [ -n "$fuzz" ]; then
        need clang 'clang in PATH' command -v clang
        need "libclang-rt-$(clang_version)-dev" "clang's libFuzzer and sanitizers" libfuzzer
    fi
    if [ -n "$slurm" ]; then
        need slurm-wlm 'slurmctld and slurmd, 22.05 or later, with PMIx' command -v slurmd
        need munge 'munged in PATH' command -v munged
        need iproute2 'ip in PATH' command -v ip
    fi
    if [ -n "$bench$validate" ]; then
        need python3-venv 'Python 3.10 or later with venv and pip' venv_module
    fi
}

# What gets root's rights: nothing, sudo, or "no" when there is neither.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then echo env
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then echo sudo
    else echo no
    fi
}

name_missing() {
    local i
    echo "setup: $1"
    for i in "${!missing[@]}"; do printf '  %-24s %s\n' "${missing[$i]}" "${remedies[$i]}"; done
}

install_packages() {
    local root
    if ! command -v apt-get >/dev/null; then
        name_missing "missing here; this is no Debian, so provide (Debian's name, what it is):"
        [ -z "$needed" ]
        exit
    fi
    root=$(as_root)
    if [ "$root" = no ]; then
        name_missing 'missing here, and installing needs root:'
        echo "ask an administrator for: apt-get install --no-install-recommends ${missing[*]}"
        [ -z "$needed" ]
        exit
    fi
    echo "setup: installing ${missing[*]}"
    local log
    log=$(mktemp)
    local apt=("$root" DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
    if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        echo 'setup: apt-get failed, see above' >&2
        exit 1
    fi
    rm -f "$log"
    look
    [ ${#missing[@]} -eq 0 ] || { name_missing 'still missing after the installation:'; exit 1; }
}

# A threaded OpenBLAS would start threads inside each of czhpc's own.
warn_of_threaded_blas() {
    local used
    used=/etc/alternatives/libopenblas.so.0-$(uname -m)-linux-gnu
    case $(readlink -f "$used" 2>/dev/null) in
    *-serial/* | '') ;;
    *) echo "setup: note: this system's OpenBLAS is a threaded build, and czhpc will be slower;" \
        "install libopenblas-serial-dev and choose it by: update-alternatives --config ${used##*/}" ;;
    esac
}

# PyPI's torch asks for gigabytes of CUDA packages. Where the CUDA toolkit is installed it is
# taken without them and finds the toolkit's libraries instead (tools/python.sh).
install_torch() {
    if [ -d /usr/local/cuda/lib64 ]; then
        "$pip" install -q typing_extensions filelock sympy networkx jinja2 fsspec numpy setuptools &&
            "$pip" install -q --no-deps torch nvidia-cufile nvidia-cusparselt-cu13 \
                nvidia-nvshmem-cu13 nvidia-nccl-cu13
    else
        "$pip" install -q torch numpy
    fi
}

python_packages() { # the import names that are missing
    local name
    for name in "$@"; do
        tools/python.sh -c "import importlib.util as u, sys; sys.exit(u.find_spec('$name') is None)" || echo "$name"
    done
}

install_python() {
    local name want=(torch numpy h5py tokenizers transformers) lacks other=()
    if [ -n "$validate" ]; then
        want+=(scipy pandas anndata scanpy sklearn yaml safetensors optuna)
    fi
    mapfile -t lacks < <(python_packages "${want[@]}")
    [ ${#lacks[@]} -gt 0 ] || return
    if [ -n "${VIRTUAL_ENV:-}" ]; then
        pip=$VIRTUAL_ENV/bin/pip
    else
        pip=.venv/bin/pip
        [ -d .venv ] || { echo 'setup: making .venv'; python3 -m venv .venv || exit 1; }
        mapfile -t lacks < <(python_packages "${want[@]}")
    fi
    echo "setup: installing with pip: ${lacks[*]}"
    for name in "${lacks[@]}"; do
        case $name in
        torch) install_torch || exit 1 ;;
        sklearn) other+=(scikit-learn) ;;
        yaml) other+=(pyyaml) ;;
        optuna) other+=(optuna==5.0.0) ;; # whose sampling is czhpc's
        tokenizers) other+=(tokenizers==0.23.3) ;; # the tables of src/data/unicode_tables.c
        *) other+=("$name") ;;
        esac
    done
    [ ${#other[@]} -eq 0 ] || "$pip" install -q "${other[@]}" || exit 1
    did=yes
}

did=''
look
if [ ${#missing[@]} -gt 0 ]; then
    install_packages
    did=yes
fi
warn_of_threaded_blas
if [ -n "$bench$validate" ]; then install_python; fi
if [ -n "$did" ]; then echo 'setup: done'; else echo 'setup: everything is there, nothing to do'; fi
