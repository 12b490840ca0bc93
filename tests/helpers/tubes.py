"""A tube that runs into itself or is bent, whose overlap is known."""

from __future__ import annotations

import numpy as np
import torch

RADIUS, RINGS, SIDES = 0.04, 81, 20
LENGTH = np.linspace(0, 1.2, RINGS)  # metres along the axis of the tube


def tube(axis: np.ndarray) -> torch.Tensor:
    """A tube round an axis ``(RINGS, 3)`` in the plane z = 0, with a tip at either end: (1, V, 3)."""
    along = np.gradient(axis, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0], 0 * along[:, 0]], 1)
    angle = np.arange(SIDES) * 2 * np.pi / SIDES
    ring = axis[:, None] + RADIUS * (
        np.cos(angle)[None, :, None] * across[:, None]
        + np.sin(angle)[None, :, None] * np.array([0, 0, 1.0])[None, None]
    )
    tips = axis[[0, -1]] + np.array([[-0.02], [0.02]]) * along[[0, -1]]
    return torch.as_tensor(np.concatenate([ring.reshape(-1, 3), tips]))[None]


def tube_faces() -> torch.Tensor:
    place = np.arange(RINGS * SIDES).reshape(RINGS, SIDES)
    a, b = place[:-1].ravel(), np.roll(place, -1, 1)[:-1].ravel()
    c, d = place[1:].ravel(), np.roll(place, -1, 1)[1:].ravel()
    first, last = place[0], place[-1]
    start = np.stack([np.full(SIDES, RINGS * SIDES), np.roll(first, -1), first], 1)
    end = np.stack([np.full(SIDES, RINGS * SIDES + 1), last, np.roll(last, -1)], 1)
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1), start, end])
    return torch.as_tensor(faces)


def spiral(rise: float) -> np.ndarray:
    """1.2 m round a circle of 0.15 m radius, which widens by ``rise`` a turn."""
    turn = LENGTH / 0.15
    radius = 0.15 + rise * turn / (2 * np.pi)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), 0 * turn], 1)


def elbow(degrees: float) -> np.ndarray:
    """A straight axis that is bent within 6 cm of its middle."""
    turned = np.radians(degrees) * np.clip((LENGTH - 0.57) / 0.06, 0, 1)
    step = np.stack([np.cos(turned), np.sin(turned), 0 * turned], 1) * (LENGTH[1] - LENGTH[0])
    return np.cumsum(step, 0)
