"""Shows pictures of experiments/ in the pages, without a copy of them in docs/.

A page names ../experiments/STUDY/NAME.png, which a browser of the repository shows; here it becomes a file of the site.
"""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
OUTSIDE = "../experiments/"
INSIDE = "experiments/"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pictures of studies to the files of the site."""
    for path in sorted((ROOT / INSIDE).rglob("*.png")):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Names the pictures by their place in the site."""
    return markdown.replace(f"]({OUTSIDE}", f"]({INSIDE}")
