"""Whether a run is finished, told by its folder alone, before anything is imported that would train it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from seg_al.asking.memory import keep_imports
from seg_al.running.cores import first_look, wait_shortly
from seg_al.running.groups import Composition, Make
from seg_al.running.identity import folder_of_run, identity_in, kept_config
from seg_al.running.launching import Launching

log = logging.getLogger(__name__)


def run_unless_finished(composition: Composition, make: Make, conf: Path, launching: Launching) -> float | None:
    if is_finished(composition):
        return None
    wait_shortly()
    first_look()
    from seg_al.running.one_run import run_job  # takes seconds

    keep_imports()
    return run_job(composition, make, conf, launching)


def is_finished(composition: Composition) -> bool:
    """Whether the folder says that just this config went through all its rounds; says so.

    False wherever anything is in doubt: what looks closer then tells what is wrong, in words.
    """
    try:
        settings, choices = composition.settings, composition.choices
        folder, decides = folder_of_run(settings, choices)
        finished = json.loads((folder / "finished.json").read_text())
        config = json.loads((folder / "config.json").read_text())
    except (ValueError, LookupError, TypeError, OSError, RecursionError):
        return False
    asked = {**kept_config(settings, choices), "identity": identity_in(folder, decides), "decides": decides}
    if finished != {"rounds": settings["rounds"]} or config != json.loads(json.dumps(asked)):
        return False
    log.info("%s is finished already", folder)
    return True
