"""An experiment as a straight line: ask, label, train, evaluate, record; round after round. Read core.py first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from seg_al.acquire import Asking, Look, first_queries
from seg_al.agreement import agreement
from seg_al.compute import Compute
from seg_al.core import Annotator, CostUnit, Dataset, ModelFactory, Query, Tracker
from seg_al.dropout import dropouts
from seg_al.evaluate import Evaluator, measure
from seg_al.examples import Labelled
from seg_al.pool import Pool
from seg_al.precision import ranks_alike
from seg_al.predictors import mean_probabilities
from seg_al.record import Recorder
from seg_al.stages import JSON, QUERIES, WEIGHTS, stage, write_json, write_whole
from seg_al.train import Trainer, Weights, build, load

log = logging.getLogger(__name__)

Models = Callable[[], Sequence[nn.Module]]


class Held:
    """Models that are loaded, or trained, when first called, and held in memory until they are let go."""

    def __init__(self, load: Models) -> None:
        self._load = load
        self._models: Sequence[nn.Module] | None = None

    def __call__(self) -> Sequence[nn.Module]:
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
    initial: int | Literal["all"]
    """Whole images in the first labelled set."""
    budget: float
    """What each later round may spend, in units of `cost`."""
    cost: CostUnit
    dataset: Dataset
    model: ModelFactory
    asking: Asking
    annotator: Annotator
    trainer: Trainer
    evaluator: Evaluator
    compute: Compute
    keep_weights: Literal["last", "all"]
    gallery: int
    """Most asked images that are drawn per round."""

    def check(self) -> None:
        """Raises ValueError, naming the keys, for what would fail or mean nothing hours later."""
        problems = [*self._budget_problems(), *self._pass_problems()]
        if self.trainer.batch_size % self.compute.devices:
            problems.append(
                f"trainer.batch_size={self.trainer.batch_size} does not divide among devices={self.compute.devices}; "
                "choose a multiple"
            )
        if problems:
            raise ValueError("this experiment cannot run:\n" + "\n".join(f"  - {problem}" for problem in problems))

    def _budget_problems(self) -> list[str]:
        pool = Pool(self.dataset.pool, self.dataset)
        size = len(pool.names)
        problems = []
        if size == 0:
            return ["the pool is empty: the dataset leaves no training image besides val"]
        if self.rounds < 1:
            problems.append(f"rounds={self.rounds}: at least 1, the training on the initial set")
        if self.budget <= 0:
            problems.append(f"budget={self.budget:g}: a round must be able to ask for something")
        if self.initial != "all" and not 1 <= self.initial <= size:
            problems.append(f"initial={self.initial}: choose 1 to {size} images (the pool has {size}), or all")
        elif self.rounds > 1 and self.budget > 0:
            first = size if self.initial == "all" else self.initial
            pool.reveal(first_queries(pool, first, self.run))
            left = pool.left(self.cost)
            if self.cost != "regions" and self.budget > left:
                problems.append(
                    f"budget={self.budget:g} {self.cost} a round, but only {left:g} are left of the pool "
                    f"after initial={self.initial}; lower budget or initial, or set rounds=1"
                )
        return problems

    def _pass_problems(self) -> list[str]:
        heuristic, predictor = self.asking.heuristic, self.asking.predictor
        problems = []
        if predictor.total < heuristic.min_passes:
            problems.append(
                f"heuristic={self.asking.name} compares at least {heuristic.min_passes} passes, but the predictor "
                f"draws {predictor.total}; use predictor=mc_dropout with mc_iters={max(2, heuristic.min_passes)} or "
                "more, predictor=deep_ensemble or predictor=tta"
            )
        if predictor.dropout and heuristic.min_passes > 0 and not dropouts(self._fresh_model(0)):
            problems.append(
                "the predictor draws passes with dropout, but the model has none (model.sites=none or "
                "model.dropout=0), so all passes would be equal; give the model dropout or use predictor=single"
            )
        return problems

    def __call__(self, tracker: Tracker, folder: Path) -> float | None:
        """Runs or resumes the experiment in its folder; returns the last "test/dice"."""
        pool = Pool(self.dataset.pool, self.dataset)
        recorder = Recorder(tracker, folder, self.asking.name, self.gallery)
        models: Held | None = None
        for number in range(self.rounds):
            if number > 0 and not pool.open:
                log.warning("round %d: nothing is left to ask; the run ends here", number)
                break
            models = self.play(number, pool, models, recorder)
        write_json(folder / "finished.json", {"rounds": self.rounds})
        return recorder.last("test/dice")

    def play(self, number: int, pool: Pool, models: Held | None, recorder: Recorder) -> Held:
        """One round. Each stage loads what is on disk or makes it; gives the models that the next round asks with."""
        place = recorder.place(number)
        asked = partial(self.ask, number, pool, models, place)
        queries = stage(place / "queries.jsonl", asked, QUERIES)()
        self.annotator.answer(queries, place)
        if models is not None:
            recorder.gallery(number, queries, self.asking, self.look(number, pool, models), self.annotator)
        pool.reveal(queries)
        known = pool.copy()  # weights that are lost and made again later must not see later answers
        weights = stage(place / "weights.pt", partial(self.fit, number, known, models), WEIGHTS)
        new = Held(lambda: self._load(weights()))
        metrics = stage(place / "metrics.json", partial(self.evaluate, number, pool, new), JSON, [new])()
        recorder.round(number, metrics)
        if models is not None:
            models.let_go()
        if number > 0 and self.keep_weights == "last":
            (recorder.place(number - 1) / "weights.pt").unlink(missing_ok=True)
        return new

    def look(self, number: int, pool: Pool, models: Models) -> Look:
        return Look(pool, models, self.asking.predictor, self.compute, self.dataset.classes, self.run, number)

    def ask(self, number: int, pool: Pool, models: Models | None, place: Path) -> list[Query]:
        if models is None:
            count = len(pool.names) if self.initial == "all" else self.initial
            log.info("round %d: %d images of %d to begin with", number, count, len(pool.names))
            return first_queries(pool, count, self.run)
        look = ranks_alike(self.look(number, pool, models), self.asking.heuristic)
        asked = self.asking(look, self.annotator, self.budget, self.cost)
        write_whole(place / "scores.parquet", lambda path: asked.scores.to_parquet(path, index=False))
        write_json(place / "truths_read.json", asked.truths_read)
        write_json(place / "agreement.json", agreement(asked.scores, self.asking.name, asked.passes))
        log.info("round %d: asks about %d of %d units", number, len(asked.queries), len(asked.scores))
        return asked.queries

    def fit(self, number: int, pool: Pool, models: Models | None) -> list[Weights]:
        """The weights of all members and their snapshots, trained on what is known."""
        known = {name: pool.known(name) for name in pool.labelled}
        labelled = Labelled(self.dataset, self.annotator, known)
        predictor = self.asking.predictor
        weights: list[Weights] = []
        for member in range(predictor.members):
            model = self._fresh_model(member)
            if models is not None and self.trainer.start == "warm":
                model.load_state_dict(models()[(member + 1) * predictor.snapshots - 1].state_dict())
            address = (self.run, number, member)
            weights += self.trainer.fit(
                model, labelled, Judge(self.dataset, self.compute), self.compute, address, predictor.snapshots
            )
        return weights

    def evaluate(self, number: int, pool: Pool, models: Models) -> dict[str, dict[str, float]]:
        cost = {unit: pool.cost(unit) for unit in ("images", "pixels", "regions")}
        metrics = self.evaluator(models(), self.dataset, self.asking.predictor, self.compute, self.run)
        log.info(
            "round %d: %g images, val dice %.4f, test dice %.4f",
            number, cost["images"], metrics["val/dice"], metrics["test/dice"],
        )  # fmt: skip
        return {"cost": cost, "metrics": metrics}

    def _fresh_model(self, member: int) -> nn.Module:
        return build(self.model, len(self.dataset.classes), self.run, member)

    def _load(self, weights: Sequence[Weights]) -> list[nn.Module]:
        models = load(self._fresh_model(0), weights)
        return [self.compute.place(model) for model in models]


@dataclass(frozen=True)
class Judge:
    """Scores a model on val, which alone chooses: its mean foreground Dice, dropout off."""

    dataset: Dataset
    compute: Compute

    def __call__(self, model: nn.Module) -> float:
        def predict(name: str) -> Tensor:  # [C, H, W]
            return mean_probabilities([model], self.compute.tensor(self.dataset.image(name)), self.compute)

        return measure(self.dataset, {"val": self.dataset.val}, predict, objects=False)["val/dice"]
