"""The body of the true people: the free body with shape directions that the fitter's body does not have."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from apu_losses.bodies import LinearBlendBody, load_body
from apu_losses.bodies.skinning import BodyData

FloatArray = NDArray[np.floating[Any]]

EXTRA_SHAPE_NAMES = (
    "thigh girth",
    "calf girth",
    "upper arm girth",
    "neck girth",
    "belly",
    "shoulder breadth",
    "leg length",
    "forearm length",
)
"""What the extra directions change, roughly: what the free body can do itself has been taken out of them."""

_LARGEST = 0.015
"""Metres: the largest displacement of a vertex by a coefficient of one."""


def load_truth_body(dtype: torch.dtype = torch.float32) -> LinearBlendBody:
    """Return the free body with its ten shape coefficients, followed by those of `EXTRA_SHAPE_NAMES`.

    Topology, joints, skinning and pose correctives are the free body's; ``betas`` has 18 values.
    """
    data = load_body("free").data
    extra = extra_shape_directions()
    return LinearBlendBody(
        replace(data, shapedirs=np.concatenate([data.shapedirs, extra], 2), defaults={}), dtype=dtype
    )


@lru_cache(1)
def extra_shape_directions() -> FloatArray:
    """``(V, 3, 8)`` smooth, mirror-symmetric offsets, orthogonal to the free body's shape and age.

    Each is written down from anatomy (a limb along its normals, a length along its bone), then everything
    that the ten shape directions and the age can express is projected out, in the least-squares sense over
    all vertices: a fit with the free body cannot follow. A coefficient of one moves no vertex by more than
    15 mm.
    """
    data = load_body("free").data
    raw = np.stack(_anatomical_fields(data), 2)
    known = data.shapedirs
    if data.age_direction is not None:
        known = np.concatenate([known, data.age_direction[:, :, None]], 2)
    basis, _ = np.linalg.qr(known.reshape(-1, known.shape[2]).astype(np.float64))
    flat = raw.reshape(-1, raw.shape[2])
    for _ in range(2):  # twice: the second takes out what rounding left
        flat = flat - basis @ (basis.T @ flat)
    fields = flat.reshape(raw.shape)
    directions: FloatArray = fields * (_LARGEST / np.linalg.norm(fields, axis=1).max(0))
    return directions


def _anatomical_fields(data: BodyData) -> list[FloatArray]:
    vertices = data.v_template.astype(np.float64)
    normals = template_normals(data)
    joints = data.joint_regressor @ vertices
    at = {name: joints[i] for i, name in enumerate(data.joint_names)}
    weight = {name: data.weights[:, i] for i, name in enumerate(data.joint_names)}
    x, y = np.abs(vertices[:, 0]), vertices[:, 1]
    side = np.sign(vertices[:, 0])

    def girth(*names: str) -> FloatArray:
        field: FloatArray = normals * np.sum([weight[name] for name in names], 0)[:, None]
        return field

    def along(axis: int, amount: FloatArray) -> FloatArray:
        return np.eye(3)[axis] * amount[:, None]

    belly = np.exp(-0.5 * np.square((vertices - at["spine1"] - [0, 0, 0.16]) / [0.11, 0.10, 0.10]).sum(1))
    arm = side * _ramp(x, 0.04, at["left_shoulder"][0]) * _ramp(y, at["spine2"][1], at["left_collar"][1])
    leg = -_ramp(-y, -at["left_hip"][1], -at["left_ankle"][1])
    forearm = side * _ramp(x, at["left_elbow"][0], at["left_wrist"][0])
    return [
        girth("left_hip", "right_hip"),
        girth("left_knee", "right_knee"),
        girth("left_shoulder", "right_shoulder"),
        girth("neck"),
        along(2, belly),
        along(0, arm),
        along(1, leg),
        along(0, forearm),
    ]


def _ramp(values: FloatArray, start: float, end: float) -> FloatArray:
    """0 before ``start``, 1 after ``end``, smooth in between."""
    t = np.clip((values - start) / (end - start), 0, 1)
    ramp: FloatArray = t * t * (3 - 2 * t)
    return ramp


def template_normals(data: BodyData) -> FloatArray:
    """``(V, 3)`` unit vertex normals of the template."""
    return vertex_normals(data.v_template.astype(np.float64), data.faces)


def vertex_normals(vertices: FloatArray, faces: NDArray[np.integer]) -> FloatArray:
    """``(V, 3)`` unit vertex normals: the mean over the faces around a vertex, weighted by area."""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.stack(
        [np.bincount(faces.ravel(), np.repeat(cross[:, k], 3), minlength=len(vertices)) for k in range(3)], 1
    )
    unit: FloatArray = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return unit
