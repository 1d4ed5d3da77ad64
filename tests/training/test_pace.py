"""Which trainings go on for as many steps in every round, so that labels are what varies."""

from __future__ import annotations

from hydra.utils import instantiate
from omegaconf import OmegaConf

from experiments import ROOT

OWN_PROTOCOL = {"drn_predecessor", "mask_rcnn_cells", "mask_rcnn_maskal", "pixelpick", "sgd_predecessor"}
"""Published trainings that go on for longer with more labelled images, kept as they were."""


def test_every_trainer_but_those_of_a_published_protocol_trains_equal_steps_in_every_round() -> None:
    growing = set()
    for path in (ROOT / "conf" / "trainer").glob("*.yaml"):
        trainer = OmegaConf.load(path)
        pace = instantiate(trainer.pace)
        if len({pace(labelled, trainer.batch_size) for labelled in (1, 4, 40, 4000)}) > 1:
            growing.add(path.stem)
    assert growing == OWN_PROTOCOL
