"""seg_al: paired active-learning experiments on image segmentation."""

__version__ = "0.1.0"
