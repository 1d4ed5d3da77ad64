"""Times how long it takes to find, pair and check a folder of many small images, in processor seconds.

python scripts/benchmark_folder.py --files 80000 --masks "*/masks/{name}.*"
"""

from __future__ import annotations

import argparse
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
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "mine"
        _write(root, options.files // 2)
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
            print(f"{what}: {time.process_time() - start:.1f} s, {len(data.frames):,} images")
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


if __name__ == "__main__":
    sys.exit(main())
