"""Names of body parameters, and which joints a pose turns: terms made for SMPL-X find them on any body."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from apu_losses.bodies.protocol import BodyModel
from apu_losses.functional.pose_prior import BODY_JOINTS

HAND_POSES = ("left_hand_pose", "right_hand_pose")
"""The parameters of which only hand keypoints tell."""

BODY_PARAMETERS = frozenset(
    {"global_orient", "body_pose", "betas", "age", "transl", "phenotypes", "expression"}
    | {"jaw_pose", "leye_pose", "reye_pose", *HAND_POSES}
)
"""The parameters that some body has: a preset may name them for a body that lacks them."""

SHAPES = ("betas", "phenotypes")
"""Names of the parameter that holds a body's shape: that of the SMPL family, and Anny's."""


def pose_joints(body: BodyModel) -> tuple[str, ...]:
    """Names of the joints that ``body_pose`` turns, three values each; none for a body without it.

    A body says so itself as ``body_pose_joints``; of one that does not, they are taken to be the joints after
    the root.
    """
    spec = body.parameter_specs.get("body_pose")
    if spec is None:
        return ()
    named: tuple[str, ...] = getattr(body, "body_pose_joints", body.joint_names[1 : 1 + spec.size // 3])
    if 3 * len(named) != spec.size:
        raise ValueError(
            f"the body {body.name!r} has a body_pose of {spec.size} values and names {len(named)} joints for "
            "it; give it an attribute body_pose_joints with one name for each three values"
        )
    return tuple(named)


def smplx_pose(body: BodyModel, params: Mapping[str, Tensor]) -> Tensor | None:
    """``(N, 63)`` the pose of SMPL-X's 21 body joints in their order; None for a body without them.

    SMPL's 69 values begin with them; Anny's bones are others; a posed mesh has no pose.
    """
    names = pose_joints(body)
    if names == BODY_JOINTS:
        return params["body_pose"]
    if not set(BODY_JOINTS) <= set(names):
        return None
    columns = [3 * names.index(name) + axis for name in BODY_JOINTS for axis in range(3)]
    return params["body_pose"][:, columns]


def shape_parameter(body: BodyModel) -> str | None:
    """Name of the parameter that holds the shape, or None for a body that has none."""
    return next((name for name in SHAPES if name in body.parameter_specs), None)
