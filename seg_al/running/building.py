"""From plain settings to the experiment that they describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from seg_al.asking.asking import Asking
from seg_al.asking.phase import Phase
from seg_al.core import Budget, Heuristic
from seg_al.datasets.cached import cached
from seg_al.loop import Experiment
from seg_al.recording.first_round import FirstRound
from seg_al.running.checks import check
from seg_al.running.compute import LocalCompute
from seg_al.running.environment import code_digest
from seg_al.running.groups import GROUPS, Make
from seg_al.running.identity import FREE, identity_of
from seg_al.running.settings import Settings


def build_experiment(settings: Mapping[str, Any], choices: Mapping[str, str], make: Make, conf: Path) -> Experiment:
    """Raises ValueError for an experiment that cannot run."""
    root = Settings(**{field.name: settings[field.name] for field in fields(Settings)})
    part = {group: make(settings[group]) for group in GROUPS if group != "tracking"}
    dataset = cached(part["dataset"], root.cache)
    asking = Asking(
        part["heuristic"],
        choices["heuristic"],
        recorded_heuristics(make, conf),
        part["granularity"],
        part["selector"],
        part["predictor"],
        root.subset,
        root.shortlist,
        tuple(_phase(one, make) for one in settings.get("phases", ())),
        root.new_images,
        part["features"],
    )
    compute = compute_of(settings)
    experiment = Experiment(
        run=root.run,
        rounds=root.rounds,
        initial=root.initial,
        budgets=tuple(Budget(amount, root.cost, root.per) for amount in root.budgets),
        dataset=dataset,
        model=part["model"],
        start=part["start"],
        asking=asking,
        annotator=part["annotator"](dataset=dataset, task=part["task"]),
        trainer=part["trainer"],
        task=part["task"],
        compute=compute,
        first_round=shared_first_round(settings, compute),
        keep_weights=root.keep_weights,
        gallery=root.gallery,
    )
    check(experiment)
    return experiment


def _phase(settings: Mapping[str, Any], make: Make) -> Phase:
    return Phase(settings["begins"], make(settings["heuristic"]), settings["name"], make(settings["selector"]))


def compute_of(settings: Mapping[str, Any]) -> LocalCompute:
    stated = [field.name for field in fields(LocalCompute) if field.name != "pixels"]  # which a run finds out
    return LocalCompute(**{name: settings[name] for name in stated})


def recorded_heuristics(make: Make, conf: Path) -> dict[str, Heuristic[Any]]:
    """Every heuristic in conf/ with its defaults: their scores are recorded beside those of the chosen one."""
    paths = sorted((conf / "heuristic").glob("*.yaml"))
    return {path.stem: make(yaml.safe_load(path.read_text())) for path in paths}


def shared_first_round(settings: Mapping[str, Any], compute: LocalCompute) -> FirstRound | None:
    """Named by all that decides the numbers of round 0, which heuristics and selectors do not."""
    if not settings["share"]:
        return None
    later = {"heuristic", "selector", "scoring", "subset", "schedule", "phases", "features"}
    if settings["initial"] != "budget":
        later |= {"granularity", "budget", "cost", "per", "shortlist", "new_images"}
    decides = {key: value for key, value in settings.items() if key not in FREE and key not in later}
    if not settings["bayesian"]:
        trained = ("members", "snapshots")  # passes are drawn by queries only
        decides["predictor"] = {key: settings["predictor"].get(key) for key in trained}
        del decides["mc_iters"]
    decides |= {key: settings[key] for key in ("threads", "images_at_once")}
    decides |= {"device": compute.describe(), "code": code_digest()}
    return FirstRound(Path(settings["runs"]) / ".first_rounds" / identity_of(decides))
