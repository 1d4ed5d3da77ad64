"""Runs all benchmarks one after another and writes their figures as one table.

    python scripts/benchmarks.py                       # all of scripts/benchmark_*.py, in less than half an hour
    python scripts/benchmarks.py --only query regions  # some of them
    python scripts/benchmarks.py --page docs/speed.md  # the table replaces the one of a page, between its two marks

Each is called with `--short --rows FILE`, and writes into the file a JSON list of rows: an object each, with the fields
of `Row`. What it prints is shown as it comes. Nothing else should run meanwhile: some sides are timed by the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
LONGEST = 600
"""Seconds after which a benchmark is stopped."""
HEADINGS = ("what", "ours", "alternative", "", "ratio", "peak memory, ours and alternative")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    ours: float | None = None
    """In `unit`; None: it was not measured, as `note` says."""
    unit: str = "s"
    alternative: str = ""
    """What it is compared with."""
    theirs: float | None = None
    ratio: float | None = None
    """How many times better ours is, 1: as good; None: there is no alternative."""
    ours_mib: float | None = None
    theirs_mib: float | None = None
    note: str = ""
    """What else a reader must know, such as whether both sides gave the same."""

    def cells(self) -> tuple[str, ...]:
        memory = " / ".join(f"{one:,.0f} MiB" for one in (self.ours_mib, self.theirs_mib) if one is not None)
        words = f"{self.what}: {self.note}" if self.note else self.what
        ratio = "" if self.ratio is None else f"{self.ratio:.3g}"
        return words, self._number(self.ours), self._number(self.theirs), self.alternative, ratio, memory

    def _number(self, value: float | None) -> str:
        if value is None:
            return ""
        if self.unit == "s" and value < 0.1:
            return f"{1000 * value:.3g} ms"
        return f"{value:.3g} {self.unit}".strip() if abs(value) < 1000 else f"{value:,.0f} {self.unit}".strip()


def processor() -> str:
    """Its name as the system tells it."""
    told = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*:\s*(.+)$", told.read_text(), re.MULTILINE) if told.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def commit() -> str:
    found = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return found.stdout.strip() or "no commit"


def heading(remark: str) -> str:
    """The machine and the software, in one sentence."""
    day = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    load = f", load {os.getloadavg()[0]:.1f} at the start" if platform.system() != "Windows" else ""
    return (
        f"{processor()}, {os.cpu_count()} cores, {platform.system()}; Python {platform.python_version()}, "
        f"PyTorch {version('torch')}; commit {commit()}, {day}{load}.{f' {remark}' if remark else ''}"
    )


def measured(script: Path) -> list[Row]:
    """The rows of a benchmark, or one that says why there are none."""
    print(f"\n=== {script.name}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        rows = Path(place) / "rows.json"
        command = [sys.executable, str(script), "--short", "--rows", str(rows)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        try:
            ended = subprocess.run(command, cwd=ROOT, env=environment, timeout=LONGEST)
        except subprocess.TimeoutExpired:
            return [Row(script.name, note=f"stopped after {LONGEST} s")]
        if not rows.exists():
            return [Row(script.name, note=f"ended with {ended.returncode} and without figures")]
        return [Row(**one) for one in json.loads(rows.read_text())]


def table(found: Sequence[Row]) -> str:
    """Markdown."""
    lines = [HEADINGS, ("---", "---:", "---:", "---", "---:", "---"), *(row.cells() for row in found)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def into_page(page: Path, text: str) -> None:
    """Replaces what stands between the marks of a page."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{page} has no lines {BEGIN} and {END}, between which the table belongs; write them into it")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    scripts = {path.stem.removeprefix("benchmark_"): path for path in sorted(SCRIPTS.glob("benchmark_*.py"))}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=scripts, default=list(scripts), help="benchmarks, by name")
    parser.add_argument("--page", type=Path, help="a page whose table is replaced")
    parser.add_argument("--remark", default="", help="a sentence about the circumstances, for the heading")
    options = parser.parse_args(arguments)
    text, start = heading(options.remark), time.monotonic()
    print(text)
    found: list[Row] = []
    for name in options.only:
        begun = time.monotonic()
        found += measured(scripts[name])
        print(f"=== {name}: {time.monotonic() - begun:.0f} s", flush=True)
    text = f"{text} All took {(time.monotonic() - start) / 60:.0f} minutes.\n\n{table(found)}"
    print(f"\n{text}")
    if options.page:
        into_page(options.page, text)
    return 1 if any(row.ours is None for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())
