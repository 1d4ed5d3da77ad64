"""Finds passwords and tokens in texts, to refuse them in a config and to hide them in messages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

_LOGIN = re.compile(r"(?i)(\w+(?:\+\w+)?://)(?:[^\s@]*:\S*@|(?<=http://)[^\s/@]+@|(?<=https://)[^\s/@]+@)")
"""User and password, or a token alone, before the host of a URL."""
_OPTION = re.compile(
    r"(?i)((?:^|(?<=[^a-z]))[a-z]*"
    r"(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|authMechanismProperties)=)"
    r"[^&;\s]+"
)
"""name=value, as in the options of a URL."""
_TOLD = re.compile(
    r"(?i)((?:passphrase|password|passwd|pwd|secret|api[ _-]?key|access[ _-]?key)[\"']?"
    r"(?:\s*:\s*|\s*=\s+|\s+=\s*)[\"']?)"
    r"[^&;\s*]\S*"
)
"""name: value or name = value, as people write it into notes."""


def holds_secret(text: str) -> bool:
    return any(kind.search(text) for kind in (_LOGIN, _OPTION, _TOLD))


def without_secrets(text: str) -> str:
    """The text without the passwords and tokens in it."""
    return _TOLD.sub(r"\1***", _OPTION.sub(r"\1***", _LOGIN.sub(r"\1***@", text)))


def secret_keys(value: object, key: str) -> Iterator[str]:
    """The keys of the config below `key` whose name or text holds a password or a token."""
    match value:
        case str():
            if holds_secret(value):
                yield key
        case Mapping():
            for name, inner in value.items():
                inner_key = f"{key}.{name}" if key else str(name)
                if holds_secret(str(name)):
                    yield without_secrets(inner_key)
                else:
                    yield from secret_keys(inner, inner_key)
        case Sequence():
            for inner in value:
                yield from secret_keys(inner, key)
