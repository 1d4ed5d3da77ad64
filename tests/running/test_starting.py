"""What a command imports before it does something: packages that take seconds or hundreds of MiB only where used."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

from experiments import ROOT
from seg_al.running.command_line import Shared

HEAVY = {
    "torch", "torchvision", "numpy", "scipy", "pandas", "pyarrow", "sklearn", "skimage", "matplotlib",
    "seaborn", "statsmodels", "albumentations", "cv2", "timm", "segmentation_models_pytorch", "torchmetrics",
    "lightning_fabric", "pycocotools", "sacred", "pymongo", "detectron2",
}  # fmt: skip
"""Packages that take a tenth of a second or more."""


def imported(*words: str) -> frozenset[str]:
    """The heavy packages that `python run.py WORDS` has imported when it ends, in a process of its own."""
    code = (
        "import atexit, json, sys, run\n"
        f"atexit.register(lambda: sys.stderr.write('\\n' + json.dumps(sorted(set(sys.modules) & {HEAVY}))))\n"
        "run.program()"
    )
    found = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return frozenset(json.loads(found.stderr.splitlines()[-1]))


def test_help_and_a_config_that_is_only_shown_import_nothing_heavy() -> None:
    assert imported("--help") == set()
    assert imported("--cfg", "job", "heuristic=entropy") == set()


def test_what_a_loader_of_configs_holds_is_shared_by_its_copies() -> None:
    held = Shared({"experiment": {"a.yaml": [1]}})
    assert copy.deepcopy({"store": held})["store"] is held
