"""Refuses texts in a config with a password, which would be written into files, or a ~, which is not expanded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seg_al.tracking.secrets import secret_keys

_HOME = re.compile(r"(?:package:|base:)?~[\w.-]*(?:/|$)")
PROSE = ("notes", "tags")
"""Texts for people, which are no paths."""


def text_problems(settings: Mapping[str, Any], url_variable: str) -> list[str]:
    """One sentence for each key, with its remedy; a password is not quoted."""
    wrong = [
        f"{key} holds a password or a token, which would be written into files and shown. Leave it out; a MongoDB with "
        f"a login is named in the environment instead: export {url_variable}='mongodb://...'"
        for key in dict.fromkeys(secret_keys(settings, ""))
    ]
    paths = {key: value for key, value in settings.items() if key not in PROSE}
    return wrong + [
        f"{key}={text}: ~ is not expanded here; write the whole path, or $HOME{text[text.index('~') + 1 :]} in a shell"
        for key, text in _texts(paths, "")
        if _HOME.match(text)
    ]


def _texts(value: object, key: str) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield key, value
        case Mapping():
            for name, inner in value.items():
                yield from _texts(inner, f"{key}.{name}" if key else str(name))
        case Sequence():
            for inner in value:
                yield from _texts(inner, key)
