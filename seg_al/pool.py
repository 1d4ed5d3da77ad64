"""What is known: which pixels of which images have been answered, replayed from the queries of all rounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from seg_al.core import COST_UNITS, BoolMask, CostUnit, Images, Query, Region


class Pool:
    """The images that may be asked about and the regions of them that are known. Names are sorted."""

    def __init__(self, names: Sequence[str], images: Images) -> None:
        self.names = tuple(sorted(names))
        self.images = images
        self._answered: dict[str, list[Region]] = {}
        self._cost: dict[CostUnit, float] = dict.fromkeys(COST_UNITS, 0.0)

    def reveal(self, queries: Iterable[Query]) -> None:
        """Marks the queries' regions as known and bills them.

        Raises ValueError for an image outside the pool, and for a pixel that was known before: it is asked twice.
        """
        for query in queries:
            if query.image not in self.names:
                raise ValueError(f"the query about {query.image} is not about an image of the pool")
            if query.region.size != self.images.size(query.image):
                raise ValueError(
                    f"the query about {query.image} is made for {query.region.size} pixels (height, width), "
                    f"but the image has {self.images.size(query.image)}"
                )
            if query.image in self._answered and (self.known(query.image) & query.region.mask()).any():
                raise ValueError(f"the query about {query.image} asks for pixels that are known already")
            self._answered.setdefault(query.image, []).append(query.region)
            for unit in COST_UNITS:
                self._cost[unit] += query.region.cost(unit)

    def known(self, name: str) -> BoolMask:  # [H, W]
        mask = np.zeros(self.images.size(name), dtype=np.bool_)
        for region in self._answered.get(name, ()):
            mask |= region.mask()
        return mask

    def copy(self) -> Pool:
        """What is known now; later answers leave it as it is."""
        copy = Pool(self.names, self.images)
        copy._answered = {name: list(regions) for name, regions in self._answered.items()}
        copy._cost = dict(self._cost)
        return copy

    @property
    def labelled(self) -> tuple[str, ...]:
        """Images with at least one known pixel."""
        return tuple(sorted(self._answered))

    @property
    def open(self) -> tuple[str, ...]:
        """Images with at least one pixel that is not known."""
        return tuple(name for name in self.names if self._unknown_area(name) > 0)

    def _unknown_area(self, name: str) -> int:
        height, width = self.images.size(name)
        return height * width - sum(region.area for region in self._answered.get(name, ()))

    def cost(self, unit: CostUnit) -> float:
        """What has been paid so far; whole numbers stay whole."""
        return round(self._cost[unit], 6)

    def left(self, unit: CostUnit) -> float:
        """What the unknown rest would cost at most: images, pixels, or one region per image."""
        whole = (Region.whole(self.images.size(name)) for name in self.open)
        match unit:
            case "pixels":
                return float(sum(self._unknown_area(name) for name in self.open))
            case "images":
                return sum(
                    self._unknown_area(name) / region.area for name, region in zip(self.open, whole, strict=True)
                )
            case "regions":
                return float(len(self.open))
