"""Where a body stands: other tools' conventions turned into ours, and the likely mistake named."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from apu_losses.bodies.protocol import BodyModel
from apu_losses.numerics.ordered import ordered_matmul
from apu_losses.numerics.rotations import rotation_matrix

_AGREES = 0.03  # metres: joints of one body in the same pose agree to less than this


def transl_of_origin_rotation(body: BodyModel, params: Mapping[str, Tensor]) -> Tensor:
    """Return the ``transl`` of a body that another tool turns about the origin of its model, not about the
    pelvis.

    EasyMocap (``Rh``, ``Th``) and others place a body as ``R x + T``; SMPL-X turns it about the pelvis joint
    p of the unposed shape, ``R (x - p) + p + transl``. So ``transl = T + R p - p``.

    Args:
        body: the body.
        params: with the tool's translation T as ``transl (N, 3)`` and its rotation as ``global_orient``.

    Returns:
        ``(N, 3)``.
    """
    shape = {name: value for name, value in params.items() if name in ("betas", "age")}
    pelvis = body.pose(shape).joints[:, body.joint_names.index("pelvis")]
    turned = ordered_matmul(rotation_matrix(params["global_orient"]), pelvis[..., None])[..., 0]
    return params["transl"] + turned - pelvis


def explain_offset(
    body: BodyModel, params: Mapping[str, Tensor], joints: Tensor, names: tuple[str, ...]
) -> tuple[str, ...]:
    """Compare a body with the 3D joints that come with its parameters, and name the likely mistake.

    Args:
        body: the body.
        params: ``(N, size)`` per parameter.
        joints: ``(N, K, 3)`` the same people's joints by the tool that made the parameters.
        names: K names, of the body's joints; at least four.

    Returns:
        One line per person: empty where the joints agree to 3 cm.

    Raises:
        ValueError: on shapes or names that do not fit.
    """
    unknown = [name for name in names if name not in body.joint_names]
    if unknown or len(names) < 4 or joints.shape[1:] != (len(names), 3):
        raise ValueError(
            f"joints must have shape (N, K, 3) with at least four names of the body {body.name!r}, got "
            f"{tuple(joints.shape)}, unknown names {unknown}"
        )
    index = torch.tensor(
        [body.joint_names.index(name) for name in names], device=joints.device, dtype=torch.int64
    )
    with torch.no_grad():
        ours = body.pose(params).joints[:, index]
        moved = ours
        if {"global_orient", "transl"} <= params.keys():
            other = {**params, "transl": transl_of_origin_rotation(body, params)}
            moved = body.pose(other).joints[:, index]
        return tuple(_line(*rows) for rows in zip(ours, moved, joints.detach(), strict=True))


def _line(ours: Tensor, about_origin: Tensor, theirs: Tensor) -> str:
    def apart(a: Tensor, b: Tensor) -> float:
        return float((a - b).norm(dim=-1).mean())

    off = apart(ours, theirs)
    if off < _AGREES:
        return ""
    size = float((ours - ours.mean(0)).norm(dim=-1).mean())
    ratio = float((theirs - theirs.mean(0)).norm(dim=-1).mean()) / max(size, 1e-9)
    start = f"joints are {off:.3g} m apart: "
    for factor, unit in ((1000.0, "millimetres"), (100.0, "centimetres"), (39.37, "inches")):
        if 0.8 < ratio / factor < 1.25:
            return start + f"theirs are {ratio:.3g} times as large, are they in {unit}?"
    if apart(about_origin, theirs) < _AGREES:
        return start + (
            "they agree if the body is turned about the origin of its model instead of the pelvis; "
            "use transl_of_origin_rotation"
        )
    for axes, cause in (
        (
            (1.0, -1.0, -1.0),
            "y and z have the other sign: is one of them y up (OpenGL), the other y down (OpenCV)?",
        ),
        ((1.0, -1.0, 1.0), "y has the other sign: a mirror image, one axis flipped too few?"),
        ((-1.0, 1.0, 1.0), "x has the other sign: a mirror image, or left and right exchanged?"),
    ):
        if apart(ours * ours.new_tensor(axes), theirs) < _AGREES:
            return start + cause
    shift = (theirs - ours).mean(0)
    if apart(ours + shift, theirs) < _AGREES:
        listed = ", ".join(f"{value:.3f}" for value in shift.tolist())
        return start + (
            f"the whole body is moved by ({listed}) m: is the translation missing, the camera's, or relative "
            "to the pelvis?"
        )
    return start + "pose or shape differ: rotation matrices or another joint order given as axis-angle?"
