"""The pages as the tests read them: README.md and docs/*.md, and the commands in their blocks marked bash."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from experiments import ROOT

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^ *```bash\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
REMARK = re.compile(r"\s{2,}# .*$")


@dataclass(frozen=True)
class Command:
    """One line of a block, without the remark behind it."""

    page: Path
    text: str

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(shlex.split(self.text))

    def __str__(self) -> str:
        return f"{self.page.stem}: {self.text}"


def commands(beginning: str = "") -> list[Command]:
    """Every command of every page that begins like this; one that stands twice counts once."""
    found = [
        Command(page, REMARK.sub("", line).strip())
        for page in PAGES
        for block in BLOCK.findall(page.read_text())
        for line in block.splitlines()
        if line.strip() and not line.startswith("#")
    ]
    unique = {command.text: command for command in found if command.text.startswith(beginning)}
    return list(unique.values())
