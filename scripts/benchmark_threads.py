"""Times a query and a training alone, beside a second run, and beside programs that keep cores busy; all in turns.

    python scripts/benchmark_threads.py                     # the whole table, in about three minutes on two cores
    python scripts/benchmark_threads.py --repeats 9 --beside "1 busy core"

Each figure is a median of wall seconds: of a query of 8 images of 256 x 320 with 10 passes, and of a training of 8
steps, by the code of a run. threads=auto is chosen beside what keeps the cores busy; a second run began a moment
before, and of both the slower counts. "spins" is how threads of OpenMP wait by default; else they wait as in a run.
Each way has processes of its own, which rest while others are measured; nothing else should run on the machine.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from seg_al.running.cores import POLICY, SPINS, wait_shortly

CORES = os.cpu_count() or 1
WORDS = (
    "dataset=glands", "dataset.size=[256,320]", "dataset.train=12", "dataset.rare=0", "dataset.val=2",
    "dataset.test_a=2", "dataset.test_b=2", "trainer.pace.steps=8", "trainer.batch_size=4",
    "trainer.augmentation.crop=[192,192]", "trainer.validation.keep=last", "initial=4", "budget=1", "share=false",
    "tracking=none", "device=cpu", "mc_iters=10",
)  # fmt: skip
WAYS = {
    "threads=1": ("1", {}),
    f"threads={CORES}, spins": (str(CORES), {SPINS: "300000"}),
    f"threads={CORES}": (str(CORES), {}),
    "threads=auto": ("auto", {}),
}
"""The number of threads, and the environment."""
BESIDE = {"nothing": (1, 0), "a second run": (2, 0), "1 busy core": (1, 1), f"{CORES} busy cores": (1, CORES)}
"""Runs, and cores that other programs keep busy."""
KINDS = ("query", "train")


def works(root: str, folder: Path) -> dict[str, Callable[[], object]]:
    """A query and a training of one experiment."""
    from benchmark_training import experiment
    from torch import nn

    from seg_al.asking.pool import Pool

    made = experiment([*WORDS, f"dataset.root={root}"])
    pool, model = Pool(made.dataset.pool, made.dataset), made.fresh_model(0)
    assert isinstance(model, nn.Module)
    model.eval()
    first = made.ask(made.round_view(0, pool, None), folder)
    pool.reveal(made.annotator.answer(first, pool.known, folder))
    view = made.round_view(1, pool, lambda: [model])
    return {
        "query": lambda: made.asking(view, made.annotator, made.budgets[0]),
        "train": lambda: made.fit(0, pool, None, folder),
    }


def work(threads: str, root: str) -> None:
    """The process of a run: does what its standard input says, and answers with the seconds that it took."""
    import torch

    from seg_al.asking.memory import keep_freed_memory
    from seg_al.running.cores import first_look
    from seg_al.running.threads import free_threads

    def begin() -> None:
        first_look.cache_clear()
        free_threads.cache_clear()
        torch.set_num_threads(free_threads() if threads == "auto" else int(threads))

    keep_freed_memory()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        known = {"begin": begin, **works(root, Path(folder))}
        for kind in KINDS:  # the first time is no measure
            known[kind]()
        print("ready", flush=True)
        for line in sys.stdin:
            start = time.perf_counter()
            known[line.strip()]()
            print(f"took {time.perf_counter() - start}", flush=True)


class Run:
    """A process of `work`."""

    def __init__(self, way: str, root: str) -> None:
        threads, environment = WAYS[way]
        own = {name: value for name, value in os.environ.items() if name not in (POLICY, "OMP_NUM_THREADS")}
        command = [sys.executable, __file__, "--work", threads, root]
        self._process = subprocess.Popen(
            command, env={**own, **environment}, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def answer(self, word: str) -> str:
        """The rest of the next line that begins with the word."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(word):
                return line.removeprefix(word)
        sys.exit("a process that was measured has ended")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def busy(cores: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        time.sleep(0.3)
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def seconds(runs: Sequence[Run]) -> list[float]:
    """Of each kind of work, done by all runs at once: the seconds of the slowest."""
    for run, before in zip(runs, (None, *runs), strict=False):
        if before:
            before.say("query")
            time.sleep(0.1)
        run.say("begin")
        run.answer("took")
        if before:
            before.answer("took")
    found = []
    for kind in KINDS:
        for run in runs:
            run.say(kind)
        found.append(max(float(run.answer("took")) for run in runs))
    return found


def table(besides: Sequence[str], ways: Sequence[str], repeats: int, root: str) -> dict[tuple[str, str], list[float]]:
    """Prints the medians, and gives them by what stands beside and by way, in the order of KINDS."""
    runs = {way: [Run(way, root) for _ in range(max(BESIDE[beside][0] for beside in besides))] for way in ways}
    found: dict[tuple[str, str], list[list[float]]] = {}
    try:
        for run in (one for every in runs.values() for one in every):
            run.answer("ready")
        for beside in [*besides] * repeats:
            for way in ways:
                with busy(BESIDE[beside][1]):
                    found.setdefault((beside, way), []).append(seconds(runs[way][: BESIDE[beside][0]]))
    finally:
        for run in (one for every in runs.values() for one in every):
            run.end()
    medians = {key: [statistics.median(of_kind) for of_kind in zip(*one, strict=True)] for key, one in found.items()}
    print("".join(f"{head:>20}" for head in ("beside", *ways)))
    for beside in besides:
        cells = (" / ".join(f"{one:.2f}" for one in medians[beside, way]) for way in ways)
        print("".join(f"{cell:>20}" for cell in (beside, *cells)), flush=True)
    return medians


def rows_of(medians: dict[tuple[str, str], list[float]]) -> list[dict[str, object]]:
    """For scripts/benchmarks.py: threads=auto beside one thread, and beside threads that spin."""
    return [
        {
            "what": f"a {kind} with threads=auto beside {beside}, wall", "ours": medians[beside, "threads=auto"][place],
            "alternative": other, "theirs": medians[beside, other][place],
            "ratio": medians[beside, other][place] / medians[beside, "threads=auto"][place],
        }
        for beside in BESIDE
        for place, kind in enumerate(KINDS)
        for other in WAYS
        if other != f"threads={CORES}" and other != "threads=auto"
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", choices=BESIDE, nargs="+", default=[*BESIDE], help="rows of the table")
    parser.add_argument("--ways", choices=WAYS, nargs="+", default=[*WAYS], help="columns of the table")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each figure")
    parser.add_argument("--short", action="store_true", help="the same, as it takes three minutes")
    parser.add_argument("--rows", type=Path, help="where scripts/benchmarks.py reads the figures")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    wait_shortly()  # in the processes that are begun here
    if options.work:
        return work(*options.work)
    print(f"wall seconds of a query / of a training on {CORES} cores")
    with tempfile.TemporaryDirectory() as root:
        if options.rows:
            options.beside, options.ways = [*BESIDE], [*WAYS]
        medians = table(options.beside, options.ways, options.repeats, root)
    if options.rows:
        options.rows.write_text(json.dumps(rows_of(medians)))


if __name__ == "__main__":
    main()
