"""The asset file: SMPL-X's keys, rounded so that they compress, in a zip whose bytes depend on nothing but
them.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

STEP = 2.0**-17  # metres, 8 micrometres: coordinates and shape directions
POSE_STEP = 2.0**-15  # metres: pose correctives
WEIGHT_STEP = 2.0**-11
REGRESSOR_STEP = 2.0**-18


def rounded(values: np.ndarray, step: float) -> np.ndarray:
    """float32 on a grid of a power of two, whose zero low bits compress."""
    return (np.round(values / step) * step).astype(np.float32)


def rounded_rows(rows: np.ndarray, step: float) -> np.ndarray:
    """Rows that sum to exactly one on the grid; the largest entry takes up the rounding."""
    out = np.round(rows / step).astype(np.int64)
    out[np.arange(len(out)), out.argmax(1)] += round(1 / step) - out.sum(1)
    return (out * step).astype(np.float32)


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Return an npz with fixed time stamps and order, without pickled objects, deflated as far as zlib
    goes.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, buffer.getvalue())
