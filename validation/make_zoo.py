"""AnnData files of every form by real versions of AnnData, and what those read out of them.

    make_zoo.py FOLDER             writes zoo.tar.xz: the files, and zoo.json
    make_zoo.py FOLDER --compare   makes zoo.json anew and compares it with the one there

Each version runs zoo_forms.py in an environment of its own, which is made under $CZHPC_ZOO
(default: czhpc-zoo in the folder for temporary files) out of PyPI and kept. It needs Python 3.11,
and 3.12 for AnnData 0.13. zoo.json: {"values": [list, ...], "files": {FILE: {...}}}, where the
files name their lists by number, so that what is equal has equal numbers."""
import argparse
import glob
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

OLD = ["numpy==1.23.5", "scipy==1.9.3", "h5py==3.8.0", "pandas==1.5.3"]
MIDDLE = ["numpy==1.26.4", "scipy==1.13.1", "h5py==3.16.0", "pandas==2.2.3"]
NEW = ["h5py==3.16.0"]
VERSIONS = {
    "0.7.8": ("3.11", ["anndata==0.7.8", *OLD]),
    "0.8.0": ("3.11", ["anndata==0.8.0", *OLD]),
    "0.10.9": ("3.11", ["anndata==0.10.9", *MIDDLE]),
    "0.12": ("3.11", ["anndata==0.12.19", *NEW, "numpy==2.4.6", "scipy==1.17.1", "pandas==2.3.3"]),
    "0.13": ("3.12", ["anndata==0.13.4", *NEW, "numpy==2.5.5", "scipy==1.18.1", "pandas==3.1.1"]),
}
# The name of a set of files, and the version that writes them.
SETS = {**{version: version for version in VERSIONS}, "edited": "0.12"}


def interpreter(version):
    """A Python of this version, or None."""
    known = [f"python{version}", *glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python"))]
    for python in known:
        if shutil.which(python) and subprocess.run([python, "-c", "import venv, ensurepip"],
                                                   capture_output=True, check=False).returncode == 0:
            return python
    return None


def environment(version):
    """The interpreter with this AnnData, made where it is not there yet; None without Python."""
    root = os.environ.get("CZHPC_ZOO", os.path.join(tempfile.gettempdir(), "czhpc-zoo"))
    folder = os.path.join(root, version)
    python = os.path.join(folder, "bin", "python")
    needs, packages = VERSIONS[version]
    if subprocess.run([python, "-c", "import anndata"], capture_output=True,
                      check=False).returncode if os.path.exists(python) else True:
        base = interpreter(needs)
        if base is None:
            return None
        subprocess.run([base, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
    return python


def write_files(folder):
    """The files, and what AnnData reads of each: {file: ...}; and the sets that cannot be made."""
    read, missing = {}, []
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zoo_forms.py")
    for name, version in SETS.items():
        python = environment(version)
        if python is None:
            missing.append(name)
            continue
        subprocess.run([python, script, name, folder], check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(folder, f"{name}.json"), encoding="utf-8") as file:
            read.update(json.load(file))
        os.remove(os.path.join(folder, f"{name}.json"))
    return read, missing


def share(read):
    """Lists by number."""
    values, number = [], {}

    def visit(node):
        if isinstance(node, dict):
            return {key: visit(node[key]) for key in node}
        text = json.dumps(node)
        if text not in number:
            number[text] = len(values)
            values.append(node)
        return number[text]

    files = visit(read)
    return {"values": values, "files": files}


def differences(files):
    """What two files of one table do not have in common."""
    first, found = {}, []

    def visit(node, place, file):
        if isinstance(node, dict):
            for key in node:
                visit(node[key], f"{place}/{key}", file)
        elif first.setdefault(place, (node, file))[0] != node:
            found.append(f"{place}: {file} and {first[place][1]}")

    for file in files:
        visit(files[file], "", file)
    return found


def restore(shared):
    def visit(node):
        return {key: visit(node[key]) for key in node} if isinstance(node, dict) else shared["values"][node]

    return visit(shared["files"])


def pack(folder, archive):
    def plain(entry):
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(archive, "w:xz") as tar:
        for name in sorted(os.listdir(folder)):
            tar.add(os.path.join(folder, name), name, filter=plain)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--compare", action="store_true")
    arguments = parser.parse_args()
    archive = os.path.join(arguments.folder, "zoo.tar.xz")
    with tempfile.TemporaryDirectory() as folder:
        read, missing = write_files(folder)
        shared = share(read)
        for line in differences(shared["files"]):
            print("differs:", line)
        if not arguments.compare:
            if missing:
                sys.exit(f"make_zoo: no Python for {', '.join(missing)}: nothing is written")
            with open(os.path.join(folder, "zoo.json"), "w", encoding="utf-8") as file:
                json.dump(shared, file, ensure_ascii=False)
            pack(folder, archive)
            print(f"wrote {len(read)} files and their truth to {archive}")
            return
    with tarfile.open(archive) as tar:
        committed = restore(json.load(tar.extractfile("zoo.json")))
    failed = False
    for name in missing:
        print(f"SKIP {name}: no Python {VERSIONS[SETS[name]][0]}")
    for file in sorted({*committed, *read}):
        if file.split(" ")[0] in missing:
            continue
        same = committed.get(file) == read.get(file)
        failed = failed or not same
        print(f"{'ok  ' if same else 'FAIL'} {file} as AnnData reads it")
    sys.exit(failed)


main()
