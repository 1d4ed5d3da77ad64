"""AP as a predecessor reported it, where that is not COCO's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torchvision.ops import nms

from seg_al.tasks.objects.objects import Detections


@dataclass(frozen=True)
class OperatingPoint:
    """What a user would be shown: detections above a certainty, and of boxes that overlap one, whatever their class.

    maskAL (arXiv 2112.06586) reported the AP of masks of these. It leaves out the part of the precision-recall curve
    below that certainty, so that it is at most COCO's AP of the same detections without the second suppression.
    """

    name: str
    """What its metrics begin with, such as "maskal" for "maskal_ap"."""
    score: float
    """Detections count above it."""
    nms: float
    """Overlap (IoU of boxes) above which the less certain of two detections is left out."""

    def __post_init__(self) -> None:
        for name, value in (("score", self.score), ("nms", self.nms)):
            if not 0 <= value <= 1:
                raise ValueError(f"task.reported.{name}={value:g} is a share, 0 to 1")

    def __call__(self, detections: Detections) -> Detections:
        sure = detections.select(detections.scores > self.score)
        kept = nms(torch.from_numpy(sure.boxes), torch.from_numpy(sure.scores).float(), self.nms)
        return sure.select(kept.numpy())
