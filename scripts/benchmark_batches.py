"""Compares queries that see images of one size together with queries that see them one by one, in turns in one process.

    python scripts/benchmark_batches.py              # 600 images of 87x129 and 1,000 of 32x32, 10 passes each
    python scripts/benchmark_batches.py --short      # 120 and 200 of them

The network is model=unet_small with fresh weights, the images are noise. "bald alone" records the scores of one
heuristic, "as runs do" those of all in conf/heuristic. Processor seconds of one thread, medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmark_memory import CONF, Nobody, Noise
from hydra.utils import instantiate
from omegaconf import OmegaConf

from seg_al.asking.asking import Asking, RoundQueries
from seg_al.asking.pool import Pool
from seg_al.asking.round_view import RoundView
from seg_al.core import Budget, Model
from seg_al.granularities.fixed import Image
from seg_al.heuristics.bald import BALD
from seg_al.predictors.batches import pixels_together
from seg_al.predictors.predictor import Predictor
from seg_al.running.compute import LocalCompute
from seg_al.selectors.top import Top
from seg_al.tasks.semantic import SemanticSegmentation
from seg_al.training.networks import build

CASES = (((87, 129), 600, 120), ((32, 32), 1000, 200))
"""Height and width, images, and images in the short form."""
PASSES = 10


def network(compute: LocalCompute) -> Model:
    model = build(instantiate(OmegaConf.load(CONF / "model" / "unet_small.yaml")), 2, 0, 0)
    model.eval()
    return compute.place(model)


def recorded() -> Mapping[str, Any]:
    return {path.stem: instantiate(OmegaConf.load(path)) for path in sorted((CONF / "heuristic").glob("*.yaml"))}


def seconds(view: RoundView, also: Mapping[str, Any]) -> tuple[float, RoundQueries]:
    """Of a query for the fifth part of the pool, after the images were made."""
    asking = Asking(BALD(), "bald", also, Image("mean", 0.1), Top(), view.predictor, None, 1000)
    start = time.process_time()
    asked = asking(view, Nobody(), Budget(len(view.pool.names) / 5, "images", "pool"))
    return time.process_time() - start, asked


def compared(size: tuple[int, int], images: int, also: Mapping[str, Any], repeats: int) -> dict[str, Any]:
    """Milliseconds of an image in both ways, and how the scores and the choices differ."""
    compute = LocalCompute("cpu", "float32", 1, 0, 1)
    model, pool = network(compute), Noise(images, size)
    predictor = Predictor(PASSES, True, None, 1, 1, 8)
    task = SemanticSegmentation(objects=False, bayesian=False)
    pixels = pixels_together(lambda: model, partial(pool.image, pool.names[0]), compute)
    views = {
        name: RoundView(Pool(pool.names, pool), lambda: [model], predictor, one, ("a", "b"), 0, 1, task)
        for name, one in (("one by one", replace(compute, images_at_once=1)), ("together", compute.together(pixels)))
    }
    found: dict[str, list[float]] = {name: [] for name in views}
    asked: dict[str, RoundQueries] = {}
    for _ in range(repeats):
        for name, view in views.items():
            took, asked[name] = seconds(view, also)
            found[name].append(1000 * took / images)
    ones, others = (asked[name].scores["bald"].to_numpy() for name in views)
    chosen = [{query.image for query in asked[name].queries} for name in views]
    return {
        "one by one": statistics.median(found["one by one"]),
        "together": statistics.median(found["together"]),
        "batch": views["together"].compute.batch(size),
        "difference": float(np.abs(ones - others).max()),
        "other choices": len(chosen[0] - chosen[1]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="queries in each way; medians are compared")
    parser.add_argument("--short", action="store_true", help="a fifth of the images")
    parser.add_argument("--rows", type=Path, help="where scripts/benchmarks.py reads the figures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    compared((32, 32), 5, {}, 1)
    for size, images, few in CASES:
        count = few if options.short else images
        for what, also in (("bald alone", {}), ("as runs do", recorded())):
            found = compared(size, count, also, options.repeats)
            ratio = found["one by one"] / found["together"]
            told = f"query of {count} images of {size[0]}x{size[1]}, {PASSES} passes, {what}"
            print(f"{told}: {found}, ratio {ratio:.2f}", flush=True)
            note = (
                f"{found['batch']} together; scores differ by at most {found['difference']:.0e}, "
                f"{found['other choices']} choices"
            )
            rows.append(
                {"what": told, "ours": found["together"], "unit": "ms an image", "alternative": "one by one",
                 "theirs": found["one by one"], "ratio": ratio, "note": note}
            )  # fmt: skip
    if options.rows:
        options.rows.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
