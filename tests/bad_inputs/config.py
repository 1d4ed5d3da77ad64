"""Values of the config: kinds, ranges, misspellings, and combinations that make no sense."""

from __future__ import annotations

from bad_inputs.goods import Bad

LINES = [
    Bad("budget=x", "budget=x: a number is needed"),
    Bad("buget=2", "buget is not in the config; did you mean budget?"),
    Bad("-m run=0,1 mc_iters=0", "no job of this sweep was started", "mc_iters sets: at least 1 pass is needed"),
    Bad("dataset=nowhere", "Could not find 'dataset/nowhere'", "cityscapes"),
]
