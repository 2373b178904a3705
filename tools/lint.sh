#!/usr/bin/env bash
# Formatting, layering, clang-tidy, cppcheck and shellcheck over the whole tree: tools/lint.sh
# Each prints one line, and what it found above it. Exit status 0: nothing found.
set -u
cd "$(dirname "$0")/.." || exit 1
database=build/lint
mkdir -p $database
log=$database/log
cores=$(nproc)
bad=0

mapfile -t C_FILES < <(git ls-files -co --exclude-standard '*.c' '*.h')
mapfile -t CUDA_FILES < <(git ls-files -co --exclude-standard '*.cu' '*.cpp')
mapfile -t SHELL_FILES < <(git ls-files -co --exclude-standard '*.sh' .ci/run '*.sbatch')

verdict() { # name status: prints what was found, if anything, and the verdict
    if [ "$2" -eq 0 ]; then echo "ok   $1"; return; fi
    cat $log
    echo "FAIL $1"
    bad=$((bad + 1))
}

there() {
    command -v "$1" >/dev/null && return
    echo "FAIL $1 is not installed: tools/setup.sh --lint"
    bad=$((bad + 1))
    return 1
}

# Writes compile_commands.json and prints the names of its sources.
write_database() {
    local mpi agreeing
    mpi=$(mpicc -show -c x.c 2>/dev/null | grep -oE -- '-I[^ ]+' | sed 's/^-I/-isystem /' | paste -sd' ')
    agreeing=$(grep -lE '^cz_status cz_comm_(agree|broadcast)\(' src/comm/*.c | paste -sd' ')
    make -nB all CONFIG=debug 2>/dev/null |
        awk -v mpi="$mpi" -v agreeing="$agreeing" -f tools/compile_commands.awk \
            >$database/compile_commands.json
    sed -n 's/.*"file": "\([^"]*\)".*/\1/p' $database/compile_commands.json
}

if there clang-format; then
    clang-format --dry-run -Werror "${C_FILES[@]}" "${CUDA_FILES[@]}" >$log 2>&1
    verdict 'formatting (clang-format -i mends it)' $?
fi

awk -f tools/layering.awk "${C_FILES[@]}" "${CUDA_FILES[@]}" >$log 2>&1
verdict 'layering' $?

mapfile -t SOURCES < <(write_database)
if there clang-tidy; then
    printf '%s\n' "${SOURCES[@]}" |
        xargs -P "$cores" -n 1 clang-tidy --quiet -p $database --warnings-as-errors='*' \
            >$database/clang-tidy.log 2>$database/clang-tidy.err
    status=$?
    # Without the analyser's paths, which fill pages.
    grep -hE -A 2 '(error|warning): ' $database/clang-tidy.log >$log || cat $database/clang-tidy.err >$log
    verdict "clang-tidy (${#SOURCES[@]} files; more in $database/clang-tidy.log)" $status
fi

if there cppcheck; then
    cppcheck --quiet --project=$database/compile_commands.json -j "$cores" --error-exitcode=1 \
        --enable=warning,performance,portability --inline-suppr --suppress=missingIncludeSystem \
        --suppress=uninitvar:src/ops/vector.h \
        >$log 2>&1
    verdict 'cppcheck' $?
fi

if there shellcheck; then
    shellcheck "${SHELL_FILES[@]}" >$log 2>&1
    verdict 'shellcheck' $?
fi

[ $bad -eq 0 ]
