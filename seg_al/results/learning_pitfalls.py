"""The pitfalls of networks that have not learned, whatever heuristic asks, checked against what rounds recorded."""

from __future__ import annotations

from collections.abc import Iterator

from seg_al.measuring.learned import END, FALLING, has_learned
from seg_al.results.learned_rounds import arms_with_rounds, in_words, judged_by, learned_rounds, means_of_rounds
from seg_al.results.metrics import metric_of
from seg_al.results.pitfall_check import Check
from seg_al.results.study import Study

OVERFIT = 0.5
"""Share of the way from the constant to the best value by which a fit far above test exceeds it."""


def every_network_learned(study: Study, metric: str) -> Check:
    """Of every single network, as a mean over runs hides one that has not."""
    claim = "Every network has learned more than a constant predictor"
    number, rounds = judged_by(study.table, metric), learned_rounds(study.table, metric)
    if number is None or rounds.empty:
        return Check(
            claim,
            "unknown",
            f"No run recorded what a constant predictor gets of {metric}. Look whether the gallery shows more than one "
            "class, and whether the score is above that of one class everywhere.",
        )
    judge = metric_of(study.table, number)
    table = study.table
    rows = table[(table["metric"] == number) & ~table["ceiling"] & table["value"].notna()].copy()
    rows = rows.merge(rounds[["label", "constant", "bar"]].drop_duplicates("label"), on="label")
    missed = [
        f"{row['label']} run {row['run']} round {row['round']:.0f} ({row['value']:.4f})"
        for row in rows.to_dict("records")
        if not has_learned(judge, row["value"], row["constant"])
    ]
    bars, constants = (in_words(rows[name].map("{:.4f}".format)) for name in ("bar", "constant"))
    text = f"of {len(rows)} networks reach {bars} of {number}, where the constant predictor has {constants}"
    if not missed:
        worst = rows.iloc[int((judge.sign * rows["value"]).argmin())]
        return Check(claim, "yes", f"All {text}; the least has {worst['value']:.4f} ({worst['label']}).")
    return Check(claim, "no", f"{len(rows) - len(missed)} {text}. Not learned: {in_words(missed)}.")


def fit_checks(study: Study, metric: str) -> Iterator[Check]:
    """Whether the labelled set is fitted, and the loss at rest."""
    yield _fitted(study, metric)
    yield _settled(study)


def _fitted(study: Study, metric: str) -> Check:
    claim = "The labelled set is fitted, but not learned by heart"
    number, rounds = judged_by(study.table, metric) or metric, learned_rounds(study.table, metric)
    name = f"labelled/{number.rpartition('/')[2]}"
    fits = means_of_rounds(study.table, name)
    if rounds.empty or fits.empty:
        return Check(
            claim, "unknown", f"No run recorded {name}. Look at the training's loss, and at its labelled images."
        )
    judge = metric_of(study.table, name)
    both = rounds.merge(fits, on=["label", "point"], suffixes=("", "_fit"))
    best = judge.highest if judge.better == "higher" else judge.lowest
    way = both["constant"].abs() if best is None else (best - both["constant"]).abs()
    low = both[judge.sign * both["value_fit"] < judge.sign * both["bar"]]
    far = both[judge.sign * (both["value_fit"] - both["value"]) > OVERFIT * way]
    text = f"{name} is {both['value_fit'].min():.4f} to {both['value_fit'].max():.4f}, "
    text += f"{number} {both['value'].min():.4f} to {both['value'].max():.4f}."
    if len(low):
        text += f" Below the bar, so under-trained: {arms_with_rounds(low)}."
    if len(far):
        text += f" Far above test, so overfit: {arms_with_rounds(far)}."
    return Check(claim, "no" if len(low) or len(far) else "yes", text)


def _settled(study: Study) -> Check:
    claim = "The loss no longer falls at the end of a training"
    losses, slopes, steps = (
        means_of_rounds(study.table, f"training/{name}") for name in ("loss", "loss_slope", "steps")
    )
    if losses.empty or slopes.empty or steps.empty:
        return Check(claim, "unknown", "No run recorded the slope of its loss. Look at training/loss in the tracker.")
    keys = ["label", "point"]
    both = losses.merge(slopes, on=keys, suffixes=("", "_slope")).merge(steps, on=keys, suffixes=("", "_steps"))
    both["fall"] = -both["value_slope"] / 100 * both["value_steps"] / END / both["value"].abs()
    falling = both[both["fall"] > FALLING]
    text = f"Over the last {1 / END:.0%} of the steps it falls by up to {both['fall'].max():.0%} of itself."
    text = text.replace("%", " %")
    if falling.empty:
        return Check(claim, "yes", text)
    return Check(claim, "no", f"{text} Still falling: {arms_with_rounds(falling)}. Train for more steps.")
