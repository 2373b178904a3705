"""What Optuna samples and prunes: make_search.py validation/fixtures [--compare]

Writes search/tpe.json and search/prune.json, which test_sampler.c reads:
    tpe     histories of a study, and the log ratio of TPESampler's densities at some points; of a
            few, how the values that it suggests are distributed
    prune   what MedianPruner and SuccessiveHalvingPruner said at every step of some studies
--compare asks Optuna again for the numbers of the committed files, and the built test_sampler
($BUILD/validation/test_sampler) for those of other studies, made this minute.

Where observations are equal, numpy's argsort leaves their order, and with it the widths of
Optuna's kernels, to the vector instructions of the machine. Here they keep the order of trials.
"""
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import warnings

import numpy
import optuna
from optuna.distributions import CategoricalDistribution as Choice
from optuna.distributions import FloatDistribution as Float
from optuna.distributions import IntDistribution as Int
from optuna.samplers._tpe import parzen_estimator
from optuna.samplers._tpe.probability_distributions import _MixtureOfProductDistribution
from optuna.trial import TrialState as State

PROGRAM = os.path.join(os.environ.get("BUILD", "build/release"), "validation/test_sampler")
SUGGESTIONS = 1000
STATES = [State.RUNNING, State.COMPLETE, State.PRUNED, State.FAIL, State.WAITING]


class StableNumpy:
    def __getattr__(self, name):
        return getattr(numpy, name)

    @staticmethod
    def argsort(values):
        return numpy.argsort(values, kind="stable")


class Sampler(optuna.samplers.TPESampler):
    """Optuna's, which keeps the densities that it last compared."""

    def _compute_acquisition_func(self, samples, below, above):
        self.densities = below, above
        return super()._compute_acquisition_func(samples, below, above)


# The spaces, as {name: distribution}.
TWO = {"x": Float(-5, 10), "y": Float(0, 15)}
LOGS = {"lr": Float(1e-5, 1e-1, log=True), "decay": Float(1e-8, 1.0, log=True)}
STEPS = {"dropout": Float(0, 0.7, step=0.1), "width": Int(8, 64, step=8), "layers": Int(1, 4)}
WHOLE = {"batch": Int(16, 1024, log=True), "few": Int(0, 1), "depth": Int(-3, 40)}
CHOICES = {"pool": Choice(["mean", "max", None]), "gate": Choice([True, False]),
           "size": Choice([8, 16.5, "é", 64])}
MIXED = {"lr": LOGS["lr"], "width": STEPS["width"], "batch": WHOLE["batch"],
         "pool": CHOICES["pool"], "dropout": Float(0, 0.5), "warm": Float(0, 1, step=0.25)}
SINGLE = {"x": TWO["x"], "one": Float(2, 2), "only": Choice(["a"]), "same": Int(3, 3), "n": Int(1, 9)}
FAR = {"big": Float(-1e6, 1e6), "many": Int(1, 1000000), "tiny": Float(1e-30, 1e-3, log=True)}
WIDE = {f"p{i:02d}.{'a' * 90}": Float(0, 1, step=0.25) for i in range(24)}
MOVED = {"x": Float(-2, 4), "width": Int(8, 32, step=8), "lr": Float(1e-4, 1, log=True)}
UNMOVED = {"x": Float(-5, 10), "width": Int(8, 64, step=8), "lr": LOGS["lr"]}


def case(name, space, n, joint=True, liar=True, maximise=False, states=(70, 12, 8, 10), **more):
    """states: of 100 trials, how many end complete, pruned, failed, and still run."""
    return dict(name=name, space=space, n=n, joint=joint, liar=liar, maximise=maximise,
                states=states, **more)


CASES = [
    case("two reals", TWO, 10, states=(100, 0, 0, 0), suggested=True),
    case("two reals, 25", TWO, 25, maximise=True),
    case("two reals, univariate", TWO, 40, joint=False),
    case("two reals, 115", TWO, 115, states=(100, 0, 0, 0)),
    case("one whole number, 260", {"n": Int(0, 1000)}, 260, states=(100, 0, 0, 0)),
    case("logarithms", LOGS, 30),
    case("logarithms, univariate", LOGS, 60, joint=False, maximise=True,
         suggested=True),
    case("steps", STEPS, 45),
    case("steps, univariate", STEPS, 45, joint=False),
    case("whole numbers", WHOLE, 35, maximise=True),
    case("whole numbers, univariate", WHOLE, 110, joint=False),
    case("choices", CHOICES, 30),
    case("choices, univariate", CHOICES, 50, joint=False),
    case("mixed", MIXED, 12, suggested=True),
    case("mixed, 60", MIXED, 60, maximise=True),
    case("mixed, 35", MIXED, 35),
    case("mixed, univariate", MIXED, 60, joint=False),
    case("univariate after joint", MIXED, 30, joint=False, was_joint=True,
         states=(50, 0, 0, 50)),
    case("no liar", MIXED, 40, liar=False),
    case("no liar, univariate", MIXED, 40, liar=False, joint=False, maximise=True),
    case("mostly pruned", TWO, 40, states=(5, 80, 5, 10)),
    case("mostly pruned, upwards", MIXED, 40, states=(0, 85, 5, 10), maximise=True),
    case("mostly running", MIXED, 40, states=(30, 5, 5, 60)),
    case("single values", SINGLE, 30),
    case("far apart", FAR, 40),
    case("24 dimensions", WIDE, 14, states=(80, 0, 0, 20)),
    case("equal values", MIXED, 30, flat=True),
    case("infinite values", TWO, 30, infinite=True),
    case("other ranges half way", MOVED, 40, before=UNMOVED, moves=0.5),
    case("other ranges now, univariate", MOVED, 30, before=UNMOVED, moves=1, joint=False),
    case("other ranges now", MOVED, 30, before=UNMOVED, moves=1),
    case("a parameter missing at times", MIXED, 40, missing="pool"),
    case("a parameter that is gone", TWO, 30, before={**TWO, "z": Float(0, 1)}, moves=1),
    case("a new parameter", MIXED, 30, before=LOGS, moves=1),
    case("constraints", TWO, 40, constraints=True, states=(50, 30, 5, 15)),
    case("no finished trial", MIXED, 4, states=(0, 0, 20, 80)),
    case("no trial", MIXED, 0),
]


def goodness(values):
    """Of values in their internal form, whatever they are."""
    return sum(math.sin(3 * v) + math.log1p(abs(v)) for v in values)


def suggest(trial, space, only=None):
    chosen = [name for name in space if only is None or name in only]
    return [space[name].to_internal_repr(trial._suggest(name, space[name])) for name in chosen]


def report_some(trial, rng):
    for step in range(1, rng.randint(1, 6)):
        trial.report(math.nan if rng.random() < 0.1 else round(rng.gauss(0, 1), 3), step)


def one_trial(study, spec, i, rng):
    space = spec["before"] if "before" in spec and i < spec["moves"] * spec["n"] else spec["space"]
    names = [name for name in space if name != spec.get("missing") or i % 3]
    state = rng.choices([State.COMPLETE, State.PRUNED, State.FAIL, State.RUNNING],
                        spec["states"])[0]
    if state == State.RUNNING and rng.random() < 0.5:
        names = names[:len(names) // 2]  # of the others only its attributes tell
    trial = study.ask()
    if state == State.RUNNING:
        trial.relative_params
    values = suggest(trial, space, names)
    value = 1.5 if spec.get("flat") else round(goodness(values), 5)
    if spec.get("infinite") and rng.random() < 0.3:
        value = rng.choice([math.inf, -math.inf])
    if spec.get("constraints") and rng.random() < 0.5:
        trial.set_constraint("memory", round(rng.gauss(0, 1), 2))
        trial.set_constraint("time", round(rng.gauss(0, 1), 2))
    if state == State.PRUNED:
        report_some(trial, rng)
    if state != State.RUNNING:
        study.tell(trial, value if state == State.COMPLETE else None, state=state)


def new_study(spec, seed):
    sampler = Sampler(seed=seed, multivariate=spec["joint"], constant_liar=spec["liar"])
    return optuna.create_study(sampler=sampler, direction="maximize" if spec["maximise"] else
                               "minimize", pruner=optuna.pruners.NopPruner())


def play(spec, seed):
    """A study of such trials, some of them in parallel."""
    joint = spec["joint"] or spec.get("was_joint", False)
    study, rng = new_study({**spec, "joint": joint}, seed), random.Random(seed)
    for i in range(spec["n"]):
        one_trial(study, spec, i, rng)
    return study


def points(study, space, rng):
    """Some by chance, some where trials were, some at the bounds."""
    chance = optuna.samplers.RandomSampler(seed=rng.randrange(2**31))
    found = []
    for i in range(8):
        at = {}
        for name, one in space.items():
            at[name] = one.to_internal_repr(chance.sample_independent(study, None, name, one))
            if i in (3, 4) and not isinstance(one, Choice):
                at[name] = one.low if i == 3 else one.high
        near = [t for t in study.trials if set(space) <= set(t.params)]
        if i > 4 and near:
            trial = rng.choice(near)
            at = {name: trial.distributions[name].to_internal_repr(trial.params[name])
                  for name in space}
        found.append([float(at[name]) for name in space])
    return found


def part_of_ratio(sampler, study, trial, together, given):
    """Of dimensions sampled together; those that no value is given for are left out."""
    sampler._sample(study, trial, together)
    logs = []
    for density in sampler.densities:
        mixture = density._mixture_distribution
        kept = [i for i, name in enumerate(together) if name in given]
        kept_mixture = _MixtureOfProductDistribution(
            mixture.weights, [mixture.distributions[i] for i in kept])
        x = numpy.array([given[name] for i, name in enumerate(together) if i in kept]).T
        logs.append(kept_mixture.log_pdf(x))
    return logs[0] - logs[1]


def parts(sampler, study, trial, space):
    """What is sampled together, then what by itself."""
    joint = sampler.infer_relative_search_space(study, trial)
    open_ones = {name: one for name, one in space.items() if not one.single()}
    together = {name for name in joint if name in open_ones}
    return ([joint] if together else []) + [{name: one} for name, one in open_ones.items()
                                            if name not in together]


def log_ratio(study, spec, trial, x):
    sampler, total = new_study(spec, 0).sampler, numpy.zeros(len(x))
    open_names = [name for name, one in spec["space"].items() if not one.single()]
    given = {name: numpy.array([row[i] for row in x]) for i, name in enumerate(spec["space"])
             if name in open_names}
    for together in parts(sampler, study, trial, spec["space"]):
        total += part_of_ratio(sampler, study, trial, together, given)
    return total


def suggested(study, spec, trial, seed):
    """Of each dimension at some values, the share of suggestions up to there."""
    sampler, drawn = new_study(spec, seed).sampler, []
    space = spec["space"]
    study._thread_local.cached_all_trials = None
    for _ in range(SUGGESTIONS):
        joint = sampler.infer_relative_search_space(study, trial)
        found = sampler.sample_relative(study, trial, joint)
        row = []
        for name, one in space.items():
            value = found[name] if name in found else sampler.sample_independent(
                study, trial, name, one)
            row.append(float(one.to_internal_repr(value)))
        drawn.append(row)
    table = []
    for column in numpy.array(drawn).T:
        cuts = numpy.unique(numpy.quantile(column, numpy.arange(1, 10) / 10, method="lower"))
        table.append([[float(cut), float((column <= cut).mean())] for cut in cuts])
    return table


def number(value):
    return value if value is None or math.isfinite(value) else str(value)


def dimension_json(name, one):
    if isinstance(one, Choice):
        return {"name": name, "choices": [json.dumps(c) for c in one.choices]}
    return {"name": name, "float": isinstance(one, Float), "low": one.low, "high": one.high,
            "step": one.step or 0, "log": one.log}


def trial_json(trial, table):
    params = []
    for name, value in trial.params.items():
        one = dimension_json(name, trial.distributions[name])
        if one not in table:
            table.append(one)
        params.append([table.index(one), trial.distributions[name].to_internal_repr(value)])
    steps = sorted(trial.intermediate_values.items())
    value = trial.value if trial.state == State.COMPLETE else None
    return [STATES.index(trial.state), number(value), params,
            [[step, number(value)] for step, value in steps], trial.system_attrs]


def tpe_case(spec, seed, suggestions):
    study, table, rng = play(spec, seed), [], random.Random(seed + 1)
    made = {key: spec[key] for key in ("name", "joint", "liar", "maximise")}
    made["space"] = [dimension_json(name, one) for name, one in spec["space"].items()]
    made["trials"] = [trial_json(trial, table) for trial in study.get_trials(deepcopy=True)]
    made["dimensions"] = table
    trial = study.ask()
    probe = study._storage.get_trial(trial._trial_id)
    made["x"] = points(study, spec["space"], rng)
    made["log_ratio"] = [number(v) for v in log_ratio(study, spec, probe, made["x"]).tolist()]
    if suggestions and spec.get("suggested"):
        made["suggested"] = suggested(study, spec, probe, seed)
    return made


def distribution_of(one):
    if "choices" in one:
        return Choice([json.loads(c) for c in one["choices"]])
    kind = Float if one["float"] else Int
    return kind(one["low"], one["high"], step=one["step"] or None if one["float"] else
                one["step"], log=one["log"])


def study_of(made):
    """The study that a case of the file tells of."""
    study = new_study(made, 0)
    for state, value, params, steps, attributes in made["trials"]:
        table = [made["dimensions"][i] for i, _ in params]
        ones = {one["name"]: distribution_of(one) for one in table}
        values = {one["name"]: ones[one["name"]].to_external_repr(internal)
                  for one, (_, internal) in zip(table, params)}
        study.add_trial(optuna.trial.create_trial(
            state=STATES[state], value=None if value is None else float(value), params=values,
            distributions=ones, system_attrs=attributes,
            intermediate_values={step: float(v) for step, v in steps}))
    return study


def again(made):
    """The largest error of a case's log ratios, by Optuna of now."""
    study = study_of(made)
    spec = {**made, "space": {one["name"]: distribution_of(one) for one in made["space"]}}
    trial = study._storage.get_trial(study.ask()._trial_id)
    gap = numpy.abs(log_ratio(study, spec, trial, made["x"]) - numpy.array(made["log_ratio"],
                                                                         dtype=float))
    return float(gap.max())


def pruner_of(made):
    if made["kind"] == "median":
        return optuna.pruners.MedianPruner(made["startup"], made["warmup"])
    return optuna.pruners.SuccessiveHalvingPruner(made["first_rung"], made["eta"], 0)


def prune_specs():
    median = [dict(kind="median", startup=s, warmup=w) for s, w in
              ((5, 0), (0, 0), (1, 3), (3, 1), (2, 0), (5, 2))]
    halving = [dict(kind="asha", eta=eta, first_rung=first) for eta, first in
               ((4, 1), (2, 1), (3, 2), (4, 2), (2, 5), (3, 1))]
    return [dict(spec, maximise=maximise, odd=odd) for i, spec in enumerate(median + halving)
            for maximise, odd in ((bool(i % 2), False), (not i % 2, True))]


def step_value(quality, step, odd, rng):
    if odd and rng.random() < 0.15:
        return rng.choice([math.nan, math.inf, -math.inf, 1.0, 0.0])
    return round(quality + 2 / step + rng.gauss(0, 0.2), 1 if odd else 4)


def prune_case(spec, seed):
    """Events: [trial, step, value, whether it is to stop], [trial, state, value] at its end."""
    rng, events, running = random.Random(seed), [], {}
    study = optuna.create_study(direction="maximize" if spec["maximise"] else "minimize",
                                sampler=optuna.samplers.RandomSampler(seed=seed),
                                pruner=pruner_of(spec))
    with_number, n = {}, 13
    while n or running:
        if n and len(running) < 4:
            trial = study.ask()
            running[trial.number] = rng.gauss(0, 1), 0
            with_number[trial.number] = trial
            n -= 1
        which = rng.choice(sorted(running))
        quality, step = running[which]
        trial = with_number[which]
        step += 1 if rng.random() < 0.9 else 2
        value = step_value(quality, step, spec["odd"], rng)
        trial.report(value, step)
        stop = trial.should_prune()
        events.append([which, step, number(value), bool(stop)])
        running[which] = quality, step
        if step < 16 and not (stop and rng.random() < 0.8) and rng.random() > 0.02:
            continue
        del running[which]
        state = State.PRUNED if stop else State.COMPLETE if step >= 16 else State.FAIL
        final = round(quality, 4) if state == State.COMPLETE else None
        study.tell(trial, final, state=state)
        events.append([which, STATES.index(state), final])
    rungs = [{name: number(v) for name, v in trial.system_attrs.items()} for trial in study.trials]
    return {**spec, "events": events, "rungs": rungs}


def prune_again(made):
    """How many verdicts of a case Optuna gives otherwise now."""
    study = optuna.create_study(direction="maximize" if made["maximise"] else "minimize",
                                pruner=pruner_of(made))
    trials, wrong = [study.ask() for _ in made["rungs"]], 0
    for which, second, third, *stop in made["events"]:
        trial = trials[which]
        if not stop:
            study.tell(trial, third, state=STATES[second])
            continue
        trial.report(float(third), second)
        wrong += trial.should_prune() != stop[0]
    return wrong


def cases(seed, suggestions):
    return ([tpe_case(spec, seed + i, suggestions) for i, spec in enumerate(CASES)],
            [prune_case(spec, seed + i) for i, spec in enumerate(prune_specs())])


def write(path, made):
    with open(path, "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in made) + "\n]\n")


def verdict(good, text):
    print("ok   " if good else "FAIL ", text, sep="")
    return good


def compare_committed(folder):
    with open(f"{folder}/tpe.json") as file:
        made = json.load(file)
    worst = max(again(one) for one in made)
    good = verdict(worst < 1e-10 and len(made) == len(CASES), f"{len(made)} histories: log ratios "
                   f"of Optuna {optuna.__version__} within {worst:.0e}")
    with open(f"{folder}/prune.json") as file:
        made = json.load(file)
    wrong = sum(prune_again(one) for one in made)
    return verdict(wrong == 0 and len(made) == len(prune_specs()),
                   f"{len(made)} pruned studies: {wrong} other verdicts of Optuna") and good


def compare_live():
    seed = random.randrange(2**30)
    with tempfile.TemporaryDirectory() as folder:
        for name, made in zip(("tpe", "prune"), cases(seed, False)):
            write(f"{folder}/{name}.json", made)
        try:
            ran = subprocess.run([PROGRAM, folder], capture_output=True, text=True)
        except OSError as error:
            return verdict(False, f"other studies: {error}")
    print(ran.stdout, end="")
    return verdict(ran.returncode == 0, f"studies of seed {seed} by {PROGRAM}")


def main():
    parzen_estimator.np = StableNumpy()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    folder = os.path.join(sys.argv[1], "search")
    if "--compare" in sys.argv:
        return 0 if compare_committed(folder) & compare_live() else 1
    os.makedirs(folder, exist_ok=True)
    for name, made in zip(("tpe", "prune"), cases(1, True)):
        write(f"{folder}/{name}.json", made)
    return 0


sys.exit(main())
