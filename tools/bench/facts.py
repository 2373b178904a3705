"""What a report of a benchmark says of its machine."""

import datetime
import json
import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from runs import BUILD, ROOT

RESULTS = ROOT / "results" / "bench"


def first_line(*command):
    """Of what a command prints; None where it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except OSError:
        return None
    return done.stdout.strip().split("\n")[0] or None if done.returncode == 0 else None


def kernels(threads, level=None):
    """Level and peak of czhpc's kernels in each precision, up to a level: others may slow a moment,
    so that the highest of several counts."""
    command = [BUILD / "tools" / "bench" / "machine", str(threads), *filter(None, [level])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench: the machine's peak could not be measured: {done.stderr}")
    return json.loads(done.stdout)


def higher(before, now):
    return {key: max(before[key], now[key], key=lambda k: k["peak_gflops"]) for key in now}


def cpu_line(key):
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(key):
            return line.split(":", 1)[1].strip()
    return ""


def caches():
    """As "L1 48K, L2 2048K, L3 307200K", data and unified ones, of core 0."""
    found = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level, size = (
            (folder / name).read_text().strip() for name in ("type", "level", "size")
        )
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found)


def extensions():
    """Those that decide of a CPU's speed in fp32 and bf16."""
    flags = cpu_line("flags").split()
    wanted = ("fma", "avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return " ".join(flag for flag in wanted if flag in flags)


def version_of(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def commit():
    name = first_line("git", "rev-parse", "--short", "HEAD")
    return name and name + (" with changes" if first_line("git", "status", "-s", "-uno") else "")


def describe(threads, level=None):
    """Of the machine and of the software; no name of the host."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    linux = ".".join(platform.release().split(".")[:2])
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "?")
    blas = first_line("pkg-config", "--modversion", "openblas")
    return {
        "cpu": cpu_line("model name") or platform.processor(),
        "extensions": extensions(),
        "caches": caches(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_gib": round(memory, 1),
        "system": f"{system}, Linux {linux}",
        "compiler": first_line("mpicc", "--version"),
        "mpi": first_line("mpirun", "--version"),
        "blas": blas and f"OpenBLAS {blas}",
        "czhpc": first_line(str(BUILD / "czhpc"), "--version"),
        "commit": commit(),
        "torch": version_of("torch"),
        "transformers": version_of("transformers"),
        "python": platform.python_version(),
        "kernels": kernels(threads, level),
        "held_to": level,
        "load_before": os.getloadavg()[0],
    }


def lines(facts):
    """The same for people."""
    peaks = (
        f"{k['backend']}: {k['peak_gflops']:.0f} GFLOP/s of multiply-adds"
        for k in facts["kernels"].values()
    )
    return [
        f"{facts['cpu']}, {facts['cores']} cores; {facts['extensions']}; {facts['caches']}; "
        f"{facts['memory_gib']} GiB",
        f"{facts['system']}; {facts['compiler']}; {facts['mpi']}; {facts['blas']}",
        f"{facts['czhpc']}, commit {facts['commit']}; PyTorch {facts['torch']}, "
        f"transformers {facts['transformers']}, Python {facts['python']}",
        f"peak on {facts['threads']} threads, {'; '.join(peaks)}",
        f"load before {facts['load_before']:.1f}",
        *([f"both held to {facts['held_to']}"] if facts["held_to"] else []),
    ]


def slug(text):
    """The name of a CPU as that of a file: Intel(R) Xeon(R) Processor is intel-xeon-processor."""
    plain = re.sub(r"\((R|TM)\)|CPU|@.*", " ", text, flags=re.I).lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "cpu"


def place(part=""):
    """results/bench/CPU-DATE[-PART], without its ending."""
    day = datetime.date.today().isoformat()
    return RESULTS / "-".join(filter(None, (slug(cpu_line("model name")), day, part)))


def write(path, report, text):
    """PATH.json and PATH.md."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for ending, content in ((".json", json.dumps(report, indent=1)), (".md", text)):
        Path(f"{path}{ending}").write_text(content + "\n")
    print(f"written to {path}.json and .md")
