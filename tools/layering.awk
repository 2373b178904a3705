# Proves that includes run strictly downwards, that outside libraries stay in their rooms, and
# that nothing below main ends the process: awk -f tools/layering.awk FILE...
# Prints FILE:LINE: what is wrong; exit status 1 if anything was.

BEGIN {
    # The rooms from bottom to top. A file may include its own room and those of a lower rank.
    rank["base"] = 0
    rank["ops"] = rank["comm"] = rank["config"] = rank["h5"] = 1
    rank["nn"] = rank["data"] = rank["store"] = 2
    rank["model"] = 3
    rank["train"] = rank["embed"] = 4
    rank["search"] = rank["report"] = 5
    rank["job"] = 6
    rank["main"] = 7

    # Public headers whose name is not that of their room, or begins with it and "_".
    split("arena bytes cores cpus file json limits log mapped param pool profile rng space status tensor text thread version", base)
    for (i in base) room_of[base[i]] = "base"
    room_of["backend"] = room_of["gpu"] = "ops"
    room_of["layers"] = room_of["params"] = room_of["schedule"] = "nn"
    room_of["label_table"] = "data"
    room_of["safetensors"] = room_of["study"] = "store"
    room_of["tokenizer"] = "data"
    room_of["bert"] = "model"
    room_of["probe"] = "h5"
    room_of["mpi_error"] = "comm"
    room_of["results"] = "report"
    room_of["sampler"] = room_of["queue"] = "search"
    room_of["usage"] = "job"

    # Outside headers, and the only rooms that may see them.
    allowed["hdf5.h"] = "h5 data store"
    allowed["yaml.h"] = "config"
    allowed["cuda"] = allowed["nccl"] = allowed["cublas"] = "cuda"
}

function complain(text)
{
    printf "%s:%d: %s\n", FILENAME, FNR, text
    wrong = 1
}

function room_of_file(path,   part)
{
    if (split(path, part, "/") == 2) return path == "src/main.c" ? "main" : part[1]
    if (part[1] == "src") return part[2]
    if (part[1] == "include") return room_of_header(part[3])
    return part[1]
}

function room_of_header(name)
{
    sub(/\.h$/, "", name)
    if (name in room_of) return room_of[name]
    if (name in rank) return name
    sub(/_.*/, "", name)
    return name in rank ? name : ""
}

function check_own(name,   header, other)
{
    if (name !~ /^czhpc\//) {
        if (name ~ /\//) complain("#include \"" name "\": a private header stands beside its users")
        return
    }
    header = substr(name, 7)
    other = room_of_header(header)
    if (other == "") {
        complain(name " belongs to no room: add it to tools/layering.awk")
    } else if (room == "cuda") {
        if (other !~ /^(base|ops|comm)$/) complain("cuda/ may not include " name)
    } else if (other != room && rank[other] >= rank[room]) {
        complain(room " may not include " name ", of " other)
    }
}

function check_outside(name,   key)
{
    for (key in allowed)
        if (index(name, key) == 1 && (" " allowed[key] " ") !~ (" " room " "))
            complain("<" name "> is for " allowed[key] " only")
}

# The line without its comments and string literals.
function code(line)
{
    gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
    if (comment) {
        if (!sub(/^.*\*\//, "", line)) return ""
        comment = 0
    }
    gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", line)
    if (sub(/\/\*.*$/, "", line)) comment = 1
    sub(/\/\/.*$/, "", line)
    return line
}

FNR == 1 {
    room = room_of_file(FILENAME)
    comment = 0
    checked = room in rank || (room == "cuda" && FILENAME !~ /^cuda\/emulated\//) # which is for tests
    if (!checked && FILENAME ~ /^(src|include)\//)
        complain("folder or header of no room: add it to tools/layering.awk")
}

!checked { next }

/^[ \t]*#[ \t]*include/ {
    name = $0
    sub(/^[^<"]*[<"]/, "", name)
    sub(/[>"].*$/, "", name)
    if ($0 ~ /</) check_outside(name)
    else check_own(name)
    next
}

{
    line = code($0)
    if (room == "main") next
    if (line ~ /(^|[^A-Za-z0-9_])(exit|abort|assert|quick_exit|MPI_Abort)[ ]*\(/)
        complain("only src/main.c ends the process: return a cz_status")
    if (line ~ /MPI_COMM_WORLD/ && room != "comm")
        complain("MPI_COMM_WORLD is for src/comm and src/main.c only: use a cz_comm")
    if (line ~ /(^|[^A-Za-z0-9_])(perror[ ]*\(|fprintf[ ]*\([ ]*stderr)/ && \
        FILENAME !~ /^src\/(base\/log|report\/progress)\.c$/)
        complain("only src/base/log.c and the progress bar write to stderr: use cz_fail() or cz_warn()")
}

END { exit wrong }
