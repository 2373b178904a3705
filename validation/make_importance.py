"""Optuna's journal of a study with hard names, and the importance of parameters by Optuna.

    make_importance.py FOLDER              writes search/hard_names.log
    make_importance.py FOLDER --compare    reads the file there again, and compares what `czhpc study`
                                           says of studies made up anew with Optuna's fANOVA

Who says what: Optuna's FanovaImportanceEvaluator, a forest of scikit-learn. It takes parameters of a
log scale as they are, so that almost all of its box is the last decade; czhpc takes the logarithm,
as they are sampled. So Optuna gets the logarithm as a parameter here. BUILD: where czhpc is.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

TRIALS = 16
CHOICES = [None, True, False, "null", "", 1, 1.5, "`touch ran_1`", "a choice of many words, all cut"]
NUMBERS = [
    '"; system("touch ran_2")',
    "'; system('touch ran_3') #",
    "@system %s {/Bold x}_{sub}^{2}",
    "tab\there\nnew line \x1b[31m",
    "a very long name of a parameter that goes on and on until it ends",
    "",
    "ünïcode 中文, \"quoted\"",
]


def storage(path):
    return JournalStorage(JournalFileBackend(str(path)))


def objective(trial):
    value = sum(trial.suggest_float(name, -(10.0**i), 10.0**i) / 10**i for i, name in enumerate(NUMBERS))
    trial.suggest_categorical("$(touch ran_4)", CHOICES)
    trial.suggest_float("log", 1e-9, 1e3, log=True)
    trial.suggest_int("moved", 1, 8 + trial.number % 3)
    if trial.number % 2:
        value += trial.suggest_float("sometimes", 0, 1)
    trial.report(value / 2, 1)
    if trial.number % 7 == 6:
        raise optuna.TrialPruned()
    if trial.number % 7 == 5:
        trial.set_user_attr("czhpc:failure", "the loss is not finite\n\x1b[31m: " + 40 * "try less ")
        raise ValueError
    return value


def write_journal(path):
    path.unlink(missing_ok=True)
    sampler = optuna.samplers.RandomSampler(seed=1)
    study = optuna.create_study(storage=storage(path), study_name="hard `names` 中", direction="maximize",
                                sampler=sampler)
    study.optimize(objective, n_trials=TRIALS, catch=(ValueError,))
    study.ask().set_user_attr("czhpc:lease", {"owner": "nobody", "beat": 1.5e9})
    study.ask()
    study.enqueue_trial({"log": 1.0})


def same_journal(path):
    """Whether the committed file is what Optuna writes today, but for times and names of writers."""
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / "study.log"
        write_journal(again)
        kept, made = (optuna.load_study(study_name=None, storage=storage(p)).trials for p in (path, again))
    return [(t.state, t.values, t.params, t.distributions, t.user_attrs) for t in kept] == [
        (t.state, t.values, t.params, t.distributions, t.user_attrs) for t in made
    ]


# Each returns the value, and the parameters as Optuna is to see them.
def additive(trial):
    x = [trial.suggest_float(f"x{i}", -1, 2) for i in range(4)]
    return 3 * x[0] + 2 * x[1] ** 2 + x[2]


def mixed(trial):
    kind = trial.suggest_categorical("kind", ["a", "b", "c", "d"])
    layers = trial.suggest_int("layers", 1, 8)
    rate = trial.suggest_float("rate", 0, 0.5, step=0.05)
    return {"a": 0, "b": 2, "c": 2.5, "d": -1}[kind] + 0.2 * layers + rate * (kind == "a")


def in_log(trial):
    lr = trial.suggest_float("lr", 1e-6, 1e-1, log=True)
    width = trial.suggest_int("width", 4, 512, log=True)
    decay = trial.suggest_float("decay", 1e-8, 1.0, log=True)
    return (math.log10(lr) + 3) ** 2 + 0.8 * math.log2(width) + 0.05 * math.log10(decay)


def as_sampled(trial):
    """The same trial with logarithms in the place of parameters on a log scale."""
    params, distributions = dict(trial.params), dict(trial.distributions)
    for name, d in trial.distributions.items():
        if not getattr(d, "log", False):
            continue
        half = 0.5 if isinstance(d, optuna.distributions.IntDistribution) else 0
        params[name] = math.log(params[name])
        distributions[name] = optuna.distributions.FloatDistribution(
            math.log(d.low - half), math.log(d.high + half)
        )
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE, value=trial.value, params=params, distributions=distributions
    )


def by_optuna(study):
    seen = optuna.create_study()
    seen.add_trials([as_sampled(t) for t in study.trials])
    return get_param_importances(seen, evaluator=FanovaImportanceEvaluator(seed=0))


def by_czhpc(path, folder):
    program = Path(os.environ.get("BUILD", "build/release")) / "czhpc"
    subprocess.run([program, "study", path, "--out", folder], check=True, capture_output=True)
    lines = (Path(folder) / "importance.dat").read_text().splitlines()[1:]
    return {name: float(share) for _, share, name in (line.split("\t") for line in lines)}


def compare(function, n, seed):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.log"
        sampler = optuna.samplers.RandomSampler(seed=seed)
        study = optuna.create_study(storage=storage(path), study_name="s", sampler=sampler)
        study.optimize(function, n_trials=n)
        want, got = by_optuna(study), by_czhpc(path, folder)
    worst = max(abs(want[name] - got[name]) for name in want)
    good = list(want) == list(got) and worst < 0.1
    print(f"{'ok  ' if good else 'FAIL'} importance of {function.__name__}, {n} trials: "
          f"within {worst:.3f} of Optuna's",
          ", ".join(f"{name} {got[name]:.3f} ({share:.3f})" for name, share in want.items()))
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--compare", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    path = arguments.folder / "search" / "hard_names.log"
    if not arguments.compare:
        write_journal(path)
        return 0
    same = same_journal(path)
    print(f"{'ok  ' if same else 'FAIL'} hard_names.log: what Optuna writes")
    good = [compare(f, n, seed) for seed, f in enumerate((additive, mixed, in_log)) for n in (60, 200)]
    return 0 if same and all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
