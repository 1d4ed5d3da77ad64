"""A round belongs to its run: that of another one is refused where it would be taken for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from experiments import perform, record
from seg_al.recording.checksums import OWNER, SUMS, checksums_in, require_own
from seg_al.recording.files import write_json


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs of two rounds, by another seed each."""
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    for folder, seed in ((first, 0), (second, 1)):
        perform(data, folder, "rounds=2", "heuristic=random", f"run={seed}", "keep_weights=all")
    return first, second


def unfinished(folder: Path, copy: Path) -> Path:
    shutil.copytree(folder, copy)
    (copy / "finished.json").unlink()
    return copy


@pytest.mark.parametrize("number", ["00", "01"])
def test_a_round_folder_of_another_run_is_refused(
    number: str, runs: tuple[Path, Path], data: Path, tmp_path: Path
) -> None:
    folder = unfinished(runs[0], tmp_path / "one")
    shutil.rmtree(folder / "rounds" / number)
    shutil.copytree(runs[1] / "rounds" / number, folder / "rounds" / number)
    with pytest.raises(ValueError, match=rf"rounds/{number} was written by another run.*put back the folder"):
        perform(data, folder, "rounds=3", "heuristic=random", "run=0", "keep_weights=all")


def test_another_round_of_the_same_run_is_refused_and_other_folders_have_no_owner(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = unfinished(runs[0], tmp_path / "one")
    require_own(folder / "rounds/01")
    (folder / "rounds/01").rename(folder / "rounds/02")
    with pytest.raises(ValueError, match="or as another round of this one"):
        require_own(folder / "rounds/02")
    write_json(tmp_path / "shared" / SUMS, {OWNER: "of anything 00"})
    require_own(tmp_path / "shared")


def test_a_folder_from_before_rounds_had_owners_goes_on(runs: tuple[Path, Path], data: Path, tmp_path: Path) -> None:
    folder = unfinished(runs[0], tmp_path / "one")
    for place in (folder / "rounds").iterdir():
        sums = {name: one for name, one in checksums_in(place).items() if name != OWNER}
        (place / SUMS).write_text(json.dumps(sums))
    perform(data, folder, "rounds=2", "heuristic=random", "run=0", "keep_weights=all")
    assert record(folder) == record(runs[0])
