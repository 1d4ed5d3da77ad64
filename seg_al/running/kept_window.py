"""Keeps the window of a run's images in its folder: computed at the first start, and used by every later one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg_al.core import Dataset
from seg_al.datasets.files.window import Windowed, numbers_of, percentiles_of
from seg_al.recording.files import read_json, write_json

WINDOW_FILE = "window.json"


def kept_window(asked: object, folder: Path) -> list[float] | None:
    """The window [low, high] that the folder keeps where percentiles are `asked` for; None: nothing is kept."""
    path = folder / WINDOW_FILE
    if percentiles_of(asked) is None or not path.exists():
        return None
    kept = read_json(path)
    window = numbers_of(kept.get("window")) if isinstance(kept, dict) else None
    if window is None:
        raise ValueError(f"{path} holds no window [low, high]; remove it to have it drawn anew from the same images")
    return list(window)


def with_kept_window(settings: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """The settings with the window that the run's folder keeps in place of percentiles, if it keeps one."""
    dataset = settings["dataset"]
    kept = kept_window(dataset.get("window"), folder)
    return settings if kept is None else {**settings, "dataset": {**dataset, "window": kept}}


def keep_window(dataset: Dataset, folder: Path) -> None:
    """Writes the window into the folder, where the images have one."""
    if isinstance(dataset, Windowed) and dataset.window is not None and not (folder / WINDOW_FILE).exists():
        write_json(folder / WINDOW_FILE, {"window": [dataset.window.low, dataset.window.high]})
