"""Randomness that is counted, not consumed: every draw has an address, such as (run, round, image, layer, pass)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

Address = int | str


def seed_of(*address: Address) -> int:
    """A seed in 0..2**63-1 that depends on the address alone: not on the process, the platform or the order."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in address)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def numpy_rng(*address: Address) -> np.random.Generator:
    return np.random.default_rng(seed_of(*address))


@contextmanager
def torch_seeded(*address: Address) -> Iterator[None]:
    """Seeds torch's own generators, which weight initialisation and training dropout draw from; puts them back."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed_of(*address))
        yield
