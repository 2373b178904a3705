"""The Unicode tables of the tokenizer, asked of the tokenizers library one code point at a time.

    make_unicode.py validation/fixtures [--compare]

Writes src/data/unicode_tables.c, and unicode_differences.txt: where the library, whose own tables
are of several Unicode versions, differs from Python's unicodedata. --compare says whether both
files are what the library gives today.
"""
import functools
import os
import sys
import unicodedata
from collections import Counter

import tokenizers
from tokenizers import normalizers, pre_tokenizers

CHARS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xAC00 + 11172)
OFF = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
LOWEST, HIGHEST = "\u0334", "\u0345"  # of all combining classes
TABLES = os.path.join(os.path.dirname(__file__), "..", "src", "data", "unicode_tables.c")
NFD = normalizers.NFD()


def bert(**options):
    return normalizers.BertNormalizer(**{**OFF, **options})


def each(normalizer, texts, apart="x"):
    """What becomes of each text, many at once."""
    results = []
    for i in range(0, len(texts), 2000):
        some = texts[i:i + 2000]
        got = normalizer.normalize_str(apart + apart.join(some) + apart).split(apart)[1:-1]
        if len(got) != len(some):  # one of them holds `apart`
            got = [normalizer.normalize_str(text) for text in some]
        results += got
    return results


def isolated():
    """(white space, punctuation) of the pre-tokenizer, within letters."""
    white, punctuation = set(), set()
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    for i in range(0, len(CHARS), 2000):
        some = CHARS[i:i + 2000]
        kept = dict((at[0], text) for text, at in split("x" + "x".join(some) + "x"))
        for k, c in enumerate(some):
            at = 2 * k + 1
            if kept.get(at) == c:
                punctuation.add(c)
            elif at not in kept and at + 1 in kept:
                white.add(c)
    return white, punctuation


def swapped(x, y):
    return NFD.normalize_str(x + y) == y + x


def classes(decomposed):
    """The combining class of each character that has one. Only the order of two classes shows; the
    numbers are those that unicodedata gives most members."""
    whole = [c for c, to in zip(CHARS, decomposed) if c == to]
    after = each(NFD, [c + LOWEST for c in whole])
    before = each(NFD, [HIGHEST + c for c in whole])
    movable = [c for c, a, b in zip(whole, after, before) if a != c + LOWEST or b != HIGHEST + c]
    movable += [c for c in (LOWEST, HIGHEST) if c not in movable]
    movable.sort(key=functools.cmp_to_key(lambda x, y: swapped(x, y) - swapped(y, x)))
    groups = []
    for c in movable:
        if groups and not swapped(c, groups[-1][0]) and not swapped(groups[-1][0], c):
            groups[-1].append(c)
        else:
            groups.append([c])
    numbers = [Counter(unicodedata.combining(c) for c in group if unicodedata.combining(c))
               .most_common(1)[0][0] for group in groups]
    assert numbers == sorted(set(numbers)), numbers
    return {c: number for group, number in zip(groups, numbers) for c in group}


def ask():
    cleaned = each(bert(clean_text=True), CHARS)
    chinese = each(bert(handle_chinese_chars=True), CHARS)
    lowered = each(bert(lowercase=True), CHARS)
    decomposed = each(NFD, CHARS)
    stripped = each(bert(strip_accents=True), CHARS)
    white, punctuation = isolated()
    found = {
        "dropped": {c for c, to in zip(CHARS, cleaned) if to == ""},
        "white": white,
        "punctuation": punctuation,
        "chinese": {c for c, to in zip(CHARS, chinese) if to == f" {c} "},
        "nonspacing": {c for c, to, out in zip(CHARS, decomposed, stripped) if to == c and not out},
        "class": classes(decomposed),
        "lower": {c: to for c, to in zip(CHARS, lowered) if to != c},
        "decomposition": {c: to for c, to in zip(CHARS, decomposed)
                          if to != c and ord(c) not in HANGUL},
    }
    # What the C code takes for granted.
    assert all(to in ("", " ", c) for c, to in zip(CHARS, cleaned))
    assert {c for c, to in zip(CHARS, cleaned) if to == " "} == white - found["dropped"]
    assert all(to in (c, f" {c} ") for c, to in zip(CHARS, chinese))
    assert all("".join(d for d in to if d not in found["nonspacing"]) == out
               for to, out in zip(decomposed, stripped))
    assert all(to == unicodedata.normalize("NFD", c)
               for c, to in zip(CHARS, decomposed) if ord(c) in HANGUL)
    assert max(map(len, decomposed)) <= 4 and max(map(len, lowered)) <= 3
    return found


def ranges(codes):
    """[first, last] of code points that follow each other."""
    found = []
    for c in sorted(codes):
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def runs(deltas):
    """[first, last, step, delta] of code points in equal steps that move alike."""
    found = []
    for c, delta in sorted(deltas.items()):
        last = found[-1] if found else None
        if last and delta == last[3] and c - last[1] == (last[2] or c - last[1]) <= 2:
            last[1], last[2] = c, c - last[1]
        else:
            found.append([c, c, 0, delta])
    return [[first, last, step or 1, delta] for first, last, step, delta in found]


def rows(kind, name, entries):
    """A table as C, as many entries on a line as fit."""
    lines, line = [], "   "
    for entry in entries:
        if len(line) + len(entry) + 2 > 100:
            lines.append(line)
            line = "   "
        line += f" {entry},"
    body = "\n".join(lines + [line])
    return (f"const {kind} {name}[] = {{\n{body}\n}};\n"
            f"const size_t {name}_size = {len(entries)};\n")


def braced(*numbers):
    return "{" + ",".join(f"0x{n:X}" if n > 9 else str(n) for n in numbers) + "}"


def tables(found):
    code = {name: {ord(c) for c in found[name]} for name in found}
    parts = [f"""\
/* Generated by tools/python.sh validation/make_unicode.py validation/fixtures
 * from tokenizers {tokenizers.__version__}, whose tables are of more than one Unicode version. */
/* clang-format off */
#include "unicode_tables.h"
"""]
    for name in ("dropped", "white", "punctuation", "chinese", "nonspacing"):
        parts.append(rows("unicode_range", f"unicode_{name}",
                          [braced(*r) for r in ranges(code[name])]))
    per_class = [(first, last, number) for number in sorted(set(found["class"].values()))
                 for first, last in ranges(ord(c) for c in found["class"]
                                           if found["class"][c] == number)]
    parts.append(rows("unicode_class_range", "unicode_classes",
                      [f"{{0x{a:X},0x{b:X},{n}}}" for a, b, n in sorted(per_class)]))
    single = {ord(c): ord(to) - ord(c) for c, to in found["lower"].items() if len(to) == 1}
    parts.append(rows("unicode_case_range", "unicode_lower_ranges",
                      [f"{{0x{first:X},0x{last:X},{step},{delta}}}"
                       for first, last, step, delta in runs(single)]))
    parts.append(rows("unicode_row", "unicode_lower_rows",
                      ["{%s,%s}" % (hex(ord(c)), braced(*map(ord, to)))
                       for c, to in sorted(found["lower"].items()) if len(to) > 1]))
    parts.append(rows("unicode_row", "unicode_decompositions",
                      ["{0x%X,%s}" % (ord(c), braced(*map(ord, to)))
                       for c, to in sorted(found["decomposition"].items())]))
    return "\n".join(parts)


def plain():
    """The same of unicodedata, as the Unicode standard and BERT's authors define them."""
    category = {c: unicodedata.category(c) for c in CHARS}
    ascii_signs = {c for c in CHARS[33:127] if not c.isalnum()}
    return {
        "dropped": {c for c in CHARS if (category[c] in ("Cc", "Cf", "Co") and c not in "\t\n\r")
                    or c == "\ufffd"},
        "white": {c for c in CHARS if category[c] in ("Zs", "Zl", "Zp") or c in "\t\n\v\f\r\x85"},
        "punctuation": {c for c in CHARS if category[c][0] == "P"} | ascii_signs,
        "nonspacing": {c for c in CHARS if category[c] == "Mn"},
        "class": {c: unicodedata.combining(c) for c in CHARS if unicodedata.combining(c)},
        "lower": {c: c.lower() for c in CHARS if c.lower() != c},
        "decomposition": {c: unicodedata.normalize("NFD", c) for c in CHARS
                          if ord(c) not in HANGUL and unicodedata.normalize("NFD", c) != c},
    }


def said(value):
    if value is None:
        return "none"
    return " ".join(f"{ord(c):04X}" for c in value) if isinstance(value, str) else str(value)


def differences(found):
    lines = [f"# Where tokenizers {tokenizers.__version__} differs from unicodedata "
             f"{unicodedata.unidata_version}: code points, tokenizers, unicodedata.\n"]
    for name, other in plain().items():
        ours = found[name]
        if isinstance(other, set):
            for yes, no, codes in (("yes", "no", ours - other), ("no", "yes", other - ours)):
                for first, last in ranges(map(ord, codes)):
                    lines.append(f"{name} {first:04X}-{last:04X} {yes} {no}\n")
            continue
        unlike = sorted(c for c in ours.keys() | other.keys() if ours.get(c) != other.get(c))
        moved = {c: (said(ours.get(c)), said(other.get(c))) for c in unlike}
        if name == "class":
            for pair in sorted(set(moved.values())):
                for first, last in ranges(ord(c) for c in moved if moved[c] == pair):
                    lines.append(f"{name} {first:04X}-{last:04X} {pair[0]} {pair[1]}\n")
        else:
            lines += [f"{name} {ord(c):04X} {a}, {b}\n" for c, (a, b) in moved.items()]
    return "".join(lines)


def compare(path, text):
    with open(path, encoding="ascii") as file:
        same = file.read() == text
    print("ok   " if same else "FAIL ", os.path.basename(path), " is what tokenizers ",
          tokenizers.__version__, " gives, of all ", len(CHARS), " code points", sep="")
    return same


def main():
    found = ask()
    beside = os.path.join(sys.argv[1], "unicode_differences.txt")
    wanted = {os.path.normpath(TABLES): tables(found), beside: differences(found)}
    if "--compare" in sys.argv:
        sys.exit(not all([compare(path, text) for path, text in wanted.items()]))
    for path, text in wanted.items():
        with open(path, "w", encoding="ascii") as out:
            out.write(text)


main()
