"""czhpc beside transformers: labels to vectors by BERT, on the same threads.

    tools/bench.sh labels [--rounds N] [--threads N] [--model DIR] [--labels FILE] [--output PATH]

All labels of the Cell Ontology (a line each, the label behind the last tab) through all-MiniLM-L6-v2,
[CLS]: czhpc's seconds are those of the tool `labels` from opening the model to the table, transformers'
those of tokenising and computing alone, with its model loaded and warm, in batches of 32: in the order
of the file, as its documentation has it, and sorted by length. Rounds take the three in turns; medians.
Then 16 labels through random weights of BioBERT's size (12 layers of 768, 433 MB): the seconds of the
whole process of czhpc. Writes results/bench/CPU-DATE-labels.json and .md, or PATH.json and .md.
"""

import argparse
import datetime
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import facts
from report import table
from runs import BUILD, MPI, ROOT

CZHPC = BUILD / "czhpc"
BATCH = 32


def czhpc(labels, model, threads, work):
    """Seconds of its own account, and of the whole process."""
    command = [CZHPC, "labels", labels, "--text-model", model, "--out", work / "out.h5"]
    command += ["--set", f"run.threads={threads}"]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    whole = time.perf_counter() - begun
    if done.returncode:
        sys.exit(f"bench: czhpc labels ended with {done.returncode}: {done.stderr}")
    return float(re.search(r"in ([0-9.]+) s", done.stderr).group(1)), whole


class Transformers:
    def __init__(self, folder, threads):
        import torch
        from transformers import AutoModel, AutoTokenizer

        torch.set_num_threads(threads)
        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder).eval()

    def seconds(self, labels, by_length):
        begun = time.perf_counter()
        order = sorted(labels, key=len) if by_length else labels
        with self.torch.inference_mode():
            for i in range(0, len(order), BATCH):
                batch = self.tokenizer(order[i : i + BATCH], padding=True, truncation=True, return_tensors="pt")
                self.model(**batch).last_hidden_state[:, 0].clone()
        return time.perf_counter() - begun


def whole_ontology(arguments, labels, work):
    file = work / "labels.txt"
    file.write_text("\n".join(labels) + "\n")
    peer = Transformers(arguments.model, arguments.threads)
    peer.seconds(labels[: 4 * BATCH], False)
    results = {"czhpc": [], "transformers, as they come": [], "transformers, sorted": []}
    for _ in range(arguments.rounds):
        results["czhpc"].append(czhpc(file, arguments.model, arguments.threads, work)[0])
        results["transformers, as they come"].append(peer.seconds(labels, False))
        results["transformers, sorted"].append(peer.seconds(labels, True))
    return results


def lines_of(results, labels, arguments):
    """A table of the medians."""
    own = statistics.median(results["czhpc"])
    rows = []
    for name, seconds in results.items():
        median = statistics.median(seconds)
        rows.append([name, f"{median:.2f}", f"{len(labels) / median:.0f}", f"{median / own:.2f}"])
    title = f"{len(labels)} labels, {Path(arguments.model).name}, {arguments.threads} threads, fp32"
    return [title, "", *table(("", "seconds", "labels/s", "times czhpc"), rows)]


def biobert_size(arguments, labels, work):
    from transformers import BertConfig, BertModel

    folder = work / "biobert"
    BertModel(BertConfig(vocab_size=28996), add_pooling_layer=False).save_pretrained(folder)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Cell"]
    tokens += [p + c for c in "abcdefghijklmnopqrstuvwxyz0123456789-,()" for p in ("", "##")]
    tokens += [f"[filler{i}]" for i in range(28996 - len(tokens))]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    file = work / "sixteen.txt"
    file.write_text("\n".join(labels[:: len(labels) // 16][:16]) + "\n")
    return [czhpc(file, folder, arguments.threads, work)[1] for _ in range(arguments.rounds)]


def main():
    parser = argparse.ArgumentParser(
        prog="tools/bench.sh labels", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default=os.environ.get("CZHPC_BERT", str(ROOT / "models/minilm")))
    parser.add_argument("--labels", type=Path, default=ROOT.parent / "shared/data/cell_ontology.tsv")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if not Path(arguments.model, "model.safetensors").exists():
        print("SKIP labels: no text model: tools/fetch_bert.sh fetches one")
        return
    if not arguments.labels.exists():
        print(f"SKIP labels: {arguments.labels} is not here: --labels FILE names another file of labels")
        return
    os.environ |= MPI
    machine = facts.describe(arguments.threads)
    lines = arguments.labels.read_text().splitlines()
    labels = list(dict.fromkeys(line.split("\t")[-1] for line in lines))
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        every = whole_ontology(arguments, labels, work)
        sixteen = biobert_size(arguments, labels, work)
    wall = f"{statistics.median(sixteen):.2f} s, start and loading included"
    text = lines_of(every, labels, arguments) + ["", f"16 labels through 12 layers of 768: {wall}"]
    print("\n".join(text) + "\n")
    head = [f"# Labels to vectors beside transformers, {datetime.date.today().isoformat()}", ""]
    head += [f"- {line}" for line in facts.lines(machine)]
    content = {"machine": machine, "labels": len(labels), "model": Path(arguments.model).name}
    content |= {"all_s": every, "sixteen_s": sixteen}
    facts.write(arguments.output or facts.place("labels"), content, "\n".join([*head, "", *text]))


main()
