"""Measures what small networks learn from few images, by the code of a run: its round 0 with so many labelled images.

    python scripts/benchmark_training.py                       # the defaults on constructed glands
    python scripts/benchmark_training.py --ablation            # one change each: what matters
    python scripts/benchmark_training.py --glas FOLDER         # GlaS at a quarter, with the values for it below

Each line has the mean and standard deviation of Dice on test over the runs, which draw split, images and weights, for
each number of labelled images; processor seconds of one training; and, once, what the best constant prediction and the
untrained network score. The last weights are measured, and nothing is chosen by test.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from seg_al.asking.pool import Pool
from seg_al.loop import Experiment
from seg_al.running.building import build_experiment
from seg_al.running.groups import chosen_options

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
program = import_module("run")  # it composes experiments, and is no part of the package

SAME = (
    "rounds=1",
    "heuristic=random",
    "objects=false",
    "device=cpu",
    "threads=1",
    "share=false",
    "gallery=0",
    "tracking=none",
)
GLANDS = ("dataset=glands_homogeneous",)
ABLATION = {
    "the defaults": (),
    "one fixed mean and spread for all pictures": ("model.normalize={mean:[0.5,0.5,0.5],std:[0.25,0.25,0.25]}",),
    "pictures as they are": ("model.normalize=none",),
    "the body of unet: 5 strides, double convolutions": (
        "model=unet", "model.width=8", "model.normalize=each", "model.dropout=0.2", "model.dropout_kind=channel",
        "model.sites=bottleneck",
    ),
    "75 steps": ("trainer.pace.steps=75",),
    "300 steps": ("trainer.pace.steps=300",),
    "SGD of quick_v0": (
        "trainer=quick_v0", "trainer.pace.steps=150", "trainer.batch_size=4", "trainer.validation.keep=last",
    ),
    "double convolutions": ("model.convolutions=2",),
    "5 poolings": ("model.poolings=5",),
    "no stride in the stem": ("model.stem_stride=1",),
    "no dropout": ("model.sites=none", "predictor=single"),
    "dropout of elements, 0.1, everywhere": ("model.sites=all", "model.dropout=0.1", "model.dropout_kind=element"),
    "dropout before the classifier": ("model.sites=head",),
    "best of val instead of the last weights": ("trainer.validation.keep=val",),
    "the older defaults, unet_small_v0 and quick_v0": ("model=unet_small_v0", "trainer=quick_v0"),
}  # fmt: skip
"""One change of the defaults each."""
GLAS = (
    "dataset=glas", "dataset.scale=0.25", "model.width=12", "model.poolings=4", "trainer.augmentation.crop=[128,128]",
    "trainer.pace.steps=800",
)  # fmt: skip
"""What a larger data set wants: more channels, one pooling more, more steps."""


@dataclass(frozen=True)
class Trained:
    """One training and what is scored without it."""

    test: float
    val: float
    labelled: float
    constant: float
    untrained: float
    seconds: float


def experiment(words: Sequence[str]) -> Experiment:
    """What `python run.py WORDS` runs."""
    with initialize_config_dir(version_base="1.3", config_dir=str(program.CONF)):
        whole = compose("config", [*words], return_hydra_config=True)
    config = OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "hydra"])
    choices = chosen_options(whole.hydra.runtime.choices)
    return build_experiment(program.plain(config), choices, program.made, program.CONF)


def trained(words: Sequence[str], images: int, number: int) -> Trained:
    """Round 0 of a run with so many labelled images."""
    made = experiment((*SAME, *words, f"initial={images}", f"run={number}"))
    pool = Pool(made.dataset.pool, made.dataset)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        queries = made.ask(made.round_view(0, pool, None), folder)
        pool.reveal(made.annotator.answer(queries, pool.known, folder))
        models, measured = made.train(0, pool, None, folder)
        start = time.process_time()
        models()
        seconds = time.process_time() - start
        metrics = measured()["metrics"]
    return Trained(
        metrics["test/dice"], metrics["val/dice"], metrics["labelled/dice"], metrics["test/constant_dice"],
        metrics["test/untrained_dice"], seconds,
    )  # fmt: skip


def line(name: str, words: Sequence[str], counts: Sequence[int], runs: Sequence[int]) -> list[Trained]:
    """Prints a line of the table."""
    every: list[Trained] = []
    cells = []
    for images in counts:
        found = [trained(words, images, number) for number in runs]
        test = [one.test for one in found]
        spread = f"±{statistics.stdev(test):.3f}" if len(test) > 1 else ""
        fit, val = (statistics.mean(values) for values in zip(*((one.labelled, one.val) for one in found), strict=True))
        cells.append(f"{images}: {statistics.mean(test):.3f}{spread} (val {val:.3f}, fit {fit:.3f})")
        every += found
    seconds = statistics.mean(one.seconds for one in every)
    print(f"{name:48}  {'   '.join(cells)}   {seconds:.1f} s", flush=True)
    return every


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--images", type=int, nargs="+", help="numbers of labelled images (default: 2 4 8 16, or of GlaS 32 68)"
    )
    parser.add_argument("--runs", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="default: 0 1 2 3 4")
    parser.add_argument("--ablation", action="store_true", help="one change each, at 4 and 16 images")
    parser.add_argument("--glas", type=Path, help="folder that holds Grade.csv")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="further words of run.py, for every line"
    )
    parser.add_argument("--short", action="store_true", help="16 labelled images in one run")
    parser.add_argument("--rows", type=Path, help="where scripts/benchmarks.py reads the figures")
    options = parser.parse_args(arguments)
    if options.short:
        options.images, options.runs = [16], [0]
    data = (*GLAS, f"dataset.root={options.glas}") if options.glas else GLANDS
    cases = ABLATION if options.ablation else {"the defaults": ()}
    counts = options.images or ([32, 68] if options.glas else [4, 16] if options.ablation else [2, 4, 8, 16])
    found: list[Trained] = []
    for name, words in cases.items():
        found += line(name, (*data, *words, *options.set), counts, options.runs)
    constant = statistics.mean(one.constant for one in found)
    untrained = statistics.mean(one.untrained for one in found)
    print(f"test: best constant {constant:.3f}, untrained {untrained:.3f}")
    if options.rows:
        row = {
            "what": f"Dice on test after a training of {found[0].seconds:.0f} processor s on {counts[0]} images",
            "ours": found[0].test, "unit": "", "alternative": "the best constant prediction", "theirs": constant,
            "ratio": found[0].test / constant,
        }  # fmt: skip
        options.rows.write_text(json.dumps([row]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
