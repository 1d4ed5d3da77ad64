"""The data types of the harness and the protocols of its parts. Read this first, then loop.py.

Axes, everywhere: K passes, C classes, H W pixels, U units of an image, M candidates, D features, B batch.
Images are known by name. A score says how much a question is wanted: higher = more wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Protocol, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from typing_extensions import TypeVar  # that of Python 3.13, with defaults, so that Model stands for Model[Any, Any]

IGNORE = 255
"""The class id of a pixel without a label: unknown, void, or outside the image."""

CLASSES = "classes"
"""The fact that lists the ids of the classes in a unit, such as "1,3"."""

CostUnit = Literal["images", "pixels", "regions", "clicks", "vertices"]
"""Units in which labels are billed: shares of images, pixels, questions, mouse clicks, corners of polygons."""
COST_UNITS: tuple[CostUnit, ...] = get_args(CostUnit)
BudgetUnit = Literal["images", "pixels", "regions"]
"""Units whose price is known before the answer, in which a budget can be stated."""

ByteImage = npt.NDArray[np.uint8]
PixelSet = npt.NDArray[np.bool_]


def price(area: int, whole: int, unit: BudgetUnit) -> float:
    """What a question about `area` of an image's `whole` askable pixels costs: a share of it, pixels, or one region."""
    return {"images": area / whole, "pixels": float(area), "regions": 1.0}[unit]


@dataclass(frozen=True)
class Budget:
    """What a round may spend."""

    amount: float
    unit: BudgetUnit
    per: Literal["pool", "image"]
    """Whether it is for the whole pool, or for each image of it."""


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
    def of(cls, inside: npt.NDArray[np.bool_]) -> Region:  # [H, W]
        return cls.of_pixels((inside.shape[0], inside.shape[1]), np.flatnonzero(inside))

    @classmethod
    def of_pixels(cls, size: tuple[int, int], pixels: npt.NDArray[np.intp]) -> Region:  # [area], ascending
        """The pixels at these positions of the row-major order."""
        if len(pixels) == 0:
            return cls(size, ())
        breaks = np.flatnonzero(np.diff(pixels) > 1)
        starts, stops = pixels[np.r_[0, breaks + 1]], pixels[np.r_[breaks, len(pixels) - 1]] + 1
        return cls(size, tuple(zip(starts.tolist(), stops.tolist(), strict=True)))

    def pixels(self) -> npt.NDArray[np.bool_]:  # [H, W]
        inside = np.zeros(self.size, dtype=np.bool_)
        self.fill(inside, True)
        return inside

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
    """Why it is asked, in words: "initial", or its rank, heuristic and score."""
    score: float | None = None
    """The heuristic's score of the unit; None for the initial draw."""


@dataclass(frozen=True)
class Answer:
    """What became known by one query, and what it cost besides pixels."""

    image: str
    region: Region
    """The pixels that became known: those that were asked about, or fewer, or more."""
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
    """[M], the true fact that an oracle selector reads, which is counted and recorded."""
    round: int = 0
    """Number of the round that asks, from 1; selectors with a schedule read it."""

    def __len__(self) -> int:
        return len(self.images)

    def take(self, positions: npt.NDArray[np.intp]) -> Candidates:
        """The candidates in these rows, in this order."""
        rows, images, truth = positions.tolist(), self.images, self.truth
        one_image = len(set(images)) == 1  # one image may have millions of pixels as candidates
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
    """The part of the pool that a query may see: names, sizes and pixels, but no truth."""

    def image(self, name: str) -> ByteImage: ...  # [H, W, 3]
    def size(self, name: str) -> tuple[int, int]: ...  # H, W
    def askable(self, name: str) -> PixelSet | None: ...  # [H, W], pixels that are of any class; None: all are


class Dataset(Images, Protocol):
    """Named images, split by name; each task states in a protocol which truth it reads. Tuples of names are sorted."""

    @property
    def classes(self) -> tuple[str, ...]: ...  # C names, in the order of their ids
    @property
    def pool(self) -> tuple[str, ...]: ...
    @property
    def val(self) -> tuple[str, ...]: ...
    @property
    def tests(self) -> Mapping[str, tuple[str, ...]]: ...  # "testA" -> names

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
"""What a model encodes images into, and only the model itself reads."""
Decoded = TypeVar("Decoded", covariant=True, default=Any)
"""The output of a model: logits [B, C, H, W], or another type that its task reads, for B images."""


class Model(Network, Protocol[ModelState, Decoded]):
    """A torch.nn.Module cut at its first dropout: encode is deterministic, decode holds all dropout.

    The audit proves it before a budget is spent. Optional abilities of models are the protocols below.
    """

    def encode(self, images: Tensor) -> ModelState: ...  # [B, 3, H, W] in 0..1
    def decode(self, state: ModelState) -> Decoded: ...  # of B images; writes nothing into the state
    def repeat(self, state: ModelState, times: int) -> ModelState: ...  # the state of each image `times` over, along B
    def __call__(self, images: Tensor) -> Decoded: ...  # decode(encode(images)): what is trained and tested


@runtime_checkable
class GivesFeatures(Protocol):
    """A model whose features describe images, for selectors of diverse units; dropout is off."""

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The deepest features [B, D, h, w], and the input of the classifier [B, D, h, w], of images [B, 3, H, W]."""
        ...


@runtime_checkable
class HasEncoder(Protocol):
    """A model that names the weights which a pretrained file may give, so that they can learn at their own rate."""

    def encoder_parameters(self) -> Iterable[nn.Parameter]: ...


class DroppedFeatures(NamedTuple):
    """What goes through dropout and then, pixel by pixel, through a linear classifier, and nothing else behind it."""

    features: Tensor  # [B, D, H, W], at the resolution of the images
    layer: str
    """The qualified name of the dropout layer."""
    weight: Tensor  # [C, D]
    bias: Tensor  # [C]


@runtime_checkable
class DropsLast(Protocol):
    """A model whose only dropout may stand right before a 1x1 classifier: its passes need not be written out."""

    def dropped_features(self, state: Any) -> DroppedFeatures | None:
        """What remains to be done to decode the state; None: it is more than that."""
        ...


@runtime_checkable
class MadeForTask(Protocol):
    """A model, loss, augmentation or granularity that serves one task only; any other part serves all of them."""

    task: ClassVar[str]
    """The task's name."""


Precision = Literal["float32", "bfloat16", "float16"]


class Fabric(Protocol):
    """What a training needs of Lightning Fabric: the processes that share it, their device, and their precision."""

    @property
    def device(self) -> torch.device: ...
    @property
    def world_size(self) -> int: ...
    @property
    def global_rank(self) -> int: ...
    @property
    def is_global_zero(self) -> bool: ...
    def launch(self, function: Callable[[Any], Any], /) -> Any: ...  # the function's result in the first process
    def setup(self, module: nn.Module, optimizer: Optimizer, /) -> Any: ...  # both, on the device and in the precision
    def setup_dataloaders(self, loader: DataLoader[Any], /, *, use_distributed_sampler: bool) -> Any: ...
    def backward(self, loss: Tensor, /) -> None: ...
    def clip_gradients(
        self, module: nn.Module, optimizer: Optimizer, *, max_norm: float, error_if_nonfinite: bool
    ) -> Any: ...
    def all_reduce(self, data: Tensor, *, reduce_op: str) -> Any: ...
    def broadcast(self, value: Any, /) -> Any: ...


class Compute(Protocol):
    """Where tensors live, and in which precision networks run."""

    @property
    def torch_device(self) -> torch.device: ...
    @property
    def number_type(self) -> Precision: ...  # of the passes and of the training
    @property
    def scoring(self) -> Precision | Literal["same"]: ...  # what queries may take if it ranks alike, faster; "same"
    @property
    def devices(self) -> int: ...  # GPUs, or processes on a CPU, that share each training batch
    @property
    def loaders(self) -> int: ...  # loading processes of each training process
    @property
    def loader_start(self) -> Literal["fork", "spawn"] | None: ...  # how they begin; None: there are none
    def scoring_in(self, precision: Precision) -> Compute: ...  # the same in another precision
    def batch(self, size: tuple[int, int]) -> int: ...  # images of H by W that networks get together
    def together(self, pixels: int) -> Compute: ...  # the same with so many pixels together, if no number is stated
    def claim_threads(self, processes: int = 1) -> None: ...  # its share of the processor, which `processes` divide
    def fabric(self) -> Fabric: ...  # for one training
    def autocast(self) -> AbstractContextManager[None]: ...
    def tensor(self, *images: ByteImage) -> Tensor: ...  # B times [H, W, 3] -> [B, 3, H, W] in 0..1
    def picture(self, *images: ByteImage) -> Tensor: ...  # B times [H, W, 3] -> [B, 3, H, W] bytes
    def place(self, model: AnyNetwork) -> AnyNetwork: ...  # the same on the device


class ModelFactory(Protocol):
    """Builds fresh weights from torch's generator, which the caller has seeded."""

    def __call__(self, *, classes: int) -> Model: ...


class Evidence(Protocol):
    """One kind of knowledge about an image before it is asked about; a class for each kind."""

    called: ClassVar[str]
    """The kind in a message, such as "class maps"."""

    @property
    def passes(self) -> int: ...  # that it was made from; 0: it needs none


@dataclass(frozen=True)
class Nothing:
    """The kind for heuristics that use no image, as random does."""

    size: tuple[int, int]
    called: ClassVar[str] = "nothing"
    passes: ClassVar[int] = 0


Kind = TypeVar("Kind", bound=Evidence)


@runtime_checkable
class Stacking(Protocol):
    """Evidence that can be laid one image above the other, for what looks at single pixels."""

    def above(self, others: Sequence[Any]) -> Evidence: ...  # with others of its kind, of images of the same size


@dataclass(frozen=True)
class EvidenceSet:
    """The evidence about one image, at most one of each kind."""

    size: tuple[int, int]
    """H and W of the image."""
    kinds: tuple[Evidence, ...] = ()

    def holds(self, kind: type[Evidence]) -> bool:
        return kind is Nothing or any(isinstance(one, kind) for one in self.kinds)

    def of(self, kind: type[Kind]) -> Kind:
        """Raises ValueError where this kind was not made."""
        for one in self.kinds:
            if isinstance(one, kind):
                return one
        if kind is Nothing:
            return kind(self.size)  # type: ignore[call-arg]
        there = ", ".join(one.called for one in self.kinds) or "nothing"
        raise ValueError(f"{kind.called} are asked for, but the evidence of the image is {there}")

    def also(self, *kinds: Evidence) -> EvidenceSet:
        return EvidenceSet(self.size, (*self.kinds, *kinds))

    @property
    def passes(self) -> int:
        """The largest number of passes of any kind."""
        return max((one.passes for one in self.kinds), default=0)


Read = TypeVar("Read", contravariant=True)


class Heuristic(Protocol[Read]):
    """Paints how much each pixel is wanted; [H, W], finite, higher = more wanted."""

    @property
    def reads(self) -> type[Evidence]: ...  # the kind of evidence that it is called with
    @property
    def min_passes(self) -> int:
        """Passes below which the score says nothing: 0 needs no pass at all, 2 needs disagreement."""
        ...

    def __call__(self, evidence: Read, /) -> Tensor: ...


@runtime_checkable
class TellsItsReach(Protocol):
    """A heuristic that says how far it looks."""

    @property
    def single_pixels(self) -> bool: ...  # whether a pixel's score depends on it alone; then images go together


@dataclass(frozen=True)
class Painted:
    """The scores of a heuristic for one image; a task may add scores of its own."""

    map: Tensor  # [H, W]


@dataclass(frozen=True)
class Scene:
    """One image for cutting it into units and describing them."""

    name: str
    image: Callable[[], ByteImage]
    """Decodes the image [H, W, 3] when it is called."""
    within: Tensor  # [H, W] bool, the pixels that are cut; all others belong to no unit
    evidence: EvidenceSet
    score_map: Tensor | None  # [H, W], of the heuristic that asks; None where it uses no image
    rng: np.random.Generator
    """Drawn from `run`, the round and the name."""

    @property
    def size(self) -> tuple[int, int]:
        return self.within.shape[0], self.within.shape[1]


class Granularity(Protocol):
    """Cuts an image into units and says how a score map is joined over each."""

    @property
    def reads(self) -> type[Evidence] | Literal["image", "scores"]:
        """What the cut depends on: the image at most; the score map, if there is one; or a kind of evidence."""
        ...

    @property
    def joins(self) -> type[Evidence]:
        """The kind of evidence that `reduce` needs beyond the score map, such as Nothing."""
        ...

    def units(self, scene: Scene) -> Tensor:
        """Unit ids [H, W], long; -1: never asked. Ids outside `scene.within` are ignored."""
        ...

    def reduce(self, painted: Painted, ids: Tensor, count: int) -> Tensor:
        """Joins the scores over the units 0..count-1 of ids [H, W] (-1: in none) into [U].

        Where `joins` is Nothing, map and ids may be those of several images of one size, one above the other.
        """
        ...


class Descriptor(Protocol):
    """Describes units for a selector by one vector each, made while the image is in memory."""

    @property
    def reads(self) -> tuple[type[Evidence], ...]: ...  # the kinds that it needs; none: the image is enough
    def __call__(self, scene: Scene, ids: Tensor, count: int) -> Tensor:
        """Describes the units 0..count-1 of ids [H, W] (-1: in none) by [U, D]; writes to nothing."""
        ...


class Selector(Protocol):
    """Puts candidates in the order in which they are wanted; asking/spending.py buys them one by one."""

    @property
    def descriptor(self) -> Descriptor | None: ...  # describes units beyond their scores
    @property
    def reads_known(self) -> bool: ...  # whether the labelled set is described too (core-set)
    @property
    def truth(self) -> str | None: ...  # the column of true labels an oracle reads; None: an honest selector

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterable[int]:
        """Positions in `candidates`, most wanted first; the rest of the budget goes to the highest scores.

        Rows are shuffled by `run`, so that taking the first in a tie is fair. All given values are finite, and
        the budget, in the unit of the costs and with room for rounding, does not buy all of it; most selectors need
        no budget. Candidates that cost more than is left, or were named before, are skipped.
        """
        ...


Ranking = Callable[[Candidates, float, np.random.Generator], Iterable[int]]
"""The call of a selector, as a function."""


@runtime_checkable
class Narrowing(Protocol):
    """A selector that can quickly find the few of millions that it may want, so that only they are sorted."""

    def narrowed(self, candidates: Candidates, budget: float) -> tuple[npt.NDArray[np.intp], Ranking]:
        """Their positions, enough for the budget, and the values that rank them."""
        ...


Truth = TypeVar("Truth")
"""What is known of an image when some of its regions are answered: each task has a type of its own for it."""
Revealed = TypeVar("Revealed", covariant=True)


class Annotator(Protocol[Revealed]):
    """Answers queries: the oracle at once, a person over time (until then it raises AwaitingAnnotation)."""

    @property
    def truths_read(self) -> Mapping[str, set[str]]: ...  # by fact: images of which it was read unasked
    def answer(
        self, queries: Sequence[Query], known: Callable[[str], PixelSet], folder: Path
    ) -> Sequence[Answer]:  # one per query; `known` gives [H, W], what was known of an image before
        ...

    def reveal(self, name: str, regions: Sequence[Region]) -> Revealed:
        """What is known of the image by the regions, each of which is one answer."""
        ...

    def fact(self, key: str, name: str, region: PixelSet) -> str:
        """A true fact about an unlabelled unit, for oracle selectors; counted. A column of the dataset, or CLASSES."""
        ...


@dataclass(frozen=True)
class Metric:
    """The meaning of a number that a task measures; each run keeps it, so that results are read without the task."""

    name: str
    """The name without the split: "error" for "test/error", "val/error" and so on."""
    better: Literal["higher", "lower"] = "higher"
    lowest: float | None = None
    """The lowest possible value; None: there is no bound."""
    highest: float | None = None
    unit: str = ""
    """The unit, such as "pixels", for the label of an axis; empty: none."""
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
    """A sentence that explains a number which readers may misunderstand."""

    @property
    def sign(self) -> int:
        """What a value is multiplied by so that higher is better."""
        return 1 if self.better == "higher" else -1


class Viewing(Protocol):
    """How the image was changed for a pass of test-time augmentation."""

    @property
    def rows(self) -> bool: ...  # whether their order is reversed, after the turn was undone
    @property
    def columns(self) -> bool: ...
    @property
    def degrees(self) -> int: ...  # counter-clockwise
    def undo(self, maps: Tensor, size: tuple[int, int]) -> Tensor: ...  # [k, C, H', W'] -> [k, C, H, W]


class Sums(Protocol):
    """Takes passes over B images of one size, in order, and sums them up as evidence of each."""

    @property
    def passes(self) -> int: ...
    def add(self, passed: Any) -> None: ...  # one pass of each image, as its reading gives them
    def evidence(self) -> list[EvidenceSet]: ...  # B


class Reading(Protocol):
    """Turns the output of a network into passes, and passes into evidence."""

    def passes(self, decoded: Any, views: Sequence[Viewing] | None, size: tuple[int, int]) -> Any:
        """The rows of decoded output as passes: a list, or a tensor [rows, ...].

        Each row is brought back from its view to the image of `size`.
        """
        ...

    def sums(self, first: Any, size: tuple[int, int], device: torch.device) -> Sums:
        """Empty sums for passes like the first, of which there is one for each image."""
        ...


class DrawsPasses(Protocol):
    """Draws passes: by dropout, by views, from several models."""

    @property
    def total(self) -> int: ...  # K, over all models
    def __call__(
        self,
        models: Sequence[Model],
        images: Tensor,
        compute: Compute,
        addresses: Sequence[tuple[int | str, ...]],
        reading: Reading,
        watch: Callable[[list[EvidenceSet]], None] | None = None,
    ) -> list[EvidenceSet]:
        """The evidence from the passes over images [B, 3, H, W]; `watch` gets it after 2, 4, 8, ... of them."""
        ...


@dataclass(frozen=True)
class AskedImage(Generic[Truth]):
    """An image that a round asked about, for its picture."""

    image: ByteImage  # [H, W, 3]
    queries: tuple[Query, ...]
    """The queries of this image, which share no pixel."""
    whole: bool
    """Whether one query asks for the whole image without its void pixels."""
    evidence: EvidenceSet
    """The evidence of the models of the last round."""
    painted: Painted | None
    """The scores of the heuristic; None: it uses no image, as random does."""
    truth: Truth
    """What is known of the image after the answers."""


@dataclass(frozen=True)
class Gallery:
    """The texts and colours of a round's picture."""

    classes: tuple[str, ...]
    heuristic: str
    images: int
    """The number of images that the round asked about, drawn or not."""
    colours: Sequence[Colour] | None
    """The data set's own colours of its classes; None: it has none."""
    warning: str = ""
    """What a reader must know first, a line above all; empty: nothing."""


Draw = Callable[[Path], None]
"""Draws a picture into a PNG file."""


class Task(Protocol[Truth]):
    """What a label is: how it is revealed and billed, how networks predict it, and how it is measured and drawn."""

    name: ClassVar[str]
    """The name by which models, losses and augmentations say that they are made for it."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All that `evaluate` measures, but for those of one class; the first is what the log tells of each round."""
        ...

    kinds: ClassVar[tuple[type[Evidence], ...]]
    """The kinds of evidence that passes add up to."""

    @property
    def reading(self) -> Reading: ...

    def problems(self, dataset: Dataset) -> list[str]:
        """Why the dataset cannot be used as the config asks: sentences with their remedies."""
        ...

    def problems_of_answers(self, dataset: Dataset, gives: str) -> list[str]:
        """Why an oracle cannot answer in the way that `gives` names, as `problems`."""
        ...

    def answers(
        self, dataset: Dataset, name: str, regions: Sequence[Region], known: PixelSet, gives: str
    ) -> list[Answer]:
        """The oracle's answers about regions of one image, of which [H, W] was known, with their cost for a person."""
        ...

    def reveal(self, dataset: Dataset, name: str, regions: Sequence[Region], gives: str) -> Truth:
        """What is known of the image by the answered regions, as the oracle tells it."""
        ...

    def classes_in(self, dataset: Dataset, name: str, region: PixelSet) -> Sequence[int]:
        """The ids of the true classes in the region [H, W], ascending, for oracle selectors."""
        ...

    def amounts(self, truth: Truth, classes: int) -> npt.NDArray[np.int64]:  # [C]
        """The amount of each class in the truth, such as pixels."""
        ...

    def paint(self, heuristic: Heuristic[Any], evidence: EvidenceSet) -> Painted:
        """What the heuristic says, with what the task's granularities join beside its map."""
        ...

    def seen(self, models: Sequence[Model], image: Tensor, compute: Compute) -> EvidenceSet:
        """The evidence of the models for an image [1, 3, H, W] with dropout off, for pictures."""
        ...

    def draw(self, asked: Iterable[AskedImage[Truth]], gallery: Gallery) -> Draw:
        """Draws the images that a round asked about, a row for each; the iterator is read at once, the models too."""
        ...

    def judge(
        self,
        models: Sequence[Model],
        dataset: Dataset,
        names: Sequence[str],
        compute: Compute,
        known: Callable[[str], Truth] | None = None,
    ) -> Mapping[str, float]:
        """The judging metrics and the first of `metrics` over the named images, with dropout off.

        Predictions are compared with all that is true of an image, or only with what `known` tells of it; a metric that
        means nothing there is left out.
        """
        ...

    def constants(self, dataset: Dataset, names: Sequence[str], metric: str) -> Mapping[str, float]:
        """What each constant prediction, by its name, gets of one of these metrics over the named images."""
        ...

    def evaluate(
        self,
        models: Sequence[Model],
        dataset: Dataset,
        predictor: DrawsPasses,
        compute: Compute,
        run: int,
    ) -> dict[str, float]:
        """Metrics as "<split>/<metric>" of val and every test; "test" is the union of the tests."""
        ...


class AwaitingAnnotation(Exception):
    """A person has not answered yet; the message says how many answers are missing and where they go."""


class Tracker(Protocol):
    """Shows the run to people; the run folder is the record."""

    def scalars(self, values: Mapping[str, float], step: float) -> None: ...
    def artifact(self, path: Path, name: str) -> None: ...
    def note(self, key: str, value: Any) -> None: ...
