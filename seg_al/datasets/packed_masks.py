"""Keeps the boolean masks that were used last, in little memory."""

from __future__ import annotations

import zlib
from collections import OrderedDict

import numpy as np

from seg_al.core import PixelSet


class PackedMasks:
    """Masks by name as compressed bits, at most `limit` bytes of them."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held: OrderedDict[str, tuple[tuple[int, ...], bytes]] = OrderedDict()
        self._bytes = 0

    def get(self, name: str) -> PixelSet | None:
        """A new array, or None where the mask is not held."""
        if name not in self._held:
            return None
        self._held.move_to_end(name)
        shape, packed = self._held[name]
        bits = np.frombuffer(zlib.decompress(packed), dtype=np.uint8)
        return np.unpackbits(bits, count=int(np.prod(shape))).view(np.bool_).reshape(shape)

    def put(self, name: str, mask: PixelSet) -> None:
        """Adds a mask that is not held yet."""
        packed = zlib.compress(np.packbits(mask).tobytes(), level=1)
        self._held[name] = (mask.shape, packed)
        self._bytes += len(packed)
        while self._bytes > self.limit:
            self._bytes -= len(self._held.popitem(last=False)[1][1])
