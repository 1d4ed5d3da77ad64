"""A dataset that keeps decoded images and targets, up to a stated amount of memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from seg_al.core import ByteImage, Colour, Coloured, Dataset, PixelSet
from seg_al.datasets.files.window import ValueWindow, Windowed
from seg_al.datasets.mistakes import of_askable, of_image, of_objects, of_target, refuse
from seg_al.tasks.objects.objects import Instances, instances_of
from seg_al.tasks.pixels.class_labels import LabelledPixels

Given = TypeVar("Given")


def cached(dataset: Dataset, mib: float) -> Dataset:
    """The dataset, which keeps what it decodes if it labels pixels; others keep what they wish themselves."""
    return Cached(dataset, mib) if isinstance(dataset, LabelledPixels) else dataset


class Cached:
    """Wraps a dataset; the images and targets used last stay in memory. Cached arrays are read-only.

    What is given for a name is looked at once; ValueError where it is not of the type and size that it has to be.
    """

    def __init__(self, dataset: LabelledPixels, mib: float) -> None:
        self.dataset = dataset
        self.limit = mib * 2**20
        self._held: OrderedDict[tuple[str, str], ByteImage] = OrderedDict()
        self._instances: dict[str, Instances] = {}
        self._bytes = 0
        self._right: set[tuple[str, str]] = set()

    def _checked(self, kind: str, name: str, given: Given, mistake: Callable[[Given], str | None]) -> Given:
        if (kind, name) not in self._right:
            refuse(self.dataset, mistake(given))
            self._right.add((kind, name))
        return given

    def _get(self, key: tuple[str, str], decode: Callable[[str], ByteImage]) -> ByteImage:
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        array = decode(key[1])
        array.setflags(write=False)
        self._held[key] = array
        self._bytes += array.nbytes
        while self._bytes > self.limit:
            self._bytes -= self._held.popitem(last=False)[1].nbytes
        return array

    def image(self, name: str) -> ByteImage:
        return self._get(("image", name), self._image)

    def target(self, name: str) -> ByteImage:
        return self._get(("target", name), self._target)

    def _image(self, name: str) -> ByteImage:
        image, size = self.dataset.image(name), self.dataset.size(name)
        return self._checked("image", name, image, lambda given: of_image(given, name, size))

    def _target(self, name: str) -> ByteImage:
        target, size, classes = self.dataset.target(name), self.dataset.size(name), len(self.dataset.classes)
        return self._checked("target", name, target, lambda given: of_target(given, name, size, classes))

    def size(self, name: str) -> tuple[int, int]:
        return self.dataset.size(name)

    def askable(self, name: str) -> PixelSet | None:
        askable = self.dataset.askable(name)
        return self._checked("askable", name, askable, lambda given: of_askable(given, name, self.size(name)))

    def objects(self, name: str) -> npt.NDArray[np.int32] | None:
        objects = self.dataset.objects(name)
        return self._checked("objects", name, objects, lambda given: of_objects(given, name, self.size(name)))

    def instances(self, name: str) -> Instances:
        """The objects of an image, kept once made: run lengths are small. ValueError where the dataset has none."""
        if name not in self._instances:
            self._instances[name] = instances_of(self.dataset, name)
        return self._instances[name]

    def column(self, key: str) -> Mapping[str, str]:
        return self.dataset.column(key)

    @property
    def window(self) -> ValueWindow | None:
        """The window of the images' grey levels, where the dataset has one."""
        return self.dataset.window if isinstance(self.dataset, Windowed) else None

    @property
    def colours(self) -> tuple[Colour, ...] | None:
        """The colours of the classes, where the dataset states them."""
        return self.dataset.colours if isinstance(self.dataset, Coloured) else None

    @property
    def classes(self) -> tuple[str, ...]:
        return self.dataset.classes

    @property
    def background(self) -> int | None:
        return self.dataset.background

    @property
    def pool(self) -> tuple[str, ...]:
        return self.dataset.pool

    @property
    def val(self) -> tuple[str, ...]:
        return self.dataset.val

    @property
    def tests(self) -> Mapping[str, tuple[str, ...]]:
        return self.dataset.tests
