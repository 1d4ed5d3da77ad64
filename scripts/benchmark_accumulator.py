"""Compares the ways to add a pass to the moments of class maps, in turns in one process: processor time of one thread.

python scripts/benchmark_accumulator.py            # 256x512 pixels, 19 classes
python scripts/benchmark_accumulator.py --size 512 1024 --classes 2 --passes 60
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor

from seg_al.predictors.class_maps import ClassMapSums
from seg_al.predictors.extension import BUILT
from seg_al.predictors.moments import Accumulate, add_by_torch, add_in_tiles

WAYS: dict[str, Accumulate] = {"PyTorch": add_by_torch, **({"compiled code": add_in_tiles} if BUILT else {})}


def passes_of(classes: int, size: tuple[int, int], dtype: torch.dtype, channels_last: bool) -> list[Tensor]:
    """Some passes, which take turns, so that none waits in the cache."""
    generator = torch.Generator().manual_seed(0)
    drawn = [(3 * torch.randn(1, classes, *size, generator=generator)).to(dtype) for _ in range(4)]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return [one.contiguous(memory_format=layout) for one in drawn]


def milliseconds(passes: list[Tensor], repeats: int) -> dict[str, float]:
    """The median of each way."""
    classes, size = passes[0].shape[1], (passes[0].shape[2], passes[0].shape[3])
    sums = {name: ClassMapSums(classes, 1, size, torch.device("cpu"), way) for name, way in WAYS.items()}
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(repeats + 1):
        for name, one in sums.items():
            start = time.process_time()
            one.add(passes[number % len(passes)])
            found[name].append(1000 * (time.process_time() - start))
    return {name: statistics.median(values[1:]) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(256, 512), help="height and width in pixels")
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--passes", type=int, default=40, help="that are added in each way; medians are compared")
    parser.add_argument("--short", action="store_true", help="15 passes")
    parser.add_argument("--rows", type=Path, help="where scripts/benchmarks.py reads the figures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, size = [], (options.size[0], options.size[1])
    for dtype in (torch.float32, torch.bfloat16):
        for channels_last in (True, False):
            passes = passes_of(options.classes, size, dtype, channels_last)
            found = milliseconds(passes, 15 if options.short else options.passes)
            layout = "channels last" if channels_last else "contiguous"
            what = (
                f"adding a pass of {size[0]}x{size[1]}x{options.classes}, {str(dtype).removeprefix('torch.')}, {layout}"
            )
            print(what + ": " + ", ".join(f"{name} {time:.2f} ms" for name, time in found.items()))
            row = {"what": what, "unit": "ms", "alternative": "PyTorch", "theirs": found["PyTorch"]}
            if BUILT:
                ours = found["compiled code"]
                rows.append({**row, "ours": ours, "ratio": found["PyTorch"] / ours})
            else:
                rows.append({**row, "note": "seg_al was installed without a C compiler"})
    if options.rows:
        options.rows.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
