"""An experiment as a straight line: ask, label, train, evaluate, record; round after round. Read core.py first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from seg_al.asking.asking import Asking, first_queries
from seg_al.asking.pool import Pool
from seg_al.asking.precision import ranks_alike
from seg_al.asking.round_view import RoundView
from seg_al.core import (
    COST_UNITS,
    Annotator,
    Budget,
    Coloured,
    Compute,
    Dataset,
    Metric,
    Model,
    ModelFactory,
    Query,
    Tracker,
)
from seg_al.measuring.declarations import CONSTANT
from seg_al.recording.agreement import agreement
from seg_al.recording.files import JSON, METRICS, QUERIES, SCORES, WEIGHTS, loaded, write_json, write_record
from seg_al.recording.first_round import FirstRound
from seg_al.recording.recorder import Recorder
from seg_al.recording.stages import stage
from seg_al.tasks.task import Task
from seg_al.trainers.trainer import Trainer
from seg_al.training.examples import Labelled
from seg_al.training.networks import Weights, build, load

log = logging.getLogger(__name__)

Models = Callable[[], Sequence[Model]]


class Held:
    """Models that are loaded, or trained, when first called, and held in memory until they are let go."""

    def __init__(self, load: Models) -> None:
        self._load = load
        self._models: Sequence[Model] | None = None

    def __call__(self) -> Sequence[Model]:
        if self._models is None:
            self._models = self._load()
        return self._models

    def let_go(self) -> None:
        self._models = None


@dataclass(frozen=True)
class Experiment:
    """Everything that one run of an active-learning experiment is made of; its fields mirror conf/config.yaml."""

    run: int
    """The seed of everything: split, initial set, weights, data order, dropout."""
    rounds: int
    """Trainings, the one on the initial set included."""
    initial: int | Literal["all", "budget"]
    """Whole images in the first labelled set, or one budget of units drawn at random."""
    budget: Budget
    """What each later round may spend."""
    dataset: Dataset
    model: ModelFactory
    asking: Asking
    annotator: Annotator
    trainer: Trainer
    task: Task
    compute: Compute
    first_round: FirstRound | None
    """Where runs that begin alike share their first round; None: this run trains its own."""
    keep_weights: Literal["last", "all"]
    gallery: int
    """Most asked images that are drawn per round."""

    def __call__(self, tracker: Tracker, folder: Path) -> float | None:
        """Runs or resumes the experiment in its folder; returns the task's first metric of the last round's test."""
        pool = Pool(self.dataset.pool, self.dataset)
        colours = self.dataset.colours if isinstance(self.dataset, Coloured) else None
        recorder = Recorder(
            tracker, folder, self.asking.name, self.gallery, self.budget.unit, self.task.metrics, colours
        )
        recorder.declare()
        models: Held | None = None
        for number in range(self.rounds):
            if number > 0 and not pool.open:
                log.warning("round %d: nothing is left to ask; the run ends here", number)
                break
            models = self.play(number, pool, models, recorder)
        write_json(folder / "finished.json", {"rounds": self.rounds})
        return recorder.last(f"test/{self.task.metrics[0].name}")

    def measure(self, path: Path, folder: Path) -> float:
        """Evaluates the models in a file of weights, such as a run's rounds/04/weights.pt, and trains nothing.

        Writes folder/evaluation.json and returns the task's first metric of test. Raises ValueError for other files.
        """
        models = self._given(path)
        metrics = self._measured(models)
        write_json(folder / "evaluation.json", {"weights": str(path), "models": len(models), "metrics": metrics})
        width = max(map(len, metrics))
        log.info("%s:\n%s", path, "\n".join(f"  {key:{width}}  {value:.4f}" for key, value in metrics.items()))
        return metrics[f"test/{self.task.metrics[0].name}"]

    def _given(self, path: Path) -> list[Model]:
        """The models of a file that the user names; only of a file, as a pipe or a device may never end."""
        remedy = "give the weights.pt of a run's round"
        if not path.is_file():
            what = "this is no file" if path.exists() else "there is no such file"
            raise ValueError(f"evaluate={path}: {what}; {remedy}")
        try:
            weights = loaded(path, WEIGHTS, remedy)
            if not isinstance(weights, list) or not weights:
                raise ValueError(f"it holds no list of networks; {remedy}")
        except ValueError as error:
            raise ValueError(f"evaluate={path}: {error}") from error
        try:
            return self._load(weights)
        except (RuntimeError, AttributeError, TypeError) as error:
            raise ValueError(
                f"evaluate={path}: these are no weights of this model for {len(self.dataset.classes)} classes; compose "
                f"the model and dataset as in the config.json of the run that made them ({str(error).splitlines()[0]})"
            ) from None

    def play(self, number: int, pool: Pool, models: Held | None, recorder: Recorder) -> Held:
        """One round. Each stage loads what is on disk or makes it; gives the models that the next round asks with."""
        place = recorder.place(number)
        asked = partial(self.ask, number, pool, models, place)
        queries = stage(place / "queries.jsonl", asked, QUERIES)()
        answers = self.annotator.answer(queries, pool.known, place)
        if models is not None:
            recorder.gallery(
                number, queries, self.asking, self.round_view(number, pool, models), self.annotator, answers
            )
        pool.reveal(answers)
        trained = partial(self._trained, number, pool, models)
        if number == 0 and self.first_round is not None and not (place / "metrics.json").exists():
            self.first_round.fill(place, trained)
        new, metrics = trained(place)
        recorder.round(number, metrics())
        if models is not None:
            models.let_go()
        if number > 0 and self.keep_weights == "last":
            (recorder.place(number - 1) / "weights.pt").unlink(missing_ok=True)
        return new

    def _trained(
        self, number: int, pool: Pool, models: Held | None, place: Path
    ) -> tuple[Held, Callable[[], dict[str, dict[str, float]]]]:
        """The models and the metrics of a round, trained on what is known now, as stages in the folder `place`."""
        known = pool.copy()  # weights that are lost and made again later must not see later answers
        weights = stage(place / "weights.pt", partial(self.fit, number, known, models), WEIGHTS)
        new = Held(lambda: self._load(weights()))
        return new, stage(place / "metrics.json", partial(self.evaluate, number, known, new), METRICS, [new])

    def round_view(self, number: int, pool: Pool, models: Models) -> RoundView:
        asking, classes = self.asking, self.dataset.classes
        return RoundView(pool, models, asking.predictor, self.compute, classes, self.run, number, self.task)

    def ask(self, number: int, pool: Pool, models: Models | None, place: Path) -> list[Query]:
        if models is None:
            return self._first_queries(number, pool)
        round_view = ranks_alike(self.round_view(number, pool, models), self.asking.heuristic)
        asked = self.asking(round_view, self.annotator, self.budget)
        write_record(place / "scores.parquet", asked.scores, SCORES)
        write_record(place / "truths_read.json", asked.truths_read, JSON)
        agreed = agreement(asked.scores[asked.scores["drawn"]], self.asking.name, asked.passes)
        write_record(place / "agreement.json", agreed, JSON)
        log.info("round %d: asks about %d of %d units", number, len(asked.queries), len(asked.scores))
        return asked.queries

    def _first_queries(self, number: int, pool: Pool) -> list[Query]:
        if self.initial == "budget":
            log.info("round %d: random %s to begin with", number, self.budget.unit)
            return self.asking.first(self.round_view(number, pool, list), self.annotator, self.budget)
        count = len(pool.names) if self.initial == "all" else self.initial
        log.info("round %d: %d images of %d to begin with", number, count, len(pool.names))
        return first_queries(pool, count, self.run)

    def fit(self, number: int, pool: Pool, models: Models | None) -> list[Weights]:
        """The weights of all members and their snapshots, trained on what is known."""
        known = {name: pool.answered(name) for name in pool.labelled}
        labelled = Labelled(self.dataset, self.annotator, known, self.dataset.classes)
        predictor = self.asking.predictor
        judge = Judge(self.task, self.dataset, self.compute, self.judging)
        weights: list[Weights] = []
        for member in range(predictor.members):
            model = self.fresh_model(member)
            if models is not None and self.trainer.start == "warm":
                model.load_state_dict(models()[(member + 1) * predictor.snapshots - 1].state_dict())
            address = (self.run, number, member)
            weights += self.trainer.fit(model, labelled, judge, self.compute, address, predictor.snapshots)
        return weights

    def evaluate(self, number: int, pool: Pool, models: Models) -> dict[str, dict[str, float]]:
        cost: dict[str, float] = {unit: pool.cost(unit) for unit in COST_UNITS}
        metrics = self._measured(models())
        name, unit = self.task.metrics[0].name, self.budget.unit
        val, test = metrics[f"val/{name}"], metrics[f"test/{name}"]
        log.info("round %d: %g %s, val %s %.4f, test %s %.4f", number, cost[unit], unit, name, val, name, test)
        return {"cost": cost, "metrics": metrics}

    def _measured(self, models: Sequence[Model]) -> dict[str, float]:
        """The task's metrics with the best constant's on val, and with how many images of val are labelled."""
        metrics = self.task.evaluate(models, self.dataset, self.asking.predictor, self.compute, self.run)
        metric = self.judging.name
        constants = self.task.constants(self.dataset, metric)
        best = max(constants, key=lambda name: self.judging.sign * constants[name])
        log.info("val %s %.4f (best constant, %s: %.4f)", metric, metrics[f"val/{metric}"], best, constants[best])
        return {**metrics, f"val/{CONSTANT}{metric}": constants[best], "val/images": float(len(self.dataset.val))}

    @property
    def judging(self) -> Metric:
        """The metric of val that chooses checkpoints."""
        return next(metric for metric in self.task.metrics if metric.name == self.trainer.validation.metric)

    def fresh_model(self, member: int) -> Model:
        return build(self.model, len(self.dataset.classes), self.run, member)

    def _load(self, weights: Sequence[Weights]) -> list[Model]:
        models = load(self.fresh_model(0), weights)
        return [self.compute.place(model) for model in models]


@dataclass(frozen=True)
class Judge:
    """Scores a model on val, which alone chooses, by a metric of the task; a value, so that processes can have it."""

    task: Task
    dataset: Dataset
    compute: Compute
    metric: Metric

    def __call__(self, model: Model) -> float:
        """Higher = better."""
        return self.metric.sign * self.task.judge(model, self.dataset, self.compute, self.metric.name)
