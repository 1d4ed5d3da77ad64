"""How long the table, the tables and all figures of many stored runs take, from folders and from MongoDB.

python scripts/benchmark_results.py                            1,000 runs of 15 rounds in a temporary folder
python scripts/benchmark_results.py --runs 20 --keep study     5 arms of 4 made-up runs, kept to look at

A benchmark, not a test: it prints seconds of wall and of processor time, and nothing fails where they are many. The
runs are made up: saturating curves with noise, in the files and documents that a real run leaves.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pymongo

from seg_al.results.reader import folder_study, mongo_study
from seg_al.results.study import Study
from seg_al.results.study_figures import study_figures
from seg_al.results.table_files import write_tables
from seg_al.tracking.local_port import HOST
from seg_al.tracking.mongod import find_binary, launch

ARMS = {"random": 0.08, "entropy": 0.095, "bald": 0.13, "margin": 0.1, "mean_std": 0.083}
"""Heuristics and how fast their made-up curves rise, per image."""
TOP, START, BUDGET = 0.88, 4, 4
OTHERS = ("random", "entropy", "bald", "margin", "mean_std", "variation_ratio", "least_confidence", "vote_entropy")


def config_of(heuristic: str, run: int, rounds: int, initial: int | str = START) -> dict[str, Any]:
    """The config.json of a run, shortened."""
    chosen = {
        "dataset": "glas", "model": "unet", "heuristic": heuristic, "predictor": "mc_dropout", "granularity": "image",
        "selector": "top", "annotator": "oracle", "trainer": "quick", "tracking": "file",
    }  # fmt: skip
    pace = {"steps": 120, "epochs": 0, "repeats": 1}
    trainer = {"pace": pace, "validation": {"keep": "val", "times": 3}, "augmentation": {"flip": 0.5}, "start": "fresh"}
    values = {"run": run, "mc_iters": 20, "rounds": rounds, "initial": initial, "budget": BUDGET, "cost": "images"}
    details = {"dataset": {"val": 17, "run": run}, "heuristic": {"_target_": heuristic}, "trainer": trainer}
    return {"choices": chosen, **values, **details, "identity": f"{heuristic}-{run}-{initial}", "device": "auto"}


def rounds_of(heuristic: str, run: int, rounds: int) -> list[dict[str, dict[str, Any]]]:
    """The made-up files of each round, by name; the same run begins alike in every arm."""
    rng = np.random.default_rng([run, *heuristic.encode()])
    start = np.random.default_rng(run).normal(0, 0.02)
    made: list[dict[str, dict[str, Any]]] = []
    for number in range(rounds):
        images = float(START + BUDGET * number)
        noise = start if number == 0 else start / 2 + rng.normal(0, 0.012)
        metrics: dict[str, float] = {}
        for split, shift in (("test", 0.0), ("testA", 0.01), ("testB", -0.02), ("val", 0.005)):
            dice = TOP - (TOP - 0.52) * float(np.exp(-ARMS[heuristic] * (images - START))) + noise + shift
            names = ("dice", "iou", "dataset_dice", "miou", "dice_gland", "iou_gland", "pixel_accuracy", "ece")
            metrics |= {f"{split}/{name}": dice - 0.03 * place for place, name in enumerate(names)}
            metrics |= {f"{split}/dice_background": dice + 0.06, f"{split}/iou_background": dice + 0.02}
        pixels = images * 404_550
        cost = {"images": images, "pixels": pixels, "regions": images, "clicks": 9 * images, "vertices": 180 * images}
        seconds, peak = (0.4, 900.0) if heuristic == "random" else (9.0 - 0.1 * number, 2400.0)
        effort = {"query_seconds": seconds, "query_peak_mib": peak, "train_seconds": 60.0, "evaluate_seconds": 4.0}
        made.append({"metrics": {"cost": cost, "metrics": metrics}, "effort": effort})
        if number:
            made[-1]["agreement"] = _agreement(heuristic, rng)
            made[-1]["asked"] = {
                "queries": BUDGET, "images": BUDGET, "pixels": int(pixels), "classes": ["background", "gland"],
                "answered": [600_000, 400_000 + 20_000 * number], "before": [1, 1], "classes_found": 1.0,
                "classes_per_image": 2.0, "nearest_distance": None, "nearest_distance_random": None,
            }  # fmt: skip
    return made


def _agreement(heuristic: str, rng: np.random.Generator) -> dict[str, Any]:
    shares = {one: {other: round(float(rng.uniform(0, 1)), 4) for other in OTHERS} for one in OTHERS}
    stability = [{"passes": count, "kendall": 1 - 0.5 / count, "overlap": 0.9} for count in (2, 5, 10, 20)]
    return {"units": 60, "asked": BUDGET, "spearman": shares, "overlap": shares, "stability": stability}


def write_folders(folder: Path, runs: int, rounds: int) -> None:
    """`runs` run folders in all, spread over the arms, and three full-data runs beside them."""
    for number in range(runs):
        heuristic, run = list(ARMS)[number % len(ARMS)], number // len(ARMS)
        _write(
            folder / f"glas-unet-{heuristic}-run{run}",
            config_of(heuristic, run, rounds),
            rounds_of(heuristic, run, rounds),
        )
    for run in range(3):
        full = rounds_of("bald", run, 25)[-1:]
        full[0]["metrics"]["cost"] = {name: value * 0.68 for name, value in full[0]["metrics"]["cost"].items()}
        _write(folder / f"glas-unet-full-run{run}", config_of("random", run, 1, "all"), full)


def _write(folder: Path, config: dict[str, Any], rounds: list[dict[str, dict[str, Any]]]) -> None:
    for number, files in enumerate(rounds):
        place = folder / "rounds" / f"{number:02d}"
        place.mkdir(parents=True)
        for name, content in files.items():
            (place / f"{name}.json").write_text(json.dumps(content, indent=1))
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    (folder / "finished.json").write_text(json.dumps({"rounds": len(rounds)}))


def store(url: str, study: Study) -> None:
    """The study as Sacred stores it: a document per run, and one per run and metric with its steps and values."""
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        database = client["benchmark"]
        for number, record in enumerate(study.records, start=1):
            config = {key: value for key, value in record.settings.items() if "." not in key}
            details: dict[str, Any] = {}
            for key, value in record.settings.items():
                *groups, leaf = key.split(".")
                inner = details
                for group in groups:
                    inner = inner.setdefault(group, {})
                inner[leaf] = value
            lifted = {f"{key}_options": value for key, value in details.items() if isinstance(value, dict)}
            run = {"config": {**config, **lifted, "identity": record.identity}, "status": "COMPLETED"}
            output = {"captured_out": "a line of the log\n" * 2000, "start_time": pd.Timestamp(number, unit="D")}
            database["runs"].insert_one({"_id": number, **run, **output})
            series: dict[str, tuple[list[float], list[float]]] = {}
            for point in record.points:
                for name, value in {
                    **point.metrics,
                    **{f"cost/{unit}": cost for unit, cost in point.cost.items()},
                }.items():
                    steps, values = series.setdefault(name, ([], []))
                    steps.append(point.cost["images"])
                    values.append(value)
            database["metrics"].insert_many(
                {"run_id": number, "name": name, "steps": steps, "values": values}
                for name, (steps, values) in series.items()
            )


@contextmanager
def timed(what: str) -> Iterator[list[float]]:
    """Prints how long the block took, and gives the wall seconds when it ends."""
    wall, processor = time.perf_counter(), time.process_time()
    seconds: list[float] = []
    yield seconds
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{what:40s} {wall:6.1f} s, of which processor {processor:6.1f} s", flush=True)
    seconds.append(wall)


def draw_all(study: Study, folder: Path) -> None:
    write_tables(study, "test/dice", "images", folder)
    for figure in study_figures(study, "test/dice", "images"):
        figure.save(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="run folders (%(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="of each run (%(default)s)")
    parser.add_argument("--keep", type=Path, help="a new folder for the runs (a temporary one)")
    parser.add_argument("--short", action="store_true", help="100 runs, without MongoDB")
    parser.add_argument("--rows", type=Path, help="where scripts/benchmarks.py reads the figures")
    given = parser.parse_args()
    given.runs = 100 if given.short else given.runs
    with TemporaryDirectory() as temporary:
        runs = given.keep or Path(temporary) / "runs"
        with timed(f"making {given.runs} runs of {given.rounds} rounds"):
            write_folders(runs, given.runs, given.rounds)
        with timed("folders: everything"):
            with timed("folders: table") as reading:
                study = folder_study([runs])
            with timed("folders: tables and figures"):
                draw_all(study, Path(temporary) / "figures")
        print(f"{len(study.table):,} rows")
        with timed("a loop that reads all JSON files") as loop:
            for path in sorted(runs.rglob("*.json")):
                json.loads(path.read_text())
        if given.rows:
            row = {
                "what": f"the table of {given.runs} stored runs of {given.rounds} rounds, wall", "ours": reading[0],
                "alternative": "a loop that reads all JSON files, and makes no table", "theirs": loop[0],
                "ratio": loop[0] / reading[0],
            }  # fmt: skip
            given.rows.write_text(json.dumps([row]))
        if given.short:
            return
        with mongo(Path(temporary) / "mongo") as url:
            with timed("storing them in MongoDB"):
                store(url, study)
            with timed("MongoDB: everything"):
                with timed("MongoDB: table"):
                    stored = mongo_study(url, "benchmark")
                with timed("MongoDB: tables and figures"):
                    draw_all(stored, Path(temporary) / "figures")
        pd.testing.assert_frame_equal(study.table, stored.table)
        shutil.rmtree(Path(temporary) / "mongo")


@contextmanager
def mongo(folder: Path) -> Iterator[str]:
    """A real server of its own, on a free port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    folder.mkdir()
    process = launch(find_binary(), folder, port)
    try:
        yield f"mongodb://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


if __name__ == "__main__":
    main()
