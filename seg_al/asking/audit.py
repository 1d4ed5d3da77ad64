"""The stochasticity audit: before a budget is spent, a model proves that only counted dropout parts its passes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from seg_al.core import Compute, Model, Network
from seg_al.predictors.dropout import CountedDropout, drawing, dropouts
from seg_al.predictors.layer_calls import LayerCall, all_finite, layer_name, noted_calls, tensors_in
from seg_al.randomness import torch_seeded

UNCOUNTED = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
TRIES = 3
"""Other masks that are tried before passes count as equal; with a small p two masks may be the same by chance."""


@torch.inference_mode()
def audit(model: Model, image: Tensor, compute: Compute, dropout: bool) -> None:
    """Draws a few passes of an image [1, 3, H, W] as a predictor would, with dropout on or not, and compares them.

    A sound model costs three encodes and four decodes, and is left as it was. Raises ValueError, naming the layer:
    torch's own dropout where passes need it; a layer in training mode; batch norm without running statistics;
    randomness that no address decides; counted dropout inside encode; an encode and decode that are not forward; a
    decode that changes its state; equal passes; NaN or infinity.
    """
    _check_layers(model, dropout)
    modes = {module: module.training for module in model.modules()}
    try:
        with torch_seeded("audit"), compute.autocast():
            _check_passes(_Passes(model, dropout), image)
    finally:
        for module, training in modes.items():
            module.training = training


def _check_layers(model: Network, dropout: bool) -> None:
    """What can be seen without a pass."""
    modules = [(name or type(model).__name__, module) for name, module in model.named_modules()]
    for name, module in sorted(modules, key=lambda pair: not isinstance(pair[1], _BatchNorm)):
        if module.training:
            _refuse_training(name, module)
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            what = "has no running statistics, so the passes that are decoded together would change each other"
            _refuse(f"{layer_name(name, module)} {what}", "build it with track_running_stats=True, or use group norm")
        if dropout and isinstance(module, UNCOUNTED) and module.p > 0:
            what = f"with p={module.p} is not counted: it is off in evaluation, and masks of its own come only once"
            _refuse(f"{layer_name(name, module)} {what}", "use seg_al.predictors.dropout.CountedDropout there")
        if isinstance(module, CountedDropout) and module.seeds is not None:
            _refuse(
                f"{layer_name(name, module)} is on outside of the passes",
                "draw passes with seg_al.predictors.dropout.drawing",
            )


@dataclass(frozen=True)
class _Passes:
    """Evaluates parts of a model, dropout on where the predictor has it."""

    model: Model
    dropout: bool

    def __call__(
        self, part: Callable[[Any], Any], given: Any, address: str | None, digests: bool = False
    ) -> tuple[Any, list[LayerCall]]:
        """part(given) with the masks of the address (None: dropout off), and the calls that it made."""
        drawn = address is not None and self.dropout
        masks = drawing(self.model, [("audit", str(address))]) if drawn else nullcontext()
        with masks, noted_calls(self.model, digests) as calls:
            output = part(given)
        for call in calls:
            if call.training:
                _refuse_training(call.name, call.module)
        return output, calls

    def refuse_random(self, part: Callable[[Any], Any], given: Any, address: str | None) -> NoReturn:
        """Evaluates twice more, to name the innermost layer that gives two answers to one question."""
        runs = [self(part, given, address, digests=True)[1] for _ in range(2)]
        pairs = list(zip(*runs, strict=False))
        guilty = [a for a, b in pairs if a.inputs == b.inputs and a.output != b.output]
        misled = [a for a, b in pairs if a.inputs != b.inputs]
        where = guilty[0].label if guilty else f"{type(self.model).__name__}.{part.__name__}"
        if misled and not guilty:
            where += f", before {misled[0].label},"
        _refuse(
            f"{where} gives two answers to the same input and the same address: it draws randomness that is not "
            "counted, such as functional dropout",
            "use seg_al.predictors.dropout.CountedDropout as a layer, and draw nothing else",
        )


def _check_passes(passes: _Passes, image: Tensor) -> None:
    model = passes.model
    state, calls = passes(model.encode, image, None)
    for call in calls:
        if isinstance(call.module, CountedDropout) and call.module.p > 0:
            _refuse(
                f"{call.label} acts inside encode, which runs once for all passes, dropout off",
                "let encode end before it, so that decode holds all dropout",
            )
    again, _ = passes(model.encode, image, "one")
    if differ(state, again):
        passes.refuse_random(model.encode, image, None)
    logits, _ = passes(model.decode, state, "one")
    if not all_finite(logits):
        _refuse_not_finite(passes, image)
    if differ(state, again):
        _refuse(
            f"{type(model).__name__}.decode writes into the state that encode made, so that passes change each other",
            "let its first layer work on a copy, not in place",
        )
    if differ(logits, passes(model.decode, state, "one")[0]):
        passes.refuse_random(model.decode, state, "one")
    if passes.dropout:
        _check_variance(passes, state, logits)
    if differ(logits, passes(model, image, "one")[0]):
        _refuse(
            f"decode(encode(x)) of {type(model).__name__} differs from its forward(x), which training and tests use",
            "let forward return self.decode(self.encode(images))",
        )


def _check_variance(passes: _Passes, state: Any, logits: Any) -> None:
    acted: list[LayerCall] = []
    for number in range(TRIES):
        other, acted = passes(passes.model.decode, state, f"other {number}")
        if not _equal(other, logits):
            return
    sites = dropouts(passes.model)
    if not sites:
        _refuse(
            "passes with dropout were asked for, but the model has no counted dropout layer with p > 0",
            "give the model dropout (model.dropout and model.sites), or use predictor=single",
        )
    used = {call.module for call in acted}
    notes = {name: f"p={site.p}" + ", not called by decode" * (site not in used) for name, site in sites.items()}
    listed = ", ".join(f"{name} ({note})" for name, note in notes.items())
    _refuse(
        f"passes with different dropout masks are equal, so that nothing is uncertain; the dropout sites are {listed}",
        "raise model.dropout, or choose model.sites whose layers decode passes through",
    )


def _refuse_not_finite(passes: _Passes, image: Tensor) -> NoReturn:
    """Evaluates once more, to name the first layer whose output is not finite."""
    model = passes.model
    state, encoding = passes(model.encode, image, None, digests=True)
    decoding = passes(model.decode, state, "one", digests=True)[1]
    labels = [call.label for call in (*encoding, *decoding) if not call.finite]
    where = [*labels, f"{type(model).__name__}.decode"][0]
    _refuse(f"the output of {where} holds NaN or infinity", "training has diverged: lower the learning rate")


def _refuse_training(name: str, module: nn.Module) -> NoReturn:
    what = "is in training mode while passes are drawn"
    if isinstance(module, _BatchNorm):
        what = "is batch norm in training mode: passes would be normalised by each other and change its statistics"
    _refuse(f"{layer_name(name, module)} {what}", "call model.eval() and leave the modes alone in encode and decode")


def _refuse(what: str, remedy: str) -> NoReturn:
    raise ValueError(f"stochasticity audit: {what}; {remedy}")


def differ(one: Any, other: Any) -> bool:
    """Whether two results differ by more than the order of sums can explain, measured against their largest value."""
    ones, others = tensors_in(one), tensors_in(other)
    if [(a.shape, a.dtype) for a in ones] != [(b.shape, b.dtype) for b in others]:
        return True
    pairs = zip(ones, others, strict=True)
    return any(not torch.allclose(a, b, rtol=0, atol=_rounding(a), equal_nan=True) for a, b in pairs)


def _equal(one: Any, other: Any) -> bool:
    """Whether all tensors are equal, bit for bit."""
    ones, others = tensors_in(one), tensors_in(other)
    return len(ones) == len(others) and all(map(torch.equal, ones, others))


def _rounding(x: Tensor) -> float:
    if not x.numel() or not x.is_floating_point():
        return 0.0
    share = 1e-5 if x.dtype in (torch.float32, torch.float64) else 1e-2
    return share * float(x.float().abs().nan_to_num(0, posinf=0).max())
