"""Checks a composed config: its groups, the kinds of its values, and its texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seg_al.running.groups import GROUPS
from seg_al.running.roles import ROLES
from seg_al.running.schedule import PHASED
from seg_al.running.signatures import problems
from seg_al.running.texts import text_problems
from seg_al.tracking.secrets import without_secrets
from seg_al.tracking.storable import URL_VARIABLE


def require_right(settings: Mapping[str, Any]) -> None:
    """Raises ValueError naming every key whose value does not fit."""
    if absent := [group for group in GROUPS if group not in settings]:
        raise ValueError(f"{' and '.join(absent)} is missing in the config; choose one, as in {absent[0]}=OPTION")
    values = {key: value for key, value in settings.items() if key not in (*GROUPS, "phases")}
    wrong = [*problems({key: settings[key] for key in GROUPS}, roles=ROLES)]
    for phase in settings.get("phases", ()):
        parts = {key: phase[key] for key in PHASED}
        wrong += problems(parts, f"schedule.{phase['begins']}.", ROLES)
    wrong += problems({**values, "_target_": "seg_al.running.settings.Settings"})
    wrong += text_problems(settings, URL_VARIABLE)
    if wrong:
        raise ValueError("the config is wrong:\n" + "\n".join(f"  - {without_secrets(problem)}" for problem in wrong))
