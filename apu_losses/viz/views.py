"""Cameras that walk around people: the side and the top of what a photograph shows from the front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from apu_losses.camera import PinholeCamera
from apu_losses.viz.mesh import FloatArray, Mesh

VIEWS: dict[str, tuple[float, float]] = {
    "front": (0.0, 0.0),
    "left": (90.0, 0.0),
    "right": (-90.0, 0.0),
    "back": (180.0, 0.0),
    "top": (0.0, 90.0),
}
"""Named views as (yaw, pitch) in degrees, see `orbit`."""


def orbit(
    meshes: Sequence[Mesh],
    yaw: float,
    pitch: float,
    size: tuple[int, int],
    *,
    margin: float = 0.06,
    field_of_view: float = 30.0,
) -> tuple[list[Mesh], PinholeCamera]:
    """Turn meshes around the centre of their bounding box and place a camera that sees all of them.

    Args:
        meshes: in the OpenCV camera frame; the upright direction is taken as -Y.
        yaw: degrees that the camera walks to the left around the people: 90 sees what lies to the left in
            the photograph, from the left.
        pitch: degrees that the camera rises: 90 looks down from above.
        size: width and height of the picture in pixels.
        margin: share of the picture left free on each side.
        field_of_view: degrees, of the longer side of the picture.

    Returns:
        The turned meshes, and the camera to draw them with.

    Raises:
        ValueError: no meshes, or ones without vertices.
    """
    if not meshes or not sum(len(mesh.vertices) for mesh in meshes):
        raise ValueError("meshes is empty: there is nothing to look at")
    points = np.concatenate([mesh.vertices for mesh in meshes])
    view = View.around(points, yaw, pitch, size, margin=margin, field_of_view=field_of_view)
    return [mesh.moved(view.turned(mesh.vertices)) for mesh in meshes], view.camera


@dataclass(frozen=True)
class View:
    """A camera beside people, and how points of the photograph's camera frame are turned before it.

    Attributes:
        center: ``(3,)`` what it looks at, metres.
        rotation: ``(3, 3)``
        distance: of the camera from there, metres.
        camera: draws the turned points.
    """

    center: FloatArray
    rotation: FloatArray
    distance: float
    camera: PinholeCamera

    @classmethod
    def around(
        cls,
        points: FloatArray,
        yaw: float,
        pitch: float,
        size: tuple[int, int],
        *,
        margin: float = 0.06,
        field_of_view: float = 30.0,
    ) -> View:
        """Return the view of `orbit` that sees all of some points ``(P, 3)``, whatever is drawn in it
        later.
        """
        width, height = size
        center = (points.min(0) + points.max(0)) / 2
        rotation = _rotation(yaw, pitch)
        turned = (points - center) @ rotation.T
        focal = max(width, height) / (2 * np.tan(np.radians(field_of_view) / 2))
        # the farthest that each point forces the camera back, so that it projects inside the margin
        half = np.array([width, height]) * (0.5 - margin)
        distance = float((np.abs(turned[:, :2]) * focal / half - turned[:, 2:]).max())
        camera = PinholeCamera(
            torch.tensor([focal], dtype=torch.float64, device="cpu"),
            torch.tensor([[width / 2, height / 2]], dtype=torch.float64, device="cpu"),
        )
        return cls(center, rotation, max(distance, 0.1), camera)

    def turned(self, points: FloatArray) -> FloatArray:
        """Points ``(..., 3)`` in the frame of the view's camera."""
        turned: FloatArray = (points - self.center) @ self.rotation.T + np.array([0.0, 0.0, self.distance])
        return turned


def _rotation(yaw: float, pitch: float) -> FloatArray:
    """Rotation ``(3, 3)`` of the world under a camera that walks left by ``yaw``, up by ``pitch`` degrees."""
    y, p = np.radians(yaw), np.radians(pitch)
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    rotation: FloatArray = about_x @ about_y
    return rotation
