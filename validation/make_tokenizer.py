"""Texts and their ids by the tokenizers library: make_tokenizer.py validation/fixtures [--compare]

Writes tokenizer/cased and tokenizer/uncased: small vocabularies and cases.txt, which
test_tokenizer.c reads. --compare computes the cases again, and compares the built test_tokenizer
($BUILD/validation/test_tokenizer) with the library on much more:
    all labels of the cell ontology, where ../shared/data/cell_ontology.tsv is there
    nasty texts, random ones, and every code point
each by the small vocabularies, by a large one that knows every character, so that no difference
hides behind [UNK], and by the model folder that CZHPC_BERT names.
"""
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile

import tokenizers
from tokenizers import Tokenizer
from tokenizers.implementations import BertWordPieceTokenizer

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ONTOLOGY = os.path.join(os.path.dirname(__file__), "../../shared/data/cell_ontology.tsv")
PROGRAM = os.path.join(os.environ.get("BUILD", "build/release"), "validation/test_tokenizer")
RANDOM = 100000
# Normalisers other than BERT's two, as tokenizer.json may ask for them.
RULES = [dict(zip(("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), yes))
         for yes in ((0, 0, 0, 0), (0, 1, 1, 0), (1, 0, 0, 1), (0, 0, 1, 1), (0, 1, 0, 1))]
RULES = [{name: bool(yes) for name, yes in rules.items()} for rules in RULES]

KINDS = """cell neuron astrocyte fibroblast macrophage monocyte lymphocyte oligodendrocyte
keratinocyte hepatocyte myoblast erythrocyte thymocyte interneuron progenitor precursor
melanocyte platelet podocyte pericyte""".split()
PLACES = """cerebellar cortical retinal hepatic renal pulmonary cardiac epidermal intestinal
pancreatic endothelial mesenchymal hematopoietic glutamatergic GABAergic dopaminergic cholinergic
Purkinje Schwann Kupffer Müller Sertoli Langerhans Leydig bipolar amacrine stellate naïve""".split()
SIGNS = ["CD4-positive, alpha-beta", "CD8-positive, alpha-beta", "CD14-low, CD16-positive",
         "type 1", "double negative", "L2/3-6 intratelencephalic projecting",
         "IgG-negative class switched", "non-classical", "Mus musculus (sensu)",
         "TRAV1-2+", "β-like", "γδ"]

# Characters and sequences that tokenizers are known to differ on.
ODD = [
    "\u00e9", "e\u0301", "\u00c5", "A\u030a", "\u1ec7", "e\u0302\u0323", "e\u0323\u0302", "\u00f1",
    "\u00d6", "\u00ff", "ﬁ", "ß", "ẞ", "ſ", "中文", "人", "日本語", "ひら\u304cな", "カ\u3099", "\u30ac",
    "ｶﾞ", "豈", "\U0002f800", "\U00020000", "\U0002b81d", "\U0002b920", "\U0002ceaf", "\U00030000",
    "\ud55c\uad6d\uc5b4", "\uac01", "\u1100\u1161\u11a8", "\uac01\u0301", "👩\u200d🔬", "👍🏽",
    "❤\ufe0f", "🇩🇪", "☃", "\u200b", "\u200c", "\u200d", "\ufeff", "\u2060", "\u00ad", "\u034f",
    "\u180e", "\u0000", "\u0001", "\u001b", "\u007f", "\u0085", "\u009f", "\ufffd", "\ufffe",
    "\ufff9", "Привет", "\u0439", "и\u0306", "\u0401", "\u038cΣΟΣ", "σς", "ΑΣ", "\u0390", "\u03ac",
    "\u03b0", "\u0130", "ı", "I\u0307", "i\u0307", "D\u017d", "ǅ", "ǆ", "Ⅷ", "Ⓐ", "Ａ", "𝐀", "𝒜",
    "Ⴀ", "ა", "Ა", "Ꭰ", "ꭰ", "\u0645\u064f\u062d\u064e\u0645\u064e\u0651\u062f", "\ufdfa",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629", "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd",
    "\u05e9\u05bc\u05c1", "ह\u093fन\u094dद\u0940", "क\u094dष\u093f", "নমস\u09cdক\u09beর", "க\u0bcb",
    "ไทย", "ภาษา", "ລາວ", "བ\u0f7cད་", "\u0f77", "\u0f73\u0f71", "\ue000", "\uf8ff", "\U000f0000",
    "\U0010fffd", "\u0378", "\U000e0001", "\U000e0100", "\U0001fbf0", "\u0300", "\u0345\u0300",
    "\u0300\u0345", "\u302e\u0301", "\u302f\u302e\u3099", "\U0001d165\U0001d16d", "\U0001d15e",
    "\u1b44\u0323", "\u0e38\u0301", "\u0345\u302e\u1b44\u0301\u3099", "\u05b0\u05b9\u302e",
    "\u0f71\u0f72\u0f74", "\u0dd9\u0dcf", "\u302e\u1b44", "a\u302e\u0cbf\u1b44",
    "\U0001d16d\U0001d165", "\uac00", "ѠѡѢѣ", "abcd☃", "½", "²", "№", "™", "µ", "Ω", "K", "\u00c5",
    "¼", "…", "—", "«", "»", "‘", "’", "“", "¿", "·", "،", "。", "、", "！", "・", "$", "+", "<", "=",
    ">", "^", "`", "|", "~", "_", "#", "##", "##s", "@", "€", "\\", "/", "\"", "[CLS]", "[SEP]",
    "[MASK]", "[PAD]", "[UNK]", "[mask]", "[Cls]", "[CLS", "CLS]", "[[CLS]]", "[ CLS ]",
    "[unused1]", "[ＣＬＳ]", "[CL\u200bS]", "[MASK]s", "x[SEP]y", "[SEP][SEP]", "[UNK]\u0301", "\t",
    "\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1f", " ", "  ", "\u00a0", "\u1680", "\u2000",
    "\u2009", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "don't", "U.S.A.", "3.14", "1e-5",
    "T-cell", "CD4+", "a", "b" * 99, "c" * 100, "d" * 101, "\u00e9" * 100, "\u00e9" * 101,
    "e\u0301" * 50, "e\u0301" * 101, "中" * 120, "x" * 5000, "cells", "Cells", "CELLS", "neuron",
    "unaffable", "na\u00efve", "M\u00fcller", "\u212a", "\u212b", "\u2126", "\u00b5",
]
DENSE = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x591, 0x700),
         (0x900, 0xE00), (0xE00, 0x1000), (0x1AB0, 0x1B80), (0x1DC0, 0x2070),
         (0x20D0, 0x2200), (0x2DE0, 0x3100), (0xA640, 0xAB70), (0xAC00, 0xD7A4),
         (0xF900, 0xFE30), (0xFE00, 0x10000), (0x10A00, 0x11C00), (0x1D100, 0x1D200),
         (0x1E000, 0x1E960), (0x1F300, 0x1F700), (0x2F800, 0x2FA20)]


def nasty(rng, count):
    texts = list(ODD) + ["", " ".join(ODD[:60]), "cell " * 600, "中" * 700]
    texts += [f"{mark}{c}{mark}" for c in ("[MASK]", "\u0301", "\u302e", "각") for mark in ODD[:20]]
    while len(texts) < count:
        texts.append(rng.choice(["", " ", ""]).join(rng.choices(ODD, k=rng.randint(2, 8))))
    return texts[:count]


def somewhere(rng):
    """A code point of any plane, or of one where something happens."""
    first, last = rng.choice(DENSE) if rng.random() < 0.7 else (0, 0x110000)
    c = rng.randrange(first, last)
    return chr(c) if not 0xD800 <= c < 0xE000 else "x"


def randoms(rng, count):
    texts = []
    for _ in range(count):
        text = "".join(somewhere(rng) for _ in range(rng.randint(1, 20)))
        texts.append(text if rng.random() < 0.8 else text + rng.choice(SPECIALS) + somewhere(rng))
    return texts


def all_code_points():
    chars = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    return [" ".join(f"a{c}b" for c in chars[i:i + 64]) for i in range(0, len(chars), 64)]


def small_labels(rng, count):
    texts = [f"{place} {kind}" for place, kind in itertools.product(PLACES, KINDS)]
    some = rng.sample(texts, 200)
    texts += [f"{sign} {text}" for sign, text in zip(itertools.cycle(SIGNS), some)]
    return rng.sample(texts, count)


def characters(texts, **rules):
    """Those that words hold after the texts are normalised."""
    some = BertWordPieceTokenizer({t: i for i, t in enumerate(SPECIALS)}, **rules)
    chars = set()
    for text in texts:
        chars.update(some.normalizer.normalize_str(text))
    return sorted(c for c in chars if not c.isspace() and c != "\0")


def small_vocabulary(lower):
    """Characters, beginnings and ends of words; cut so that many words need several pieces."""
    words = sorted({word for text in KINDS + PLACES + SIGNS for word in text.split()})
    words = [word.lower() for word in words] if lower else words
    chars = [c for c in characters(ODD + words, lowercase=lower) if c not in "☃👍ﷺ€人"]
    tokens = SPECIALS + [f"[unused{i}]" for i in range(5)]
    tokens += chars + ["##" + c for c in chars]
    for word in words:
        tokens += [word[:n] for n in (2, 3, 4, 6)] + ["##" + word[-n:] for n in (2, 3, 4, 5)]
        tokens += [word] if len(word) % 3 else []
        tokens += ["##" + word[2:5], "##" + word[3:6], word + "s" if word in KINDS else word[:5]]
    return [token for token in dict.fromkeys(tokens) if token != "##"]


def write_vocabulary(folder, tokens):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8", newline="") as out:
        out.write("".join(token + "\n" for token in tokens))


def by_vocabulary(folder, lower):
    return BertWordPieceTokenizer.from_file(os.path.join(folder, "vocab.txt"), lowercase=lower)


def by_json(folder):
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def case_lines(tokenizer, texts):
    for i in range(0, len(texts), 5000):
        some = texts[i:i + 5000]
        for text, got in zip(some, tokenizer.encode_batch(some)):
            yield f"{text.encode().hex()} {' '.join(map(str, got.ids))}\n"


def truncated_lines(tokenizer, texts, lengths=(2, 3, 4, 7, 16, 512)):
    for most in lengths:
        tokenizer.enable_truncation(most)
        yield from (f"{most}:{line}" for line in case_lines(tokenizer, texts))
    tokenizer.no_truncation()


def small(folder, lower):
    """The committed files, as {name: text}."""
    rng = random.Random(7)
    texts = small_labels(rng, 200)
    texts += [text for text in nasty(rng, len(ODD) + 180) if len(text) < 110]
    write_vocabulary(folder, small_vocabulary(lower))
    tokenizer = by_vocabulary(folder, lower)
    config = {"do_lower_case": lower, "model_max_length": int(1e30)}
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as out:
        out.write(json.dumps(config, indent=1) + "\n")
    if lower:
        tokenizer.save(os.path.join(folder, "tokenizer.json"), pretty=False)
    with open(os.path.join(folder, "cases.txt"), "w") as out:
        out.writelines(case_lines(tokenizer, texts))
        out.writelines(truncated_lines(tokenizer, texts[:2] + ["cell " * 10, "abcd☃", "☃ abcd☃"]))


def compare_files(made, committed):
    good = True
    for name in sorted(os.listdir(committed)):
        with open(os.path.join(committed, name), "rb") as file:
            old = file.read()
        with open(os.path.join(made, name), "rb") as file:
            same = file.read() == old
        print("ok   " if same else "FAIL ", os.path.basename(committed), "/", name,
              " is what tokenizers ", tokenizers.__version__, " gives", sep="")
        good = good and same
    return good


def compare_live(what, tokenizer, folder, lines, casing="auto"):
    """The built program on cases of this minute."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as cases:
        cases.writelines(lines)
        cases.flush()
        try:
            ran = subprocess.run([PROGRAM, folder, cases.name, casing], capture_output=True,
                                 text=True)
        except OSError as error:
            print(f"FAIL {what}: {error}")
            return False
    good = ran.returncode == 0 and ran.stdout.startswith("ok")
    count = ran.stdout.rsplit(": ", 1)[-1].split(" texts")[0] if good else "?"
    print("ok   " if good else "FAIL ", f"{what}: {count} texts", sep="")
    if not good:
        print(ran.stdout, ran.stderr, sep="", file=sys.stderr)
    return good


def large_vocabulary(folder, lower, texts, rules={}):
    """Every character that is left of the texts, as a token and as ##token."""
    rules = {"lowercase": lower, **rules}
    chars = characters(texts, **rules)
    write_vocabulary(folder, SPECIALS + chars + ["##" + c for c in chars])
    return BertWordPieceTokenizer.from_file(os.path.join(folder, "vocab.txt"), **rules)


def labels():
    if not os.path.exists(ONTOLOGY):
        return []
    with open(ONTOLOGY, encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t")[1] for line in file]


def live(fixtures, work):
    rng = random.Random()
    ontology, odd, random_texts = labels(), nasty(rng, 1000), randoms(rng, RANDOM)
    if not ontology:
        print("SKIP the labels of the cell ontology: cell_ontology.tsv is not there")
    points = all_code_points()
    many = {"labels": ontology, "nasty texts": odd, "random texts": random_texts}
    good = True

    def run(name, tokenizer, folder, casing="auto", more=()):
        nonlocal good
        for what, texts in itertools.chain(many.items(), more):
            if texts:
                good &= compare_live(f"{name}, {what}", tokenizer, folder,
                                     case_lines(tokenizer, texts), casing)
        good &= compare_live(f"{name}, truncated", tokenizer, folder,
                             truncated_lines(tokenizer, odd + ontology[:500]), casing)

    run("small cased", by_vocabulary(f"{fixtures}/cased", False), f"{fixtures}/cased")
    run("small uncased", by_json(f"{fixtures}/uncased"), f"{fixtures}/uncased")
    everything = ontology + odd + random_texts + points
    for number, rules in enumerate(RULES):
        folder = os.path.join(work, f"rules-{number}")
        tokenizer = large_vocabulary(folder, True, odd + random_texts[:20000], rules)
        tokenizer.save(os.path.join(folder, "tokenizer.json"))
        name = " ".join(key for key in rules if rules[key]) or "no rule"
        good &= compare_live(f"large, {name}", tokenizer, folder,
                             case_lines(tokenizer, odd + random_texts[:20000]))
    for casing in ("cased", "uncased"):
        folder = os.path.join(work, casing + "-large")
        tokenizer = large_vocabulary(folder, casing == "uncased", everything)
        run(f"large {casing}", tokenizer, folder, casing, [("every code point", points)])
    model = os.environ.get("CZHPC_BERT", "")
    if not model:
        print("SKIP a model's own vocabulary: CZHPC_BERT does not name its folder")
    elif os.path.exists(f"{model}/tokenizer.json"):
        run("CZHPC_BERT", by_json(model), model)
    if os.path.exists(f"{model}/vocab.txt"):
        folder = os.path.join(work, "vocabulary")
        os.makedirs(folder)
        os.symlink(os.path.abspath(f"{model}/vocab.txt"), f"{folder}/vocab.txt")
        for casing in ("cased", "uncased"):
            tokenizer = by_vocabulary(folder, casing == "uncased")
            run(f"CZHPC_BERT's vocab.txt, {casing}", tokenizer, folder, casing)
    return good


def main():
    fixtures = os.path.join(sys.argv[1], "tokenizer")
    if "--compare" not in sys.argv:
        for name in ("cased", "uncased"):
            small(os.path.join(fixtures, name), name == "uncased")
        return 0
    with tempfile.TemporaryDirectory() as work:
        good = True
        for name in ("cased", "uncased"):
            small(os.path.join(work, name), name == "uncased")
            good &= compare_files(os.path.join(work, name), os.path.join(fixtures, name))
        return 0 if live(fixtures, work) and good else 1


sys.exit(main())
