"""What the controls found, beside the exact probability of chance; scripts/controls.py prints it.

Gated is what leaves room; the rest is printed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import stats

GATE = 1e-4
"""Above this probability of chance, over the runs together, a control has failed."""
RARE = ("ring", "cross")
OVERLAPPING = ("b", "d")

Chances = npt.NDArray[np.float64]  # [N], the probability of each count 0..N-1


@dataclass(frozen=True)
class Run:
    """What one run asked about, as the pool's column tells it, and what its last network scores."""

    arm: str
    run: int
    first: tuple[str, ...]
    """Kinds of the first labelled set."""
    asked: tuple[str, ...]
    """Kinds of what its heuristic asked about."""
    scores: tuple[float, ...]
    """The test mIoU of each round."""


def read(folder: Path, kind_of: Callable[[str], str]) -> list[Run]:
    """The finished runs below a folder."""
    found = []
    for path in sorted(folder.glob("*/finished.json")):
        config = json.loads((path.parent / "config.json").read_text())
        rounds = sorted((path.parent / "rounds").iterdir())
        queries = [[json.loads(line) for line in (one / "queries.jsonl").read_text().splitlines()] for one in rounds]
        kinds = [tuple(kind_of(query["image"]) for query in asked) for asked in queries]
        metrics = [json.loads((one / "metrics.json").read_text())["metrics"] for one in rounds]
        later = tuple(kind for asked in kinds[1:] for kind in asked)
        scores = tuple(float(one["test/miou"]) for one in metrics)
        found.append(Run(arm_of(config), int(config["run"]), kinds[0], later, scores))
    return found


def arm_of(config: Mapping[str, object]) -> str:
    choices, dataset = config["choices"], config["dataset"]
    assert isinstance(choices, dict)
    assert isinstance(dataset, dict)
    if dataset.get("shuffled"):
        return "shuffled"
    return str(choices["heuristic"] if choices["selector"] == "top" else choices["selector"])


def of_arm(runs: Iterable[Run], arm: str) -> list[Run]:
    return [one for one in runs if one.arm == arm]


def kind_of_shape(image: str) -> str:
    return image.split("_")[1][:-3]


def scene_of(image: str) -> str:
    return image.split("_")[1]


def cluster_of(image: str) -> str:
    return image.split("_")[1][0]


def found_by_chance(wanted: int, pool: int, draws: int) -> Chances:
    """How many of `wanted` among `pool` images `draws` random ones find: the hypergeometric distribution."""
    found: Chances = stats.hypergeom(pool, wanted, draws).pmf(np.arange(draws + 1))
    return found


def scenes_by_chance(scenes: int, copies: int, seen: Sequence[str], draws: int) -> Chances:
    """How many new scenes `draws` random images show of a pool from which the images `seen` are gone.

    One image after the other: it is of a new scene with the share that the untouched scenes have of what is left.
    """
    untouched, left = scenes - len(set(seen)), scenes * copies - len(seen)
    chances = np.zeros(draws + 1)
    chances[0] = 1
    for drawn in range(draws):
        new = np.clip((untouched - np.arange(draws + 1)) * copies / (left - drawn), 0, 1)
        chances = chances * (1 - new) + np.r_[0, (chances * new)[:-1]]
    return chances


def at_least(count: int, each: Sequence[Chances]) -> float:
    """The probability that independent runs find `count` or more together."""
    together = np.ones(1)
    for chances in each:
        together = np.convolve(together, chances)
    return float(together[count:].sum())


def rare_types(runs: Sequence[Run], common: int = 108, rare: int = 6) -> tuple[int, float]:
    """Rare images asked about by the runs of one arm, and the probability that chance finds as many."""
    pool, kinds = common + len(RARE) * rare, [[kind in RARE for kind in one.first] for one in runs]
    found = sum(kind in RARE for one in runs for kind in one.asked)
    each = [
        found_by_chance(len(RARE) * rare - sum(first), pool - len(first), len(one.asked))
        for one, first in zip(runs, kinds, strict=True)
    ]
    return found, at_least(found, each)


def redundancy(runs: Sequence[Run], scenes: int = 32, copies: int = 12) -> tuple[int, float]:
    """New scenes asked about by the runs of one arm, and the probability that chance shows as many."""
    found = sum(len(set(one.asked) - set(one.first)) for one in runs)
    each = [scenes_by_chance(scenes, copies, one.first, len(one.asked)) for one in runs]
    return found, at_least(found, each)


def overlap(runs: Sequence[Run], each: int = 50) -> tuple[int, float]:
    """Images of the overlap asked about by the runs of one arm, and the probability that chance finds as many."""
    found = sum(kind in OVERLAPPING for one in runs for kind in one.asked)
    chances = []
    for one in runs:
        known = sum(kind in OVERLAPPING for kind in one.first)
        chances.append(found_by_chance(2 * each - known, 4 * each - len(one.first), len(one.asked)))
    return found, at_least(found, chances)


Count = Callable[[Sequence[Run]], tuple[int, float]]


@dataclass(frozen=True)
class Control:
    """One control: its folder of runs, what is counted, and the arms that have to beat chance."""

    name: str
    counted: str
    kind_of: Callable[[str], str]
    count: Count
    gated: tuple[str, ...]


CONTROLS = (
    Control("rare_types", "rare images asked about", kind_of_shape, rare_types, ("entropy",)),
    Control("redundancy", "new scenes asked about", scene_of, redundancy, ("core_set", "typiclust")),
    Control("overlap", "images of the overlap asked about", cluster_of, overlap, ()),
)


def table(control: Control, runs: Sequence[Run]) -> tuple[list[str], list[str]]:
    """The lines of a control, and what is wrong."""
    lines, wrong = [f"{control.name}: {control.counted}, probability that chance finds as many, test mIoU by round"], []
    for arm in dict.fromkeys(one.arm for one in runs):
        own = of_arm(runs, arm)
        found, chance = control.count(own)
        scores = np.array([one.scores for one in own])
        means = " ".join(f"{mean:.3f}" for mean in scores.mean(0))
        spread = scores[:, -1].std(ddof=1) if len(own) > 1 else 0.0
        asked = sum(len(one.asked) for one in own)
        lines.append(f"  {arm:13} {len(own)} runs  {found:3} of {asked:3}  P {chance:.1e}  {means} (sd {spread:.3f})")
        if arm in control.gated and chance >= GATE:
            wrong.append(f"{control.name}: {arm} found {found} of {asked}, as chance does with P = {chance:.1e}")
    wrong += [f"{control.name}: no finished run of {arm}" for arm in control.gated if not of_arm(runs, arm)]
    return lines, wrong


def report(folder: Path, names: Sequence[str]) -> tuple[str, list[str]]:
    """The table of each control as a text, and what is wrong."""
    texts: list[str] = []
    problems: list[str] = []
    for control in (one for one in CONTROLS if one.name in names):
        lines, wrong = table(control, read(folder / control.name, control.kind_of))
        texts += lines
        problems += wrong
    end = problems or [f"all gates are passed: chance alone has a probability below {GATE:g}"]
    return "\n".join((*texts, *end)), problems
