"""Data sets that each break one law, for test_dataset_suite; Right breaks none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seg_al.core import IGNORE, ByteImage, PixelSet


class Right:
    """Nine small images of two classes, with a stripe of void."""

    classes: tuple[str, ...] = ("ground", "tree")
    background: int | None = 0
    pool: tuple[str, ...] = ("a", "b", "c", "d", "e")
    val: tuple[str, ...] = ("f", "g")
    tests: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({"test": ("h", "i")})

    def size(self, name: str) -> tuple[int, int]:
        return 6, 8

    def image(self, name: str) -> ByteImage:
        return np.random.default_rng(ord(name[0])).integers(0, 256, (6, 8, 3), dtype=np.uint8)

    def target(self, name: str) -> ByteImage:
        target = np.random.default_rng(ord(name[0])).integers(0, 2, (6, 8), dtype=np.uint8)
        target[0] = IGNORE
        return target

    def askable(self, name: str) -> PixelSet | None:
        askable: PixelSet = self.target(name) != IGNORE
        return askable

    def objects(self, name: str) -> npt.NDArray[np.int32] | None:
        return np.where(self.target(name) == 1, 1, 0).astype(np.int32)

    def column(self, key: str) -> Mapping[str, str]:
        if key != "letter":
            raise ValueError(f"there is no column {key!r}; choose letter")
        return {name: name for name in self.pool}


class Unsorted(Right):
    pool = ("b", "a", "c")


class Listed(Right):
    def __init__(self) -> None:
        self.pool = ["a", "b"]  # type: ignore[assignment]


class Leaks(Right):
    val = ("e", "f")


class WithoutVal(Right):
    val = ()


class WithoutTests(Right):
    tests: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})


class TwoTrees(Right):
    classes = ("tree", "tree")


class NoSuchBackground(Right):
    background = 2


class BackgroundByName(Right):
    background = "ground"  # type: ignore[assignment]


class TestsInATuple(Right):
    tests = (("h", "i"),)  # type: ignore[assignment]


class Floats(Right):
    def image(self, name: str) -> ByteImage:
        return super().image(name) / np.float32(255)  # type: ignore[return-value]


class Turned(Right):
    def size(self, name: str) -> tuple[int, int]:
        return 8, 6

    def target(self, name: str) -> ByteImage:
        return super().target(name).T


class Grey(Right):
    def image(self, name: str) -> ByteImage:
        return super().image(name)[..., 0]


class RawValues(Right):
    def target(self, name: str) -> ByteImage:
        return np.where(super().target(name) == 1, 200, 0).astype(np.uint8)


class WideTargets(Right):
    def target(self, name: str) -> ByteImage:
        return super().target(name).astype(np.int64)  # type: ignore[return-value]


class AsksAboutVoid(Right):
    def askable(self, name: str) -> PixelSet | None:
        return None


class AsksByNumber(Right):
    def askable(self, name: str) -> PixelSet | None:
        return super().askable(name).astype(np.uint8)  # type: ignore[union-attr,return-value]


class SomeObjects(Right):
    def objects(self, name: str) -> npt.NDArray[np.int32] | None:
        return None if name == "a" else super().objects(name)


class ObjectsInVoid(Right):
    def objects(self, name: str) -> npt.NDArray[np.int32] | None:
        return np.ones((6, 8), dtype=np.int32)


class NegativeObjects(Right):
    def objects(self, name: str) -> npt.NDArray[np.int32] | None:
        return np.full((6, 8), -1, dtype=np.int32)


class AnyColumn(Right):
    def column(self, key: str) -> Mapping[str, str]:
        return dict.fromkeys(self.pool, "")


class Augments(Right):
    """Turns the picture now and then."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def image(self, name: str) -> ByteImage:
        return np.roll(super().image(name), int(self.rng.integers(8)), axis=1)


class RollsTargets(Augments):
    def image(self, name: str) -> ByteImage:
        return Right.image(self, name)

    def target(self, name: str) -> ByteImage:
        return np.roll(super().target(name), int(self.rng.integers(8)), axis=1)


class WithoutLabels:
    """Names and pictures alone."""

    def __init__(self) -> None:
        whole = Right()
        self.classes, self.pool, self.val, self.tests = whole.classes, whole.pool, whole.val, dict(whole.tests)
        self.image, self.size, self.column = whole.image, whole.size, whole.column

    def askable(self, name: str) -> PixelSet | None:
        return None


class HoldsWhatItGives(Right):
    def __init__(self) -> None:
        self.held: dict[str, ByteImage] = {}

    def image(self, name: str) -> ByteImage:
        return self.held.setdefault(name, super().image(name))


class DrawsItsSplits(Right):
    def __init__(self) -> None:
        names = np.random.default_rng().permutation([f"{number:04d}" for number in range(1000)]).tolist()
        self.pool, self.val = tuple(sorted(names[:500])), tuple(sorted(names[500:]))


class HoldsALock(Right):
    def __init__(self) -> None:
        self.lock = threading.Lock()


class LosesItsState(Right):
    def __init__(self) -> None:
        self.pool = ("a", "b", "c")

    def __reduce__(self) -> tuple[type[Right], tuple[()]]:
        return Right, ()


BROKEN: dict[str, tuple[Callable[[], Right], str]] = {
    "an order of its own": (Unsorted, "names are sorted"),
    "a list": (Listed, "names are sorted"),
    "an image of val in the pool": (Leaks, "splits share no image"),
    "no val": (WithoutVal, "every split has images"),
    "no tests": (WithoutTests, "every split has images"),
    "two classes of one name": (TwoTrees, "classes are named"),
    "no such background": (NoSuchBackground, "the background is a class"),
    "a background by its name": (BackgroundByName, "the background is a class"),
    "a tuple of tests": (TestsInATuple, "names are sorted"),
    "floats": (Floats, "pictures are bytes of their size"),
    "width before height": (Turned, "pictures are bytes of their size"),
    "grey": (Grey, "pictures are bytes of their size"),
    "values of the file": (RawValues, "targets are class ids"),
    "wide targets": (WideTargets, "targets are class ids"),
    "asks about void": (AsksAboutVoid, "void cannot be asked about"),
    "a mask of numbers": (AsksByNumber, "void cannot be asked about"),
    "objects of some": (SomeObjects, "objects are numbered"),
    "objects in void": (ObjectsInVoid, "objects are numbered"),
    "objects below zero": (NegativeObjects, "objects are numbered"),
    "any column": (AnyColumn, "a column that is not there is refused"),
    "augments": (Augments, "is the same when read again"),
    "gives what it holds": (HoldsWhatItGives, "is the same when read again"),
    "draws its splits": (DrawsItsSplits, "is the same when read again"),
    "rolls its targets": (RollsTargets, "labels are the same when read again"),
    "holds a lock": (HoldsALock, "goes to other processes"),
    "loses its state": (LosesItsState, "goes to other processes"),
}
"""Each with the law that it breaks, and perhaps others that follow from it."""
