"""A picture's perceptual hash: copies that were scaled or re-encoded have nearly the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apu_contacts.images import read_picture

SIDE, KEPT = 32, 8
NEAR = 6
"""Bits of 64 in which copies may differ. JPEG at quality 30 and half the size change up to 4 bits of the
rendered scenes of tests/dataset; unrelated pictures differ in 20 and more."""


def picture_hash(path: str | Path) -> str:
    """Return 16 hexadecimal digits of a picture: the signs of its lowest frequencies.

    Raises:
        PictureError: it cannot be read.
        OSError: likewise.
    """
    return hash_of(read_picture(path))


def hash_of(pixels: NDArray[np.uint8]) -> str:
    """Return the same of ``(H, W, 3)`` pixels."""
    from PIL import Image
    from scipy.fft import dctn

    gray = Image.fromarray(pixels).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    low = dctn(np.asarray(gray, dtype=np.float64), norm="ortho")[:KEPT, :KEPT].ravel()
    # a flat picture's frequencies are rounding: they are taken for none
    low = np.where(np.abs(low) < 1e-6, 0.0, low)
    bits = low > np.median(low[1:])
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def distance(one: str, other: str) -> int:
    """Return in how many of 64 bits two hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def duplicates(hashes: Mapping[str, str], near: int = NEAR) -> dict[str, str]:
    """Return picture -> the first one, by name, that it is a copy of.

    Hashes of nearly equal pictures share one of ``near + 1`` pieces of bits, so only those are compared.

    Args:
        hashes: name of a picture -> its hash.
        near: bits that may differ, 0 to 15.

    Example:
        >>> duplicates({"a": "00000000000000ff", "b": "00000000000000fe", "c": "ffffffff00000000"})
        {'b': 'a'}
    """
    if not 0 <= near <= 15:
        raise ValueError(f"near must lie in 0 to 15 bits of 64, got {near}")
    pieces = np.array_split(np.arange(64), near + 1)
    masks = [sum(1 << int(bit) for bit in piece) for piece in pieces]
    buckets: dict[tuple[int, int], list[str]] = {}
    found: dict[str, str] = {}
    for name in sorted(hashes):
        value = int(hashes[name], 16)
        keys = [(number, value & mask) for number, mask in enumerate(masks)]
        same = {other for key in keys for other in buckets.get(key, ())}
        near_ones = sorted(o for o in same if (int(hashes[o], 16) ^ value).bit_count() <= near)
        if near_ones:
            found[name] = near_ones[0]
            continue
        for key in keys:
            buckets.setdefault(key, []).append(name)
    return found
