"""Is this a model? Laws that any network from outside can be put through.

    check_model(partial(Mine, width=8))         # AssertionError that lists what is broken

    class TestMine(ModelSuite):                 # or: one pytest test for each law
        def make(self) -> ModelCase:
            return ModelCase(partial(Mine, width=8))

The audit, which every run does before it spends a budget, is one of the laws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seg_al.asking.audit import audit, differ
from seg_al.conformance.laws import Suite, require, require_laws
from seg_al.core import GivesFeatures, HasEncoder, Model, ModelFactory
from seg_al.predictors.layer_calls import all_finite, tensors_in
from seg_al.randomness import torch_seeded
from seg_al.running.compute import LocalCompute

ModelLoss = Callable[[Any, Tensor], Tensor]
"""What training lowers: of a model in training mode and images [B, 3, H, W]."""

CPU = LocalCompute(device="cpu", precision="float32", devices=1, workers=0, threads="auto")
BATCH = 2


def sum_of_outputs(model: Model, images: Tensor) -> Tensor:
    """The outputs with weights that no normalisation cancels: a loss that reaches all that the outputs come from."""
    parts = [output for output in tensors_in(model(images)) if output.requires_grad]
    require(len(parts) > 0, "no output has a gradient: something between the images and the outputs is detached")
    with torch_seeded("weights of outputs"):
        return torch.stack([(output * torch.randn_like(output)).sum() for output in parts]).sum()


@dataclass(frozen=True)
class ModelCase:
    """A model and how it is used."""

    factory: ModelFactory
    classes: int = 3
    size: tuple[int, int] = (64, 96)
    """Height and width of the images in pixels; another, odd one is tried as well."""
    dropout: bool = True
    """Whether passes differ by dropout; False: a model for ensembles."""
    loss: ModelLoss = sum_of_outputs
    """For models whose training needs targets."""

    def built(self, seed: int = 0) -> Model:
        """Fresh weights, in evaluation mode."""
        with torch_seeded("conformance", seed):
            model = self.factory(classes=self.classes)
        model.eval()
        return model

    def taught(self) -> Model:
        """After one look in training mode, which moves the statistics of batch norm; in evaluation mode."""
        model = self.built()
        model.train()
        with torch_seeded("conformance"), torch.no_grad():
            model(self.images(2 * BATCH)) if self.loss is sum_of_outputs else self.loss(model, self.images(2 * BATCH))
        model.eval()
        return model

    def images(self, count: int, larger: int = 0) -> Tensor:  # [B, 3, H, W] in 0..1
        height, width = self.size
        generator = torch.Generator().manual_seed(count)
        return torch.rand(count, 3, height + larger, width + larger, generator=generator)


def check_model(
    factory: ModelFactory, classes: int = 3, dropout: bool = True, loss: ModelLoss = sum_of_outputs
) -> None:
    """Raises AssertionError with every law that the model breaks."""
    require_laws(ModelCase(factory, classes, dropout=dropout, loss=loss), LAWS)


def is_built_from_the_seed(case: ModelCase) -> None:
    """Equal weights for equal seeds of torch's generator, others for others: members of an ensemble must differ."""
    one, again, other = (tensors_in(dict(case.built(seed).state_dict())) for seed in (0, 0, 1))
    require(all(map(torch.equal, one, again)), "two models of one seed have other weights; draw from torch alone")
    require(not all(map(torch.equal, one, other)), "models of two seeds have equal weights, so that ensembles agree")


def is_cut_at_its_dropout(case: ModelCase) -> None:
    """encode is deterministic, decode holds all counted dropout, and together they are forward (asking/audit.py)."""
    try:
        audit(case.built(), case.images(1), CPU, case.dropout)
    except ValueError as error:
        raise AssertionError(str(error)) from error


@torch.inference_mode()
def repeats_each_image_in_place(case: ModelCase) -> None:
    """repeat(state, 3) is the state of a, a, a, b, b, b: passes of an image lie side by side."""
    model, images = case.taught(), case.images(BATCH)
    repeated = model.decode(model.repeat(model.encode(images), 3))
    wanted = model.decode(model.encode(images.repeat_interleave(3, 0)))
    require(not differ(repeated, wanted), "decode(repeat(encode(a b), 3)) is not what a a a b b b give")


@torch.inference_mode()
def sees_each_image_alone(case: ModelCase) -> None:
    model, images = case.taught(), case.images(BATCH)
    together = model(images)
    require(len(together) == BATCH, f"{BATCH} images give {len(together)} outputs; the first axis is the batch")
    for row in range(BATCH):
        alone = model(images[row : row + 1])
        same = not differ(_comparable(together[row : row + 1]), _comparable(alone))
        require(same, f"image {row} gives other outputs beside another image")


def _comparable(output: Any) -> Any:
    """Logits as they are; of objects the numbers in order, since rounding may swap two that are equally likely."""
    if isinstance(output, Tensor):
        return output
    return [part.flatten().sort().values for part in tensors_in(output) if part.is_floating_point()]


@torch.inference_mode()
def takes_images_of_any_size(case: ModelCase) -> None:
    """Logits [B, C, H, W] have the size of the images, an odd one too."""
    model = case.built()
    for larger in (0, 5):
        images = case.images(1, larger)
        output = model(images)
        wanted = (1, case.classes, *images.shape[2:])
        if isinstance(output, Tensor):
            require(output.shape == wanted, f"images {tuple(images.shape)} give logits {tuple(output.shape)}")


@torch.inference_mode()
def is_finite(case: ModelCase) -> None:
    model = case.taught()
    pictures = {"noise": case.images(1), "black": case.images(1) * 0, "white": case.images(1) * 0 + 1}
    for name, images in pictures.items():
        require(all_finite(model(images)), f"the outputs of a picture of {name} hold NaN or infinity")


@torch.inference_mode()
def writes_nothing(case: ModelCase) -> None:
    model, images = case.built(), case.images(1)
    before = images.clone()
    model(images)
    require(torch.equal(images, before), "it writes into the images that it is given; work on a copy")


def is_told_by_its_state(case: ModelCase) -> None:
    """Another model of the same kind that loads the state_dict gives the same outputs: all that it learned is there."""
    model, other = case.taught(), case.built(seed=1)
    other.load_state_dict({name: tensor.clone() for name, tensor in model.state_dict().items()})
    with torch.inference_mode():
        same = not differ(model(case.images(1)), other(case.images(1)))
    require(same, "another model with its state_dict gives other outputs; register weights and buffers that change")


def teaches_all_its_weights(case: ModelCase) -> None:
    """In training each weight that can learn gets a finite gradient."""
    model = case.built()
    model.train()
    with torch_seeded("conformance"):
        torch.autograd.backward(case.loss(model, case.images(BATCH)))
    names = [
        name
        for module_name, module in model.named_modules()
        for name, weight in module.named_parameters(module_name, recurse=False)
        if weight.requires_grad and (weight.grad is None or not torch.isfinite(weight.grad).all())
    ]
    require(not names, f"{len(names)} weights get no gradient, or NaN: {', '.join(names[:3])}; use or freeze them")


def describes_images(case: ModelCase) -> None:
    """Two maps of features [B, D, h, w], finite and the same again, where the model has features."""
    model, images = case.taught(), case.images(BATCH)
    if not isinstance(model, GivesFeatures):
        return
    with torch.inference_mode():
        one, again = model.embed(images), model.embed(images)
    for name, maps in zip(("deepest", "penultimate"), one, strict=True):
        require(maps.ndim == 4 and len(maps) == BATCH, f"the {name} features are {tuple(maps.shape)}, not [B, D, h, w]")
    require(all_finite(one), "the features hold NaN or infinity")
    require(not differ(one, again), "embed gives two answers to the same images; dropout has to be off in it")


def knows_its_encoder(case: ModelCase) -> None:
    """The encoder's weights are some of the model's own, each once, where the model tells them."""
    model = case.built()
    if not isinstance(model, HasEncoder):
        return
    encoder, own = [id(one) for one in model.encoder_parameters()], {id(one) for one in model.parameters()}
    require(len(encoder) > 0, "encoder_parameters is empty, so that their learning rate does nothing")
    require(len(set(encoder)) == len(encoder), "encoder_parameters has a weight twice")
    require(set(encoder) <= own, "encoder_parameters has weights that are not among parameters()")


LAWS = (
    is_built_from_the_seed,
    is_cut_at_its_dropout,
    repeats_each_image_in_place,
    sees_each_image_alone,
    takes_images_of_any_size,
    is_finite,
    writes_nothing,
    is_told_by_its_state,
    teaches_all_its_weights,
    describes_images,
    knows_its_encoder,
)


class ModelSuite(Suite[ModelCase]):
    """One test for each law; `make` returns the case."""

    laws = LAWS
