"""What trains is tested on the instructions of other processors too: their sums differ in the last digits."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from experiments import ROOT

TRAINED = (
    "test_train.py", "test_pooled_unet.py", "test_mask_rcnn.py", "test_instance_learning.py", "test_drn.py",
    "test_unet.py", "test_diversity.py", "test_loop.py", "test_instances_loop.py", "test_encoder_decoder.py",
    "test_detectron2.py", "test_resume.py", "test_options.py",
)  # fmt: skip
"""The modules whose tests train, or compare with numbers that come of a training."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the instructions are those of x86")
@pytest.mark.parametrize(("aten", "onednn"), [("avx2", "AVX2"), ("default", "SSE41")])
def test_what_trains_passes_with_the_instructions_of_other_processors(aten: str, onednn: str) -> None:
    fewer = {"ATEN_CPU_CAPABILITY": aten, "ONEDNN_MAX_CPU_ISA": onednn, "OMP_NUM_THREADS": "1"}
    modules = [str(next((ROOT / "tests").rglob(name))) for name in TRAINED]
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *modules]
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, **fewer}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
