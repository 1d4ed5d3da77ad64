"""An experiment as a straight line: ask, label, train, evaluate, record; round after round. Read core.py first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from seg_al.asking.asking import Asking
from seg_al.asking.pool import Pool
from seg_al.asking.precision import ranks_alike
from seg_al.asking.round_view import RoundView
from seg_al.asking.start import Start, whole_images
from seg_al.core import (
    COST_UNITS,
    Annotator,
    Budget,
    Coloured,
    Compute,
    Dataset,
    Model,
    ModelFactory,
    Query,
    Task,
    Tracker,
)
from seg_al.measuring.learned import CONSTANT
from seg_al.predictors.batches import pixels_together
from seg_al.recording.agreement import agreement
from seg_al.recording.files import (
    BASELINES,
    JSON,
    METRICS,
    NAMED_NUMBERS,
    OBJECT,
    QUERIES,
    SCORES,
    WEIGHTS,
    WITHOUT,
    loaded,
    write_json,
    write_record,
)
from seg_al.recording.first_round import FirstRound
from seg_al.recording.recorder import Recorder
from seg_al.recording.rounds import Held, Metrics, Models, Rounds
from seg_al.recording.stages import stage
from seg_al.tasks.judge import Baselines, Judge
from seg_al.trainers.trainer import Trainer
from seg_al.training.examples import Labelled
from seg_al.training.networks import Weights, build, load, weights_of
from seg_al.training.trained import Trained, training_facts

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Experiment:
    """All parts of one run of an active-learning experiment; the fields are those of conf/config.yaml."""

    run: int
    """The seed of everything: split, initial set, weights, data order, dropout."""
    rounds: int
    """Number of trainings, with the one on the initial set."""
    initial: int | Literal["all", "budget"]
    """Whole images in the first labelled set, or one budget of units drawn at random."""
    budgets: tuple[Budget, ...]
    """The budget of each later round, of one unit; the last one is that of all that follow."""
    dataset: Dataset
    model: ModelFactory
    start: Start
    """Chooses the first labelled set."""
    asking: Asking
    annotator: Annotator[Any]
    trainer: Trainer
    task: Task[Any]
    compute: Compute
    first_round: FirstRound | None
    """The first round that runs with the same start share; None: this run trains its own."""
    keep_weights: Literal["last", "all"]
    gallery: int
    """Most asked images that are drawn per round."""

    def __call__(self, tracker: Tracker, folder: Path) -> float | None:
        """Runs or resumes the experiment in its folder; returns the task's first metric of the last round's test."""
        path = folder / "images_at_once.json"
        if not path.exists():
            write_json(path, {"pixels": self._pixels_together()})
        pixels = loaded(path, NAMED_NUMBERS)["pixels"]
        return replace(self, compute=self.compute.together(int(pixels)))._rounds(tracker, folder)

    def _rounds(self, tracker: Tracker, folder: Path) -> float | None:
        pool = Pool(self.dataset.pool, self.dataset)
        rounds = Rounds(folder, self.first_round, self.keep_weights)
        recorder = self._recorder(tracker, rounds)
        recorder.declare()
        models: Held | None = None
        with recorder.beside:
            for number in range(self.rounds):
                if number > 0 and not pool.open:
                    log.warning("round %d: nothing is left to ask; the run ends", number)
                    break
                models = self.play(number, pool, models, rounds, recorder)
        write_json(folder / "finished.json", {"rounds": self.rounds})
        return recorder.last(f"test/{self.task.metrics[0].name}")

    def play(self, number: int, pool: Pool, models: Held | None, rounds: Rounds, recorder: Recorder) -> Held:
        """One round, whose stages load their file or make it; returns the models for the queries of the next round."""
        folder, view = rounds.of(number), self.round_view(number, pool, models)
        queries = stage(folder / "queries.jsonl", partial(self.ask, view, folder), QUERIES)()
        answers = self.annotator.answer(queries, pool.known, folder)
        recorder.asked(view, queries, answers, self.annotator)
        pool.reveal(answers)
        newer, metrics = rounds.trained(number, partial(self.train, number, pool.copy(), models))
        recorder.round(number, metrics)
        rounds.release(number)  # by now the pictures that show the older models are there
        if models is not None:
            models.let_go()
        return newer

    def train(
        self, number: int, known: Pool, models: Models | None, folder: Path
    ) -> tuple[Held, Callable[[], Metrics]]:
        """Trains on `known` and evaluates, as stages in the folder; later answers do not change them.

        The first of a run also measures what is scored without learning, which the others read from its folder.
        """
        weights = stage(folder / "weights.pt", partial(self.fit, number, known, models, folder), WEIGHTS)
        newer, first = Held(lambda: self._load(weights())), folder if number == 0 else folder.with_name("00")
        without = stage(first / "baselines.json", self.baselines, BASELINES)
        evaluate = partial(self.evaluate, number, known, newer, without, folder)
        return newer, stage(folder / "metrics.json", evaluate, METRICS, [newer, without])

    def ask(self, view: RoundView, folder: Path) -> list[Query]:
        """The queries of a round, from the disk or asked now; the scores of all units are written beside them."""
        if view.round == 0:
            return self._first_queries(view)
        asking = self.asking.in_round(view.round)
        view = ranks_alike(view, asking.heuristic)
        chosen = asking(view, self.annotator, self.budgets[min(view.round, len(self.budgets)) - 1])
        write_record(folder / "scores.parquet", chosen.scores, SCORES)
        write_record(folder / "truths_read.json", chosen.truths_read, JSON)
        agreed = agreement(chosen.scores[chosen.scores["drawn"]], asking.name, chosen.passes)
        write_record(folder / "agreement.json", agreed, JSON)
        log.info("round %d: asks about %d of %d units", view.round, len(chosen.queries), len(chosen.scores))
        return chosen.queries

    def _first_queries(self, view: RoundView) -> list[Query]:
        if self.initial == "budget":
            log.info("round 0: random %s to begin with", self.budget.unit)
            return self.asking.first(view, self.annotator, self.budget)
        names = view.pool.names
        count = len(names) if self.initial == "all" else self.initial
        log.info("round 0: %d images of %d to begin with", count, len(names))
        return (
            whole_images(view.pool, names)
            if count == len(names)
            else self.start(count, view, self.asking, self.annotator)
        )

    def measure(self, path: Path, folder: Path) -> float:
        """Evaluates the models in a file of weights, such as a run's rounds/04/weights.pt, and trains nothing.

        Writes folder/evaluation.json and returns the task's first metric of test. Raises ValueError for other files.
        """
        models = self._given(path)
        compute = self.compute.together(self._pixels_together())
        metrics = replace(self, compute=compute)._measured(models, self.baselines())
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

    def round_view(self, number: int, pool: Pool, models: Models | None) -> RoundView:
        predictor, classes = self.asking.predictor, self.dataset.classes
        return RoundView(
            pool, models or list, predictor, self.compute, classes, self.run, number, self.task, self.asking.features
        )

    def _recorder(self, tracker: Tracker, rounds: Rounds) -> Recorder:
        colours = self.dataset.colours if isinstance(self.dataset, Coloured) else None
        return Recorder(
            tracker,
            rounds,
            self.asking,
            self.gallery,
            self.budget.unit,
            self.task.metrics,
            colours,
        )

    def fit(self, number: int, pool: Pool, models: Models | None, folder: Path) -> list[Weights]:
        """The weights of all members and their snapshots, trained on what is known; training.json says how it went."""
        labelled, predictor = self._labelled(pool), self.asking.predictor
        trained: list[Trained] = []
        for member in range(predictor.members):
            model = self.fresh_model(member)
            if models is not None and self.trainer.start == "warm":
                model.load_state_dict(models()[(member + 1) * predictor.snapshots - 1].state_dict())
            address = (self.run, number, member)
            trained.append(self.trainer.fit(model, labelled, self.judge, self.compute, address, predictor.snapshots))
        write_record(folder / "training.json", training_facts(trained), OBJECT)
        return [weights for one in trained for weights in one.weights]

    def baselines(self) -> Baselines:
        """What the best constant prediction and the fresh network score on val and test."""
        return self.judge.baselines(self._fresh_on_device())

    def evaluate(
        self, number: int, pool: Pool, models: Models, without: Callable[[], Baselines], folder: Path
    ) -> Metrics:
        """Costs and metrics of a round, with its training and its fit to what it was trained on."""
        cost: dict[str, float] = {unit: pool.cost(unit) for unit in COST_UNITS}
        labelled, training = self._labelled(pool), folder / "training.json"
        metrics = self._measured(models(), without()) | self.judge.fit(models(), labelled.names, labelled.truth)
        if training.exists():
            facts = loaded(training, OBJECT, WITHOUT)
            metrics |= facts
        name, unit = self.task.metrics[0].name, self.budget.unit
        val, test = metrics[f"val/{name}"], metrics[f"test/{name}"]
        log.info("round %d: %g %s, val %s %.4f, test %s %.4f", number, cost[unit], unit, name, val, name, test)
        return {"cost": cost, "metrics": metrics}

    def _labelled(self, pool: Pool) -> Labelled[Any]:
        known = {name: pool.answered(name) for name in pool.labelled}
        return Labelled(self.dataset, self.annotator, known, self.dataset.classes, self.task.amounts)

    def _measured(self, models: Sequence[Model], without: Baselines) -> dict[str, float]:
        """The task's metrics, with what is scored without learning, and with how many images of val are labelled."""
        metrics = self.task.evaluate(models, self.dataset, self.asking.predictor, self.compute, self.run)
        metric, scores = self.judge.metric.name, without["scores"]
        constant, best = scores[f"val/{CONSTANT}{metric}"], without["constants"][f"val/{metric}"]
        log.info("val %s %.4f (best constant, %s: %.4f)", metric, metrics[f"val/{metric}"], best, constant)
        return {**metrics, **scores, "val/images": float(len(self.dataset.val))}

    @property
    def budget(self) -> Budget:
        """The first one."""
        return self.budgets[0]

    @property
    def judge(self) -> Judge:
        """Judges by the metric of val that chooses checkpoints."""
        metric = next(one for one in self.task.metrics if one.name == self.trainer.validation.metric)
        return Judge(self.task, self.dataset, self.compute, metric)

    def _pixels_together(self) -> int:
        """How many pixels networks get at once in queries and evaluation, where no number of images is stated."""
        first = partial(self.dataset.image, self.dataset.pool[0])
        pixels = pixels_together(self._fresh_on_device, first, self.compute)
        log.info("images of one size go together up to %d pixels, unless images_at_once says how many", pixels)
        return pixels

    def _fresh_on_device(self) -> Model:
        return self._load([weights_of(self.fresh_model(0))])[0]

    def fresh_model(self, member: int) -> Model:
        return build(self.model, len(self.dataset.classes), self.run, member)

    def _load(self, weights: Sequence[Weights]) -> list[Model]:
        models = load(self.fresh_model(0), weights)
        return [self.compute.place(model) for model in models]
