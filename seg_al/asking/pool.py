"""Which pixels of which images are known, computed from the answers of all rounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from seg_al.core import COST_UNITS, Answer, BudgetUnit, CostUnit, Images, PixelSet, Region, price


class Pool:
    """The images that may be asked about and the regions of them that are known. Names are sorted."""

    def __init__(self, names: Sequence[str], images: Images) -> None:
        self.names = tuple(sorted(names))
        self._members = frozenset(names)
        self.images = images
        self._answered: dict[str, list[Region]] = {}
        self._cost: dict[CostUnit, float] = dict.fromkeys(COST_UNITS, 0.0)
        self._areas: dict[str, int] = {}

    def reveal(self, answers: Iterable[Answer]) -> None:
        """Marks the answered regions as known and bills them.

        Raises ValueError for an image outside the pool, for a pixel that was known before (it is asked twice), and
        for one that has no class.
        """
        by_image: dict[str, list[Answer]] = {}
        for answer in answers:
            by_image.setdefault(answer.image, []).append(answer)
        for name, own in by_image.items():
            self._check(name, own)
        for name, own in by_image.items():
            for answer in own:
                self._bill(answer)
            self._answered.setdefault(name, []).extend(answer.region for answer in own)

    def _check(self, name: str, answers: Sequence[Answer]) -> None:
        if name not in self._members:
            raise ValueError(f"the query about {name} is not about an image of the pool")
        size = self.images.size(name)
        for answer in answers:
            if answer.region.size != size:
                raise ValueError(
                    f"the query about {name} is made for {answer.region.size} pixels (height, width), but the image "
                    f"has {size}"
                )
        known = self.known(name).ravel()
        askable = self.images.askable(name)
        for answer in answers:
            for start, stop in answer.region.runs:
                if known[start:stop].any():
                    raise ValueError(f"the query about {name} asks for pixels that are known already")
                if askable is not None and not askable.ravel()[start:stop].all():
                    raise ValueError(f"the query about {name} asks for pixels that are of no class (void)")
                known[start:stop] = True

    def _bill(self, answer: Answer) -> None:
        whole = self.askable_area(answer.image)
        self._cost["images"] += price(answer.region.area, whole, "images")
        self._cost["pixels"] += answer.region.area
        self._cost["regions"] += 1
        self._cost["clicks"] += answer.clicks
        self._cost["vertices"] += answer.vertices

    def answered(self, name: str) -> tuple[Region, ...]:
        """The regions of the image that are known, answer by answer."""
        return tuple(self._answered.get(name, ()))

    def known(self, name: str) -> PixelSet:  # [H, W]
        known = np.zeros(self.images.size(name), dtype=np.bool_)
        for region in self._answered.get(name, ()):
            region.fill(known, True)
        return known

    def unknown(self, name: str) -> PixelSet:  # [H, W]
        """The pixels that may still be asked about."""
        askable = self.images.askable(name)
        known = self.known(name)
        return ~known if askable is None else askable & ~known

    def copy(self) -> Pool:
        """A copy of what is known now, which later answers do not change."""
        copy = Pool(self.names, self.images)
        copy._answered = {name: list(regions) for name, regions in self._answered.items()}
        copy._cost = dict(self._cost)
        copy._areas = self._areas  # facts of the images
        return copy

    @property
    def labelled(self) -> tuple[str, ...]:
        """Images with at least one known pixel."""
        return tuple(sorted(name for name, regions in self._answered.items() if any(one.area for one in regions)))

    @property
    def open(self) -> tuple[str, ...]:
        """Images with at least one pixel that may still be asked about."""
        return tuple(name for name in self.names if self._unknown_area(name) > 0)

    def askable_area(self, name: str) -> int:
        """Pixels of the image that are of any class."""
        if name not in self._areas:
            askable = self.images.askable(name)
            height, width = self.images.size(name)
            self._areas[name] = height * width if askable is None else int(np.count_nonzero(askable))
        return self._areas[name]

    def _unknown_area(self, name: str) -> int:
        return self.askable_area(name) - sum(region.area for region in self._answered.get(name, ()))

    def cost(self, unit: CostUnit) -> float:
        """What has been paid so far; whole numbers stay whole."""
        return round(self._cost[unit], 6)

    def left(self, unit: BudgetUnit) -> float:
        """The most that the unknown rest can cost: images, pixels, or one region per image."""
        return sum((self.left_of(name, unit) for name in self.open), 0.0)

    def left_of(self, name: str, unit: BudgetUnit) -> float:
        """What the unknown rest of one image would cost as one region."""
        return price(self._unknown_area(name), self.askable_area(name), unit)
