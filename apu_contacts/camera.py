"""A pinhole camera, as data: readers make it, scenes hold it, `apu_losses.camera` projects with many."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

DEFAULT_FOV = 60.0
"""Degrees over the longer side of an image whose focal length is not known: what BEV and BUDDI assume."""


@dataclass(frozen=True)
class Camera:
    """A pinhole without distortion in the OpenCV frame: +X right, +Y down, +Z forward.

    Args:
        focal: focal length in pixels of the full image; pixels are square.
        center: principal point in pixels from the top-left corner.

    Raises:
        ValueError: a focal length that is not positive and finite, or a center that is not two finite
            numbers.

    Example:
        >>> camera = Camera(800.0, (320.0, 240.0))
        >>> camera.project([0.5, 0.0, 4.0]).tolist()
        [420.0, 240.0]
    """

    focal: float
    center: tuple[float, float]

    def __post_init__(self) -> None:
        center = np.asarray(self.center, dtype=np.float64)
        if center.shape != (2,) or not np.isfinite(center).all():
            raise ValueError(f"camera.center must be two finite numbers (pixels), got {self.center}")
        if not (math.isfinite(self.focal) and self.focal > 0):
            raise ValueError(f"camera.focal must be positive and finite (pixels), got {self.focal}")
        object.__setattr__(self, "focal", float(self.focal))
        object.__setattr__(self, "center", (float(center[0]), float(center[1])))

    @classmethod
    def from_image_size(cls, width: float, height: float, fov: float = DEFAULT_FOV) -> Camera:
        """Assume a field of view of ``fov`` degrees over the longer side, and the centre in the middle.

        Raises:
            ValueError: a size that is not positive, or a field of view outside 0 to 180 degrees.

        Example:
            >>> Camera.from_image_size(640, 480, fov=90).center
            (320.0, 240.0)
        """
        if not (0 < width < math.inf and 0 < height < math.inf):
            raise ValueError(f"width and height must be positive (pixels), got {width} x {height}")
        if not 0 < fov < 180:
            raise ValueError(f"fov must lie between 0 and 180 degrees, got {fov}")
        return cls(max(width, height) / (2 * math.tan(math.radians(fov / 2))), (width / 2, height / 2))

    @classmethod
    def from_intrinsics(cls, matrix: ArrayLike) -> Camera:
        """Return the camera of a matrix ``(3, 3)`` in pixels, ``[[f, 0, cx], [0, f, cy], [0, 0, 1]]``.

        Raises:
            ValueError: another shape, or a focal length that is not positive.
        """
        values = np.asarray(matrix, dtype=np.float64)
        if values.shape != (3, 3):
            raise ValueError(f"intrinsics must have shape (3, 3), got {values.shape}")
        return cls(values[0, 0], (values[0, 2], values[1, 2]))

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """``(..., 3)`` metres to ``(..., 2)`` pixels; points must lie in front of the camera."""
        xyz = np.asarray(points, dtype=np.float64)
        pixels: NDArray[np.float64] = self.focal * xyz[..., :2] / xyz[..., 2:] + np.array(self.center)
        return pixels
