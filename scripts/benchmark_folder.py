"""Times how long it takes to find, pair and check a folder of many small images, and to open them one by one.

python scripts/benchmark_folder.py --files 80000 --masks "*/masks/{name}.*"

Processor seconds; the loop pairs by name, opens both files with Pillow, and looks at sizes and classes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from seg_al.datasets.folder import read_folder


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", default=80_000, type=int, help="images and masks together (default: %(default)s)")
    parser.add_argument("--images", default="{split}/images/{name}.*", help="default: %(default)s")
    parser.add_argument("--masks", default="*/masks/{name}.*", help="default: %(default)s")
    parser.add_argument("--short", action="store_true", help="8,000 files")
    parser.add_argument("--rows", type=Path, help="where scripts/benchmarks.py reads the figures")
    options = parser.parse_args(arguments)
    files = 8000 if options.short else options.files
    rows = []
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "mine"
        _write(root, files // 2)
        start = time.process_time()
        _open_all(root)
        loop = time.process_time() - start
        print(f"a loop that opens all: {loop:.1f} s")
        os.environ["XDG_CACHE_HOME"] = place
        for what in ("first reading", "again, with counts of the masks remembered"):
            start = time.process_time()
            data = read_folder(
                root=str(root),
                run=0,
                images=options.images,
                masks=options.masks,
                objects=None,
                coding="ids",
                classes=[["background", 0], ["foreground", 1]],
                void=[],
                background="background",
                split="list",
                train=None,
                val=0.1,
                test=0.1,
                scale=1.0,
                size=None,
            )
            seconds = time.process_time() - start
            print(f"{what}: {seconds:.1f} s, {len(data.frames):,} images")
            rows.append({
                "what": f"finding, pairing and checking {files:,} files, {what}", "ours": seconds,
                "alternative": "a loop that opens all", "theirs": loop, "ratio": loop / seconds,
                "note": "the loop checks less",
            })  # fmt: skip
    if options.rows:
        options.rows.write_text(json.dumps(rows))
    return 0


def _write(root: Path, images: int) -> None:
    """Writes the same two tiny files under many names."""
    first = {"images": np.zeros((4, 4, 3), dtype=np.uint8), "masks": np.eye(4, dtype=np.uint8)}
    for part, values in first.items():
        folder = root / "train" / part
        folder.mkdir(parents=True)
        Image.fromarray(values).save(folder / "i000000.png")
        data = (folder / "i000000.png").read_bytes()
        for number in range(1, images):
            (folder / f"i{number:06}.png").write_bytes(data)


def _open_all(root: Path) -> None:
    """The same checks by the shortest loop: pairs by name, equal sizes, class ids."""
    masks = {path.stem: path for path in root.glob("*/masks/*.*")}
    for path in sorted(root.glob("*/images/*.*")):
        with Image.open(path) as image, Image.open(masks[path.stem]) as mask:
            if image.size != mask.size or not set(np.unique(np.asarray(mask))) <= {0, 1}:
                sys.exit(f"{path} and its mask do not fit")


if __name__ == "__main__":
    sys.exit(main())
