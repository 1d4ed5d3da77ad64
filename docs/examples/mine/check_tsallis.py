"""Puts the heuristic through the laws of an uncertainty: python check_tsallis.py"""

import numpy as np
import torch
from tsallis import Tsallis

from seg_al.conformance.heuristics import check
from seg_al.predictors.class_maps import beliefs_of


def score(passes: np.ndarray) -> np.ndarray:  # [K, C, H, W] probabilities -> [H, W]
    return Tsallis(order=2)(beliefs_of(torch.from_numpy(passes))).numpy()


for finding in check(score):
    print(finding)
