"""Scripts that read results: words, places to write to, and damaged records."""

from __future__ import annotations

from bad_inputs.damage import both, remove, write
from bad_inputs.goods import Bad, bad_runs
from bad_inputs.line import Damage

NO_SERVER = "--url mongodb://127.0.0.1:1/ --timeout 0.1"


def everywhere(name: str, content: str) -> Damage:
    """Puts this content into a file of each run."""
    return both(*(write(f"runs/*-{arm}-run{run}-*/{name}", content) for arm in ("entropy", "random") for run in (0, 1)))


def read_by(script: str) -> list[Bad]:
    """What all scripts about results have in common."""
    command = f"scripts/{script}.py"
    return [
        bad_runs(f"{command} nowhere", "nowhere is not a folder: give run folders, or the folder that holds them"),
        bad_runs(f"{command} tiny.yaml", "tiny.yaml is not a folder"),
        bad_runs(f"{command} data", "no run with results in data"),
        bad_runs(f"{command} 'nothing*'", "nothing is called nothing*", "give run folders"),
        bad_runs(f"{command} runs --metric test/dise", "no run has the metric 'test/dise'", "the nearest test/dice"),
        bad_runs(f"{command} runs --cost euros", "invalid choice: 'euros'", "'pixels'"),
        bad_runs(f"{command} runs --where heuristic=nothing", "no run matches heuristic=nothing", "entropy, random"),
        bad_runs(f"{command} runs --where nothing", "write NAME=VALUE or NAME=A,B"),
        bad_runs(f"{command} runs --out tiny.yaml/x/y", "tiny.yaml", "choose another place"),
        bad_runs(f"{command} runs --out /proc/nothing/x", "/proc/nothing", "cannot be written", "choose another place"),
        bad_runs(f"{command} runs --mongo --database a.b", "--database a.b cannot name a database", "choose another"),
        bad_runs(f"{command} runs", "no run with results in runs", damage=everywhere("config.json", "[]")),
    ]


LINES = [
    *(bad for script in ("plot_curves", "plot_study", "report") for bad in read_by(script)),
    bad_runs("scripts/plot_study.py runs --out tiny.yaml", "tiny.yaml cannot be written", "choose another place"),
    bad_runs("scripts/report.py runs --out data", "data is a folder; name a file, such as data/report.html"),
    bad_runs("scripts/plot_curves.py --out", "argument --out: expected one argument"),
    bad_runs(
        "scripts/plot_curves.py runs",
        "no run with results",
        damage=everywhere("rounds/00/metrics.json", "{"),
    ),
    bad_runs("scripts/plot_curves.py runs", "no run with results", damage=everywhere("config.json", "{")),
    bad_runs("scripts/plot_curves.py runs", "no run with results", damage=everywhere("rounds/00/metrics.json", "[]")),
    bad_runs("scripts/plot_curves.py", "runs is not a folder", damage=remove("runs")),
    bad_runs("scripts/tracking.py", "the following arguments are required: import, check or repair"),
    bad_runs("scripts/tracking.py nothing", "invalid choice: 'nothing'"),
    bad_runs("scripts/tracking.py import tiny.yaml", "tiny.yaml is not a folder"),
    bad_runs(f"scripts/tracking.py import runs {NO_SERVER}", "does not answer (waited 0.1 s)", "scripts/mongo.py up"),
    bad_runs("scripts/tracking.py import runs --url mongodb://127.0.0.1:99999/", "Port must be an integer between"),
    bad_runs("scripts/tracking.py check runs --database a.b", "'a.b' cannot name a database", "choose another one"),
    bad_runs("scripts/tracking.py repair --silent x", "invalid float value: 'x'"),
    bad_runs("scripts/omniboard.py --columns-only --database a/b", "'a/b' cannot name a database"),
    bad_runs("scripts/omniboard.py --port x", "invalid int value: 'x'"),
    bad_runs("scripts/mongo.py sideways", "invalid choice: 'sideways'"),
    bad_runs("scripts/mongo.py up --mongod nowhere", "no usable mongod: nowhere does not start", "tracking=file"),
    bad_runs("scripts/mongo.py status --folder nowhere", "no MongoDB of", "start it: python scripts/mongo.py up"),
    bad_runs("scripts/mongo.py down --folder tiny.yaml", "tiny.yaml is not a folder; choose another --folder"),
    bad_runs("scripts/mongo.py up --port 99999 --folder mongo", "--port 99999 is not in"),
]
