# Turns what `make -n` prints into a compile_commands.json for clang-tidy, cppcheck and editors:
#   make -nB all | awk -v mpi='-isystem DIR' -v agreeing='FILE...' -f tools/compile_commands.awk
# mpi: what mpicc adds; agreeing: the files that define what tools/lint_agree.h describes.
# Kernels are compiled once a variant; the first one, portable fp32, stands for all.

# A command as a JSON string. make's strings are quoted for the shell, '"x"'; here they become
# \"x\", which all readers understand, and that once more for JSON.
function json(text,   i, letter, out)
{
    for (i = 1; i <= length(text); i++) {
        letter = substr(text, i, 1)
        if (letter == "'") continue
        out = out (letter == "\"" ? "\\\\\\\"" : letter)
    }
    return "\"" out "\""
}

/ -c -o / {
    file = $NF
    if (seen[file]++) next
    sub(/^[ \t]*[^ ]+/, "cc " mpi)
    gsub(/-MMD |-MP /, "")
    gsub(/-mprefer-vector-width=[0-9]+/, "") # clang does not know it
    sub(/-DCZ_NAME=.*"'/, "-DCZ_NAME='\"kernels\"'") # it holds a space
    if (index(" " agreeing " ", " " file " ") == 0) sub(/ -c /, " -include tools/lint_agree.h&")
    printf "%s{\"directory\": \"%s\", \"file\": \"%s\", \"command\": %s}", \
        (n++ ? ",\n" : "[\n"), ENVIRON["PWD"], file, json($0)
}

END { print "\n]" }
