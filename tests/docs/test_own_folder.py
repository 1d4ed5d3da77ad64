"""The folder of one's own in docs/examples/: what is in it keeps the contracts, as the page says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf

from experiments import ROOT
from seg_al.predictors.features import Features

MINE = ROOT / "docs" / "examples" / "mine"


def test_its_parts_keep_the_laws_of_their_kinds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(MINE)
    runpy.run_path(str(MINE / "check.py"))
    assert capsys.readouterr().out == "all laws are kept\n"


def test_the_heuristic_of_features_wants_what_is_unlike_the_rest_of_the_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(MINE)
    heuristic = instantiate(OmegaConf.load(MINE / "conf" / "heuristic" / "unusual.yaml"))
    deepest = torch.zeros(3, 2, 4)
    deepest[:, 0, 1] = 1.0
    scores = heuristic(Features((4, 8), deepest, deepest))
    assert scores.shape == (4, 8)
    assert (scores[:2, 2:4] == scores.max()).all()
    assert (scores == scores.max()).sum() == 4


def test_the_pages_name_every_file_of_the_folder_and_show_the_code_as_it_is() -> None:
    page = "".join((ROOT / "docs" / name).read_text() for name in ("own-heuristic.md", "own-images.md"))
    files = sorted(path for path in MINE.rglob("*.*") if "__pycache__" not in path.parts)
    assert [path.name for path in files if path.relative_to(MINE).as_posix() not in page] == []
    assert [
        path.name for path in files if path.suffix == ".py" and f"```python\n{path.read_text()}```" not in page
    ] == []


@pytest.mark.parametrize("path", sorted(MINE.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_value_of_the_folder_has_its_meaning_beside_it(path: Path) -> None:
    values = [line for line in path.read_text().splitlines() if line and not line.startswith(("#", "_target_", " "))]
    assert [line for line in values if " # " not in line] == []
    assert "_target_" in yaml.safe_load(path.read_text())
