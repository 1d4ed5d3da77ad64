"""Sends each round to the tracker, from its files: scalars, files, a gallery of its queries, a learning curve."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from seg_al.asking.asking import Asking
from seg_al.asking.given import painted_by
from seg_al.asking.round_view import RoundView
from seg_al.core import (
    Annotator,
    Answer,
    AskedImage,
    Colour,
    CostUnit,
    Gallery,
    Heuristic,
    Metric,
    Nothing,
    Query,
    Tracker,
    Truth,
)
from seg_al.measuring.curve import AREA, Curve
from seg_al.measuring.declarations import EVERY
from seg_al.measuring.learned import LEARNED, learned
from seg_al.recording.agreement import agreement_scalars
from seg_al.recording.agreement_figure import agreement_figure, nothing_to_compare
from seg_al.recording.files import (
    EFFORT,
    JSON,
    METRICS,
    NUMBER,
    OBJECT,
    SCORES,
    WITHOUT,
    Format,
    loaded,
    write_json,
    write_record,
)
from seg_al.recording.first_round import saved_seconds
from seg_al.recording.learning import not_learned, say_learning
from seg_al.recording.learning_curve_figure import learning_curve_figure
from seg_al.recording.metric_declarations import NOTE, declare, declared_in
from seg_al.recording.pictures.contact_sheet import Thumbnail, contact_sheet, spaced
from seg_al.recording.pictures.query_regions import by_image
from seg_al.recording.pictures_beside import Picture, PicturesBeside
from seg_al.recording.query_statistics import query_scalars, query_statistics_figure, statistics
from seg_al.recording.rounds import Metrics, Rounds
from seg_al.recording.stages import effort_path

log = logging.getLogger(__name__)

T = TypeVar("T")

ROUND_FILES = ("queries.jsonl", "scores.parquet", "gallery.png", "contact_sheet.png", "asked.png", "agreement.png")
"""Files of a round that the tracker gets, if they exist."""


@dataclass
class Recorder:
    """Sends rounds to the tracker. A resumed run sends its finished rounds again, so that every view is complete.

    Pictures are drawn while the next stage runs; the tracker gets a round's files once they are there.
    """

    tracker: Tracker
    folders: Rounds
    asking: Asking
    panels: int
    """Most asked images that a gallery draws; 0: no galleries."""
    unit: CostUnit
    """The unit of the tracker's steps."""
    metrics: Sequence[Metric]
    """The metrics of the task; the run's curve shows the first."""
    colours: Sequence[Colour] | None = None
    """The data set's own colours of its classes; None: it has none."""
    rounds: list[Metrics] = field(default_factory=list)
    beside: PicturesBeside = field(default_factory=PicturesBeside)
    told: bool = False
    """Whether it has said why a round has no picture of agreement, which is the same for all of them."""

    def last(self, metric: str) -> float | None:
        return self.rounds[-1]["metrics"].get(metric) if self.rounds else None

    def declare(self) -> None:
        """Writes the meaning of the metrics into the run's folder and the tracker."""
        declare(self.folders.folder, self.metrics)
        self.tracker.note(NOTE, [asdict(metric) for metric in self.metrics])

    def round(self, number: int, metrics: Metrics) -> None:
        """Sends metrics, effort, files and the curve so far; the step is the cost of labels so far."""
        folder = self.folders.of(number)
        self.beside.wait()  # those of the round before, and this round's gallery
        self.rounds.append(metrics)
        say_learning(number, metrics["metrics"], self.metrics[0], self.folders.of(0))
        step = metrics["cost"][self.unit]
        self.tracker.scalars(round_scalars(folder, metrics, self._name(number), self.unit), step)
        write_json(folder / "effort.json", _efforts(folder))
        curve = self.folders.folder / "learning_curve.png"
        drawn = curve, partial(learning_curve_figure, [*self.rounds], metric=self.metrics[0])
        self.beside.begin([*self._pictures(number), drawn], partial(self._send, number, curve))

    def _send(self, number: int, curve: Path) -> None:
        folder = self.folders.of(number)
        self.tracker.artifact(curve, f"round_{number:02d}_learning_curve.png")
        for name in ROUND_FILES:
            if (folder / name).exists():
                self.tracker.artifact(folder / name, f"round_{number:02d}_{name}")

    def _pictures(self, number: int) -> Iterator[Picture]:
        """Of how the heuristics agreed and of what the round asked about, from its files; drawn once."""
        folder = self.folders.of(number)
        if not self.panels:
            return
        if (found := _read(folder / "agreement.json", OBJECT)) and not (folder / "agreement.png").exists():
            if why := nothing_to_compare(found):
                if not self.told:
                    log.info("round %d: no picture of agreement, here and in rounds like it: %s", number, why)
                self.told = True
            else:
                yield folder / "agreement.png", partial(agreement_figure, found, self._name(number))
        if (counted := _read(folder / "asked.json", OBJECT)) and not (folder / "asked.png").exists():
            yield folder / "asked.png", partial(query_statistics_figure, counted, number, own=self.colours)

    def _name(self, number: int) -> str:
        """The name of the heuristic that asks in the round."""
        return self.asking.in_round(number).name

    def _tied(self, folder: Path, name: str) -> bool:
        """Whether the heuristic gave all units of the round one score, so that it asked what random asks."""
        if not (folder / "scores.parquet").exists():  # it was damaged and removed
            return False
        scores = loaded(folder / "scores.parquet", SCORES, WITHOUT)
        if name not in scores:
            raise ValueError(f"{folder / 'scores.parquet'} has no column {name!r}; {WITHOUT}")
        own = scores[name]
        return len(own) > 1 and own.nunique() == 1

    def asked(
        self,
        round_view: RoundView,
        queries: Sequence[Query],
        answers: Sequence[Answer],
        annotator: Annotator[Any],
    ) -> None:
        """Counts and draws the queries of a round, before the pool marks them as known; no model asks in round 0."""
        folder = self.folders.of(round_view.round)
        if not queries or round_view.round == 0:
            return
        asking = self.asking.in_round(round_view.round)
        if not (folder / "asked.json").exists():
            counted = statistics(
                queries,
                answers,
                round_view.pool,
                annotator,
                round_view.classes,
                round_view.task.amounts,
            )
            write_record(folder / "asked.json", {**counted, "all_scores_equal": self._tied(folder, asking.name)}, JSON)
        by_name = [tuple(queries[position] for position in own) for own in by_image(queries).values()]
        path, pictures = folder / "gallery.png", list[Picture]()
        if self.panels and not path.exists():
            drawn = (asked_image(own, asking.heuristic, round_view, annotator) for own in by_name[: self.panels])
            last = self.rounds[-1]["metrics"] if self.rounds else {}
            why = not_learned(last, self.metrics[0], self.folders.of(0))
            warning = f"The models of round {round_view.round - 1}, which are shown here: {why}" if why else ""
            gallery = Gallery(round_view.classes, asking.name, len(by_name), self.colours, warning)
            pictures.append((path, round_view.task.draw(drawn, gallery)))
        sheet = folder / "contact_sheet.png"
        if self.panels and len(by_name) > self.panels and not sheet.exists():
            pictures.append((sheet, partial(_sheet, by_name, round_view)))
        self.beside.begin(pictures)


def asked_image(
    queries: tuple[Query, ...], heuristic: Heuristic[Any], round_view: RoundView, annotator: Annotator[Truth]
) -> AskedImage[Truth]:
    """One asked image with the evidence of the models of the last round; random uses no image and has no map."""
    name, task = queries[0].image, round_view.task
    image = round_view.pool.images.image(name)
    if heuristic.reads is Nothing:
        evidence = task.seen(round_view.models(), round_view.compute.tensor(image), round_view.compute)
        painted = None
    else:
        (evidence,) = round_view.evidence([name], [*task.kinds, heuristic.reads])
        painted = painted_by(task, heuristic, evidence, name)
    known = [*round_view.pool.answered(name), *(query.region for query in queries)]
    whole = _whole(queries, round_view)
    return AskedImage(image, queries, whole, evidence, painted, annotator.reveal(name, known))


def _whole(queries: Sequence[Query], round_view: RoundView) -> bool:
    """Whether one query asks for its whole image without the void pixels."""
    return len(queries) == 1 and queries[0].region.area == round_view.pool.askable_area(queries[0].image)


def _sheet(by_name: Sequence[tuple[Query, ...]], round_view: RoundView, path: Path) -> None:
    """The images of the round, evenly spaced in the order in which they were asked about."""
    shown = spaced(len(by_name))
    thumbnails = (
        Thumbnail(round_view.pool.images.image(own[0].image), own, _whole(own, round_view))
        for own in (by_name[position] for position in shown)
    )
    queries = sum(len(own) for own in by_name)
    which = f"{len(shown)} of {len(by_name):,}, evenly spaced" if len(shown) < len(by_name) else "all"
    caption = (
        f"Round {round_view.round}: {queries:,} queries about {len(by_name):,} images; {which} in the order of asking"
    )
    contact_sheet(thumbnails, path, caption)


def round_scalars(folder: Path, metrics: Metrics, heuristic: str, unit: CostUnit) -> dict[str, float]:
    """All scalars of a round for a tracker, from its folder: metrics, costs, effort, agreement, query statistics."""
    effort = {f"effort/{key}": value for key, value in _efforts(folder).items()}
    agreed, counted = _read(folder / "agreement.json", OBJECT), _read(folder / "asked.json", OBJECT)
    known = learned(metrics["metrics"], (declared_in(folder.parents[1]) or EVERY)[0])
    return {
        **metrics["metrics"],
        **({} if known is None else {LEARNED: float(known)}),
        **_areas(folder, unit),
        **{f"cost/{unit}": value for unit, value in metrics["cost"].items()},
        **effort,
        **(agreement_scalars(agreed, heuristic) if agreed else {}),
        **(query_scalars(counted) if counted else {}),
        **_oracle(folder),
    }


def _read(path: Path, form: Format[T]) -> T | None:
    """The file's value; None where there is no file."""
    return loaded(path, form, WITHOUT) if path.exists() else None


def _areas(folder: Path, unit: CostUnit) -> dict[str, float]:
    """The area under the learning curve up to this round, divided by the width: the mean height so far."""
    rounds = [
        loaded(path, METRICS)
        for path in sorted(folder.parent.glob("*/metrics.json"))
        if path.parent.name <= folder.name
    ]
    costs = np.array([one["cost"][unit] for one in rounds])
    names = [f"test/{metric.name}" for metric in declared_in(folder.parents[1]) or EVERY if metric.area]
    curves = {name: np.array([one["metrics"].get(name, np.nan) for one in rounds]) for name in names}
    return {
        f"{name}{AREA}": Curve(costs, values).area(costs[0], costs[-1])
        for name, values in curves.items()
        if np.isfinite(values).all()
    }


def _oracle(folder: Path) -> dict[str, float]:
    """The number of true facts that an oracle selector read before it asked; empty for honest ones."""
    facts = _read(folder / "truths_read.json", NUMBER)
    return {"oracle/truths_read": float(facts)} if facts else {}


def _efforts(folder: Path) -> dict[str, float]:
    """Seconds and peak memory of the round's stages; those of stages that another process made, from its file."""
    efforts: dict[str, float] = {}
    for name, file in (("query", "queries.jsonl"), ("train", "weights.pt"), ("evaluate", "metrics.json")):
        if effort := _read(effort_path(folder / file), EFFORT):
            efforts |= {f"{name}_seconds": effort["seconds"], f"{name}_peak_mib": effort.get("peak_mib", np.nan)}
    if (saved := saved_seconds(folder)) is not None:
        efforts["saved_seconds"] = saved
    return efforts
