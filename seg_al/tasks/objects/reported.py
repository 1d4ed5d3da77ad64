"""AP as a predecessor reported it, which differs from COCO's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torchvision.ops import nms

from seg_al.tasks.objects.objects import Detections


@dataclass(frozen=True)
class OperatingPoint:
    """Keeps detections above a certainty, and of overlapping boxes one, whatever their class, as for a user.

    maskAL (arXiv 2112.06586) reported the AP of masks of these. It leaves out the part of the precision-recall curve
    below that certainty, so that it is at most COCO's AP of the same detections without the second suppression.
    """

    name: str
    """The beginning of its metrics' names, such as "maskal" for "maskal_ap"."""
    score: float
    """The certainty above which detections count."""
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
