"""Measures what a command costs before it does something, with `import torch` beside it: time, and memory at the end.

    python scripts/benchmark_start.py                # five times each, in turns; about two minutes on two cores

processor: seconds of the process and those it waited for. memory: the most that was resident at once. first round: wall
seconds from the start of the process to its first line about round 0; next job: those from the last line of one job of
a sweep to round 0 of the next. "least for training" is PyTorch with one step of AdamW, below which no run can be.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TINY = [
    "dataset.size=[32,40]", "dataset.train=8", "dataset.rare=0", "dataset.val=2", "dataset.test_a=2",
    "dataset.test_b=2", "model.width=2", "trainer.pace.steps=2", "trainer.batch_size=2",
    "trainer.augmentation.crop=[32,32]", "trainer.validation.times=1", "mc_iters=2", "rounds=2", "initial=2",
    "budget=1", "gallery=0", "objects=false", "share=false", "tracking=none", "device=cpu", "threads=1",
    "heuristic=random",
]  # fmt: skip
STEP = (
    "import torch; layer = torch.nn.Linear(2, 2); optimizer = torch.optim.AdamW(layer.parameters()); "
    "layer(torch.zeros(1, 2)).sum().backward(); optimizer.step()"
)
COMMANDS: Mapping[str, Sequence[str]] = {
    "import torch": ["-c", "import torch"],
    "least for training": ["-c", STEP],
    "import seg_al.loop": ["-c", "import seg_al.loop"],
    "run.py --help": ["run.py", "--help"],
    "a tiny run": ["run.py", *TINY],
    "a sweep of four": ["run.py", "-m", *TINY, "run=0,1,2,3"],
}
UNITS = {"processor": "s", "memory": "MiB", "first round": "s", "next job": "s"}
BEGINS = "round 0: 2 images of"
"""How the first line of a run's round 0 goes on after the time."""


def measured(command: Sequence[str], place: Path) -> dict[str, float]:
    """The figures of one process by their heads."""
    own = [f"dataset.root={place / 'data'}", f"runs={place / str(time.time_ns())}"] if "rounds=2" in command else []
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command, *own], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    lines = [(time.perf_counter() - begun, line) for line in process.stdout]
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{''.join(line for _, line in lines)}")
    rounds = [number for number, (_, line) in enumerate(lines) if BEGINS in line]
    gaps = [lines[number][0] - _last_of_job(lines[:number]) for number in rounds[1:]]
    found = {"processor": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss / 1024}
    found |= {"first round": lines[rounds[0]][0]} if rounds else {}
    return found | ({"next job": statistics.median(gaps)} if gaps else {})


def _last_of_job(lines: Sequence[tuple[float, str]]) -> float:
    """When the job before ended: its last line about round 1."""
    return max(seconds for seconds, line in lines if "round 1: " in line)


def rows_of(medians: Mapping[str, Mapping[str, float]]) -> list[dict[str, object]]:
    """For scripts/benchmarks.py: each command beside the import of PyTorch, and what a sweep adds."""
    torch, least, rows = medians["import torch"], medians["least for training"], list[dict[str, object]]()
    for name, other, theirs in (
        ("run.py --help", "import torch", torch), ("import seg_al.loop", "import torch", torch),
        ("a tiny run", "PyTorch with one step of AdamW", least),
    ):  # fmt: skip
        ours = medians[name]
        rows.append(
            {
                "what": f"`{name}`", "ours": ours["processor"], "alternative": other, "theirs": theirs["processor"],
                "ratio": theirs["processor"] / ours["processor"], "ours_mib": ours["memory"],
                "theirs_mib": theirs["memory"], "note": "memory is all that the process has",
            }
        )  # fmt: skip
    sweep = medians["a sweep of four"]
    rows.append({"what": "from the start of a sweep to its first round 0, wall", "ours": sweep["first round"]})
    rows.append({"what": "from the end of one job of a sweep to round 0 of the next, wall", "ours": sweep["next job"]})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", choices=COMMANDS, nargs="+", default=[*COMMANDS], help="rows of the table")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each, of which medians are printed")
    parser.add_argument("--short", action="store_true", help="three measurements of each")
    parser.add_argument("--rows", type=Path, help="where scripts/benchmarks.py reads the figures")
    options = parser.parse_args()
    repeats = 3 if options.short else options.repeats
    found: dict[str, list[dict[str, float]]] = {name: [] for name in options.commands}
    with tempfile.TemporaryDirectory() as place:
        measured(COMMANDS["a tiny run"], Path(place))  # paints the images
        for name in [*options.commands] * repeats:
            found[name].append(measured(COMMANDS[name], Path(place)))
    medians = {
        name: {head: statistics.median(one[head] for one in every) for head in every[0]}
        for name, every in found.items()
    }
    print(f"{'':20}" + "".join(f"{head:>14}" for head in UNITS))
    for name, figures in medians.items():
        cells = [f"{figures[head]:.2f} {unit}" if head in figures else "" for head, unit in UNITS.items()]
        print(f"{name:20}" + "".join(f"{cell:>14}" for cell in cells))
    if options.rows:
        options.rows.write_text(json.dumps(rows_of(medians)))


if __name__ == "__main__":
    main()
