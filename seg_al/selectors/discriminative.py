"""Discriminative active learning (DAL, arXiv 1907.06347): asks about units that differ from the labelled set."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from seg_al.core import Candidates, Descriptor
from seg_al.randomness import torch_seeded
from seg_al.selectors.diversity import Vectors
from seg_al.selectors.ranking import bought, check_positive, count_for

LARGEST_SEED = 2**31


@dataclass(frozen=True)
class Discriminator:
    """Learns to tell unlabelled from labelled features by a perceptron with three hidden layers and Adam.

    Both sides weigh the same, however many vectors they have. Features are divided by the spread of what is learned
    from, so that the learning rate suits any network's; the authors take them as they are.
    """

    hidden: int
    learning_rate: float
    epochs: int
    batch_size: int
    accuracy: float
    """Share of right answers in an epoch at which training stops."""

    def __post_init__(self) -> None:
        for name in ("hidden", "learning_rate", "epochs", "batch_size"):
            check_positive(getattr(self, name), f"discriminator.{name}")
        if not 0.5 < self.accuracy <= 1:
            raise ValueError(f"selector.discriminator.accuracy is a share in (0.5, 1], not {self.accuracy}")

    def __call__(self, labelled: Vectors, unlabelled: Vectors, others: Vectors, seed: int) -> npt.NDArray[np.float64]:
        """The logit of being unlabelled [M] for `others` [M, D], after learning from [L, D] and [N, D]."""
        learned_from = np.concatenate((labelled, unlabelled)).astype(np.float64)
        centre, spread = learned_from.mean(0), learned_from.std(0)
        spread[spread == 0] = 1.0
        vectors = torch.from_numpy((learned_from - centre) / spread).float()
        truth = torch.cat((torch.zeros(len(labelled)), torch.ones(len(unlabelled))))
        with torch_seeded("discriminator", seed):
            network = self._learned(vectors, truth)
        with torch.inference_mode():
            logits: Tensor = network(torch.from_numpy((others - centre) / spread).float())
        return logits[:, 0].double().numpy()

    def _learned(self, vectors: Tensor, truth: Tensor) -> nn.Module:  # [N, D], [N]
        widths = (vectors.shape[1], self.hidden, self.hidden, self.hidden)
        layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
        network = nn.Sequential(*layers, nn.Linear(self.hidden, 1))
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        share = truth.mean()
        weights = torch.where(truth > 0, 0.5 / share, 0.5 / (1 - share))
        for _ in range(self.epochs):
            right = 0
            for rows in torch.split(torch.randperm(len(vectors)), self.batch_size):
                logits = network(vectors[rows])[:, 0]
                optimizer.zero_grad()
                loss = functional.binary_cross_entropy_with_logits(logits, truth[rows], weights[rows])
                torch.autograd.backward(loss)
                optimizer.step()
                right += int(((logits > 0) == (truth[rows] > 0)).sum())
            if right >= self.accuracy * len(vectors):
                break
        return network


@dataclass(frozen=True)
class Discriminative:
    """Asks about the units that are most surely unlabelled, a part of the budget at a time; scores play no part.

    Units of one part count as labelled for the next, whose discriminator is fresh, so that a part does not ask about
    one cluster only. Each learns from all that is labelled and a random draw of what is not, and judges all candidates.
    """

    descriptor: Descriptor
    discriminator: Discriminator
    parts: int
    draw: float
    """Unlabelled units that a discriminator learns from, per labelled one."""
    reads_known: ClassVar[bool] = True
    truth: ClassVar[None] = None

    def __post_init__(self) -> None:
        for name in ("parts", "draw"):
            check_positive(getattr(self, name), name)

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> list[int]:
        points, known, costs = candidates.descriptors, candidates.known, candidates.costs
        assert points is not None
        assert known is not None
        assert len(known)
        chosen: list[int] = []
        parts = min(self.parts, count_for(costs, budget))
        for part in range(parts):
            left = budget - float(costs[chosen].sum())
            rest = np.setdiff1d(np.arange(len(points)), chosen)
            most = max(1, round(self.draw * len(known)))
            drawn = rng.choice(rest, min(most, len(rest)), replace=False)
            labelled = np.concatenate((known, points[chosen]))
            logits = self.discriminator(labelled, points[drawn], points[rest], int(rng.integers(LARGEST_SEED)))
            order = rest[np.argsort(-logits, kind="stable")]
            chosen += bought(order.tolist(), costs, left / (parts - part))
        return chosen
