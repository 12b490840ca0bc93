"""How a synthetic scene is photographed: a picture's size, a pinhole camera, where it stands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from apu_contacts.camera import Camera
from apu_losses.synthetic.observation_noise import ObservationNoise

Array = NDArray[np.float64]

PICTURE_SIZES: tuple[tuple[int, int], ...] = ((500, 332), (500, 493), (640, 480), (480, 640), (1280, 720))
"""Pixels, width and height: the real photographs' sizes and those of common pictures."""

_Y_UP = np.diag([1.0, -1.0, -1.0])
"""From the world (+Y up) to a camera that looks along -Z of it (+Y down, +Z forward)."""


@dataclass(frozen=True)
class View:
    """A camera in a scene.

    Args:
        width, height: of the picture, pixels.
        camera: focal length and centre, pixels.
        rotation: ``(3, 3)``, translation: ``(3,)``: world to camera frame.
    """

    width: int
    height: int
    camera: Camera
    rotation: Array
    translation: Array

    def to_camera(self, points: NDArray[np.floating]) -> Array:
        """``(..., 3)`` world points in the camera frame, metres."""
        moved: Array = np.asarray(points, dtype=np.float64) @ self.rotation.T + self.translation
        return moved

    @property
    def fov(self) -> float:
        """Field of view over the longer side, degrees."""
        return float(np.degrees(2 * np.arctan(max(self.width, self.height) / (2 * self.camera.focal))))


def draw_view(vertices: NDArray[np.floating], noise: ObservationNoise, rng: np.random.Generator) -> View:
    """Return a camera that sees two people whole, or without their legs.

    They take 60 to 95 percent of the picture in the direction that binds; the camera may stand anywhere
    around them.

    Args:
        vertices: ``(2, V, 3)`` world frame.
        noise: which fields of view, pitches and cuts there are.
        rng: draws always the same count of numbers, whatever the dials.
    """
    azimuth, fov_share, fill, cut, cut_amount, side = rng.random(6)
    width, height = PICTURE_SIZES[int(rng.integers(len(PICTURE_SIZES)))]
    tilt = 0.05 + noise.pitch * float(rng.standard_normal())
    fov = noise.fov_low + (noise.fov_high - noise.fov_low) * fov_share
    camera = Camera.from_image_size(width, height, float(fov))
    turn = Rotation.from_rotvec([tilt, 0, 0]).as_matrix() @ _Y_UP
    turn = turn @ Rotation.from_rotvec([0, -2 * np.pi * azimuth, 0]).as_matrix()
    points = vertices.reshape(-1, 3).astype(np.float64) @ turn.T
    low, high = points.min(0), points.max(0)
    extent, middle = high - low, (high + low) / 2
    share = 0.6 + 0.35 * fill
    if cut < noise.cut_off:
        # the upper 55 to 80 percent of the people fill the picture
        kept = 0.55 + 0.25 * cut_amount
        middle[1] = low[1] + kept * extent[1] / 2
        extent[1] *= kept
    depth = max(extent[0] / width, extent[1] / height) * camera.focal / share + extent[2] / 2
    room = (1 - share) * np.array([width, 0.0]) / 2 * (2 * side - 1)
    shift = np.array([room[0] * depth / camera.focal, 0.0, depth])
    return View(width, height, camera, turn, shift - middle)
