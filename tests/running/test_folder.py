"""A run folder has one owner, one config, and room."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from seg_al.recording.stages import finished
from seg_al.running.folder import NEEDED_MIB, claimed, writable
from seg_al.running.groups import flat
from seg_al.running.identity import identity_of

SETTINGS = {"run": 0, "model": {"width": 4, "sites": "all"}, "crop": [32, 32], "subset": None}


def claim(folder: Path, identity: dict[str, object], **config: object) -> None:
    with claimed(folder, {**identity, **config}, identity):
        pass


def test_identity_depends_on_values_and_not_on_the_order_of_keys() -> None:
    turned = {key: SETTINGS[key] for key in reversed(SETTINGS)}
    assert identity_of(turned) == identity_of(SETTINGS)
    assert identity_of({**SETTINGS, "run": 1}) != identity_of(SETTINGS)
    assert identity_of({**SETTINGS, "model": {"width": 4, "sites": "none"}}) != identity_of(SETTINGS)
    assert len(identity_of(SETTINGS)) == 16


def test_flat_names_nested_keys() -> None:
    assert flat(SETTINGS) == {"run": 0, "model.width": 4, "model.sites": "all", "crop": [32, 32], "subset": None}
    assert flat({"a": {}}) == {"a": {}}


def test_the_config_is_written_with_what_decides(tmp_path: Path) -> None:
    claim(tmp_path / "new" / "run", SETTINGS, workers=2)
    config = json.loads((tmp_path / "new" / "run" / "config.json").read_text())
    assert config["workers"] == 2
    assert config["decides"] == SETTINGS
    assert config["identity"] == identity_of(SETTINGS)


def test_what_does_not_decide_may_change_and_is_written_anew(tmp_path: Path) -> None:
    claim(tmp_path, SETTINGS, workers=2)
    claim(tmp_path, SETTINGS, workers=0)
    assert json.loads((tmp_path / "config.json").read_text())["workers"] == 0


def test_other_settings_are_refused_key_by_key(tmp_path: Path) -> None:
    claim(tmp_path, SETTINGS)
    before = (tmp_path / "config.json").read_bytes()
    other = {"run": 0, "model": {"width": 8, "sites": "all"}, "crop": [32, 32], "budget": 2}
    with pytest.raises(ValueError, match="other settings") as error:
        claim(tmp_path, other)
    assert [line for line in str(error.value).splitlines() if line.startswith("  - ")] == [
        "  - budget: (absent) there, 2 here",
        "  - model.width: 4 there, 8 here",
        "  - subset: None there, (absent) here",
    ]
    assert (tmp_path / "config.json").read_bytes() == before


def test_two_owners_at_a_time_are_one_too_many(tmp_path: Path) -> None:
    with claimed(tmp_path, SETTINGS, SETTINGS), pytest.raises(ValueError, match="another process is running"):
        claim(tmp_path, SETTINGS)
    claim(tmp_path, SETTINGS)


def test_a_claim_ends_with_an_error_inside_it(tmp_path: Path) -> None:
    with pytest.raises(KeyError), claimed(tmp_path, SETTINGS, SETTINGS):
        raise KeyError
    claim(tmp_path, SETTINGS)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match=r"not the folder of a run: it has thesis\.tex but no config\.json"):
        claim(tmp_path, SETTINGS)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != ".lock") == ["thesis.tex"]


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]"])
def test_a_damaged_config_is_an_error_and_not_a_fresh_start(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        claim(tmp_path, SETTINGS)


def test_leftovers_of_a_kill_before_the_config_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / ".config.partial.json").write_text('{"a"')
    claim(tmp_path, SETTINGS)
    assert not (tmp_path / ".config.partial.json").exists()


def test_a_place_below_a_file_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match=r"cannot be written: .*; choose another place with runs=FOLDER"):
            writable(folder)


def test_a_disk_without_room_is_refused_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(2**40, 2**40, 5 * 2**20))
    with pytest.raises(ValueError, match=f"has 5 MiB of free disk, and a run needs about {NEEDED_MIB}"):
        claim(tmp_path, SETTINGS)
    assert not (tmp_path / "config.json").exists()


def test_finished_means_as_many_rounds(tmp_path: Path) -> None:
    assert not finished(tmp_path, 3)
    (tmp_path / "finished.json").write_text('{"rounds": 3}')
    assert finished(tmp_path, 3)
    assert not finished(tmp_path, 4)


def test_a_finished_file_that_was_cut_is_named(tmp_path: Path) -> None:
    (tmp_path / "finished.json").write_text("")
    with pytest.raises(ValueError, match=r"finished\.json cannot be read"):
        finished(tmp_path, 3)


def test_a_folder_that_is_removed_while_it_is_held_is_no_whole_run(tmp_path: Path) -> None:
    def removed(folder: Path) -> None:
        with claimed(folder, SETTINGS, SETTINGS):
            shutil.rmtree(folder)
            folder.mkdir()

    with pytest.raises(ValueError, match="was removed while the run was working"):
        removed(tmp_path / "run")


def test_infinity_is_a_setting_like_others() -> None:
    assert identity_of({"beta": float("inf")}) != identity_of({"beta": 1.0})
