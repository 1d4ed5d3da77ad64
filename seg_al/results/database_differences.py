"""How a run in the database differs from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seg_al.tracking.mirror import Mirror, metric_id
from seg_al.tracking.run_document import MetricColumns, TrackedRun


def differences_from_folder(run: TrackedRun, mirror: Mirror) -> list[str]:
    """How the run in the database differs from its folder, one sentence each; empty where it does not."""
    found = mirror.database["runs"].find_one({"meta.uid": run.uid})
    if found is None:
        return ["the run is not in the database"]
    stored = {one["_id"]: one for one in mirror.database["metrics"].find({"run_id": found["_id"]})}
    differences = [] if found["status"] == run.status else [f"status {found['status']}, the folder says {run.status}"]
    for name, curve in run.curves.items():
        differences += _curve_difference(name, curve, stored.get(metric_id(run, name)))
    listed = {one["name"]: one["file_id"] for one in found["artifacts"]}
    expected = {name: mirror.artifact_id(run, name, path) for name, path in run.artifacts.items()}
    chunks = mirror.chunks(list(expected.values()))
    for name, file_id in expected.items():
        if not chunks[file_id].whole or name not in listed:
            differences.append(f"artifact {name} is missing")
        elif listed[name] != file_id:
            differences.append(f"artifact {name} has other bytes")
    lines = [text.count("\n") for text in (found["captured_out"], run.entry["captured_out"])]
    if found["captured_out"] != run.entry["captured_out"]:
        differences.append(f"captured output has {lines[0]} lines, the folder {lines[1]}, or other words")
    then, now = found["config"], run.entry["config"]
    differences += [
        f"config.{key} differs" for key in sorted(then.keys() | now.keys()) if then.get(key) != now.get(key)
    ]
    return differences


def _curve_difference(name: str, curve: MetricColumns, stored: Mapping[str, Any] | None) -> list[str]:
    if stored is None:
        return [f"metric {name} is missing ({len(curve.steps)} points)"]
    if len(stored["steps"]) != len(curve.steps):
        return [f"metric {name} has {len(stored['steps'])} of {len(curve.steps)} points"]
    same = all(
        _floats(stored[key]) == _floats(expected)
        for key, expected in (("steps", curve.steps), ("values", curve.values))
    )
    return [] if same else [f"metric {name} has other values"]


def _floats(values: Sequence[float]) -> str:
    return repr([float(value) for value in values])  # NaN is itself here
