"""Arrays that are made once per image and read from a file ever after, whatever runs share the folder."""

from __future__ import annotations

import json
import logging
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from seg_al.core import ByteImage
from seg_al.whole_files import write_whole

log = logging.getLogger(__name__)

DAMAGED = (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""What reading a file that is not a whole .npz archive may raise."""
UNSAFE = re.compile(r"[^\w.-]")
"""Characters of an image's name that its file's name does not take over."""


@dataclass(frozen=True)
class KeptArrays:
    """One file per image and way of making; several processes may share the folder."""

    folder: Path
    key: str
    """Of the config, that names the folder, for errors."""
    what: str
    """In messages, such as "superpixels"."""

    def check(self) -> None:
        """Raises ValueError for a folder that cannot be written."""
        whole = self.folder.absolute()
        nearest = next(above for above in (whole, *whole.parents) if above.exists())
        if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
            raise ValueError(self._unwritable(f"{nearest} is not a folder that may be written"))

    def __call__(
        self, name: str, made_by: Mapping[str, Any], image: ByteImage, make: Callable[[], npt.NDArray[Any]]
    ) -> npt.NDArray[Any]:
        """The array of an image [H, W, 3] that `made_by` describes: from its file if that is whole and of this image.

        Raises ValueError where no file can be written.
        """
        described = {"image": name, "size": [*image.shape[:2]], **made_by}
        origin = json.dumps({**described, "pixels": blake2b(image.tobytes(), digest_size=16).hexdigest()})
        way = blake2b(json.dumps(described).encode(), digest_size=6).hexdigest()
        path = self.folder / f"{UNSAFE.sub('_', name)}-{way}.npz"
        array = self._read(path, origin)
        if array is None:
            array = make()
            self._keep(path, array, origin)
        return array

    def _read(self, path: Path, origin: str) -> npt.NDArray[Any] | None:
        if not path.exists():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                found, array = str(archive["origin"]), archive["ids"]
        except DAMAGED as error:
            log.warning("the %s in %s are damaged (%s) and made again", self.what, path, error)
            return None
        if found != origin:
            log.warning(
                "the %s in %s are of another image or other parameters and made again; if datasets share names, give "
                "each a %s of its own", self.what, path, self.key,
            )  # fmt: skip
            return None
        return array  # type: ignore[no-any-return]

    def _keep(self, path: Path, array: npt.NDArray[Any], origin: str) -> None:
        own = path.with_name(f".{path.stem}.{uuid4().hex}.npz")  # two processes may make the same file at once
        try:
            write_whole(own, lambda partial: np.savez_compressed(partial, ids=array, origin=np.array(origin)))
            own.replace(path)
        except OSError as error:
            raise ValueError(self._unwritable(str(error))) from error

    def _unwritable(self, why: str) -> str:
        return f"{self.key}={self.folder} cannot keep {self.what}: {why}; choose another folder"
