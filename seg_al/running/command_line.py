"""The command line that began a run or a sweep, before Hydra reads it, and the one that repeats a job."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

FOLDER, STUDY = ("-cd", "--config-dir"), ("-cn", "--config-name")


def study_of(argv: Sequence[str]) -> tuple[str | None, str | None]:
    """The folder and the name of the config that a command line gives by Hydra's options."""
    found = [_given(argv, names) for names in (FOLDER, STUDY)]
    folder, name = (None if one is None else one[1] for one in found)
    return folder, name


def with_own_folder(argv: Sequence[str]) -> list[str]:
    """The command line with the configs of the folder that it names, whose Python files can be imported from now on.

    They are in conf/ below the folder, or in the folder itself.
    """
    found = _given(argv, FOLDER)
    if found is None:
        return [*argv]
    place, folder = found
    importable(Path(folder))
    configs = Path(folder) / "conf"
    return [*argv[: place.start], FOLDER[0], str(configs) if configs.is_dir() else folder, *argv[place.stop :]]


def config_folders(argv: Sequence[str], conf: Path) -> list[Path]:
    """Where options and studies are looked for."""
    folder, _ = study_of(argv)
    return [conf, *([Path(folder)] if folder else [])]


def importable(folder: Path) -> None:
    """Lets the Python files of a user's folder be imported, after all that is installed, also where conf/ is named."""
    sys.path += [str(one) for one in own_places(folder) if str(one) not in sys.path]


def own_places(folder: Path) -> list[Path]:
    """Where the Python files of a user's folder are."""
    folder = folder.resolve()
    return [folder, *([folder.parent] if folder.name == "conf" else [])]


def repeated(argv: Sequence[str], last: Sequence[str], words: Sequence[str]) -> tuple[str, ...]:
    """The command that runs one job, with these words and the `last` ones, of the sweep that `argv` has begun."""
    pairs = zip((FOLDER[0], STUDY[0]), study_of(argv), strict=True)
    return ("python", argv[0], *(word for option, value in pairs if value for word in (option, value)), *words, *last)


def studies(folder: Path, named: str | None) -> Iterator[tuple[str, Path]]:
    """Group and file of each study, to be chosen by experiment=NAME, and of what studies choose from.

    Not of the latter where the command line has `named` the same folder: Hydra finds them there. What lies in a conf/
    belongs to a folder of its own, which is named by -cd.
    """
    for path in sorted(folder.rglob("*.yaml")):
        if "conf" in path.relative_to(folder).parts:
            continue
        if path.parent == folder:
            yield "experiment", path
        elif named is None or Path(named).resolve() != folder:
            yield path.parent.relative_to(folder).as_posix(), path


class Shared(dict[str, Any]):
    """What a copy of its owner has in common with it; whoever changes a value copies that value first."""

    def __deepcopy__(self, memo: object) -> Shared:
        return self


def _given(argv: Sequence[str], names: tuple[str, str]) -> tuple[slice, str] | None:
    """Where an option of Hydra stands last, as that counts, and its value; None: nowhere."""
    found = None
    for place, word in enumerate(argv):
        if word in names and place + 1 < len(argv):
            found = slice(place, place + 2), argv[place + 1]
        for name in names:
            if word.startswith(name) and word not in names:
                found = slice(place, place + 1), word.removeprefix(name).removeprefix("=")
    return found
