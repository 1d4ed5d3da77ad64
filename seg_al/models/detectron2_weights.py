"""Weights of detectron2's model zoo, filled by detectron2's rules for names; imports detectron2."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer

from seg_al.models.pickled_arrays import read_arrays
from seg_al.models.weights import COUNTER, read

log = logging.getLogger(__name__)

BY_CLASS = ("box_predictor.cls_score.", "box_predictor.bbox_pred.", "mask_head.predictor.")
"""Layers with one output per class, which weights for other classes do not fill."""


def _of_trunk(key: str) -> bool:
    """Whether every file of weights has it, also one of a classifier."""
    return key.startswith("backbone.") and not key.startswith("backbone.fpn_") and not key.endswith(COUNTER)


def _of_classes(key: str) -> bool:
    return any(part in key for part in BY_CLASS)


class GivenWeights(DetectionCheckpointer):  # type: ignore[misc]
    """Fills a network by detectron2's own rules for names, from a file that is read without running its code."""

    def load(self, path: str) -> dict[str, Any]:
        """Raises ValueError for a file that is not there, holds more than arrays, or belongs to another network."""
        if not Path(path).is_file():
            raise ValueError(
                f"model.weights={path}: there is no file {Path(path).absolute()}; give the path of a .pkl or .pth "
                "file of detectron2's, or null for fresh weights"
            )
        found: dict[str, Any] = super().load(path)
        return found

    def _load_file(self, filename: str) -> dict[str, Any]:
        if not filename.endswith(".pkl"):
            return {"model": read(filename)}
        data = read_arrays(Path(filename))
        if "model" in data and "__author__" in data:
            return data
        arrays = {key: value for key, value in data.get("blobs", data).items() if not key.endswith("_momentum")}
        return {"model": arrays, "__author__": "Caffe2", "matching_heuristics": True}

    def _log_incompatible_keys(self, incompatible: Any) -> None:
        """Says what was not filled. Raises ValueError where the file belongs to another network."""
        reshaped = {key for key, *_ in incompatible.incorrect_shapes}
        lacking = sorted({*incompatible.missing_keys, *reshaped})
        wrong = [key for key in lacking if _of_trunk(key) or (key in reshaped and not _of_classes(key))]
        total = len(self.model.state_dict())
        if wrong or len(lacking) == total:
            raise ValueError(
                f"model.weights: the file does not fit model.config: {len(wrong or lacking)} of {total} tensors are "
                f"missing or of another shape, such as {(wrong or lacking)[0]}; give the config that the weights "
                "were trained with, or weights of that config"
            )
        log.info("%d of %d tensors are from model.weights", total - len(lacking), total)
        if lacking:
            log.info("fresh, because the file has none that fit: %s", ", ".join(lacking))
        if incompatible.unexpected_keys:
            log.warning("model.weights holds what this network lacks: %s", ", ".join(incompatible.unexpected_keys))
