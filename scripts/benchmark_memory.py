"""Measures the memory of queries, each case in a process of its own, where it must not grow. Linux only.

Its alternative is not run: what the probabilities of all passes of one image, or of the pool, would take in float32.

python scripts/benchmark_memory.py --out benchmarks/memory
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from seg_al.asking.asking import Asking
from seg_al.asking.memory import keep_freed_memory
from seg_al.asking.pool import Pool
from seg_al.asking.round_view import RoundView
from seg_al.core import Answer, Budget, PixelSet, Query, Region
from seg_al.granularities.fixed import Image, Pixel
from seg_al.heuristics.bald import BALD
from seg_al.heuristics.entropy import Entropy
from seg_al.models.drn import DRN
from seg_al.models.unet import UNet
from seg_al.predictors.predictor import Predictor
from seg_al.randomness import torch_seeded
from seg_al.running.compute import LocalCompute
from seg_al.selectors.top import Top
from seg_al.tasks.semantic import SemanticSegmentation

STREET = (1024, 2048)
CONF = Path(__file__).parents[1] / "conf"


class Noise:
    """A pool of images that are made when they are read."""

    def __init__(self, count: int, size: tuple[int, int]) -> None:
        self.names = tuple(f"image_{number:04d}" for number in range(count))
        self._size = size

    def image(self, name: str) -> np.ndarray:
        return np.random.default_rng(self.names.index(name)).integers(0, 256, (*self._size, 3), dtype=np.uint8)

    def size(self, name: str) -> tuple[int, int]:
        return self._size

    def askable(self, name: str) -> None:
        """Every pixel has a class."""


class Nobody:
    """An annotator who is not asked: what is measured ends with the questions."""

    truths_read: ClassVar[dict[str, set[str]]] = {}

    def answer(self, queries: Sequence[Query], known: Callable[[str], PixelSet], folder: Path) -> list[Answer]:
        raise NotImplementedError

    def reveal(self, name: str, regions: Sequence[Region]) -> None:
        raise NotImplementedError

    def fact(self, key: str, name: str, region: PixelSet) -> str:
        raise NotImplementedError


def resident_mib(field: str) -> float:
    """VmRSS (now) or VmHWM (peak) of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def query(
    pool: Noise, model: Any, classes: int, passes: int, granularity: Any, also: dict[str, Any]
) -> dict[str, float]:
    """Memory that a whole query adds after the model has seen one small image."""
    compute = LocalCompute("cpu", "float32", 1, 0, "auto")
    with torch_seeded("benchmark"):
        model = compute.place(model.eval())
    predictor = Predictor(passes, True, None, 1, 1, 8)
    bald: Any = BALD()
    asking = Asking(bald, "bald", also, granularity, Top(), predictor, None, 1000)
    names = tuple(str(number) for number in range(classes))
    task = SemanticSegmentation(objects=False, bayesian=False)
    round_view = RoundView(Pool(pool.names, pool), lambda: [model], predictor, compute, names, 0, 1, task)
    budget = Budget(10, "pixels", "image") if isinstance(granularity, Pixel) else Budget(1, "images", "pool")
    predictor([model], torch.rand(1, 3, 64, 96), compute, [("warm up",)])  # loads the libraries' own memory
    before, start = resident_mib("VmRSS"), time.perf_counter()
    asked = asking(round_view, Nobody(), budget)
    peak = resident_mib("VmHWM")
    seconds = time.perf_counter() - start
    return {"growth_mib": peak - before, "peak_mib": peak, "seconds": seconds, "asked": len(asked.queries)}


def small(passes: int, images: int) -> dict[str, float]:
    """Image by image with a small UNet: as passes and pool grow."""
    model = UNet(width=4, dropout=0.1, sites="all", classes=5)
    return query(Noise(images, (64, 96)), model, 5, passes, Image("mean", 0.1), {"entropy": Entropy()})


def pixels(passes: int, images: int) -> dict[str, float]:
    """Ten pixels of each image of a street's size, chosen among two million."""
    model = UNet(width=2, dropout=0.1, sites="head", classes=5)
    return query(Noise(images, STREET), model, 5, passes, Pixel(), {"entropy": Entropy()})


def street(passes: int, images: int) -> dict[str, float]:
    """DRN-D-22 with 19 classes, dropout before the classifier, the scores of every heuristic in conf/ recorded."""
    also = {path.stem: instantiate(OmegaConf.load(path)) for path in sorted((CONF / "heuristic").glob("*.yaml"))}
    model = DRN(
        layout="D-22", dropout=0.5, sites="head", upsample="learned", normalize="imagenet", weights=None, classes=19
    )
    return query(Noise(images, STREET), model, 19, passes, Image("mean", 0.1), also)


SIDES = {"small": small, "pixels": pixels, "street": street}
CASES: dict[str, Sequence[tuple[int, int]]] = {
    "small": ((20, 100), (100, 100), (20, 1000)),
    "pixels": ((2, 30), (2, 60)),
    "street": ((20, 1),),
}
"""(passes, images) of each case."""
SHORT: dict[str, Sequence[tuple[int, int]]] = {
    "small": ((20, 50), (50, 50), (20, 200)),
    "pixels": ((6, 2), (6, 4)),
    "street": ((8, 1),),
}
SHAPES = {"small": (5, 64, 96), "pixels": (5, *STREET), "street": (19, *STREET)}
"""Classes, height and width."""
STREET_LIMIT = 600  # MiB that scoring one street image may add
GROWTH_LIMIT = 1.05  # of the peak, as passes, pool or images grow


def child(case: str, passes: int, images: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", case, str(passes), str(images)]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode != 0:
        sys.exit(f"{case} failed:\n{ended.stderr}")
    measured: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return measured


def row_of(found: dict[Any, Any]) -> dict[str, Any]:
    """For scripts/benchmarks.py."""
    classes, height, width = SHAPES[found["case"]]
    stack = found["passes"] * found["images"] * classes * height * width * 4 / 2**20
    return {
        "what": f"memory that a query adds: {found['images']} images of {height} x {width}, {classes} classes, "
        f"{found['passes']} passes, in {found['seconds']:.0f} s",
        "ours": found["growth_mib"], "unit": "MiB", "alternative": "all passes of all images kept, computed",
        "theirs": stack, "ratio": stack / max(found["growth_mib"], 0.1), "ours_mib": found["peak_mib"],
    }  # fmt: skip


def table(cases: dict[str, Sequence[tuple[int, int]]]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for case, sizes in cases.items():
        for passes, images in sizes:
            measured = child(case, passes, images)
            first = next((row for row in rows if row["case"] == case), {**measured})
            ratio = measured["peak_mib"] / first["peak_mib"]
            passed = measured["growth_mib"] < STREET_LIMIT if case == "street" else ratio < GROWTH_LIMIT
            rows.append(
                {"case": case, "passes": passes, "images": images, **measured, "of first": ratio, "passed": passed}
            )
            print(rows[-1], file=sys.stderr)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where to save the table: STEM.csv")
    parser.add_argument("--short", action="store_true", help="fewer passes and images")
    parser.add_argument("--rows", type=Path, help="where scripts/benchmarks.py reads the figures")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        keep_freed_memory()  # as runs do
        case, passes, images = options.child
        print(json.dumps(SIDES[case](int(passes), int(images))))
        return
    found = table(SHORT if options.short else CASES)
    if options.rows:
        options.rows.write_text(json.dumps([row_of(row) for row in found.to_dict("records")]))
    print(found.round(3).to_string(index=False))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        found.to_csv(options.out.with_suffix(".csv"), index=False)
    if not found["passed"].all():
        sys.exit("a case needs more memory than it may")


if __name__ == "__main__":
    main()
