"""Measures how far `model.shared_masks` of Mask R-CNN ranks images as exact passes do, and what it saves.

    python scripts/benchmark_shared_masks.py --out benchmarks/shared_masks     # five minutes; --short: one

A small network learns made-up nuclei, and scores others by both ways with the same dropout masks. Kendall's tau and the
common share of the highest quarter stand beside those of exact passes of another draw, which differ by chance alone.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.stats import kendalltau
from torch import Tensor

from seg_al.asking.memory import keep_freed_memory
from seg_al.heuristics.objects import ObjectCertainty
from seg_al.models.mask_rcnn import MaskRCNN
from seg_al.models.partial_labels import BoxSampling, Learning, Proposals, Target
from seg_al.models.pyramids import EncoderPyramid
from seg_al.models.roi_heads import Detecting, Widths
from seg_al.predictors.dropout import drawing
from seg_al.tasks.objects.matching import BestMatch
from seg_al.tasks.objects.placement import placed

SHARED = 0.8
"""The overlap that is measured."""


def nuclei_picture(seed: int, side: int) -> tuple[Tensor, Target]:
    """Discs of 5 to 12 pixels on a dark ground, of a contrast and noise that differ from picture to picture."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[0:side, 0:side]
    image = np.full((side, side), 0.2) + rng.normal(0, rng.uniform(0.02, 0.2), (side, side))
    masks, contrast = [], rng.uniform(0.1, 0.6)
    for _ in range(int(side**2 / rng.uniform(800, 2400))):
        x, y, radius = *rng.uniform(6, side - 6, 2), rng.uniform(5, 12)
        masks.append((across - x) ** 2 + (down - y) ** 2 <= radius**2)
        image[masks[-1]] += contrast * rng.uniform(0.5, 1)
    rows = [np.flatnonzero(mask.any(1)) for mask in masks]
    columns = [np.flatnonzero(mask.any(0)) for mask in masks]
    boxes = [[c[0], r[0], c[-1] + 1, r[-1] + 1] for r, c in zip(rows, columns, strict=True)]
    target: Target = {
        "boxes": torch.tensor(boxes, dtype=torch.float32),
        "labels": torch.ones(len(masks), dtype=torch.int64),
        "masks": torch.tensor(np.stack(masks)).to(torch.uint8),
        "unknown": torch.zeros(side, side, dtype=torch.bool),
    }
    return torch.tensor(image.clip(0, 1)).float().expand(3, -1, -1), target


def trained(steps: int) -> MaskRCNN:
    """A small network that has learned the made-up nuclei."""
    torch.manual_seed(0)
    model = MaskRCNN(
        backbone=EncoderPyramid("tu-test_resnet", 32, True, "imagenet"),
        weights=None,
        dropout=0.25,
        sites=("box_head", "predictor", "mask_head"),
        proposals=Proposals((8, 16, 32, 64, 128), (0.5, 1.0, 2.0), 500, 300, 500, 300, 0.7),
        heads=Widths(256, (64, 64)),
        detecting=Detecting(0.05, 0.5, class_agnostic=False, most=100),
        learning=Learning(BoxSampling(0.7, 0.3, 256, 0.5), BoxSampling(0.5, 0.5, 64, 0.25), 0.3, "whole"),
        classes=2,
    )
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=0.003)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.003, steps)
    for step in range(steps):
        images, targets = zip(*(nuclei_picture(4 * step + number, 128) for number in range(4)), strict=True)
        losses: Any = model(torch.stack(images), list(targets))
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.inference_mode()
def scored(model: MaskRCNN, images: int, draw: int, passes: int) -> tuple[npt.NDArray[np.float64], float]:
    """The mean uncertainty of the objects of made-up images by maskAL's rule [2, images], all of it and that of masks
    alone, and the processor seconds of the passes."""
    whole = ObjectCertainty("entropy", False, True, "iou", "plain", "linear", "uncertain")
    outline = ObjectCertainty(None, False, True, "iou", None, None, "uncertain")
    scores, seconds = np.zeros((2, images)), 0.0
    for number in range(images):
        matcher = BestMatch().begin((256, 256))
        start = time.process_time()
        state = model.encode(nuclei_picture(10_000 + number, 256)[0][None])
        for place in range(passes):
            with drawing(model, [(draw, number, place)]):
                found = model.decode(state)[0]
            seconds += time.process_time() - start
            matcher.add(placed(found))
            start = time.process_time()
        objects = matcher.objects()
        if len(objects):
            scores[:, number] = [float(rule.of_objects(objects).mean()) for rule in (whole, outline)]
    return scores, seconds


def agreement(steps: int, count: int, passes: int) -> list[dict[str, float | str]]:
    """Ranks of so many images with shared masks and with exact ones, beside exact passes of another draw."""
    model = trained(steps)
    exact, exact_seconds = scored(model, count, 0, passes)
    other, _ = scored(model, count, 1, passes)
    model.roi_heads.shared_masks = SHARED
    shared, seconds = scored(model, count, 0, passes)
    rows: list[dict[str, float | str]] = []
    for row, name in enumerate(("maskAL", "outlines alone")):
        (tau, top), (chance, top_of_chance) = (agreement_of(exact[row], values[row]) for values in (shared, other))
        rows.append({
            "case": f"{name}, {count} images, {passes} passes", "ours_s": seconds, "theirs_s": exact_seconds,
            "ratio": exact_seconds / seconds, "tau": tau, "top_quarter": top,
            "tau_of_another_draw": chance, "top_quarter_of_another_draw": top_of_chance,
        })  # fmt: skip
    return rows


def agreement_of(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Kendall's tau of two scores of the same images, and the share of the highest quarter that they have in common."""
    most = len(one) // 4
    common = set(np.argsort(-one)[:most].tolist()) & set(np.argsort(-other)[:most].tolist())
    return float(kendalltau(one, other).statistic), len(common) / most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a shorter training, fewer images and passes")
    parser.add_argument("--rows", type=Path, help="where scripts/benchmarks.py reads the figures")
    parser.add_argument("--out", type=Path, help="where to save the table: STEM.csv")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as runs do
    found = agreement(*((150, 16, 6) if options.short else (400, 40, 20)))
    if options.rows:
        rows = [
            {"what": f"shared_masks={SHARED}, small network: {one['case']}", "ours": one["ours_s"],
             "alternative": "masks anew", "theirs": one["theirs_s"], "ratio": one["ratio"],
             "note": f"tau {one['tau']:.2f} and {one['top_quarter']:.2f} of the top quarter alike, of another draw of "
                     f"exact passes {one['tau_of_another_draw']:.2f} and {one['top_quarter_of_another_draw']:.2f}"}
            for one in found
        ]  # fmt: skip
        options.rows.write_text(json.dumps(rows))
    table = pd.DataFrame(found)
    print(table.round(2).to_string(index=False))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(options.out.with_suffix(".csv"), index=False)


if __name__ == "__main__":
    main()
