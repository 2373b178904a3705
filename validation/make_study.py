"""Studies that Optuna and czhpc keep in one file. The oracle is Optuna 5.0's JournalStorage.

    make_study.py FOLDER              writes FOLDER/search/study.log, a journal of Optuna's, and
                                      study.json, what Optuna reads in it
    make_study.py FOLDER --compare    Optuna reads the committed journal, and czhpc a fresh one;
                                      Optuna reads, continues and prunes a study of czhpc's, czhpc
                                      takes what Optuna queued; 64 processes are killed at random
                                      while Optuna reads

validation/test_study.c reads the committed files. $BUILD: where play_study was built.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import warnings
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

BUILD = Path(os.environ.get("BUILD", "build/release")) / "validation"
STUDIES = ("first", "second")


def storage(path):
    return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))


def plain(value):
    """A value of JSON without what JSON cannot say."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def number(value):
    return plain(math.nan if value is None else float(value))


def parameter(distribution, value):
    internal = number(distribution.to_internal_repr(value))
    if isinstance(distribution, CategoricalDistribution):
        return {"kind": "categorical", "choices": [json.dumps(c, ensure_ascii=False) for c in distribution.choices], "value": internal}
    return {
        "kind": "int" if isinstance(distribution, IntDistribution) else "float",
        "low": number(distribution.low),
        "high": number(distribution.high),
        "step": number(distribution.step or 0),
        "log": distribution.log,
        "value": internal,
    }


def value_of(trial):
    """A pruned trial without a value has its last finite step's."""
    if trial.state == TrialState.PRUNED and trial.values is None:
        finite = [v for _, v in sorted(trial.intermediate_values.items()) if math.isfinite(v)]
        return finite[-1] if finite else None
    return trial.value


def dump(study):
    """What validation/study_dump.h makes of a study."""
    return {
        "maximise": study.direction == optuna.study.StudyDirection.MAXIMIZE,
        "user": plain(study.user_attrs),
        "system": plain(study._storage.get_study_system_attrs(study._study_id)),
        "trials": [
            {
                "number": t.number,
                "id": t._trial_id,
                "state": int(t.state),
                "value": number(value_of(t)),
                "params": {k: parameter(t.distributions[k], v) for k, v in t.params.items()},
                "steps": [[k, number(v)] for k, v in sorted(t.intermediate_values.items())],
                "user": plain(t.user_attrs),
                "system": plain(t.system_attrs),
                "started": number(t.datetime_start and t.datetime_start.timestamp()),
                "ended": number(t.datetime_complete and t.datetime_complete.timestamp()),
            }
            for t in study.get_trials(deepcopy=False)
        ],
    }


def load(path, name):
    return optuna.load_study(study_name=name, storage=storage(path), sampler=optuna.samplers.TPESampler(seed=3))


def suggest_all(trial, top=1.0):
    return (
        trial.suggest_float("lr", 1e-5, 0.1, log=True)
        + trial.suggest_float("drop", 0, top)
        + trial.suggest_float("grid", 0, 1, step=0.25)
        + trial.suggest_int("layers", 1, 12, step=3)
        + trial.suggest_int("width", 8, 512, log=True)
        + len(str(trial.suggest_categorical("kind", ["mean", None, True, 1.5, 7, "ä \"b\\"])))
    )


def odd_attributes(trial):
    trial.set_user_attr("text", "ä\n\"NaN, Infinity\" \\u0041 🜁")
    trial.set_user_attr("half", "\ud800 and \udc00")
    trial.set_user_attr("zero", "\0")
    trial.set_user_attr("numbers", [math.nan, math.inf, -math.inf, 0.1, 1e22, -0.0, 2**53, -1])
    trial.storage.set_trial_system_attr(trial._trial_id, "deep", {"a": [{"b": {"c": None}}], "d": False})


def fill(path):
    """Every operation, in two studies whose lines stand between each other."""
    file = storage(path)
    first = optuna.create_study(study_name="first", storage=file, direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))
    gone = optuna.create_study(study_name="gone", storage=file)
    second = optuna.create_study(study_name="second", storage=file, sampler=optuna.samplers.TPESampler(seed=2))
    two = optuna.create_study(study_name="two goals", storage=file, directions=["minimize", "maximize"])
    first.set_user_attr("note", "ä")
    first.set_user_attr("note", [1, 2.5, None])
    file.set_study_system_attr(first._study_id, "plan", {"eta": 4})
    for i in range(4):
        a, b, c, d = first.ask(), gone.ask(), second.ask(), two.ask()
        total = suggest_all(a, top=0.5 + i / 10)
        suggest_all(c)
        d.suggest_float("x", 0, 1)
        for step in (1, 3, 2):
            a.report(total - step, step)
            c.report(math.nan if step == i else step * total, step)
            b.report(1, step)
        if i == 0:
            odd_attributes(a)
            a.report(7.5, 3)
        gone.tell(b, 1)
        two.tell(d, [1, 2])
        first.tell(a, *[(total,), (None, TrialState.PRUNED), (None, TrialState.FAIL), (math.inf,)][i])
        second.tell(c, *[(-total,), (None, TrialState.FAIL), (1e-300,), (None, TrialState.PRUNED)][i])
    optuna.delete_study(study_name="gone", storage=file)
    first.enqueue_trial({"lr": 0.01, "kind": None}, user_attrs={"by": "hand"})
    made = optuna.create_study(study_name="gone", storage=file, direction="maximize")
    made.tell(made.ask(), 3)
    second.add_trial(
        optuna.trial.create_trial(
            params={"lr": 1e-4, "layers": 4},
            distributions={"lr": FloatDistribution(1e-6, 1, log=True), "layers": IntDistribution(1, 12, step=3)},
            intermediate_values={2: 0.5, 1: math.inf},
            user_attrs={"made": 1},
            value=0.25,
        )
    )
    first.add_trial(optuna.trial.create_trial(state=TrialState.PRUNED, intermediate_values={1: 4.0, 2: math.nan}))
    suggest_all(first.ask())  # stays running
    with open(path, "a") as lines:  # of another program; Optuna passes over it
        lines.write('{"op_code":10,"worker_id":"rust","study_id":0}\n')


def czhpc(*arguments):
    return subprocess.run([str(BUILD / "play_study"), *map(str, arguments)], capture_output=True, text=True, check=True).stdout


def check(good, text):
    print("ok  " if good else "FAIL", text, flush=True)
    return good


def same(path, name):
    """Whether czhpc and Optuna read the same."""
    ours, theirs = json.loads(czhpc("dump", path, name)), json.loads(json.dumps(dump(load(path, name))).replace("\\ud800", "\\ufffd").replace("\\udc00", "\\ufffd"))
    if ours != theirs:
        for a, b in zip(ours["trials"], theirs["trials"]):
            if a != b:
                print(a, b, sep="\n", file=sys.stderr)
    return ours == theirs


def expected(path):
    text = json.dumps({name: dump(load(path, name)) for name in STUDIES}, indent=1)
    return text.replace("\\ud800", "\\ufffd").replace("\\udc00", "\\ufffd") + "\n"


def check_continued(path):
    """A study of czhpc's that Optuna goes on with, and that czhpc goes on with again."""
    good = True
    czhpc("run", path, "shared", 12, 4)
    good &= check(same(path, "shared"), "Optuna reads all of a study that czhpc wrote")
    study = load(path, "shared")
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=2)

    def objective(trial):
        value = trial.suggest_float("train.lr", 1e-5, 1e-1, log=True) + trial.suggest_int("model.layers", 2, 11, step=3)
        trial.suggest_categorical("model.pool", ["mean", 0.5, None])
        for step in range(1, 5):
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    study.optimize(objective, n_trials=8)
    states = [t.state for t in study.trials]
    good &= check(len(states) == 20 and states.count(TrialState.PRUNED) > 0, f"Optuna continues it: {states.count(TrialState.PRUNED)} of 8 pruned")
    good &= check(same(path, "shared"), "czhpc reads what Optuna added")
    study.enqueue_trial({"train.lr": 0.0123, "model.pool": None})
    study.enqueue_trial({"train.lr": 0.5, "model.layers": 8, "model.pool": 0.5})
    czhpc("run", path, "shared", 24, 4)
    trials = load(path, "shared").trials
    queued = [t.params for t in trials[20:22]]
    good &= check(
        len(trials) == 24
        and all(t.state.is_finished() for t in trials)
        and queued[0]["train.lr"] == 0.0123
        and queued[0]["model.pool"] is None
        and queued[1] == {"train.lr": 0.5, "model.layers": 8, "model.pool": 0.5},
        "czhpc runs what Optuna queued, with the values it fixes",
    )
    return good & check(same(path, "shared"), "both read the same in the end")


def check_race(folder):
    """The race of test_study_race.sh, larger, while Optuna reads."""
    path, done, reads, wrong = Path(folder) / "race.log", threading.Event(), 0, []
    path.touch()

    def read():
        nonlocal reads
        file = storage(path)
        while not done.is_set():
            try:
                for study in file.get_all_studies():
                    file.get_all_trials(study._study_id)
                reads += 1
            except Exception as error:  # noqa: BLE001: whatever Optuna says is what is looked for
                wrong.append(repr(error))
                return

    reader = threading.Thread(target=read)
    reader.start()
    settings = dict(os.environ, STUDY=str(path), PROCESSES="64", TRIALS="1280", KILLS="60", BUILD=str(BUILD.parent))
    race = subprocess.run(["validation/test_study_race.sh"], env=settings, capture_output=True, text=True)
    done.set()
    reader.join()
    print(race.stdout, end="")
    print(race.stderr, end="", file=sys.stderr)
    return race.returncode == 0 and check(not wrong and reads > 0, f"Optuna read {reads} times meanwhile {''.join(wrong)}")


def compare(folder):
    good = check((folder / "study.json").read_text() == expected(folder / "study.log"), "Optuna reads the committed journal as it was")
    with tempfile.TemporaryDirectory() as work:
        fresh = Path(work) / "fresh.log"
        fill(fresh)
        good &= check(all(same(fresh, name) for name in STUDIES), "czhpc reads a fresh journal of Optuna's")
        good &= check_continued(Path(work) / "shared.log")
        good &= check_race(work)
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--compare", action="store_true")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    folder = arguments.folder / "search"
    if arguments.compare:
        return 0 if compare(folder) else 1
    folder.mkdir(exist_ok=True)
    (folder / "study.log").unlink(missing_ok=True)
    fill(folder / "study.log")
    (folder / "study.json").write_text(expected(folder / "study.log"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
