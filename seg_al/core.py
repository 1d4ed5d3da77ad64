"""The nouns of the harness and the protocols that its parts keep. Read this first, then loop.py.

Axes, everywhere: K passes, C classes, H W pixels, U units of an image, M candidates, D features, B batch.
Images are known by name. A score says how much a question is wanted: higher = more wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from typing_extensions import TypeVar  # that of Python 3.13, whose defaults spare writing Model[Any, Any]

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from seg_al.predictors.class_maps import Beliefs
    from seg_al.selectors.descriptors import Descriptor
    from seg_al.tasks.objects.objects import Instances
    from seg_al.tasks.objects.passes import Objects

IGNORE = 255
"""The class id of a pixel without a label: unknown, void, or outside the image."""

CLASSES = "classes"
"""The truth that lists the ids of the classes in a unit, such as "1,3"."""

CostUnit = Literal["images", "pixels", "regions", "clicks", "vertices"]
"""What labels cost, all of it billed: shares of images, pixels, questions, mouse clicks, corners of polygons."""
COST_UNITS: tuple[CostUnit, ...] = get_args(CostUnit)
BudgetUnit = Literal["images", "pixels", "regions"]
"""The units whose price is known before the answer, so that a budget can be spent in them."""

ByteImage = npt.NDArray[np.uint8]
BoolMask = npt.NDArray[np.bool_]


def price(area: int, whole: int, unit: BudgetUnit) -> float:
    """What a question about `area` of an image's `whole` askable pixels costs: a share of it, pixels, or one region."""
    return {"images": area / whole, "pixels": float(area), "regions": 1.0}[unit]


@dataclass(frozen=True)
class Budget:
    """What a round may spend."""

    amount: float
    unit: BudgetUnit
    per: Literal["pool", "image"]
    """Whether it is for the whole pool, or the same for each image of it."""


@dataclass(frozen=True)
class Region:
    """The pixels that one question is about, as half-open runs [start, stop) of the image's row-major order."""

    size: tuple[int, int]
    """Height and width of the image in pixels."""
    runs: tuple[tuple[int, int], ...]

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Region:
        return cls(size, ((0, size[0] * size[1]),))

    @classmethod
    def of(cls, mask: npt.NDArray[np.bool_]) -> Region:  # [H, W]
        return cls.of_pixels((mask.shape[0], mask.shape[1]), np.flatnonzero(mask))

    @classmethod
    def of_pixels(cls, size: tuple[int, int], pixels: npt.NDArray[np.intp]) -> Region:  # [area], ascending
        """The pixels at these places of the row-major order."""
        if len(pixels) == 0:
            return cls(size, ())
        breaks = np.flatnonzero(np.diff(pixels) > 1)
        starts, stops = pixels[np.r_[0, breaks + 1]], pixels[np.r_[breaks, len(pixels) - 1]] + 1
        return cls(size, tuple(zip(starts.tolist(), stops.tolist(), strict=True)))

    def mask(self) -> npt.NDArray[np.bool_]:  # [H, W]
        mask = np.zeros(self.size, dtype=np.bool_)
        self.fill(mask, True)
        return mask

    def pixels_of(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:  # [H, W] -> [area]
        """The array's values in the region, in row-major order."""
        flat = np.asarray(array).reshape(-1)
        parts = [flat[start:stop] for start, stop in self.runs]
        return np.concatenate(parts) if parts else flat[:0]

    def copy(self, source: npt.NDArray[Any], array: npt.NDArray[Any]) -> None:
        """Copies the region's pixels from one contiguous array [H, W] to another."""
        assert array.flags.c_contiguous
        assert array.shape == source.shape == self.size
        flat, values = array.reshape(-1), np.asarray(source).reshape(-1)
        for start, stop in self.runs:
            flat[start:stop] = values[start:stop]

    def fill(self, array: npt.NDArray[Any], value: Any) -> None:
        """Writes the value into the region's pixels of a contiguous array [H, W]."""
        assert array.flags.c_contiguous
        assert array.shape == self.size
        flat = array.reshape(-1)
        for start, stop in self.runs:
            flat[start:stop] = value

    @cached_property
    def area(self) -> int:
        """Pixels."""
        return sum(stop - start for start, stop in self.runs)


@dataclass(frozen=True)
class Query:
    """One question about one region of one image: what is here?"""

    image: str
    region: Region
    why: str
    """Why it is asked, for a reader: "initial", or its rank, heuristic and score."""
    score: float | None = None
    """The heuristic's score of the unit; None for the initial draw."""


@dataclass(frozen=True)
class Answer:
    """What became known by one query, and what that took besides pixels."""

    image: str
    region: Region
    """The pixels that are known now: those that were asked about, or fewer, or more."""
    clicks: int
    """Choices of a class: one per piece of the answer."""
    vertices: int
    """Corners of the polygons that had to be drawn."""


@dataclass(frozen=True)
class Candidates:
    """Every unit that may be asked about in this round, as parallel columns; row order carries no meaning."""

    images: tuple[str, ...]  # [M]
    units: npt.NDArray[np.int64]  # [M], the unit's id in its image
    scores: npt.NDArray[np.float64]  # [M], higher = more wanted
    costs: npt.NDArray[np.float64]  # [M], in the budget's unit
    descriptors: npt.NDArray[np.float32] | None = None
    """[M, D], made by the selector's descriptor from each unit; None where the selector has none."""
    known: npt.NDArray[np.float32] | None = None
    """[L, D], the same descriptor of what is labelled already; None unless the selector asks for it."""
    truth: tuple[str, ...] | None = None
    """[M], the true image-level column that an oracle selector named; reading it is counted and recorded."""
    round: int = 0
    """Number of the round that asks, from 1; selectors with a schedule read it."""

    def __len__(self) -> int:
        return len(self.images)

    def take(self, positions: npt.NDArray[np.intp]) -> Candidates:
        """These rows, in this order."""
        rows, images, truth = positions.tolist(), self.images, self.truth
        one_image = len(set(images)) == 1  # there may be millions of pixels of it
        return replace(
            self,
            images=images[: len(rows)] if one_image else tuple(images[row] for row in rows),
            units=self.units[positions],
            scores=self.scores[positions],
            costs=self.costs[positions],
            descriptors=None if self.descriptors is None else self.descriptors[positions],
            truth=None if truth is None else tuple(truth[row] for row in rows),
        )


class Images(Protocol):
    """What a query may see of the pool: names, sizes and pixels; no target is in reach."""

    def image(self, name: str) -> ByteImage: ...  # [H, W, 3]
    def size(self, name: str) -> tuple[int, int]: ...  # H, W
    def askable(self, name: str) -> BoolMask | None: ...  # [H, W], pixels that are of any class; None: all are


class Dataset(Images, Protocol):
    """Named images with class-id masks, split by name. All tuples of names are sorted."""

    @property
    def classes(self) -> tuple[str, ...]: ...  # C names, in the order of their ids
    @property
    def background(self) -> int | None: ...  # the class that foreground metrics leave out; None: none
    @property
    def pool(self) -> tuple[str, ...]: ...
    @property
    def val(self) -> tuple[str, ...]: ...
    @property
    def tests(self) -> Mapping[str, tuple[str, ...]]: ...  # "testA" -> names

    def target(self, name: str) -> ByteImage: ...  # [H, W] class ids, IGNORE where void
    def objects(self, name: str) -> npt.NDArray[np.int32] | None: ...  # [H, W] object ids, 0: none
    def column(self, key: str) -> Mapping[str, str]: ...  # image-level column of the pool by image name


Colour = tuple[int, int, int]
"""Red, green and blue from 0 to 255."""


@runtime_checkable
class Coloured(Protocol):
    """A dataset that may say in which colours its classes are drawn."""

    @property
    def colours(self) -> tuple[Colour, ...] | None: ...  # C, in the order of the classes; None: it has none


class Network(Protocol):
    """The layers and weights of a network, as every torch.nn.Module has them."""

    training: bool
    """Whether dropout and batch norm act as in training."""

    def train(self, mode: bool = True) -> object: ...
    def eval(self) -> object: ...
    def modules(self) -> Iterator[nn.Module]: ...
    def named_modules(self) -> Iterator[tuple[str, nn.Module]]: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def state_dict(self) -> Mapping[str, Tensor]: ...
    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> object: ...


AnyNetwork = TypeVar("AnyNetwork", bound=Network)
ModelState = TypeVar("ModelState", default=Any)
"""What a model makes of images, and only the model itself reads."""
Decoded = TypeVar("Decoded", covariant=True, default=Any)
"""What a model puts out: logits [B, C, H, W], or what else its task reads, B of them."""


class Model(Network, Protocol[ModelState, Decoded]):
    """A torch.nn.Module cut at its first dropout: encode is deterministic, decode holds all dropout.

    The audit proves it before a budget is spent. What else a model may have stands in the protocols below.
    """

    def encode(self, images: Tensor) -> ModelState: ...  # [B, 3, H, W] in 0..1
    def decode(self, state: ModelState) -> Decoded: ...  # of B images; writes nothing into the state
    def repeat(self, state: ModelState, times: int) -> ModelState: ...  # the state of each image `times` over, along B
    def __call__(self, images: Tensor) -> Decoded: ...  # decode(encode(images)): what is trained and tested


@runtime_checkable
class GivesFeatures(Protocol):
    """A model whose features describe images, for selectors that seek what is unlike; dropout is off."""

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The deepest features [B, D, h, w], and the input of the classifier [B, D, h, w], of images [B, 3, H, W]."""
        ...


@runtime_checkable
class HasEncoder(Protocol):
    """A model that says which weights a pretrained file may have given, so that they can learn at their own rate."""

    def encoder_parameters(self) -> Iterable[nn.Parameter]: ...


@runtime_checkable
class MadeForTask(Protocol):
    """A model, loss, augmentation or granularity that serves one task only; any other part serves all of them."""

    task: ClassVar[str]
    """The task's name, such as "semantic"."""


Precision = Literal["float32", "bfloat16", "float16"]


class Compute(Protocol):
    """Where tensors live, and in which precision networks run."""

    @property
    def torch_device(self) -> torch.device: ...
    @property
    def number_type(self) -> Precision: ...  # of the passes and of the training
    @property
    def scoring(self) -> Precision | Literal["same"]: ...  # what queries may take if it ranks alike; "same": as trained
    @property
    def devices(self) -> int: ...  # GPUs, or processes on a CPU, that share each training batch
    @property
    def loaders(self) -> int: ...  # loading processes of each training process
    @property
    def loader_start(self) -> Literal["fork", "spawn"] | None: ...  # how they begin; None: there are none
    def scoring_in(self, precision: Precision) -> Compute: ...  # the same in another precision
    def claim_threads(self, processes: int = 1) -> None: ...  # its share of the processor, which `processes` divide
    def fabric(self) -> Fabric: ...  # Lightning Fabric for one training
    def autocast(self) -> AbstractContextManager[None]: ...
    def tensor(self, image: ByteImage) -> Tensor: ...  # [H, W, 3] -> [1, 3, H, W] in 0..1
    def picture(self, image: ByteImage) -> Tensor: ...  # [H, W, 3] -> [1, 3, H, W] bytes
    def place(self, model: AnyNetwork) -> AnyNetwork: ...  # the same on the device


class ModelFactory(Protocol):
    """Builds fresh weights from torch's generator, which the caller has seeded."""

    def __call__(self, *, classes: int) -> Model: ...


class Heuristic(Protocol):
    """Paints how much each pixel is wanted; [H, W], finite, higher = more wanted."""

    @property
    def min_passes(self) -> int:
        """Passes below which the score says nothing: 0 needs no forward pass at all, 2 needs disagreement."""
        ...

    def __call__(self, beliefs: Beliefs) -> Tensor: ...


@dataclass(frozen=True)
class Scene:
    """One image as it is cut into units."""

    name: str
    image: Callable[[], ByteImage]
    """Decodes the picture [H, W, 3], for those who look at it."""
    within: Tensor  # [H, W] bool, the pixels that are cut; all others belong to no unit
    beliefs: Beliefs
    score_map: Tensor | None  # [H, W], of the heuristic that asks; None where it looks at nothing
    rng: np.random.Generator
    """Drawn from `run`, the round and the name."""

    @property
    def size(self) -> tuple[int, int]:
        return self.within.shape[0], self.within.shape[1]


@dataclass(frozen=True)
class Painted:
    """What a heuristic says of one image."""

    map: Tensor  # [H, W]
    objects: Tensor | None = None  # [N], of each object that the passes found; None where the task has no objects
    shapes: Objects | None = None
    """The objects themselves."""


class Granularity(Protocol):
    """Cuts an image into units and says how a score map is joined over each."""

    reads: ClassVar[Literal["image", "scores", "predictions"]]
    """What the cut depends on: the picture at most; the score map, if there is one; or what the models predict."""

    def units(self, scene: Scene) -> Tensor:
        """Unit ids [H, W], long; -1: never asked. Ids outside `scene.within` are ignored."""
        ...

    def reduce(self, painted: Painted, ids: Tensor, count: int) -> Tensor:
        """Joins the scores over the units 0..count-1 of ids [H, W] (-1: in none) into [U]."""
        ...


class Selector(Protocol):
    """Says in which order candidates are wanted; asking/spending.py buys them one by one."""

    @property
    def descriptor(self) -> Descriptor | None: ...  # what it must know of a unit beyond its score
    @property
    def reads_known(self) -> bool: ...  # whether the labelled set is described too (core-set)
    @property
    def truth(self) -> str | None: ...  # the column of true labels an oracle reads; None: an honest selector

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterable[int]:
        """Positions in `candidates`, most wanted first; what is left of the budget goes to the highest scores.

        Rows come shuffled from `run`, so that the first of equals is a fair choice. All that is given is finite, and
        the budget, in the unit of the costs and with room for rounding, does not buy all of it; most selectors need
        no budget. What costs more than is left is passed over, and so is what was named before.
        """
        ...


Ranking = Callable[[Candidates, float, np.random.Generator], Iterable[int]]
"""A selector's call."""


@runtime_checkable
class Narrowing(Protocol):
    """A selector that tells at a glance which few of millions it may want, so that only they are put in order."""

    def narrowed(self, candidates: Candidates, budget: float) -> tuple[npt.NDArray[np.intp], Ranking]:
        """Their positions, worth the budget, and what ranks them."""
        ...


class Annotator(Protocol):
    """Answers queries: the oracle at once, a person by and by (then it raises AwaitingAnnotation)."""

    @property
    def truths_read(self) -> Mapping[str, set[str]]: ...  # images of which a truth was read unasked, by its name
    def answer(
        self, queries: Sequence[Query], known: Callable[[str], BoolMask], folder: Path
    ) -> Sequence[Answer]:  # one per query; `known` gives [H, W], what was known of an image before
        ...

    def labels(self, name: str, regions: Sequence[Region]) -> ByteImage:
        """[H, W] class ids in the regions, each of which is one answer; IGNORE elsewhere."""
        ...

    def instances(self, name: str, regions: Sequence[Region]) -> tuple[Instances, BoolMask]:
        """The objects known by the regions, and [H, W] where it is not known what is there (instances/partial.py)."""
        ...

    def truth(self, key: str, name: str, region: BoolMask) -> str:
        """A true fact about an unlabelled unit, for oracle selectors; counted. A column of the dataset, or CLASSES."""
        ...


@dataclass(frozen=True)
class Metric:
    """What a number that a task measures means; it is kept with each run, so that results are read without the task."""

    name: str
    """Without the split: "error" stands for "test/error", "val/error" and so on."""
    better: Literal["higher", "lower"] = "higher"
    lowest: float | None = None
    """The least that it can be; None: there is no bound."""
    highest: float | None = None
    unit: str = ""
    """Behind the label of an axis, such as "pixels"; empty: none."""
    judges: bool = False
    """Whether its value on val may choose a checkpoint."""
    area: bool = False
    """Whether trackers also get the area under its learning curve."""
    column: str = ""
    """The heading of its columns in a table of runs; empty: it has none."""
    of_class: str = ""
    """What the names of the same metric of one class begin with: "error" for "error_car"; empty: there are none."""
    bound: str = ""
    """The metric that says, where it is recorded, what a perfect prediction gets; empty: the best value."""
    meaning: str = ""
    """For a reader who would stumble over the number."""

    @property
    def sign(self) -> int:
        """What a value is multiplied by so that higher is better."""
        return 1 if self.better == "higher" else -1


class AwaitingAnnotation(Exception):
    """A person has not answered yet; the message says how many answers are missing and where they go."""


class Tracker(Protocol):
    """A view of the run for people; the run folder is the record."""

    def scalars(self, values: Mapping[str, float], step: float) -> None: ...
    def artifact(self, path: Path, name: str) -> None: ...
    def note(self, key: str, value: Any) -> None: ...
