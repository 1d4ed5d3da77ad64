"""What the pools of the controls have in common: small square pictures, of which every pixel may be asked about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from seg_al.core import PixelSet


class SmallPictures(ABC):
    """A data set's answers that do not depend on what is painted."""

    side: ClassVar[int]  # height and width, pixels
    fact: ClassVar[str]  # the only column

    @property
    @abstractmethod
    def pool(self) -> tuple[str, ...]: ...

    @abstractmethod
    def fact_of(self, name: str) -> str:
        """The value of the column for an image of the pool."""

    def size(self, name: str) -> tuple[int, int]:
        return self.side, self.side

    def askable(self, name: str) -> PixelSet | None:
        return None

    def objects(self, name: str) -> None:
        return None

    def column(self, key: str) -> Mapping[str, str]:
        if key != self.fact:
            raise ValueError(f"the images have no column {key}; there is: {self.fact}")
        return {name: self.fact_of(name) for name in self.pool}
