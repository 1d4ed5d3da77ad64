"""Is this a format of annotations? Laws that any reader and writer from outside can be put through.

check_annotation_format(Mine(("ground", "tree", "water")))    # AssertionError that lists what is broken

class TestMine(AnnotationFormatSuite):                        # or: one pytest test for each law
    def make(self) -> AnnotationFormat:
        return Mine(("ground", "tree", "water"))
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from seg_al.annotators.formats.annotation_format import AnnotationFormat
from seg_al.conformance.laws import Suite, require, require_laws
from seg_al.core import IGNORE, ByteImage

LABELS_SIZE = (13, 22)


def check_annotation_format(annotations: AnnotationFormat) -> None:
    """Raises AssertionError with every law that the format breaks."""
    require_laws(annotations, LAWS)


def cases(classes: int) -> dict[str, ByteImage]:
    """Label images that a person may have made, by what is in them."""
    rng = np.random.default_rng(0)
    every = rng.choice(np.array([*range(classes), IGNORE], dtype=np.uint8), LABELS_SIZE)
    square = np.full(LABELS_SIZE, IGNORE, dtype=np.uint8)
    square[3:9, 4:15] = classes - 1
    ring = np.zeros(LABELS_SIZE, dtype=np.uint8)
    ring[2:10, 3:12] = 1
    ring[4:7, 5:9] = 0
    return {
        "every class pixel by pixel": every,
        "one known square": square,
        "a ring": ring,
        "nothing known": np.full(LABELS_SIZE, IGNORE, dtype=np.uint8),
        "the first class alone": np.zeros(LABELS_SIZE, dtype=np.uint8),
        "a single pixel": np.ones((1, 1), dtype=np.uint8),
        "a row": every[:1],
        "columns in memory": np.asfortranarray(every),
    }


@contextmanager
def place_for(annotations: AnnotationFormat) -> Iterator[Path]:
    """A file that is not there yet, in an empty folder."""
    with TemporaryDirectory() as folder:
        yield Path(folder) / f"slide 1.a{annotations.suffix}"


def gives_back_what_was_written(annotations: AnnotationFormat) -> None:
    for what, labels in cases(len(annotations.classes)).items():
        with place_for(annotations) as path:
            annotations.write(labels, path)
            found = annotations.read(path)
        require(found.dtype == np.uint8, f"{what}: it reads {found.dtype}, not uint8")
        require(found.shape == labels.shape, f"{what}: it writes {labels.shape} and reads {found.shape}")
        changed = int((found != labels).sum())
        require(changed == 0, f"{what}: {changed} of {labels.size} pixels changed")


def writes_one_file_in_place_of_the_old(annotations: AnnotationFormat) -> None:
    """A second answer replaces the first, and nothing else is left in the folder."""
    first, second = list(cases(len(annotations.classes)).values())[:2]
    with place_for(annotations) as path:
        annotations.write(first, path)
        annotations.write(second, path)
        require(np.array_equal(annotations.read(path), second), "a second answer does not replace the first")
        others = sorted(one.name for one in path.parent.iterdir() if one != path)
        require(not others, f"it leaves other files: {', '.join(others)}")


def leaves_the_labels_alone(annotations: AnnotationFormat) -> None:
    labels = next(iter(cases(len(annotations.classes)).values()))
    before = labels.copy()
    with place_for(annotations) as path:
        annotations.write(labels, path)
    require(np.array_equal(labels, before), "it writes into the labels that it is given; work on a copy")


def refuses_ids_of_no_class(annotations: AnnotationFormat) -> None:
    """With a ValueError that names the file, before anything is written."""
    labels = np.full(LABELS_SIZE, len(annotations.classes), dtype=np.uint8)
    with place_for(annotations) as path:
        try:
            annotations.write(labels, path)
        except ValueError as error:
            require(path.name in str(error), f"the refusal does not name the file: {error}")
            require(not path.exists(), "it refuses the labels and leaves a file all the same")
            return
    raise AssertionError(f"it writes the id {len(annotations.classes)} of {len(annotations.classes)} classes")


def refuses_damaged_files_by_name(annotations: AnnotationFormat) -> None:
    """Cut short, empty, or something else: a ValueError with the name, unless all of the labels are still there."""
    labels = next(iter(cases(len(annotations.classes)).values()))
    with place_for(annotations) as path:
        annotations.write(labels, path)
        whole = path.read_bytes()
        damaged = {f"the first {count} of {len(whole)} bytes": whole[:count] for count in (1, 20, len(whole) // 2)}
        damaged |= {"all bytes but the last": whole[:-1], "no byte": b"", "a letter": b"Dear annotator,\n" * 20}
        for what, content in damaged.items():
            path.write_bytes(content)
            _refuses(annotations, path, what, labels)
        path.unlink()
        _refuses(annotations, path, "no file", labels)


def _refuses(annotations: AnnotationFormat, path: Path, what: str, labels: ByteImage) -> None:
    try:
        found = annotations.read(path)
    except ValueError as error:
        require(path.name in str(error), f"{what}: the refusal does not name the file: {error}")
        return
    require(np.array_equal(found, labels), f"it reads {what} as if nothing were wrong")


LAWS = (
    gives_back_what_was_written,
    writes_one_file_in_place_of_the_old,
    leaves_the_labels_alone,
    refuses_ids_of_no_class,
    refuses_damaged_files_by_name,
)


class AnnotationFormatSuite(Suite[AnnotationFormat]):
    """One test for each law; `make` returns the format, with two classes at least."""

    laws = LAWS
