"""What a run shows of itself: scalars, files, a gallery of its questions and a learning curve, from what is on disk."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seg_al.acquire import Asking, Look
from seg_al.agreement import agreement_figure, scalars
from seg_al.core import Annotator, Query, Tracker
from seg_al.figures import run_curve
from seg_al.gallery import Panel, query_gallery
from seg_al.predictors import mean_probabilities
from seg_al.stages import effort_path, write_json, write_whole

log = logging.getLogger(__name__)

Metrics = dict[str, dict[str, float]]


@dataclass
class Recorder:
    """Passes rounds on to the tracker. A resumed run tells its finished rounds again, so that every view is whole."""

    tracker: Tracker
    folder: Path
    heuristic: str
    panels: int
    """Most asked images that a gallery draws; 0: no galleries."""
    rounds: list[Metrics] = field(default_factory=list)

    def place(self, number: int) -> Path:
        """The folder of a round."""
        return self.folder / "rounds" / f"{number:02d}"

    def last(self, metric: str) -> float | None:
        return self.rounds[-1]["metrics"].get(metric) if self.rounds else None

    def round(self, number: int, metrics: Metrics) -> None:
        """All metrics and the effort at step = labelled images; the round's files; the curve so far."""
        place = self.place(number)
        self.rounds.append(metrics)
        step = metrics["cost"]["images"]
        efforts = _efforts(place)
        effort = {f"effort/{key}": value for key, value in efforts.items()}
        self.tracker.scalars({**metrics["metrics"], **effort, **self._agreement(place), **_oracle(place)}, step)
        write_json(place / "effort.json", efforts)
        curve = self.folder / "learning_curve.png"
        write_whole(curve, lambda path: run_curve(self.rounds, path))
        self.tracker.artifact(curve, f"round_{number:02d}_learning_curve.png")
        for name in ("queries.jsonl", "scores.parquet", "gallery.png", "agreement.png"):
            if (place / name).exists():
                self.tracker.artifact(place / name, f"round_{number:02d}_{name}")

    def _agreement(self, place: Path) -> dict[str, float]:
        """How the heuristics agreed on what to ask, from the round's file; drawn once."""
        path, picture = place / "agreement.json", place / "agreement.png"
        if not path.exists():
            return {}
        found = json.loads(path.read_text())
        if self.panels and not picture.exists():
            write_whole(picture, lambda whole: agreement_figure(found, self.heuristic, whole))
        return scalars(found, self.heuristic)

    def gallery(self, number: int, queries: Sequence[Query], asking: Asking, look: Look, annotator: Annotator) -> None:
        """Draws what the round asked: image, prediction, truth and score map, and why; once."""
        path = self.place(number) / "gallery.png"
        if path.exists() or not queries or self.panels == 0:
            return
        panels = [panel_of(query, asking, look, annotator) for query in queries[: self.panels]]
        classes = look.classes
        write_whole(path, lambda whole: query_gallery(panels, classes, whole, self.heuristic, self.panels))


def panel_of(query: Query, asking: Asking, look: Look, annotator: Annotator) -> Panel:
    """One asked image with what the models of the last round saw in it; a heuristic without passes has a flat map."""
    image = look.pool.images.image(query.image)
    mask = query.region.mask()
    if asking.heuristic.min_passes == 0:
        probabilities = mean_probabilities(look.models(), look.compute.tensor(image), look.compute)
        score_map = np.ones(mask.shape)
    else:
        beliefs = look.beliefs(query.image)
        probabilities = beliefs.mean
        score_map = asking.heuristic(beliefs).cpu().numpy()
    prediction = probabilities.argmax(0).cpu().numpy()
    return Panel(query.image, image, prediction, annotator.labels(query.image, mask), score_map, mask, query.why)


def _oracle(place: Path) -> dict[str, float]:
    """How many true facts an oracle selector was told before it asked; nothing for the honest."""
    path = place / "truths_read.json"
    told = json.loads(path.read_text()) if path.exists() else 0
    return {"oracle/truths_read": float(told)} if told else {}


def _efforts(place: Path) -> dict[str, float]:
    """Seconds and peak memory of the round's stages; a stage that another process made is told from its file."""
    efforts: dict[str, float] = {}
    for name, file in (("query", "queries.jsonl"), ("train", "weights.pt"), ("evaluate", "metrics.json")):
        path = effort_path(place / file)
        if path.exists():
            effort = json.loads(path.read_text())
            efforts |= {f"{name}_seconds": effort["seconds"], f"{name}_peak_mib": effort["peak_mib"]}
    return efforts
