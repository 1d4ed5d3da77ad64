"""Compares time and memory of a query with baal 2.1 and with a plain numpy loop over stacked passes, in the same runs.

    python scripts/benchmark_query.py --out benchmarks/query        # needs: pip install "seg_al[benchmark]"

Each figure comes from a process of its own (so that one side's memory cannot hide the other's), the sides take turns,
and medians are compared. Memory is the growth of the resident set over what the process held before its first image.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.special import xlogy
from torch import Tensor, nn

from seg_al.asking.memory import keep_freed_memory
from seg_al.granularities.joining import join
from seg_al.heuristics.bald import BALD
from seg_al.models.unet import UNet
from seg_al.predictors.class_maps import ClassMaps
from seg_al.predictors.dropout import CountedDropout, drawing
from seg_al.predictors.predictor import Predictor
from seg_al.randomness import torch_seeded
from seg_al.running.compute import LocalCompute

Doubles = npt.NDArray[np.float64]

# case: (image height, width, classes, UNet width, dropout sites, passes)
CASES = {
    "small UNet, dropout everywhere": (256, 512, 19, 8, "all", 20),
    "small UNet, dropout before the classifier": (256, 512, 19, 8, "head", 20),
    "predecessor's UNet, 522x775": (522, 775, 2, 16, "all", 20),
}
SIDES = {
    "small UNet, dropout everywhere": ("ours", "baal", "baal loop"),
    "small UNet, dropout before the classifier": ("ours", "baal", "baal loop"),
    "predecessor's UNet, 522x775": ("ours", "ours bfloat16", "plain loop"),
}

SHORT = {case: (1, 3) if case.startswith("predecessor") else (5, 1) for case in CASES}
"""Processes of each side and timed images in each, with --short."""


def network(case: str) -> UNet:
    _, _, classes, width, sites, _ = CASES[case]
    with torch_seeded("benchmark"):
        return UNet(width=width, dropout=0.1, sites=sites, classes=classes).eval()  # type: ignore[arg-type]


def picture(case: str) -> Tensor:
    height, width = CASES[case][:2]
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def with_plain_dropout(model: nn.Module) -> nn.Module:
    """The same weights with torch's own dropout, which the other sides know."""
    for name, child in model.named_children():
        if isinstance(child, CountedDropout):
            setattr(model, name, nn.Dropout(child.p))
        else:
            with_plain_dropout(child)
    return model


def ours(case: str, number_type: str = "float32") -> Callable[[], float]:
    compute = LocalCompute("cpu", number_type, 1, 0, "auto")  # type: ignore[arg-type]
    model = compute.place(network(case))
    image = picture(case).contiguous(memory_format=torch.channels_last)
    predictor = Predictor(CASES[case][-1], True, None, 1, 1, 8)

    def query() -> float:
        return float(BALD()(predictor([model], image, compute, [(0, 0, "image")])[0].of(ClassMaps)).mean())

    return query


def baal(case: str, replicate: bool) -> Callable[[], float]:
    try:
        from baal import ModelWrapper
        from baal.active.heuristics import BALD as TheirBALD
        from baal.bayesian.dropout import patch_module
        from baal.modelwrapper import TrainingArgs
    except ImportError as error:
        sys.exit(f'baal is needed here: pip install "seg_al[benchmark]" ({error})')
    model = patch_module(with_plain_dropout(network(case)))
    wrapper = ModelWrapper(model, TrainingArgs(use_cuda=False, replicate_in_memory=replicate))
    heuristic = TheirBALD(reduction="mean")
    image = picture(case)

    def query() -> float:
        passes = wrapper.predict_on_batch(image, iterations=CASES[case][-1])
        return float(heuristic.get_uncertainties(passes.numpy())[0])

    return query


def bald_of_stack(probabilities: Doubles) -> Doubles:  # [K, C, H, W] -> [H, W]
    mean = probabilities.mean(0)
    scores: Doubles = -xlogy(mean, mean).sum(0) + xlogy(probabilities, probabilities).sum(1).mean(0)
    return scores


def plain_loop(case: str) -> Callable[[], float]:
    model, image = with_plain_dropout(network(case)), picture(case)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.train()

    @torch.inference_mode()
    def query() -> float:
        passes = torch.stack([model(image).softmax(1)[0] for _ in range(CASES[case][-1])])
        return float(bald_of_stack(passes.numpy()).mean())

    return query


def builder(case: str, side: str) -> Callable[[], float]:
    match side:
        case "ours":
            return ours(case)
        case "ours bfloat16":
            return ours(case, "bfloat16")
        case "baal":
            return baal(case, replicate=True)
        case "baal loop":
            return baal(case, replicate=False)
        case _:
            return plain_loop(case)


def resident_mib(field: str) -> float:
    """VmRSS (now) or VmHWM (peak) of this process; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def measure(case: str, side: str, repeats: int) -> dict[str, float]:
    """Seconds of the median image after a first one, by the clock and of the processor, and the growth of memory."""
    query = builder(case, side)
    before = resident_mib("VmRSS")
    query()
    seconds, processor = [], []
    for _ in range(repeats):
        start, begun = time.perf_counter(), time.process_time()
        query()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - begun)
    return {
        "seconds": statistics.median(seconds),
        "processor_seconds": statistics.median(processor),
        "growth_mib": resident_mib("VmHWM") - before,
    }


def same_ranking(case: str) -> dict[str, float]:
    """Our scores of 32-pixel tiles against float64 numpy on the very same passes; and bfloat16's against float32's."""
    from scipy.stats import kendalltau

    model, image = network(case), picture(case)
    height, width, *_, passes = CASES[case]
    tiles = (torch.arange(height)[:, None] // 32) * 100 + torch.arange(width) // 32
    ids = torch.unique(tiles, return_inverse=True)[1]
    count = int(ids.max()) + 1

    def scores(score_map: Tensor) -> Doubles:
        return join(score_map, ids, count, "mean", 0.1).numpy()

    def maps(number_type: str) -> ClassMaps:
        compute = LocalCompute("cpu", number_type, 1, 0, "auto")  # type: ignore[arg-type]
        one = compute.place(deepcopy(model))
        return Predictor(passes, True, None, 1, 1, 8)([one], image, compute, [(0, 0, "image")])[0].of(ClassMaps)

    stack = []
    with torch.inference_mode():
        for number in range(passes):
            with drawing(model, [(0, 0, "image", 0, number)]):
                stack.append(model(image)[0].double().softmax(0).numpy())
    reference = scores(torch.from_numpy(bald_of_stack(np.stack(stack))))
    single = scores(BALD()(maps("float32")))
    half = scores(BALD()(maps("bfloat16")))
    return {
        "tau_float32": float(kendalltau(reference, single).statistic),
        "error_float32": float(np.abs(reference - single).max()),
        "tau_bfloat16": float(kendalltau(single, half).statistic),
    }


def child(*words: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", *words]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode != 0:
        sys.exit(f"{' '.join(words)} failed:\n{found.stderr}")
    return json.loads(found.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def table(sizes: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    rows = []
    for case, every in SIDES.items():
        runs, repeats = sizes[case]
        sides = [side for side in every if "baal" not in side or find_spec("baal") is not None]
        found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
        for run in range(runs):
            for side in sides:
                found[side].append(child("measure", case, side, str(repeats)))
                print(f"{case}: {side}, run {run + 1} of {runs}: {found[side][-1]}", file=sys.stderr)
        medians = {side: pd.DataFrame(values).median() for side, values in found.items()}
        for side in sides:
            row = {"case": case, "side": side, **medians[side].round(3)}
            ratios = (medians[side] / medians["ours"]).round(2).add_suffix(" / ours")
            rows.append({**row, **ratios})
    return pd.DataFrame(rows)


def rows_of(times: pd.DataFrame) -> list[dict[str, Any]]:
    """For scripts/benchmarks.py: our side beside each other one, and alone where baal is missing."""
    rows: list[dict[str, Any]] = []
    for case, sides in times.groupby("case", sort=False):
        by_side = sides.set_index("side")
        ours, what = by_side.loc["ours"], f"query of an image, {case}, {CASES[str(case)][-1]} passes"
        for side, other in by_side.drop(index="ours").iterrows():
            rows.append({
                "what": what, "ours": ours["processor_seconds"],
                "alternative": side, "theirs": other["processor_seconds"],
                "ratio": other["processor_seconds"] / ours["processor_seconds"], "ours_mib": ours["growth_mib"],
                "theirs_mib": other["growth_mib"],
            })  # fmt: skip
        if len(by_side) == 1:
            rows.append({
                "what": what, "ours": ours["processor_seconds"], "ours_mib": ours["growth_mib"],
                "note": "baal is not installed (the extra `benchmark`)",
            })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="processes per side and case; medians are compared")
    parser.add_argument("--repeats", type=int, default=3, help="timed images in each process")
    parser.add_argument("--out", type=Path, help="where to save the tables: STEM.csv and STEM.json")
    parser.add_argument("--short", action="store_true", help="fewer images of the large case; no ranking")
    parser.add_argument("--rows", type=Path, help="where scripts/benchmarks.py reads the figures")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    if options.child:
        keep_freed_memory()
        kind, *words = options.child
        work = {"measure": lambda: measure(words[0], words[1], int(words[2])),
                "ranking": lambda: same_ranking(words[0])}  # fmt: skip
        print(json.dumps(work[kind]()))
        return
    times = table(SHORT if options.short else dict.fromkeys(CASES, (options.runs, options.repeats)))
    print(times.to_string(index=False))
    if options.rows:
        options.rows.write_text(json.dumps(rows_of(times)))
    if options.short:
        return
    ranking = {case: child("ranking", case) for case in CASES}
    print(pd.DataFrame(ranking).T.to_string())
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        times.to_csv(options.out.with_suffix(".csv"), index=False)
        options.out.with_suffix(".json").write_text(json.dumps(ranking, indent=1) + "\n")


if __name__ == "__main__":
    main()
