"""Scores objects by the uncertainty of the passes about each, painted into its pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seg_al.tasks.objects.certainty import (
    BoxAreas,
    MaskAgreement,
    Occurrence,
    Semantic,
    box_certainty,
    mask_certainty,
    occurrence_certainty,
    semantic_certainty,
)
from seg_al.tasks.objects.passes import Group, Objects


@dataclass(frozen=True)
class ObjectCertainty:
    """One less the product of the certainties that are chosen (maskAL, arXiv 2112.06586; activeInstanceSegment).

    maskAL asks for the images of lowest product and has their mean; we turn the sign per object, which for the mean is
    the same. Pixels of no object score 0. The certainties are explained in tasks/objects/certainty.py.
    """

    semantic: Semantic | None
    """Certainty of the class; None: not used."""
    background: bool
    """Whether the background is one of the classes of `semantic`."""
    one_class: bool
    """Whether `semantic` counts where there is but one foreground class."""
    mask: MaskAgreement | None
    """Certainty of the outline; None: not used."""
    box: BoxAreas | None
    """Certainty of the box; None: not used."""
    occurrence: Occurrence | None
    """Certainty that the object exists; None: not used."""
    wanted: Literal["uncertain", "certain"]
    """The negative control "certain" wants objects that the passes agree about: the score is the product itself."""
    reads: ClassVar[type[Objects]] = Objects

    def __post_init__(self) -> None:
        if self.semantic is None and self.mask is None and self.box is None and self.occurrence is None:
            raise ValueError(
                "this heuristic has no certainty to score objects by; choose heuristic.semantic, .mask, .box or "
                ".occurrence"
            )

    @property
    def min_passes(self) -> int:
        """One pass is enough for a softmax; votes, outlines, boxes and occurrence need several."""
        return 1 if self.semantic in ("entropy", "top", "margin") else 2

    def of_objects(self, objects: Objects) -> Tensor:  # [N], in [0, 1]
        """Raises ValueError where `one_class` leaves nothing to score by."""
        products = [math.prod(self._certainties(group, objects.passes)) for group in objects.groups]
        certainty = torch.tensor(products, dtype=torch.float64)
        return 1 - certainty if self.wanted == "uncertain" else certainty

    def __call__(self, objects: Objects) -> Tensor:  # [H, W], in [0, 1]
        scores = self.of_objects(objects)
        padded = torch.cat([scores.float(), scores.new_zeros(1, dtype=torch.float32)])  # -1, of no object, is the last
        return padded[torch.from_numpy(objects.map.astype(np.int64))]

    def _certainties(self, group: Group, passes: int) -> list[float]:
        found = []
        if self.semantic is not None and (self.one_class or group.probabilities.shape[1] > 2):
            found.append(semantic_certainty(group, passes, self.semantic, self.background))
        if self.mask is not None:
            found.append(mask_certainty(group, self.mask))
        if self.box is not None:
            found.append(box_certainty(group, self.box))
        if self.occurrence is not None:
            found.append(occurrence_certainty(len(group), passes, self.occurrence))
        if not found:
            raise ValueError(
                "there is one foreground class, and heuristic.one_class=false leaves nothing to score objects by; set "
                "heuristic.one_class=true, or choose heuristic.mask, .box or .occurrence"
            )
        return found
