"""Is this a data set? Laws that any reader from outside can be put through.

    check_dataset(lambda: read_mine(root, run=0))   # AssertionError that lists what is broken

    class TestMine(DatasetSuite):                   # or: one pytest test for each law
        def make(self) -> Callable[[], Dataset]:
            return lambda: read_mine(root, run=0)

A data set is read twice, and some of its images are decoded: the first, the middle and the last of each split. One
that tells no class of pixels, for a task of its own, keeps LAWS_OF_IMAGES alone: check_dataset(read, LAWS_OF_IMAGES),
or `laws = LAWS_OF_IMAGES` in the class.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from seg_al.conformance.laws import Law, Suite, require, require_laws
from seg_al.core import IGNORE, ByteImage, Dataset
from seg_al.datasets import mistakes
from seg_al.datasets.mistakes import splits_of
from seg_al.tasks.pixels.class_labels import labelled_pixels

Reader = Callable[[], Dataset]
Decode = Callable[[str], ByteImage]


def check_dataset(read: Reader, laws: Sequence[Law[Reader]] | None = None) -> None:
    """Raises AssertionError with every law that the data set breaks; of all laws unless some are given."""
    require_laws(_reader(read), LAWS if laws is None else laws)


def _reader(read: Reader) -> Reader:
    """The function itself. Raises ValueError for what is given in its place, such as the data set."""
    if not callable(read):
        raise ValueError(
            f"{type(read).__name__} is no function: make returns a function that makes the data set, as in "
            "lambda: read_mine(root, run=0), and check_dataset takes one"
        )
    return read


def some_of(dataset: Dataset) -> list[str]:
    """The first, the middle and the last name of each split."""
    parts = [names for names in splits_of(dataset).values() if names]
    return sorted({names[place] for names in parts for place in (0, len(names) // 2, -1)})


def names_are_sorted(read: Reader) -> None:
    """Each split is a tuple of texts, sorted, none twice: no order of a file system comes through."""
    _require_none(mistakes.of_names(read()))


def splits_share_no_image(read: Reader) -> None:
    _require_none(mistakes.of_shared_images(read()))


def _require_none(wrong: Iterable[str | None]) -> None:
    found = [one for one in wrong if one]
    require(not found, "; ".join(found))


def every_split_has_images(read: Reader) -> None:
    """pool, val and one test at least: val chooses, test reports."""
    dataset = read()
    require(len(dataset.tests) > 0, "there is no test split")
    for split, names in splits_of(dataset).items():
        require(len(names) > 0, f"{split} has no image")


def classes_are_named(read: Reader) -> None:
    classes = read().classes
    require(0 < len(classes) < IGNORE, f"{len(classes)} classes; 1 to {IGNORE - 1} are possible")
    require(len(set(classes)) == len(classes), "two classes have one name")


def pictures_are_bytes_of_their_size(read: Reader) -> None:
    """[H, W, 3] of the height and width that `size` tells before anything is decoded."""
    dataset = read()
    for name in some_of(dataset):
        _require_none([mistakes.of_image(dataset.image(name), name, dataset.size(name))])


def a_column_that_is_not_there_is_refused(read: Reader) -> None:
    """With a ValueError, which says what there is."""
    try:
        read().column("a column that nobody has")
    except ValueError:
        return
    raise AssertionError("column() takes any name; raise a ValueError that lists the columns that there are")


def is_the_same_when_read_again(read: Reader) -> None:
    """Names and pixels, also in another order, and after someone wrote into what was given."""
    dataset, again = read(), read()
    require(splits_of(dataset) == splits_of(again), "read twice, other images are in the splits")
    _same_again(dataset.image, again.image, some_of(dataset), "the picture")


def _same_again(one: Decode, other: Decode, names: Sequence[str], what: str) -> None:
    first = {name: one(name).copy() for name in names}
    for name in names:
        given = one(name)
        if given.flags.writeable:
            given[:] = 0
    for name in reversed(names):
        same = np.array_equal(one(name), first[name]) and np.array_equal(other(name), first[name])
        require(same, f"{what} of {name} is not the same twice")


def goes_to_other_processes(read: Reader) -> None:
    """Loading processes get it by pickle."""
    dataset = read()
    copy: Dataset = pickle.loads(pickle.dumps(dataset))
    require(splits_of(copy) == splits_of(dataset), "a pickled copy has other splits")
    require(copy.classes == dataset.classes, "a pickled copy has other classes")
    name = some_of(dataset)[0]
    require(np.array_equal(copy.image(name), dataset.image(name)), f"a pickled copy shows {name} otherwise")


def the_background_is_a_class(read: Reader) -> None:
    dataset = labelled_pixels(read())
    classes = len(dataset.classes)
    require(classes >= 2, "there is one class alone; name what is not of it as well")
    _require_none([mistakes.of_background(dataset.background, classes)])


def targets_are_class_ids(read: Reader) -> None:
    """[H, W] bytes from 0 on below the number of classes, or IGNORE."""
    dataset = labelled_pixels(read())
    for name in some_of(dataset):
        _require_none([mistakes.of_target(dataset.target(name), name, dataset.size(name), len(dataset.classes))])


def void_cannot_be_asked_about(read: Reader) -> None:
    """askable is where the target is of any class; None where all of it is."""
    dataset = labelled_pixels(read())
    for name in some_of(dataset):
        askable, labelled = dataset.askable(name), dataset.target(name) != IGNORE
        if askable is None:
            require(bool(labelled.all()), f"askable of {name} is None, but {int((~labelled).sum())} pixels are void")
            continue
        _require_none([mistakes.of_askable(askable, name, dataset.size(name))])
        require(np.array_equal(askable, labelled), f"askable of {name} is not where its target is of a class")


def objects_are_numbered(read: Reader) -> None:
    """[H, W] int32, 0 where there is none; None where the data set does not know objects, then of all images."""
    dataset = labelled_pixels(read())
    maps = {name: dataset.objects(name) for name in some_of(dataset)}
    known = [name for name, ids in maps.items() if ids is not None]
    require(len(known) in (0, len(maps)), f"{len(known)} of {len(maps)} images know their objects, the others do not")
    for name, ids in maps.items():
        if ids is None:
            continue
        _require_none([mistakes.of_objects(ids, name, dataset.size(name))])
        require(int(ids.min()) >= 0, f"the objects of {name} have the id {int(ids.min())}; 0 is: no object")
        void = (dataset.target(name) == IGNORE) & (ids > 0)
        require(not void.any(), f"{int(void.sum())} pixels of {name} are of an object and void at once")


def labels_are_the_same_when_read_again(read: Reader) -> None:
    dataset, again = labelled_pixels(read()), labelled_pixels(read())
    _same_again(dataset.target, again.target, some_of(dataset), "the target")


LAWS_OF_IMAGES = (
    names_are_sorted,
    splits_share_no_image,
    every_split_has_images,
    classes_are_named,
    pictures_are_bytes_of_their_size,
    a_column_that_is_not_there_is_refused,
    is_the_same_when_read_again,
    goes_to_other_processes,
)
"""For every task."""
LAWS: tuple[Law[Reader], ...] = (
    *LAWS_OF_IMAGES,
    the_background_is_a_class,
    targets_are_class_ids,
    void_cannot_be_asked_about,
    objects_are_numbered,
    labels_are_the_same_when_read_again,
)
"""For the tasks that read the class of each pixel, and objects made of pixels."""


class DatasetSuite(Suite[Reader]):
    """One test for each law; `make` returns what reads the data set."""

    laws = LAWS

    def test_keeps(self, law: Law[Reader]) -> None:
        law(_reader(self.make()))
