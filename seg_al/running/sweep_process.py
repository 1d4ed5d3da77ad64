"""The start and the end of a sweep in its own process, and the start of its jobs in theirs."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import sys
from collections.abc import Sequence

from seg_al.running.launching import Launching, Word
from seg_al.running.sharing import share_threads, take_gpu
from seg_al.running.stopping import WORKER, end_workers, listen, raised, work_for
from seg_al.running.sweep import Sweep, succeeded, sweep_summary
from seg_al.running.sweep_start import SweepStart, jobs_of

log = logging.getLogger(__name__)


class SweepProcess:
    """Checks every job before the first one starts, and reports at the end how each ended; exits where one failed.

    The workers get copies of it with their jobs.
    """

    def __init__(self) -> None:
        self._number = os.getpid()
        self._sweep: Sweep | None = None
        self._rest = ""

    def begin(self, launching: Launching, words: Sequence[Word], start: SweepStart) -> int:
        """Returns how many jobs run at once. `words`: none where the sweeper chooses the jobs as it goes."""
        listen(self._stop)
        try:
            launching.require_startable()
            if launching.by_product:
                self._sweep = start(jobs_of(words))
                log.info("%d jobs, all checked", len(self._sweep.jobs))
                atexit.register(self._tell_after_a_launcher_failed)
        except ValueError as error:
            sys.exit(f"\nerror: {error}")
        if launching.starts_with("SlurmLauncher") or launching.starts_with("LocalLauncher"):
            self._rest = "\nJobs that submitit has are still running, or still waiting to start."
        folders = (str(start.conf.parent), os.environ.get("PYTHONPATH"))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, folders))
        return share_threads(launching, len(self._sweep.jobs) if self._sweep else 0)

    def job_begins(self, gpus: str) -> None:
        """In the process of the job, which may be this one."""
        if multiprocessing.current_process().name.startswith(WORKER):
            work_for(self._number)
        if gpus == "one_each" and os.getpid() != self._number:
            take_gpu()

    def end(self) -> None:
        if self._sweep is not None:
            atexit.unregister(self._tell_after_a_launcher_failed)
            outcomes = self._sweep.outcomes()
            if not succeeded(outcomes):
                sys.exit(f"\nerror: {sweep_summary(outcomes)}")
            log.info(sweep_summary(outcomes))

    def _stop(self, number: int) -> None:
        """Raises an exception that ends the launcher, and with it joblib's workers."""
        end_workers(number, [] if self._sweep is None else [one.folder for one in self._sweep.jobs])
        raised(number)

    def _tell_after_a_launcher_failed(self) -> None:
        """Hydra does not call `end` then; the process has its exit code already, which is not 0."""
        if self._sweep is not None:
            sys.stderr.write(f"\nerror: {sweep_summary(self._sweep.outcomes())}{self._rest}\n")
