"""One run in its folder: claims it, builds the experiment, tracks and resumes it, and explains an early end."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg_al.asking.memory import keep_freed_memory
from seg_al.core import Tracker
from seg_al.recording.stages import finished
from seg_al.running.config_check import require_right
from seg_al.running.environment import environment
from seg_al.running.folder import claimed, gone_if_refused
from seg_al.running.groups import Composition, Make
from seg_al.running.identity import folder_of_run, identity_in, kept_config
from seg_al.running.kept_window import keep_window, with_kept_window
from seg_al.running.launching import Launching
from seg_al.running.sharing import require_gpu
from seg_al.running.sweep import note_refusal
from seg_al.running.threads import keep_threads, with_threads
from seg_al.tracking.run_document import config_columns
from seg_al.tracking.signals import job, listen, number_of, raised
from seg_al.tracking.stopped import noted

log = logging.getLogger(__name__)


def run_job(composition: Composition, make: Make, conf: Path, launching: Launching) -> float | None:
    """The run of a composed config, alone or as a job of a sweep. Exits with an error in words where it is alone.

    A job of a sweep writes for the summary why it was refused, and the sweep continues.
    """
    alone = not launching.swept
    if alone:
        listen(raised)
    try:
        if alone:
            launching.require_values()
        with job():
            return perform(composition.settings, composition.choices, make, conf, alone)
    except Exception as error:
        if alone and isinstance(error, ValueError):
            sys.exit(f"\nerror: {error}")
        if alone or not launching.by_product:
            raise
        log.error("failed: %s", error, exc_info=not isinstance(error, ValueError))
        note_refusal(launching.notes, folder_of_run(composition.settings, composition.choices)[0], error)
        return None  # the sweep continues, and ends with a summary from the disk
    except KeyboardInterrupt as stop:
        if alone:
            folder, _ = folder_of_run(composition.settings, composition.choices)
            sys.stderr.write(f"\n{words_of(stop, folder)}\n")
        raise


def words_of(stop: KeyboardInterrupt, folder: Path) -> str:
    """The message for a run that was stopped."""
    done = sum(1 for _ in folder.glob("rounds/*/metrics.json"))
    return f"stopped by {signal.Signals(number_of(stop)).name} in round {done}; the same command goes on"


def perform(
    settings: Mapping[str, Any], choices: Mapping[str, str], make: Make, conf: Path, alone: bool
) -> float | None:
    """Runs or resumes the experiment in its folder, unless it is finished.

    `alone`: asks the server of the tracking, which otherwise the sweep has done; later it may be away without harm.
    """
    require_right(settings)
    folder, decides = folder_of_run(settings, choices)
    config = kept_config(settings, choices)
    new = not os.path.exists(folder)  # also where the name is too long for a file system
    with claimed(folder, config, decides), gone_if_refused(folder, new):
        if finished(folder, settings["rounds"]):
            log.info("%s is finished already", folder)
            return None
        from seg_al.running.building import (  # takes seconds, which a finished run need not wait
            build_experiment,
            compute_of,
        )

        with noted(folder):
            if settings["gpus"] == "one_each":
                require_gpu()
            tracking = make(settings["tracking"])
            if alone:
                tracking.check()
            settings = with_threads(with_kept_window(settings, folder), folder)
            compute = compute_of(settings)
            compute.claim_threads()  # the first round that runs share is named by how many there are
            experiment = build_experiment(settings, choices, make, conf)
            keep_window(experiment.dataset, folder)
            keep_threads(settings, folder)
            keep_freed_memory()
            log.info("%s on %s", folder, compute.describe())
            if settings["evaluate"] is not None:
                return experiment.measure(Path(settings["evaluate"]), folder)

            def main(tracker: Tracker) -> float | None:
                tracker.note("environment", {**environment(), "device": compute.describe()})
                tracker.note("folder", str(folder.resolve()))
                return experiment(tracker, folder)

            tracked = config_columns({**config, "identity": identity_in(folder, decides)})
            result: float | None = tracking.record(main, tracked, folder, "seg_al")
            return result
