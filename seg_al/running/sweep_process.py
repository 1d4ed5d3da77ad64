"""The process in which a sweep begins and ends, and what its workers, in processes of their own, do for it.

Made for a single run as well, where nothing of it is used: so each part imports what it needs, which takes seconds.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seg_al.asking.memory import keep_imports
from seg_al.running.command_line import importable, study_of
from seg_al.running.cores import first_look, wait_shortly
from seg_al.running.groups import Composition, Make
from seg_al.running.launching import Launching, Word
from seg_al.tracking.signals import WORKER, end_workers, listen, raised, work_for

if TYPE_CHECKING:
    from seg_al.running.sweep import Sweep

log = logging.getLogger(__name__)


class SweepProcess:
    """Checks every job before the first one starts, and reports at the end how each ended; exits where one failed.

    The workers get copies of it with their jobs.
    """

    def __init__(self) -> None:
        self._number = os.getpid()
        self._begun = False
        folder, _ = study_of(sys.argv)
        self._own_folder = None if folder is None else Path(folder).resolve()
        self._sweep: Sweep | None = None  # of jobs that are known before they start
        self._rest = ""

    def begin(
        self,
        launching: Launching,
        words: Sequence[Word],
        compose: Callable[[Sequence[str]], Composition],
        repeat: Callable[[Sequence[str]], tuple[str, ...]],
        make: Make,
        conf: Path,
    ) -> int:
        """Returns how many jobs run at once; the arguments after `words` are those of SweepStart.

        `words`: none where the sweeper chooses the jobs as it goes.
        """
        wait_shortly()
        first_look()
        from seg_al.running.sharing import share_threads
        from seg_al.running.sweep_start import SweepStart, jobs_of

        self._begun = True
        keep_imports()
        listen(self._stop)
        try:
            launching.require_startable()
            if launching.by_product:
                self._sweep = SweepStart(compose, repeat, make, conf, launching.notes)(jobs_of(words))
                log.info("%d jobs, all checked", len(self._sweep.jobs))
                atexit.register(self._tell_after_a_launcher_failed)
        except ValueError as error:
            sys.exit(f"\nerror: {error}")
        if launching.starts_with("SlurmLauncher") or launching.starts_with("LocalLauncher"):
            self._rest = "\nWhat was given to submitit goes on, or has yet to begin."
        folders = (str(conf.parent), os.environ.get("PYTHONPATH"))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, folders))
        return share_threads(launching, len(self._sweep.jobs) if self._sweep else 0)

    def job_begins(self, gpus: str) -> None:
        """In the process of the job, which may be this one."""
        if not self._begun:
            return
        if self._own_folder is not None:
            importable(self._own_folder)
        if multiprocessing.current_process().name.startswith(WORKER):
            work_for(self._number)
        if gpus == "one_each" and os.getpid() != self._number:
            from seg_al.running.sharing import take_gpu

            take_gpu()

    def end(self) -> None:
        if self._sweep is not None:
            from seg_al.running.sweep import succeeded, sweep_summary

            atexit.unregister(self._tell_after_a_launcher_failed)
            outcomes = self._sweep.outcomes()
            if not succeeded(outcomes):
                sys.exit(f"\nerror: {sweep_summary(outcomes)}")
            log.info(sweep_summary(outcomes))

    def _stop(self, number: int) -> None:
        """What is raised ends the launcher, and with it joblib's workers."""
        from seg_al.tracking.attempts import is_running

        jobs = () if self._sweep is None else self._sweep.jobs
        end_workers(number, lambda: any(is_running(one.folder) for one in jobs))
        raised(number)

    def _tell_after_a_launcher_failed(self) -> None:
        """Hydra does not call `end` then; the process has its exit code already, which is not 0."""
        if self._sweep is not None:
            from seg_al.running.sweep import sweep_summary

            sys.stderr.write(f"\nerror: {sweep_summary(self._sweep.outcomes())}{self._rest}\n")
