"""The pitfalls of how a study's networks were trained and its pool was scored, checked against the runs' configs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seg_al.results.arms import readable_cost
from seg_al.results.pitfall_check import Check, Verdict, setting_of, values
from seg_al.results.records import Record
from seg_al.results.study import Study

ENOUGH = 16
"""Images of a batch below which its own statistics cost accuracy (arXiv 1803.08494, table 2)."""
STEPS = "training/steps"
UNEQUAL = " Where later rounds train longer, gains mix more labels with more training."
TURNED_OFF = (0, 0.0, False, None, "none")
NO_CHANGE = ("_target_", "_partial_", "crop", "crop_on_label", "least")
"""Settings of an augmentation that alter no image of themselves."""


def training_checks(study: Study) -> list[Check]:
    """All of them, in the order in which a reader should worry."""
    asking = [record for record in study.records if not record.ceiling]
    first = float(study.table.loc[~study.table["ceiling"], "images"].min())
    return [
        _val_is_small(study, asking, first),
        _test_is_unseen(asking),
        _tuned(asking, first),
        _steps(study, asking),
        _restarts(asking),
        _batches(asking, first),
        _augmented(study),
        _scored_as_they_are(asking),
    ]


def _val_is_small(study: Study, asking: Sequence[Record], first: float) -> Check:
    """Images of val are labels too, which no cost of the pool counts."""
    claim = "The validation set is not larger than the labelled set that it judges"
    stated = {value for record in asking if isinstance(value := record.settings.get("dataset.val"), int)}
    sizes = study.val_images or stated  # runs of before recorded none
    if not sizes:
        return Check(claim, "unknown", "Neither the runs nor their configs state the number of validation images.")
    val, last = max(sizes), float(study.table.loc[~study.table["ceiling"], "images"].max())
    unused = all(setting_of(record, "trainer.validation.keep") == "last" for record in asking)
    use = "are only reported" if unused else "choose checkpoints"
    text = (
        f"{val:g} validation images {use}, labelled apart from the pool's cost; the first labelled set has "
        f"{readable_cost(first)} and the last {readable_cost(last)}."
    )
    if val > last:
        text += " Val holds more labels than the pool ever gave."
    if unused or val <= first:
        return Check(claim, "yes", text)
    return Check(claim, "no", text + " Count them among the labels, or lower dataset.val.")


def _test_is_unseen(asking: Sequence[Record]) -> Check:
    return Check(
        "No test image chose a checkpoint, a query or a setting inside a run",
        "yes"
        if all(setting_of(record, "trainer.validation.keep") in ("val", "last") for record in asking)
        else "unknown",
        "Checkpoints are chosen by " + values(asking, "trainer.validation.keep") + "; the harness scores no test "
        "image for a query. No record says whether a person tuned on the test set.",
    )


def _tuned(asking: Sequence[Record], first: float) -> Check:
    text = (
        f"No record says how trainer={values(asking, 'trainer')} was chosen. Look whether its learning rate, steps "
        f"and augmentation were chosen on val, for random too, with as few as {readable_cost(first)} labelled images: "
        "what suits the whole pool need not suit where curves begin (arXiv 2301.10625)."
    )
    return Check("The trainer was tuned at the starting budget, once for all arms", "unknown", text)


def _steps(study: Study, asking: Sequence[Record]) -> Check:
    claim = "Rounds train for equal steps, however much is labelled"
    rows = study.table[(study.table["metric"] == STEPS) & ~study.table["ceiling"]]
    if len(rows):
        by_round = rows.groupby("round")["value"].agg(["min", "max"])
        if by_round["min"].min() == by_round["max"].max():
            return Check(claim, "yes", f"Each training took {by_round['max'].max():,.0f} steps.")
        text = f"From {by_round['min'].min():,.0f} to {by_round['max'].max():,.0f} steps in a training, "
        text += (
            f"up to {by_round['max'].iloc[0]:,.0f} in the first round and {by_round['max'].iloc[-1]:,.0f} in the last."
        )
        return Check(claim, "no", text + UNEQUAL)
    epochs = [setting_of(record, "trainer.pace.epochs") for record in asking]
    if None in epochs:
        return Check(claim, "unknown", f"No run recorded {STEPS}, and the configs state no trainer.pace.epochs.")
    text = f"trainer.pace.steps={values(asking, 'trainer.pace.steps')}, epochs={values(asking, 'trainer.pace.epochs')}."
    if all(count == 0 for count in epochs):
        return Check(claim, "yes", text)
    return Check(claim, "no", text + UNEQUAL)


def _restarts(asking: Sequence[Record]) -> Check:
    starts = [setting_of(record, "trainer.start") for record in asking]
    text = f"trainer.start={values(asking, 'trainer.start')}; optimizer and schedule restart each round in any case."
    verdict: Verdict = "unknown" if None in starts else "yes" if all(start == "fresh" for start in starts) else "no"
    return Check("Every round trains from fresh weights", verdict, text)


def _batches(asking: Sequence[Record], first: float) -> Check:
    claim = "Batches hold enough different images for statistics of their own (BatchNorm)"
    sizes = [setting_of(record, "trainer.batch_size") for record in asking]
    stated = f"trainer.batch_size={values(asking, 'trainer.batch_size')}"
    text = f"{stated}; the first labelled set has {readable_cost(first)} images."
    if all(isinstance(size, int) and size >= ENOUGH for size in sizes) and first >= ENOUGH:
        return Check(claim, "yes", text)
    return Check(
        claim,
        "unknown",
        f"{text} Look whether model={values(asking, 'model')} normalises by batch: statistics of fewer than {ENOUGH} "
        "images are noisy (arXiv 1803.08494), and early rounds then score low for that reason.",
    )


def _augmented(study: Study) -> Check:
    claim = "Training augments its images, as gains over random tend to vanish with augmentation"
    arms: dict[str, list[str]] = {}
    for record, label in zip(study.records, study.labels, strict=True):
        stem = "trainer.augmentation."
        stated = {key.removeprefix(stem): value for key, value in record.settings.items() if key.startswith(stem)}
        if not record.ceiling and not stated:
            return Check(claim, "unknown", f"The configs state no augmentation, such as that of {label}.")
        if not record.ceiling:
            arms.setdefault(label, []).extend(key for key, value in stated.items() if _alters(key, value))
    if bare := [label for label, on in arms.items() if not on]:
        who = "" if len(bare) == len(arms) else f" in {', '.join(bare)}"
        return Check(claim, "no", f"All augmentation is off{who}.")
    on = ", ".join(dict.fromkeys(key for own in arms.values() for key in own))
    return Check(claim, "yes", f"On: {on}. Self- and semi-supervised training is not part of this harness.")


def _alters(key: str, value: Any) -> bool:
    return value not in TURNED_OFF and key.rpartition(".")[2] not in NO_CHANGE


def _scored_as_they_are(asking: Sequence[Record]) -> Check:
    views = any(key.startswith("predictor.views.") for record in asking for key in record.settings)
    text = "The harness applies trainer.augmentation to training images alone."
    chosen = " Passes see the views of predictor.views on purpose: they are the estimate." if views else ""
    return Check("Pool images are scored without the training's augmentation", "yes", text + chosen)
