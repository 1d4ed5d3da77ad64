"""What a run shows of itself: scalars, files, a gallery of its questions and a learning curve, from what is on disk."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from seg_al.asking.asking import Asking
from seg_al.asking.round_view import RoundView
from seg_al.asking.scorer import painted_by
from seg_al.core import Annotator, Answer, Colour, CostUnit, Metric, Painted, Query, Tracker
from seg_al.measuring.curve import AREA, Curve
from seg_al.measuring.declarations import EVERY
from seg_al.recording.agreement import scalars
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
from seg_al.recording.learning_curve_figure import learning_curve_figure
from seg_al.recording.metric_declarations import NOTE, declare, declared_in
from seg_al.recording.pictures.contact_sheet import Thumbnail, contact_sheet, spaced
from seg_al.recording.pictures.gallery import query_gallery
from seg_al.recording.pictures.objects import SeenObjects
from seg_al.recording.pictures.panel import Panel
from seg_al.recording.pictures.query_regions import by_image
from seg_al.recording.query_statistics import query_statistics_figure, statistics
from seg_al.recording.query_statistics import scalars as query_scalars
from seg_al.recording.stages import effort_path
from seg_al.whole_files import write_whole

log = logging.getLogger(__name__)

T = TypeVar("T")
Metrics = dict[str, dict[str, float]]

FILES = ("queries.jsonl", "scores.parquet", "gallery.png", "contact_sheet.png", "asked.png", "agreement.png")
"""Those of a round's files that the tracker is given, where they are there."""


@dataclass
class Recorder:
    """Passes rounds on to the tracker. A resumed run tells its finished rounds again, so that every view is whole."""

    tracker: Tracker
    folder: Path
    heuristic: str
    panels: int
    """Most asked images that a gallery draws; 0: no galleries."""
    unit: CostUnit
    """What a step of the tracker counts."""
    metrics: Sequence[Metric]
    """What the task measures; the first is shown by the run's curve."""
    colours: Sequence[Colour] | None = None
    """The data set's own, of its classes; None: it has none."""
    rounds: list[Metrics] = field(default_factory=list)

    def place(self, number: int) -> Path:
        """The folder of a round."""
        return self.folder / "rounds" / f"{number:02d}"

    def last(self, metric: str) -> float | None:
        return self.rounds[-1]["metrics"].get(metric) if self.rounds else None

    def declare(self) -> None:
        """Tells the run's folder and the tracker what its metrics mean."""
        declare(self.folder, self.metrics)
        self.tracker.note(NOTE, [asdict(metric) for metric in self.metrics])

    def round(self, number: int, metrics: Metrics) -> None:
        """All metrics and the effort at step = what labels cost so far; the round's files; the curve so far."""
        place = self.place(number)
        self.rounds.append(metrics)
        step = metrics["cost"][self.unit]
        self.tracker.scalars(told(place, metrics, self.heuristic, self.unit), step)
        write_json(place / "effort.json", _efforts(place))
        self._draw(number)
        curve = self.folder / "learning_curve.png"
        write_whole(
            curve,
            lambda path: learning_curve_figure(self.rounds, path, self.metrics[0]),
        )
        self.tracker.artifact(curve, f"round_{number:02d}_learning_curve.png")
        for name in FILES:
            if (place / name).exists():
                self.tracker.artifact(place / name, f"round_{number:02d}_{name}")

    def _draw(self, number: int) -> None:
        """Pictures of how the heuristics agreed and of what the round asked about, from its files; drawn once."""
        place = self.place(number)
        if not self.panels:
            return
        if (found := _read(place / "agreement.json", OBJECT)) and not (place / "agreement.png").exists():
            if why := nothing_to_compare(found):
                log.info("round %d: no picture of agreement: %s", number, why)
            else:
                write_whole(place / "agreement.png", lambda whole: agreement_figure(found, self.heuristic, whole))
        if (counted := _read(place / "asked.json", OBJECT)) and not (place / "asked.png").exists():
            write_whole(
                place / "asked.png", lambda whole: query_statistics_figure(counted, number, whole, self.colours)
            )

    def _gallery(self, panels: Iterable[Panel], round_view: RoundView, path: Path, images: int) -> None:
        query_gallery(panels, round_view.classes, path, self.heuristic, images, self.colours)

    def _tied(self, place: Path) -> bool:
        """Whether the heuristic scored all units of the round alike, so that it asked what random asks."""
        if not (place / "scores.parquet").exists():  # it was damaged and removed
            return False
        scores = loaded(place / "scores.parquet", SCORES, WITHOUT)
        if self.heuristic not in scores:
            raise ValueError(f"{place / 'scores.parquet'} has no column {self.heuristic!r}; {WITHOUT}")
        own = scores[self.heuristic]
        return len(own) > 1 and own.nunique() == 1

    def gallery(
        self,
        number: int,
        queries: Sequence[Query],
        asking: Asking,
        round_view: RoundView,
        annotator: Annotator,
        answers: Sequence[Answer] | None = None,
    ) -> None:
        """Counts and draws what the round asked, once, before the pool is told; None: answered is what was asked."""
        place = self.place(number)
        if not queries:
            return
        if not (place / "asked.json").exists():
            counted = statistics(
                queries, queries if answers is None else answers, round_view.pool, annotator, round_view.classes
            )
            write_record(place / "asked.json", {**counted, "all_scores_equal": self._tied(place)}, JSON)
        by_name = [tuple(queries[position] for position in own) for own in by_image(queries).values()]
        path = place / "gallery.png"
        if self.panels and not path.exists():
            panels = (panel_of(own, asking, round_view, annotator) for own in by_name[: self.panels])
            write_whole(path, lambda whole: self._gallery(panels, round_view, whole, len(by_name)))
        sheet = place / "contact_sheet.png"
        if self.panels and len(by_name) > self.panels and not sheet.exists():
            write_whole(sheet, lambda whole: _sheet(by_name, number, round_view, whole))


def panel_of(queries: tuple[Query, ...], asking: Asking, round_view: RoundView, annotator: Annotator) -> Panel:
    """One asked image with what the models of the last round saw in it; a heuristic without passes has no map."""
    name = queries[0].image
    image = round_view.pool.images.image(name)
    if asking.heuristic.min_passes == 0:
        tensor = round_view.compute.tensor(image)
        probabilities = round_view.task.prediction(round_view.models(), tensor, round_view.compute)
        found = round_view.task.agreed(round_view.models(), tensor, round_view.compute)
        seen = None if found is None else SeenObjects(found, None)
        score_map = None
    else:
        beliefs = round_view.beliefs(name)
        probabilities, painted = beliefs.mean, painted_by(asking.heuristic, beliefs)
        seen = seen_in(painted)
        score_map = painted.map.cpu().numpy()
    prediction = probabilities.argmax(0).cpu().numpy()
    known = [*round_view.pool.answered(name), *(query.region for query in queries)]
    truth = annotator.labels(name, known)
    true = None if seen is None else annotator.instances(name, known)[0]
    return Panel(image, prediction, truth, score_map, queries, _whole(queries, round_view), seen, true)


def seen_in(painted: Painted) -> SeenObjects | None:
    """The objects of the passes with their scores; None where the task has no objects."""
    if painted.shapes is None or painted.objects is None:
        return None
    return SeenObjects(painted.shapes, painted.objects.double().cpu().numpy())


def _whole(queries: Sequence[Query], round_view: RoundView) -> bool:
    """Whether one query asks for all of its image that is of any class."""
    return len(queries) == 1 and queries[0].region.area == round_view.pool.askable_area(queries[0].image)


def _sheet(by_name: Sequence[tuple[Query, ...]], number: int, round_view: RoundView, path: Path) -> None:
    """The images of the round, evenly spaced in the order in which they were asked about."""
    shown = spaced(len(by_name))
    thumbnails = (
        Thumbnail(round_view.pool.images.image(own[0].image), own, _whole(own, round_view))
        for own in (by_name[position] for position in shown)
    )
    queries = sum(len(own) for own in by_name)
    which = f"{len(shown)} of {len(by_name):,}, evenly spaced" if len(shown) < len(by_name) else "all"
    caption = f"Round {number}: {queries:,} queries about {len(by_name):,} images; {which} in the order of asking"
    contact_sheet(thumbnails, path, caption)


def told(place: Path, metrics: Metrics, heuristic: str, unit: CostUnit) -> dict[str, float]:
    """All that a tracker is told of a round, from its folder: metrics, costs, effort, agreement, what it asked."""
    effort = {f"effort/{key}": value for key, value in _efforts(place).items()}
    agreed, counted = _read(place / "agreement.json", OBJECT), _read(place / "asked.json", OBJECT)
    return {
        **metrics["metrics"],
        **_areas(place, unit),
        **{f"cost/{unit}": value for unit, value in metrics["cost"].items()},
        **effort,
        **(scalars(agreed, heuristic) if agreed else {}),
        **(query_scalars(counted) if counted else {}),
        **_oracle(place),
    }


def _read(path: Path, form: Format[T]) -> T | None:
    """The file's value; None where there is no file."""
    return loaded(path, form, WITHOUT) if path.exists() else None


def _areas(place: Path, unit: CostUnit) -> dict[str, float]:
    """The area under the learning curve up to this round, by the width: the mean height of the curve so far."""
    rounds = [
        loaded(path, METRICS) for path in sorted(place.parent.glob("*/metrics.json")) if path.parent.name <= place.name
    ]
    costs = np.array([one["cost"][unit] for one in rounds])
    names = [f"test/{metric.name}" for metric in declared_in(place.parents[1]) or EVERY if metric.area]
    curves = {name: np.array([one["metrics"].get(name, np.nan) for one in rounds]) for name in names}
    return {
        f"{name}{AREA}": Curve(costs, values).area(costs[0], costs[-1])
        for name, values in curves.items()
        if np.isfinite(values).all()
    }


def _oracle(place: Path) -> dict[str, float]:
    """How many true facts an oracle selector was told before it asked; nothing for the honest."""
    told = _read(place / "truths_read.json", NUMBER)
    return {"oracle/truths_read": float(told)} if told else {}


def _efforts(place: Path) -> dict[str, float]:
    """Seconds and peak memory of the round's stages; a stage that another process made is told from its file."""
    efforts: dict[str, float] = {}
    for name, file in (("query", "queries.jsonl"), ("train", "weights.pt"), ("evaluate", "metrics.json")):
        if effort := _read(effort_path(place / file), EFFORT):
            efforts |= {f"{name}_seconds": effort["seconds"], f"{name}_peak_mib": effort.get("peak_mib", np.nan)}
    if (saved := saved_seconds(place)) is not None:
        efforts["saved_seconds"] = saved
    return efforts
