"""Puts the parts of this folder through the laws of their kinds: python check.py"""

from one_per_image import OnePerImage
from squares import Squares
from stripes import Stripes
from tsallis import Tsallis

from seg_al.conformance.datasets import check_dataset
from seg_al.conformance.granularities import check_granularity
from seg_al.conformance.heuristics import check_heuristic
from seg_al.conformance.selectors import check_selector

check_heuristic(Tsallis(order=2))  # each raises AssertionError with every law that is broken
check_selector(OnePerImage())
check_granularity(Stripes(rows=16, reduction="mean", top_share=0.1))
check_dataset(lambda: Squares(side=24))
print("all laws are kept")
