"""Whether a study's arms may be compared at all."""

from __future__ import annotations

from seg_al.results.study import Study


def check_comparable(study: Study) -> None:
    """Raises ValueError where arms are of several datasets: no area, test or rank means anything across them."""
    datasets = sorted({str(record.settings.get("dataset")) for record in study.records if not record.ceiling})
    if len(datasets) > 1:
        raise ValueError(
            f"the arms are of {len(datasets)} datasets, {', '.join(datasets)}, whose scores say nothing of each other: "
            f"choose one, such as --where dataset={datasets[0]}; plot_curves.py draws all"
        )
