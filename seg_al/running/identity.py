"""The settings that decide the numbers of a run, which name its folder, and those that decide its first round."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg_al.recording.first_round import FirstRound
from seg_al.running.compute import LocalCompute
from seg_al.running.environment import code_digest
from seg_al.running.folder import identity_of
from seg_al.running.groups import GROUPS

FREE = (
    "rounds", "runs", "folder", "tracking", "device", "workers", "threads", "gpus", "cache", "gallery",
    "keep_weights", "share", "tags", "notes",
)  # fmt: skip
"""Settings that do not decide the numbers of a round; a run keeps its folder when they change."""


def folder_of_run(settings: Mapping[str, Any], choices: Mapping[str, str]) -> tuple[Path, dict[str, Any]]:
    """The folder of the run, and the settings that decide its numbers, which name it.

    Raises ValueError for an option that is no plain name, as it would put the folder elsewhere.
    """
    for group in GROUPS:
        if not re.fullmatch(r"[\w.-]+", choices[group]) or choices[group].startswith("."):
            raise ValueError(
                f"{group}={choices[group]}: an option is the name of a file in a folder {group}/, without a path; name "
                "the folder above it by -cd FOLDER, or hydra.searchpath=[FOLDER]"
            )
    decides = {key: value for key, value in settings.items() if key not in FREE}
    name = "-".join((*(choices[group] for group in ("dataset", "model", "heuristic")), f"run{settings['run']}"))
    return Path(settings["folder"] or Path(settings["runs"]) / f"{name}-{identity_of(decides)[:8]}"), decides


def shared_first_round(settings: Mapping[str, Any], compute: LocalCompute) -> FirstRound | None:
    """The shared first round, named by all that decides the numbers of round 0, without heuristic and selector."""
    if not settings["share"]:
        return None
    later = {"heuristic", "selector", "scoring", "subset"}
    if settings["initial"] != "budget":
        later |= {"granularity", "budget", "cost", "per", "shortlist"}
    decides = {key: value for key, value in settings.items() if key not in FREE and key not in later}
    if not settings["bayesian"]:
        trained = ("members", "snapshots")  # passes are drawn by queries only
        decides["predictor"] = {key: settings["predictor"].get(key) for key in trained}
        del decides["mc_iters"]
    decides |= {"device": compute.describe(), "threads": settings["threads"], "code": code_digest()}
    return FirstRound(Path(settings["runs"]) / ".first_rounds" / identity_of(decides))
