"""The cameras that pictures are drawn with: one pinhole each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from apu_losses.viz.mesh import FloatArray

if TYPE_CHECKING:
    from apu_contacts.camera import Camera
    from apu_losses.camera import PinholeCamera

    AnyCamera = PinholeCamera | Camera


def camera_numbers(camera: AnyCamera) -> tuple[FloatArray, FloatArray]:
    """Focal lengths ``(2,)`` and principal point ``(2,)`` of one camera, pixels.

    Raises:
        ValueError: the camera object holds more than one camera.
    """
    focal = _numbers(camera.focal).reshape(-1)
    center = _numbers(camera.center).reshape(-1, 2)
    if len(focal) != 1 or len(center) != 1:
        raise ValueError(f"camera must be one camera, got {len(focal)}: draw each image by itself")
    return np.repeat(focal, 2), center[0]


def _numbers(value: object) -> FloatArray:
    return np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value, dtype=np.float64)
