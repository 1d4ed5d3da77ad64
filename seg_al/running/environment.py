"""The environment of a run: commit, versions, machine."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "seg_al", "torch", "numpy", "scipy", "scikit-image", "scikit-learn", "albumentations", "torchmetrics",
    "lightning-fabric", "hydra-core", "sacred", "pandas",
)  # fmt: skip


def environment() -> dict[str, str | dict[str, str]]:
    """Plain values for the record; "unknown" where one cannot be found out."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": _git("status", "--porcelain", "--untracked-files=no") or "none",
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def code_digest() -> str:
    """A hash of the package's source, so that results of one version are not used by another."""
    root = Path(__file__).parent.parent
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted((*root.rglob("*.py"), *root.rglob("*.c"))):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _git(*arguments: str) -> str:
    root = Path(__file__).parent.parent.parent
    try:
        found = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() if found.returncode == 0 else "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
