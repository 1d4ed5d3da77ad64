"""The note of what a database lacks of a run tells how the run ended, whichever try at the server fails last."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from conftest import free_port

from seg_al.core import Tracker
from seg_al.tracking.backends import MongoTracking

# sacred 0.8.7 asks for the time in a way that Python 3.12 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


def test_a_try_from_before_the_end_that_fails_after_it_does_not_overwrite_the_note_of_the_end(tmp_path: Path) -> None:
    """The first try waits for the server for longer than the run and the patience of its end last."""

    def main(tracker: Tracker) -> None:
        time.sleep(0.1)  # the first try has read the folder, and waits
        tracker.scalars({"dice": 0.5}, 4)
        (tmp_path / "late.txt").write_text("of the last round")
        tracker.artifact(tmp_path / "late.txt", "late.txt")

    url = f"mongodb://127.0.0.1:{free_port()}"
    MongoTracking(url, timeout=0.4, beat=60.0, patience=0.05, capture="no").record(main, {"run": 1}, tmp_path, "one")
    for thread in threading.enumerate():
        if thread.name == "seg_al mongo":
            thread.join()
    _, run, *rows = [json.loads(line) for line in (tmp_path / "sacred" / "unsent.jsonl").read_text().splitlines()]
    assert (run["kind"], run["status"]) == ("run", "COMPLETED")
    assert {row["name"] for row in rows} == {"dice", "late.txt"}
