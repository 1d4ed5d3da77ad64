"""Puts the heuristic and the selector through the laws of their kinds: python check.py"""

import numpy as np
import torch
from one_per_image import OnePerImage
from tsallis import Tsallis

from seg_al.conformance.heuristics import heuristic_findings
from seg_al.conformance.selectors import check_selector
from seg_al.predictors.class_maps import class_maps_of


def score(passes: np.ndarray) -> np.ndarray:  # [K, C, H, W] probabilities -> [H, W]
    return Tsallis(order=2)(class_maps_of(torch.from_numpy(passes))).numpy()


for finding in heuristic_findings(score):
    print(finding)

check_selector(OnePerImage())  # AssertionError that lists the laws it breaks
