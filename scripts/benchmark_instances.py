"""Times the passes of Mask R-CNN against the simplest implementation, and the matching of what they find.

    python scripts/benchmark_instances.py --out benchmarks/instances
    python scripts/benchmark_instances.py heads --short    # five turns, 100 objects only

Processor seconds of one thread are compared, so that other programs on the machine do not count; sides take turns in
one process, or have one each where memory is measured. Each case states the ratio it must reach. Linux only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn
from torchvision.ops import MultiScaleRoIAlign

from seg_al.asking.memory import keep_freed_memory
from seg_al.models.mask_rcnn import MaskRCNN
from seg_al.models.partial_labels import BoxSampling, Learning, Proposals
from seg_al.models.pyramids import LEVELS, ResNet50
from seg_al.models.roi_heads import Detecting, Widths
from seg_al.predictors.dropout import drawing
from seg_al.tasks.objects.matching import BestMatch
from seg_al.tasks.objects.passes import Passed, PlacedPass
from seg_al.tasks.objects.placement import placed
from seg_al.tasks.objects.rle import Size


@dataclass(frozen=True)
class Finding:
    """One case: for both sides, processor seconds and the MiB that they add at their peak."""

    case: str
    ours_s: float
    theirs_s: float
    faster: float
    """Times."""
    faster_wanted: float
    agree: str
    """What was compared."""
    passed: bool
    ours_mib: float | None = None
    theirs_mib: float | None = None
    smaller: float | None = None
    """Times."""
    smaller_wanted: float | None = None


def nuclei(passes: int, detections: int, count: int, size: Size) -> list[Passed]:
    """A field of nuclei of 30 to 90 pixels, some of which touch; each pass misses some and moves the others."""
    rng = np.random.default_rng(0)
    low = rng.uniform(0, np.array(size[::-1]) - 90, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(30, 90, (count, 2))], 1)
    down, across = (np.mgrid[0:28, 0:28] + 0.5) / 28 - 0.5
    masks = torch.tensor(1 / (1 + np.exp(30 * (np.hypot(down, across) - 0.47)))).float().repeat(detections, 1, 1)
    made = []
    for _ in range(passes):
        seen = boxes[rng.permutation(count)[:detections]] + rng.normal(0, 2, (detections, 4))
        logits = torch.tensor(rng.normal(0, 2, (1000, 2))).float()
        scores, proposals = logits.softmax(1)[:, 1].topk(detections)
        made.append(Passed(size, logits, torch.tensor(seen), torch.ones_like(proposals), scores, proposals, masks))
    return made


Groups = list[list[tuple[int, float]]]
"""The members of each object: pass and score."""


def matched_in_crops(passes: list[Passed]) -> Groups:
    matcher = BestMatch().begin(passes[0].size)
    for passed in passes:
        matcher.add(placed(passed))
    groups = matcher.objects().groups
    return [list(zip(group.passes.tolist(), group.scores.tolist(), strict=True)) for group in groups]


@dataclass
class Whole:
    """A running object at the size of the image."""

    members: list[tuple[int, float]]
    counts: npt.NDArray[np.uint16]  # [H, W]
    consensus: npt.NDArray[np.bool_]  # [H, W]
    box: npt.NDArray[np.float64]


def matched_by_whole_masks(passes: list[Passed]) -> Groups:
    """The same rule with a mask of the image's size for each detection of each pass, and for each running object.

    Only pairs whose boxes meet are compared: published code, which compares every pair, takes many times as long.
    """
    groups: list[Whole] = []
    kept = []
    for number, passed in enumerate(passes):
        found = placed(passed)
        masks = whole_masks(found)
        kept.append(masks)
        pairs = []
        for place, mask in enumerate(masks):
            for group, running in enumerate(groups):
                if not meet(running.box, found.boxes[place]):
                    continue
                iou = np.count_nonzero(running.consensus & mask) / np.count_nonzero(running.consensus | mask)
                if iou >= 0.5:
                    pairs.append((-iou, place, group))
        homes: dict[int, int] = {}
        for _, place, group in sorted(pairs):
            if place not in homes and group not in homes.values():
                homes[place] = group
        for place, mask in enumerate(masks):
            if place not in homes:
                homes[place] = len(groups)
                groups.append(Whole([], mask.astype(np.uint16) * 0, mask, found.boxes[place]))
            running, box = groups[homes[place]], found.boxes[place]
            running.members.append((number, float(found.scores[place])))
            running.counts += mask
            running.consensus = (running.counts > 0) & (running.counts >= len(running.members) / 2)
            running.box = np.r_[np.minimum(running.box[:2], box[:2]), np.maximum(running.box[2:], box[2:])]
    return [running.members for running in groups]


def whole_masks(found: PlacedPass) -> npt.NDArray[np.bool_]:  # [N, H, W]
    masks = np.zeros((len(found), *found.size), dtype=np.bool_)
    for mask, crop in zip(masks, found.masks, strict=True):
        x0, y0, x1, y1 = crop.window
        mask[y0:y1, x0:x1] = crop.mask
    return masks


def meet(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> bool:
    return bool(np.all(one[:2] < other[2:] + 1) and np.all(other[:2] < one[2:] + 1))


def resident_mib(field: str) -> float:
    """VmRSS (now) or VmHWM (peak) of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def measured(work: Callable[[], Any]) -> dict[str, Any]:
    """Processor seconds of the work, the memory it adds, and its result."""
    before, start = resident_mib("VmRSS"), time.process_time()
    result = work()
    seconds = time.process_time() - start
    return {"seconds": seconds, "mib": max(resident_mib("VmHWM") - before, 0.1), "result": result}


def matching_side(match: Callable[[list[Passed]], Groups]) -> dict[str, Any]:
    match(nuclei(2, 5, 6, (128, 128)))  # loads the libraries' own memory
    passes = nuclei(20, 100, 110, (1024, 1024))
    return measured(lambda: match(passes))


def network(detections: int, shared_masks: float | None = None) -> MaskRCNN:
    """Mask R-CNN with a ResNet-50 as conf/model/mask_rcnn.yaml has it, untrained; so many detections of each image."""
    torch.manual_seed(0)
    return MaskRCNN(
        backbone=ResNet50(trainable=3, normalize="imagenet"),
        weights=None,
        dropout=0.25,
        sites=("box_head", "predictor", "mask_head"),
        proposals=Proposals((32, 64, 128, 256, 512), (0.5, 1.0, 2.0), 1000, 1000, 2000, 2000, 0.7),
        heads=Widths(1024, (256, 256, 256, 256)),
        detecting=Detecting(0.05, 0.5, class_agnostic=False, most=detections),
        learning=Learning(BoxSampling(0.7, 0.3, 256, 0.5), BoxSampling(0.5, 0.5, 128, 0.25), 0.3, "whole"),
        classes=2,
        shared_masks=shared_masks,
    ).eval()


def with_torchvisions_layers(model: MaskRCNN) -> MaskRCNN:
    """The same weights, pooled and convolved by torchvision's and PyTorch's own layers."""
    heads = model.roi_heads
    heads.box_roi_pool, heads.mask_roi_pool = (MultiScaleRoIAlign(list(LEVELS[:4]), points, 2) for points in (7, 14))
    for block in list(heads.mask_head)[: heads.mask_head.count]:
        plain = nn.Conv2d(block[0].in_channels, block[0].out_channels, 3, padding=1, device="meta")
        plain.weight, plain.bias = block[0].weight, block[0].bias
        block[0] = plain
    return model


PASSES = 20


@torch.inference_mode()
def heads_side(detections: int, turns: int) -> dict[str, Any]:
    """Processor seconds of 20 passes over an image of 512 x 512 pixels by each way, and the scores of the last turn."""
    image = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0))
    seconds: dict[str, list[float]] = {}
    scores: dict[str, list[float]] = {}
    model, shared = network(detections), network(detections, SHARED)
    plain = with_torchvisions_layers(network(detections))
    state, still = model.encode(image), shared.encode(image)
    ways: dict[str, tuple[Callable[[], Any], int, MaskRCNN]] = {
        "encode": (lambda: model.encode(image), 1, model),
        "heads": (lambda: model.decode(state), PASSES, model),
        "encode, shared": (lambda: shared.encode(image), 1, shared),
        "heads, shared": (lambda: shared.decode(still), PASSES, shared),
        "whole": (lambda: model(image), PASSES, model),
        "whole by torchvision's layers": (lambda: plain(image), PASSES, plain),
    }
    for turn in range(turns + 1):  # the first does not count
        for name, (work, count, one) in ways.items():
            with drawing(one, [(turn,)]):
                start = time.process_time()
                found = work()
                took = time.process_time() - start
            if turn:
                seconds.setdefault(name, []).append(count * took)
            if "encode" not in name:
                scores[name] = [*found[0].scores.tolist(), *found[0].masks.mean((1, 2)).tolist()]
    return {"seconds": {name: statistics.median(every) for name, every in seconds.items()}, "scores": scores}


OBJECTS = {10: 4.0, 20: 4.0, 100: 3.0}
"""Detections of an image, and how many times faster 20 passes must be: an image of COCO holds 7 objects in the mean.
With a hundred, the mask head, which depends on each pass's boxes, is most of the work."""
SHARED = 0.8
"""The overlap that is measured for `shared_masks`."""

SIDES: dict[str, Callable[[], dict[str, Any]]] = {
    "matching in crops": partial(matching_side, matched_in_crops),
    "matching whole masks": partial(matching_side, matched_by_whole_masks),
}
"""What a child process can measure, by name."""


def child(side: str, repeats: int) -> dict[str, Any]:
    """The median of several processes."""
    every = []
    for _ in range(repeats):
        found = subprocess.run([sys.executable, __file__, "--child", side], capture_output=True, text=True)
        if found.returncode != 0:
            sys.exit(f"{side} failed:\n{found.stderr}")
        every.append(json.loads(found.stdout.splitlines()[-1]))
        print(f"{side}: {every[-1]['seconds']:.2f} s, {every[-1]['mib']:.1f} MiB", file=sys.stderr)
    middle = {key: statistics.median(one[key] for one in every) for key in ("seconds", "mib")}
    return {**middle, "result": every[0]["result"]}


def matching(repeats: int) -> list[Finding]:
    """From the output of 20 passes with 100 detections each on 1024 x 1024 pixels to groups."""
    ours, theirs = child("matching in crops", repeats), child("matching whole masks", repeats)
    faster, smaller = theirs["seconds"] / ours["seconds"], theirs["mib"] / ours["mib"]
    same = theirs["result"] == ours["result"]
    return [
        Finding(
            "matching 20 passes of 100 detections",
            *(ours["seconds"], theirs["seconds"], faster, 10.0),
            f"the same {len(ours['result'])} groups" if same else "DIFFERENT GROUPS",
            same and faster >= 10 and smaller >= 10,
            *(ours["mib"], theirs["mib"], smaller, 10.0),
        )
    ]


def heads(repeats: int) -> list[Finding]:
    """20 passes: the pyramid, its proposals and their pooling once and the heads 20 times, or all of it 20 times."""
    findings = []
    for count, wanted in OBJECTS.items() if repeats > SHORT else [(100, OBJECTS[100])]:
        found = heads_side(count, repeats)
        seconds, scores = found["seconds"], found["scores"]
        apart = float(np.abs(np.subtract(scores["heads"], scores["whole by torchvision's layers"])).max())
        ours = seconds["encode"] + seconds["heads"]
        shared = seconds["encode, shared"] + seconds["heads, shared"]
        for name, mine, theirs, least in (
            ("whole ones by torchvision's layers", ours, seconds["whole by torchvision's layers"], wanted),
            ("whole ones by our layers", ours, seconds["whole"], 2.0),
            (f"those, with shared_masks={SHARED}", shared, seconds["whole"], 2.5),
        ):
            agree = f"scores and masks differ by at most {apart:.1g}" if mine == ours else "see shared_masks"
            passed = theirs / mine >= least and apart < 1e-5
            case = f"{PASSES} passes of {count} objects through the heads against {name}"
            findings.append(Finding(case, mine, theirs, theirs / mine, least, agree, passed))
    return findings


PARTS: dict[str, Callable[[int], list[Finding]]] = {"matching": matching, "heads": heads}
SHORT = 5
"""Turns of each side with --short."""


def row_of(found: Finding) -> dict[str, Any]:
    """For scripts/benchmarks.py."""
    what, _, alternative = found.case.partition(" against ")
    return {
        "what": what, "ours": found.ours_s, "alternative": alternative or "the same rule on whole masks",
        "theirs": found.theirs_s, "ratio": found.faster, "ours_mib": found.ours_mib, "theirs_mib": found.theirs_mib,
        "note": found.agree,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all where none is given")
    parser.add_argument("--repeats", type=int, default=7, help="turns or processes of each side; medians are compared")
    parser.add_argument("--short", action="store_true", help="five turns, fewer cases and images")
    parser.add_argument("--out", type=Path, help="where to save the table: STEM.csv")
    parser.add_argument("--rows", type=Path, help="where scripts/benchmarks.py reads the figures")
    parser.add_argument("--child", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; choose of {', '.join(PARTS)}")
    torch.set_num_threads(1)
    keep_freed_memory()  # as runs do
    if options.child:
        print(json.dumps(SIDES[options.child]()))
        return
    repeats = SHORT if options.short else options.repeats
    found = [one for part in options.parts or PARTS for one in PARTS[part](repeats)]
    table = pd.DataFrame(found)
    print(table.round(2).to_string(index=False))
    if options.rows:
        options.rows.write_text(json.dumps([row_of(one) for one in found]))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(options.out.with_suffix(".csv"), index=False)
    if not table["passed"].all():
        sys.exit("a case does not reach the ratio that it must")


if __name__ == "__main__":
    main()
