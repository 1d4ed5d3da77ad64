"""Is this a granularity? Laws that any way to cut images from outside can be put through.

check_granularity(Stripes(rows=16, ...))  #  AssertionError that lists what is broken

class TestStripes(GranularitySuite):        # or: one pytest test for each law
    def make(self) -> GranularityCase:
        return GranularityCase(Stripes(rows=16, ...))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seg_al.asking import given
from seg_al.conformance.laws import Suite, require, require_laws
from seg_al.conformance.synthetic_passes import random_passes
from seg_al.core import ByteImage, EvidenceSet, Granularity, Nothing, Painted, Scene
from seg_al.granularities.joining import cut
from seg_al.predictors.class_maps import class_maps_of

SIZE = (30, 40)
"""Height and width in pixels of the made-up images."""


def class_maps(seed: int) -> EvidenceSet:
    """Of three passes over a made-up image, with four classes in patches of five pixels."""
    rows, columns = SIZE
    coarse = random_passes((3, 4, rows // 5, columns // 5), 4.0, seed)
    maps = torch.from_numpy(coarse.repeat(5, axis=2).repeat(5, axis=3))
    return EvidenceSet(SIZE, (class_maps_of(maps),))


def the_map_alone(score_map: Tensor, evidence: EvidenceSet) -> Painted:
    return Painted(score_map)


@dataclass(frozen=True)
class GranularityCase:
    """A granularity, and what it is given of a made-up image."""

    granularity: Granularity
    evidence: Callable[[int], EvidenceSet] = class_maps
    """What models saw, by a seed; with all kinds that the granularity reads or joins."""
    painted: Callable[[Tensor, EvidenceSet], Painted] = the_map_alone
    """What a heuristic says, of its map [H, W]; higher scores for a higher map."""

    def scene(self, draw: int = 0, seen: int = 0, scores: int | None = 0, blind: bool = False) -> Scene:
        """Rows 20 to 25 are known. Seeds: `draw` of the rng, `seen` of what models saw (`blind`: nothing), `scores`."""
        within = torch.ones(SIZE, dtype=torch.bool)
        within[20:26] = False
        evidence = EvidenceSet(SIZE) if blind else self.evidence(seen)
        score_map = None if scores is None else map_of(scores)
        return Scene("made-up", picture, within, evidence, score_map, np.random.default_rng(draw))

    def units(self, scene: Scene) -> tuple[Tensor, int]:
        """The places [H, W] of the units that may be asked about, made of the ids as a query does, and how many."""
        found, places = cut(self.granularity.units(scene), scene.within)
        return places, len(found)

    def joined(self, scene: Scene, score_map: Tensor, places: Tensor, count: int) -> Tensor:  # [U]
        return self.granularity.reduce(self.painted(score_map, scene.evidence), places, count)


def picture() -> ByteImage:  # [H, W, 3]
    """Patches of five pixels with some noise."""
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 200, (SIZE[0] // 5, SIZE[1] // 5, 3)).repeat(5, axis=0).repeat(5, axis=1)
    return (patches + rng.integers(0, 30, (*SIZE, 3))).astype(np.uint8)


def map_of(seed: int) -> Tensor:  # [H, W]
    return torch.rand(SIZE, generator=torch.Generator().manual_seed(seed))


def check_granularity(
    granularity: Granularity,
    evidence: Callable[[int], EvidenceSet] = class_maps,
    painted: Callable[[Tensor, EvidenceSet], Painted] = the_map_alone,
) -> None:
    """Raises AssertionError with every law that the granularity breaks."""
    require_laws(GranularityCase(granularity, evidence, painted), LAWS)


def names_kinds_of_evidence(case: GranularityCase) -> None:
    """`reads` is "image", "scores" or a kind of evidence, and `joins` a kind."""
    wrong = given.of_granularity(case.granularity)
    require(not wrong, "; ".join(wrong))


def cuts_into_numbered_units(case: GranularityCase) -> None:
    """Whole numbers [H, W] as long, -1 for what is never asked about; something is left to ask about."""
    scene = case.scene()
    ids = given.unit_ids(case.granularity, case.granularity.units(scene), scene.size, scene.name)
    require(bool((ids >= 0).any()), given.nothing_cut(case.granularity))
    require(int(ids.min()) >= -1, f"there is an id {int(ids.min())}; -1 is: never asked about")
    require(case.units(scene)[1] > 0, "no unit lies within what may be asked about")


def cuts_the_same_again(case: GranularityCase) -> None:
    """The image is cut twice, before and after the selection: equal draws of scene.rng have to give equal units."""
    first = case.granularity.units(case.scene(draw=3))
    case.granularity.units(case.scene(draw=4, seen=1, scores=1))
    again = case.granularity.units(case.scene(draw=3))
    require(torch.equal(first, again), "the same scene is cut in two ways; draw from scene.rng alone, remember nothing")


def cuts_by_what_it_reads(case: GranularityCase) -> None:
    """Where it reads the picture, or the score map, what the models saw decides nothing and may be missing."""
    reads = case.granularity.reads
    first = case.granularity.units(case.scene())
    if reads == "image":
        others = [case.scene(seen=1, scores=1), case.scene(blind=True, scores=None)]
    elif reads == "scores":
        others = [case.scene(seen=1), case.scene(blind=True)]
        require(case.units(case.scene(blind=True, scores=None))[1] > 0, "without a score map there is no unit")
    else:
        others = [case.scene(scores=1), case.scene(scores=None)]
    same = all(torch.equal(first, case.granularity.units(scene)) for scene in others)
    require(same, f"reads is {reads!r}, but the units depend on more than that")


def gives_each_unit_a_score(case: GranularityCase) -> None:
    """[U], finite."""
    scene = case.scene()
    places, count = case.units(scene)
    scores = case.joined(scene, map_of(1), places, count)
    require(tuple(scores.shape) == (count,), f"{count} units get scores of {tuple(scores.shape)}")
    require(scores.is_floating_point(), f"the scores are of {scores.dtype}")
    require(bool(torch.isfinite(scores).all()), "the scores hold NaN or infinity")


def joins_each_unit_by_itself(case: GranularityCase) -> None:
    """A unit's score is that which it has alone, at its place in the order of the ids."""
    scene = case.scene()
    places, count = case.units(scene)
    scores = case.joined(scene, map_of(1), places, count)
    for unit in range(min(count, 20)):
        alone = torch.where(places == unit, 0, -1)
        score = case.joined(scene, map_of(1), alone, 1)[0]
        same = torch.isclose(score.double(), scores[unit].double(), rtol=1e-5, atol=1e-7)
        require(same, f"unit {unit} has the score {scores[unit]:.6g} among others, and {score:.6g} alone")


def joins_images_one_above_the_other(case: GranularityCase) -> None:
    """Images of one size are joined together where `joins` is Nothing: each unit has the score that it has apart."""
    if case.granularity.joins is not Nothing:
        return
    scene = case.scene()
    places, count = case.units(scene)
    maps = [map_of(1), map_of(2)]
    apart = torch.cat([case.joined(scene, one, places, count) for one in maps])
    tall = torch.cat([places, torch.where(places >= 0, places + count, -1)])
    together = case.joined(scene, torch.cat(maps), tall, 2 * count)
    same = apart.shape == together.shape and torch.allclose(apart, together, rtol=1e-5, atol=1e-7)
    require(same, "two images of one size, joined one above the other, have other scores than apart")


def leaves_out_what_is_in_no_unit(case: GranularityCase) -> None:
    """What is known already, or never asked about, does not count."""
    scene = case.scene()
    places, count = case.units(scene)
    loud = torch.where(places >= 0, map_of(1), 1000.0)
    scores, others = (case.joined(scene, score_map, places, count) for score_map in (map_of(1), loud))
    require(torch.allclose(scores, others, rtol=1e-5, atol=1e-7), "pixels of no unit (-1) change the scores")


def keeps_the_direction(case: GranularityCase) -> None:
    """Higher = more wanted: where every pixel is wanted more, no unit is wanted less."""
    scene = case.scene()
    places, count = case.units(scene)
    low, high = (case.joined(scene, map_of(1) + more, places, count) for more in (0.0, 1.0))
    fallen = int((high < low).sum())
    require(fallen == 0, f"every pixel is wanted more, and {fallen} of {count} units are wanted less")
    require(bool((high > low).any()), "every pixel is wanted more, and no unit is; the score map plays no part")


def serves_images_without_units(case: GranularityCase) -> None:
    """Where all is known, or nothing is seen, there are no scores [0]."""
    nothing = torch.full(SIZE, -1)
    scores = case.joined(case.scene(), map_of(1), nothing, 0)
    require(tuple(scores.shape) == (0,), f"no unit gets scores of {tuple(scores.shape)}")


def writes_nothing(case: GranularityCase) -> None:
    scene, score_map = case.scene(), map_of(1)
    assert scene.score_map is not None
    given = {"scene.within": scene.within, "scene.score_map": scene.score_map, "the map": score_map}
    before = {name: tensor.clone() for name, tensor in given.items()}
    places, count = case.units(scene)
    ids = places.clone()
    case.joined(scene, score_map, places, count)
    changed = [name for name, tensor in given.items() if not torch.equal(tensor, before[name])]
    changed += [] if torch.equal(places, ids) else ["the ids"]
    require(not changed, f"it writes into {', '.join(changed)}; work on a copy")


LAWS = (
    names_kinds_of_evidence,
    cuts_into_numbered_units,
    cuts_the_same_again,
    cuts_by_what_it_reads,
    gives_each_unit_a_score,
    joins_each_unit_by_itself,
    joins_images_one_above_the_other,
    leaves_out_what_is_in_no_unit,
    keeps_the_direction,
    serves_images_without_units,
    writes_nothing,
)


class GranularitySuite(Suite[GranularityCase]):
    """One test for each law; `make` returns the case."""

    laws = LAWS
