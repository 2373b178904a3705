"""Predictions of made-up heads, and every figure of theirs by scikit-learn, SciPy and NumPy.
validation/test_metrics.c computes the same.

    make_metrics.py FOLDER              writes metrics.json
    make_metrics.py FOLDER --compare    computes anew and compares with the file there
    make_metrics.py FOLDER --seed N     of other cells

Who says what: accuracy, balanced accuracy, F1, precision, recall, top-3, AUROC, Brier score and
the linear discriminant scikit-learn; intervals, temperature and log-softmax SciPy; calibration
error the bins of Guo et al. 2017, section 2, written out below (scikit-learn has none).
"""

import argparse
import json
import math
import sys
import warnings
from pathlib import Path

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_softmax
from scipy.stats import binomtest
from sklearn import metrics
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

TRAIN, VALIDATION, TEST = 0, 1, 2
BINS = 15
NAN = float("nan")


def share(right):
    """[n, value, low, high] of a list of hits."""
    n, k = len(right), int(np.sum(right))
    if n == 0:
        return [0, NAN, NAN, NAN]
    interval = binomtest(k, n).proportion_ci(0.95, method="wilson")
    return [n, k / n, interval.low, interval.high]


def calibration(p, best, truth):
    """Calibration error, and [n, confidence, accuracy] of bins ((i, i + 1] / 15)."""
    confidence, right = p[np.arange(len(best)), best], best == truth
    bin_of = np.searchsorted([(b + 1) / BINS for b in range(BINS - 1)], confidence, side="left")
    error, bins = 0.0, []
    for b in range(BINS):
        inside = bin_of == b
        n = int(inside.sum())
        if n == 0:
            bins.append([0, NAN, NAN])
            continue
        bins.append([n, float(confidence[inside].mean()), float(right[inside].mean())])
        error += n / len(best) * abs(bins[-1][2] - bins[-1][1])
    return error, bins


def slope(beta, lp, truth):
    """Derivative by beta = 1 / T of the mean negative log-likelihood of softmax(beta lp)."""
    p = np.exp(log_softmax(beta * lp, axis=1))
    return float(np.mean((p * lp).sum(axis=1) - lp[np.arange(len(truth)), truth]))


def temperature(lp, truth):
    if len(truth) == 0:
        return NAN
    if slope(0.01, lp, truth) >= 0:
        return 100.0
    if slope(100, lp, truth) <= 0:
        return 0.01
    t = 1 / brentq(slope, 0.01, 100, args=(lp, truth), xtol=1e-15, rtol=4 * np.finfo(float).eps)

    def loss(beta):
        return -np.mean(log_softmax(beta * lp, axis=1)[np.arange(len(truth)), truth])

    found = minimize_scalar(loss, bounds=(0.01, 100), method="bounded", options={"xatol": 1e-10})
    assert abs(found.x * t - 1) < 1e-5, (found.x, 1 / t)
    return t


def probabilities(lp, t, best, truth):
    """[loss, Brier score, calibration error], and the bins, at a temperature."""
    if len(truth) == 0 or math.isnan(t):
        return [NAN] * 3, [[0, NAN, NAN]] * BINS
    logs = log_softmax(lp / t, axis=1)
    p, classes = np.exp(logs), np.arange(lp.shape[1])
    loss = -float(logs[np.arange(len(truth)), truth].mean())
    if p.min() > 1e-14:  # scikit-learn clips what is smaller
        assert abs(metrics.log_loss(truth, p, labels=classes) - loss) < 1e-12 * (1 + loss)
    brier = metrics.brier_score_loss(truth, p, labels=classes, scale_by_half=False)
    if len(classes) == 2:
        assert abs(brier - 2 * np.mean((p[:, 1] - truth) ** 2)) < 1e-12
    error, bins = calibration(p, best, truth)
    return [loss, float(brier), error], bins


def mean_known(values):
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else NAN


def per_class(lp, best, truth):
    classes = lp.shape[1]
    precision, recall, f1, n = metrics.precision_recall_fscore_support(
        truth, best, labels=np.arange(classes), zero_division=np.nan
    )
    rows = []
    for c in range(classes):
        both = 0 < n[c] < len(truth)
        area = metrics.roc_auc_score(truth == c, lp[:, c]) if both else NAN
        predicted = int(np.sum(best == c))
        assert n[c] == 0 or recall[c] == np.mean(best[truth == c] == c)
        rows.append([share(best[truth == c] == c), predicted, float(precision[c]), float(f1[c]), area])
    return rows


def commonest(codes, classes):
    counts = np.bincount(codes[codes >= 0], minlength=classes)
    return int(counts.argmax()) if counts.sum() else None


def by_group(codes, groups, asked, classes):
    """The commonest of `codes` in the group asked for, in all where that has none."""
    overall = commonest(codes, classes)
    table = {g: commonest(codes[groups == g], classes) for g in set(asked) if g >= 0}
    return np.array([overall if table.get(g) is None else table[g] for g in asked], dtype=int)


def discriminant(case, truth, known):
    train = (case["split"] == TRAIN) & (case["target"] >= 0)
    x = case["measure"].astype(np.float64)
    for m, values in enumerate(x.T):
        finite = values[~np.isnan(values) & (case["split"] == TRAIN)]
        if (finite == np.floor(finite)).all():
            values = np.log1p(values)
        values = values.astype(np.float32).astype(np.float64)
        fitted = values[case["split"] == TRAIN]
        mean = np.float32(fitted[~np.isnan(fitted)].mean())
        x[:, m] = np.where(np.isnan(values), mean, values)
    model = LinearDiscriminantAnalysis(solver="lsqr").fit(x[train], case["target"][train])
    asked = x[case["rows"][TEST]][known]
    return share(model.predict(asked) == truth if len(truth) else [])


def head_figures(case, h):
    column = case["target"] if h == 0 else case["adversary"]
    rows, classes = case["rows"], case["log_prob"][h][TEST].shape[1]
    known = column[rows[TEST]] >= 0
    truth = column[rows[TEST]][known]
    lp = case["log_prob"][h][TEST].astype(np.float64)[known]
    best = case["best"][h][TEST][known]
    fitted = column[rows[VALIDATION]] >= 0
    t = temperature(
        case["log_prob"][h][VALIDATION].astype(np.float64)[fitted], column[rows[VALIDATION]][fitted]
    )
    plain, bins = probabilities(lp, 1, best, truth)
    scaled, scaled_bins = probabilities(lp, t, best, truth)
    some = len(truth) > 0
    rows_of_class = per_class(lp, best, truth) if some else None
    training = case["split"] == TRAIN
    figures = {
        "n": len(truth),
        "accuracy": share(best == truth),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, best) if some else NAN,
        "macro_f1": metrics.f1_score(truth, best, average="macro") if some else NAN,
        "macro_auroc": mean_known([r[4] for r in rows_of_class]) if some else NAN,
        # Mirrored, since scikit-learn takes the last of equals and czhpc the first.
        "top3": metrics.top_k_accuracy_score(
            classes - 1 - truth, lp[:, ::-1], k=3, labels=np.arange(classes)
        )
        if some and classes > 3
        else NAN,
        "plain": plain,
        "temperature": t,
        "scaled": scaled,
        "bins": bins,
        "scaled_bins": scaled_bins,
        "of_class": rows_of_class,
        "confusion": metrics.confusion_matrix(truth, best, labels=np.arange(classes)).tolist()
        if some
        else None,
        "majority": share(truth == commonest(column[training], classes)),
    }
    if h == 0:
        label = case["label"]
        named = by_group(column[training], label[training], label[rows[TEST]][known], classes)
        figures["from_label"] = share(truth == named)
        figures["from_quality"] = discriminant(case, truth, known)
        of_label = label[rows[TEST]][known]
        figures["of_label"] = [share((best == truth)[of_label == l]) for l in range(case["labels"])]
    else:
        target = case["target"]
        asked = case["best"][0][TEST][known]
        figures["floor"] = share(truth == by_group(column[training], target[training], asked, classes))
    return figures


def draw_log_prob(rng, codes, classes, sharpness, right, step):
    """Rows that favour the true class, by chance another; of fp32, to few digits."""
    codes = np.where(codes < 0, 0, codes)
    logits = rng.normal(0, 1, (len(codes), classes))
    favoured = np.where(rng.random(len(codes)) < right, codes, rng.integers(0, classes, len(codes)))
    logits[np.arange(len(codes)), favoured] += 1.5
    lp = log_softmax(sharpness * logits, axis=1)
    return (np.round(lp / step) * step).astype(np.float32)


def make_case(rng, name, classes, n=(120, 60, 90), sharpness=1.0, right=0.5, step=1e-3,
              unknown=0.0, test_classes=None, unknown_test=False, unknown_validation=False):  # fmt: skip
    labels, adversaries = 4, 2
    split = rng.permutation(np.repeat([TRAIN, VALIDATION, TEST], n))
    cells = len(split)
    label = rng.integers(0, labels, cells)
    label[split == TRAIN] %= labels - 1  # one label only outside of training
    label[rng.random(cells) < unknown] = -1
    target = rng.integers(0, classes, cells)
    adversary = np.where(rng.random(cells) < 0.9, target % 2, 1 - target % 2)
    target[rng.random(cells) < unknown] = -1
    adversary[rng.random(cells) < unknown] = -1
    if test_classes is not None:
        test = split == TEST
        target[test] = rng.choice(test_classes, test.sum())
    if unknown_test:
        target[split == TEST] = -1
    if unknown_validation:
        adversary[split == VALIDATION] = -1
    depth = np.round(np.exp(rng.normal(7, 0.4, cells) + 0.3 * (target % 3)))
    measure = np.stack([depth, rng.normal(5, 2, cells) + target % 2, np.full(cells, 0.5)], axis=1)
    measure[rng.random(measure.shape) < 0.05] = np.nan
    case = {
        "name": name, "classes": classes, "labels": labels, "adversaries": adversaries, "split": split,
        "target": target, "label": label, "adversary": adversary,
        "measure": measure.astype(np.float32).round(2).astype(np.float32),
        "rows": {part: np.flatnonzero(split == part) for part in (VALIDATION, TEST)},
    }  # fmt: skip
    case["log_prob"] = [
        {p: draw_log_prob(rng, column[case["rows"][p]], size, sharpness, right, step)
         for p in (VALIDATION, TEST)}
        for column, size in ((target, classes), (adversary, adversaries))
    ]  # fmt: skip
    case["best"] = [{p: lp[p].argmax(axis=1) for p in (VALIDATION, TEST)} for lp in case["log_prob"]]
    return case


def cases(seed):
    rng = np.random.default_rng(seed)
    yield make_case(rng, "five classes", 5)
    yield make_case(rng, "two classes", 2, right=0.8)
    yield make_case(rng, "classes absent from the test", 8, test_classes=[0, 2, 5])
    yield make_case(rng, "one class in the test", 3, test_classes=[1])
    yield make_case(rng, "ties", 6, step=0.5)
    yield make_case(rng, "40 classes", 40, n=(150, 60, 80), step=1e-2)
    yield make_case(rng, "unknown truths", 5, unknown=0.3)
    yield make_case(rng, "sharp", 4, sharpness=6)
    yield make_case(rng, "confidently wrong", 4, sharpness=1000, right=-1)
    yield make_case(rng, "too timid", 4, sharpness=0.001, right=2, step=1e-6)
    yield make_case(rng, "nothing known", 4, unknown_test=True, unknown_validation=True)


def clean(value):
    """What JSON can hold: NaN as null, fp32 by the shortest digits that read back."""
    if isinstance(value, dict):
        return {k: clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(v) for v in value]
    if isinstance(value, np.ndarray):
        return [clean(v) for v in value]
    if isinstance(value, np.float32):
        return None if np.isnan(value) else float(str(value))
    if isinstance(value, (float, np.floating)):
        return None if math.isnan(value) else float(value)
    return int(value) if isinstance(value, np.integer) else value


def document(seed):
    made = []
    for case in cases(seed):
        given = {k: case[k] for k in ("name", "classes", "labels", "adversaries", "split", "target",
                                      "label", "adversary")}  # fmt: skip
        given["measure"] = case["measure"].ravel()
        given["log_prob"] = [
            {"validation": lp[VALIDATION].ravel(), "test": lp[TEST].ravel()} for lp in case["log_prob"]
        ]
        given["best"] = [
            {"validation": b[VALIDATION], "test": b[TEST]} for b in case["best"]
        ]
        made.append(clean(given | {"expected": [head_figures(case, h) for h in range(2)]}))
    return made


def largest_gap(a, b):
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return max((largest_gap(a[k], b[k]) for k in a), default=0.0)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return max((largest_gap(x, y) for x, y in zip(a, b)), default=0.0)
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) / max(1.0, abs(b))
    return 0.0 if a == b else math.inf


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--seed", type=int, default=11)
    arguments = parser.parse_args()
    path = arguments.folder / "metrics.json"
    # Of predicted classes that no cell has, and classes of one cell: both are meant.
    warnings.simplefilter("ignore", UserWarning)
    made = document(arguments.seed)
    if arguments.compare:
        gap = largest_gap(json.loads(path.read_text()), made)
        good = gap < 1e-12
        print("ok  " if good else "FAIL", f"{len(made)} heads by scikit-learn, largest gap {gap:.1e}")
        return 0 if good else 1
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in made)
    path.write_text(f"[\n{lines}\n]\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
