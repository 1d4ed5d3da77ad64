"""Finds, before an experiment starts, what would fail or make it meaningless hours later; problems name their keys."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from seg_al.asking import given
from seg_al.asking.asking import Asking
from seg_al.asking.pool import Pool
from seg_al.asking.round_view import OF_FEATURES
from seg_al.asking.spending import ROUNDING
from seg_al.core import Budget, Dataset, Evidence, GivesFeatures, MadeForTask
from seg_al.datasets import mistakes
from seg_al.heuristics.vote_variance import VoteVariance
from seg_al.loop import Experiment
from seg_al.predictors.dropout import dropouts
from seg_al.running.trial import trial_problems
from seg_al.selectors.clasp import ClaspPE
from seg_al.selectors.descriptors import GradientEmbedding
from seg_al.selectors.foreground import RandomForeground
from seg_al.tasks.pixels.class_labels import LabelledPixels

log = logging.getLogger(__name__)

TRIED = 8
"""Number of images that are cut into units before a run, to see whether a budget buys one."""


def check(experiment: Experiment) -> None:
    """Raises ValueError, naming the keys, for what would fail or be meaningless hours later."""
    if problems := problems_of(experiment):
        raise ValueError("this experiment cannot run:\n" + "\n".join(f"  - {problem}" for problem in problems))
    for phase in experiment.asking.phases:
        if phase.begins >= experiment.rounds > 1:
            log.warning("schedule names round %d, which rounds=%d does not reach", phase.begins, experiment.rounds)


def problems_of(experiment: Experiment) -> list[str]:
    """A sentence with its remedy for each problem; none for an experiment that can run."""
    if wrong := _of_dataset(experiment.dataset):
        return wrong
    problems = [*_of_budget(experiment), *_of_class_ids(experiment)]
    problems += dict.fromkeys(one for asking in _askings(experiment) for one in _of_passes(experiment, asking))
    batch, devices = experiment.trainer.batch_size, experiment.compute.devices
    if batch % devices:
        problems.append(
            f"trainer.batch_size={batch} does not divide among devices={devices}; choose a multiple of the devices"
        )
    problems += [*experiment.task.problems(experiment.dataset), *_of_task(experiment)]
    if problems:  # what a part says of itself comes before what it does
        return problems
    classes = len(experiment.dataset.classes)
    return [*dict.fromkeys(one for asking in _askings(experiment) for one in trial_problems(asking, classes))]


def _of_dataset(dataset: Dataset) -> list[str]:
    """Mistakes in what a data set says of itself; what it gives for each name is looked at when it is read."""
    wrong = [*mistakes.of_names(dataset), *mistakes.of_shared_images(dataset)]
    if isinstance(dataset, LabelledPixels):
        background = mistakes.of_background(dataset.background, len(dataset.classes))
        wrong += [f"dataset.{background}"] if background else []
    return [f"{one}; {mistakes.FINDS_ALL}" for one in wrong]


def _of_task(experiment: Experiment) -> list[str]:
    """Parts that are made for different tasks."""
    task, trainer = experiment.task, experiment.trainer
    parts: dict[str, object] = {
        "model": experiment.fresh_model(0),
        "trainer.loss": trainer.loss,
        "trainer.augmentation": trainer.augmentation,
        "granularity": experiment.asking.granularity,
    }
    problems = [
        f"{name} is made for task={part.task}, but task={task.name}; choose the model, and task and trainer follow it, "
        "as in model=unet or model=mask_rcnn_small"
        for name, part in parts.items()
        if isinstance(part, MadeForTask) and part.task != task.name
    ]
    judges = [metric.name for metric in task.metrics if metric.judges]
    if trainer.validation.metric not in judges:
        problems.append(
            f"trainer.validation.metric={trainer.validation.metric}, which task={task.name} does not measure; "
            f"choose {' or '.join(judges)}"
        )
    return problems + _of_evidence(experiment)


def _of_evidence(experiment: Experiment) -> list[str]:
    """Kinds of evidence that nothing in the experiment makes."""
    task, granularity = experiment.task, experiment.asking.granularity
    if wrong := _of_reads(experiment):
        return wrong
    cut = granularity.reads
    reads: dict[tuple[str, type[Evidence]], None] = {
        ("granularity", granularity.joins if isinstance(cut, str) else cut): None
    }
    for asking in _askings(experiment):
        descriptor = asking.selector.descriptor
        reads[f"heuristic={asking.name}", asking.heuristic.reads] = None
        reads |= {
            (f"selector ({type(asking.selector).__name__})", kind): None
            for kind in (() if descriptor is None else descriptor.reads)
        }
    view = experiment.round_view(0, Pool((), experiment.dataset), list)
    problems = _of_features(experiment, [part for part, kind in reads if kind in OF_FEATURES])
    there = ", ".join(kind.called for kind in task.kinds)
    return problems + [
        f"{part} reads {kind.called}, which task={task.name} does not find: its passes add up to {there}; choose "
        "another model (task and trainer follow it), or another option here"
        for part, kind in reads
        if not view.gives(kind)
    ]


def _of_reads(experiment: Experiment) -> list[str]:
    """Parts that say no kind of evidence where they say what they read."""
    granularity = experiment.asking.granularity
    said = [f"granularity {type(granularity).__name__}: {one}" for one in given.of_granularity(granularity)]
    for asking in _askings(experiment):
        heuristic, selector = asking.heuristic, asking.selector
        if wrong := given.of_reads(heuristic.reads):
            said.append(f"heuristic {type(heuristic).__name__}: {wrong}")
        if selector.descriptor is not None and not isinstance(selector.descriptor.reads, tuple):
            said.append(
                f"selector {type(selector).__name__}: reads={selector.descriptor.reads!r} of its descriptor; it has to "
                "be a tuple of kinds of evidence, such as (Features,)"
            )
    return list(dict.fromkeys(said))


def _of_features(experiment: Experiment, readers: Sequence[str]) -> list[str]:
    """What is wrong with the features that these parts read."""
    features = experiment.asking.features
    if not readers:
        return []
    if features.trained:
        model = experiment.fresh_model(0)
        return [
            f"{part} reads features, which {type(model).__name__} does not give (it has no embed); choose "
            "features=frozen, another model, or another option here"
            for part in ([] if isinstance(model, GivesFeatures) else readers)
        ]
    try:
        features.check()
    except ValueError as error:
        return [str(error)]
    return [
        f"selector ({type(asking.selector).__name__}) reads gradients of the network's last layer, which frozen "
        "features have not; choose features=network, or another selector"
        for asking in _askings(experiment)
        if isinstance(asking.selector.descriptor, GradientEmbedding)
    ]


def _of_class_ids(experiment: Experiment) -> list[str]:
    """Backgrounds that are no class of the dataset."""
    classes = experiment.dataset.classes
    named = [
        (f"{group}.background", part.background)
        for asking in _askings(experiment)
        for group, part in (("heuristic", asking.heuristic), ("selector", asking.selector))
        if isinstance(part, VoteVariance | ClaspPE | RandomForeground)
    ]
    return [
        f"{key}={identity} is no class id; choose 0 to {len(classes) - 1} ({', '.join(classes)})"
        for key, identity in named
        if identity is not None and not 0 <= identity < len(classes)
    ]


def _of_budget(experiment: Experiment) -> list[str]:
    names, initial = experiment.dataset.pool, experiment.initial
    if not names:
        return ["the pool is empty: the dataset leaves no training image besides val"]
    problems = []
    if experiment.rounds < 1:
        problems.append(f"rounds={experiment.rounds}: at least 1, the training on the initial set")
    if initial == "budget":
        if not isinstance(experiment.asking.granularity.reads, str):
            problems.append(
                "initial=budget asks before there is a model, but this granularity cuts images by what a model "
                "predicts; begin with whole images, as in initial=4"
            )
        rest: Sequence[str] = names
    elif initial != "all" and not 1 <= initial <= len(names):
        problems.append(
            f"initial={initial}: choose 1 to {len(names)} images (the pool has {len(names)}), all or budget"
        )
        rest = names
    else:
        count = len(names) if initial == "all" else initial
        first = experiment.start.known(names, count, experiment.run) or names[:count]  # otherwise any image will do
        rest = [name for name in names if name not in set(first)]
    for budget in dict.fromkeys(experiment.budgets):
        if budget.amount <= 0:
            problems.append(f"budget={budget.amount:g}: a round must be able to ask for something")
        elif experiment.rounds > 1 or initial == "budget":
            problems += _unaffordable(experiment, budget, rest) or _too_small(experiment, budget, rest)
    return problems


def _unaffordable(experiment: Experiment, budget: Budget, names: Sequence[str]) -> list[str]:
    """What is wrong if the named images cannot take one budget."""
    pool = Pool(names, experiment.dataset)
    if budget.unit == "regions":  # the number of units is known only when an image is cut
        return []
    if budget.per == "pool":
        left, where = pool.left(budget.unit), f"are left of the pool after initial={experiment.initial}"
    else:
        left, where = max((pool.left_of(name, budget.unit) for name in names), default=0.0), "are in the largest image"
    if budget.amount <= left:
        return []
    return [
        f"budget={budget.amount:g} {budget.unit} a round, but only {left:g} {where}; lower budget or initial, or set "
        "rounds=1"
    ]


def _too_small(experiment: Experiment, budget: Budget, names: Sequence[str]) -> list[str]:
    """What is wrong if a budget buys no unit of the named images; the smallest of them decide, before any training."""
    pool = Pool(names, experiment.dataset)
    smallest = sorted(names, key=pool.askable_area)[:TRIED]
    whole = 1.0 if budget.unit == "regions" else min((pool.left_of(name, budget.unit) for name in smallest), default=0)
    if budget.amount * ROUNDING >= whole:
        return []
    cheapest: float | None = whole
    granularity = experiment.asking.granularity
    if budget.unit != "regions":  # a unit may be less than an image
        scorer = experiment.asking.scorer(experiment.round_view(0, pool, list))
        prices = [scorer.cheapest(name, budget.unit) for name in smallest]
        cheapest = min((price for price in prices if price is not None), default=None)
        if cheapest is None and granularity.reads == "image":
            return [given.nothing_cut(granularity)]
    if cheapest is None or budget.amount * ROUNDING >= cheapest:
        return []
    return [
        f"budget={budget.amount:g} {budget.unit} buys nothing: the cheapest unit costs {cheapest:g}; raise budget, or "
        "choose a finer granularity"
    ]


def _askings(experiment: Experiment) -> list[Asking]:
    return experiment.asking.acting(experiment.rounds)


def _of_passes(experiment: Experiment, asking: Asking) -> list[str]:
    heuristic, predictor, problems = asking.heuristic, asking.predictor, list[str]()
    if predictor.total < heuristic.min_passes:
        problems.append(
            f"heuristic={asking.name} compares at least {heuristic.min_passes} passes, but the predictor draws "
            f"{predictor.total}; use predictor=mc_dropout with mc_iters={max(2, heuristic.min_passes)} or more, "
            "predictor=deep_ensemble or predictor=tta"
        )
    if predictor.dropout and heuristic.min_passes > 0 and not dropouts(experiment.fresh_model(0)):
        problems.append(
            "the predictor draws passes with dropout, but the model has none (model.sites=none or model.dropout=0), "
            "so all passes would be equal; give the model dropout or use predictor=single"
        )
    return problems
