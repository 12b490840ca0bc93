"""The coordinates of the segmentation rules: a folded body, measured as if it were a reference body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apu_contacts.keypoints.joints import SMPLX as SMPLX_JOINT_NAMES
from apu_contacts.regions.segment.mesh import Floats

# Heights of landmarks of the reference body that the cuts were measured on, in fractions of stature.
REFERENCE_HEIGHTS = {
    "sole": 0.0,
    "ankle": 0.046,
    "knee": 0.277,
    "crotch": 0.476,
    "shoulder": 0.790,
    "crown": 1.0,
}
REFERENCE_SHOULDER_X = 0.089


@dataclass(frozen=True)
class Frame:
    """A T-posed body folded onto its left half, x = abs(x), in fractions of stature with the sole at y = 0.

    Args:
        points: ``(V, 3)`` folded vertices.
        normals: ``(V, 3)`` folded unit normals.
        height: ``(V,)`` height of the same place on the reference body, by interpolation between landmarks.
        across: ``(V,)`` distance from the midline as on the reference body, scaled by the shoulders' width.
        joints: folded position ``(3,)`` of each joint, by its name without the side.
        share: ``(V,)`` skinning weight of each joint, the two sides added, by the same names.
    """

    points: Floats
    normals: Floats
    height: Floats
    across: Floats
    joints: dict[str, Floats]
    share: dict[str, Floats]

    def weight(self, *names: str) -> Floats:
        """``(V,)`` summed skinning weight of several joints."""
        total: Floats = np.sum([self.share[name] for name in names], axis=0)
        return total


def fold(
    vertices: Floats,
    normals: Floats,
    weights: Floats,
    joints: Floats,
    joint_names: Sequence[str],
    midline: float,
) -> Frame:
    """Build the `Frame` of a template.

    Args:
        vertices: ``(V, 3)`` T-pose, y up, facing +z, left = +x, metres or any unit.
        normals: ``(V, 3)`` outward.
        weights: ``(V, J)`` skinning weights.
        joints: ``(J, 3)``.
        joint_names: names in the order of ``joints``, as in `SMPLX_JOINT_NAMES`.
        midline: x of the plane of symmetry.

    Raises:
        ValueError: if the landmarks do not come in a T-posed body's order.
    """
    low, high = vertices[:, 1].min(), vertices[:, 1].max()
    stature = high - low
    flip = np.where(vertices[:, :1] < midline, -1.0, 1.0) * [1, 0, 0] + [0, 1, 1]
    points = (vertices - [midline, low, 0]) / stature * flip
    at, share = _fold_joints((joints - [midline, low, 0]) / stature, weights, joint_names)
    _check_pose(at)
    heights = _landmark_heights(points, at)
    names = list(REFERENCE_HEIGHTS)
    template = np.array([heights[name] for name in names])
    if (np.diff(template) <= 0).any():
        listed = ", ".join(f"{name} {value:.3f}" for name, value in zip(names, template, strict=True))
        raise ValueError(
            f"vertices: landmarks must rise from sole to crown, got {listed} (fractions of stature)"
        )
    return Frame(
        points=points,
        normals=normals * flip,
        height=np.interp(points[:, 1], template, [REFERENCE_HEIGHTS[name] for name in names]),
        across=points[:, 0] * REFERENCE_SHOULDER_X / at["shoulder"][0],
        joints=at,
        share=share,
    )


def _fold_joints(
    joints: Floats, weights: Floats, joint_names: Sequence[str]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    at: dict[str, list[Floats]] = {}
    share: dict[str, list[Floats]] = {}
    for index, name in enumerate(joint_names):
        key = name.removeprefix("left_").removeprefix("right_")
        sign = -1.0 if name.startswith("right_") else 1.0
        at.setdefault(key, []).append(joints[index] * [sign, 1, 1])
        share.setdefault(key, []).append(weights[:, index])
    missing = {
        n.removeprefix("left_").removeprefix("right_") for n in SMPLX_JOINT_NAMES if "eye" not in n
    } - set(at)
    if missing:
        raise ValueError(f"joint_names must hold SMPL-X's joints, missing {sorted(missing)}")
    return (
        {key: np.mean(rows, axis=0) for key, rows in at.items()},
        {key: np.sum(rows, axis=0) for key, rows in share.items()},
    )


def _check_pose(at: dict[str, Floats]) -> None:
    arm = at["wrist"] - at["shoulder"]
    if abs(arm[0]) < 0.85 * np.linalg.norm(arm) or arm[0] < 0:
        raise ValueError(
            "vertices must stand in T-pose with y up, facing +z and the left side at +x; "
            "the arms do not point sideways"
        )
    leg = at["hip"] - at["ankle"]
    if leg[1] < 0.85 * np.linalg.norm(leg):
        raise ValueError("vertices must stand upright with y up; the legs do not point down")
    if at["foot"][2] < at["ankle"][2]:
        raise ValueError("vertices must face +z; the toes lie behind the ankles")


def _landmark_heights(points: Floats, at: dict[str, Floats]) -> dict[str, float]:
    # The crotch is the lowest point of the trunk at the midline.
    middle = (points[:, 0] < 0.008) & (points[:, 1] > 0.5 * (at["knee"][1] + at["hip"][1]))
    return {
        "sole": 0.0,
        "ankle": float(at["ankle"][1]),
        "knee": float(at["knee"][1]),
        "crotch": float(points[middle, 1].min()) if middle.any() else float(at["hip"][1]) - 0.045,
        "shoulder": float(at["shoulder"][1]),
        "crown": 1.0,
    }


def sweep(
    along: Floats, mask: NDArray[np.bool_], low: float, high: float, half_width: float, steps: int = 60
) -> tuple[Floats, list[NDArray[np.bool_]]]:
    """Overlapping slices of a limb: their centres, and the vertices within ``half_width`` of each."""
    centres = np.linspace(low, high, steps)
    return centres, [mask & (np.abs(along - centre) <= half_width) for centre in centres]


def profile(centres: Floats, values: list[float]) -> tuple[Floats, Floats]:
    """Return a smooth curve through the slices that have a value (others are NaN), for ``np.interp``."""
    y = np.asarray(values, dtype=np.float64)
    known = np.isfinite(y)
    if not known.any():
        raise ValueError("weights leave a limb without vertices; are they skinning weights of these joints?")
    y = np.interp(centres, centres[known], y[known])
    padded = np.pad(y, 4, mode="edge")
    return centres, np.convolve(padded, np.ones(9) / 9, mode="valid")
