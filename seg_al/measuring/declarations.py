"""What the numbers of a run mean: found by a number's name among the metrics that its task declares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seg_al.core import Metric
from seg_al.measuring.class_maps import CLASS_MAP_METRICS
from seg_al.measuring.coco_ap import COCO_METRICS
from seg_al.measuring.curve import AREA
from seg_al.measuring.learned import CONSTANT, UNTRAINED
from seg_al.measuring.objects import OBJECT_METRICS

KNOWN: tuple[tuple[Metric, ...], ...] = (CLASS_MAP_METRICS, (*COCO_METRICS, *OBJECT_METRICS))
"""What the tasks of this package declare; it also explains the runs that were made before they did. The first metric of
each is the one that a run is known by."""
EVERY = tuple(metric for metrics in KNOWN for metric in metrics)


def meaning_of(number: str, metrics: Sequence[Metric]) -> Metric | None:
    """The metric, under its own name, behind a number such as "test/error", "test/error_car" or "val/constant_error".

    "test/untrained_error" has it too. None where no metric stands behind a number.
    """
    name = number.rpartition("/")[2]
    stem = name.removeprefix(CONSTANT).removeprefix(UNTRAINED).removesuffix(AREA)
    exact = {metric.name: metric for metric in metrics}
    if (whole := exact.get(name, exact.get(stem))) is not None:
        return whole
    parents = (metric for metric in metrics if metric.of_class and stem.startswith(f"{metric.of_class}_"))
    parent = max(parents, key=lambda metric: len(metric.of_class), default=None)
    if parent is None:
        return None
    return replace(parent, name=stem, judges=False, area=False, column="", of_class="")
