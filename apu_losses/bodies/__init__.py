"""Parametric bodies: the protocol, linear blend skinning, files of the SMPL family, the free body."""

from __future__ import annotations

from apu_losses.bodies.anny_adapter import AnnyBody
from apu_losses.bodies.body_file import BodyFileError
from apu_losses.bodies.hands import flat_hand_pose, hand_parameter
from apu_losses.bodies.keypoints import Landmarks
from apu_losses.bodies.load import find_body_file, load_body
from apu_losses.bodies.placement import explain_offset, transl_of_origin_rotation
from apu_losses.bodies.posed_mesh import PosedMeshBody
from apu_losses.bodies.protocol import BodyModel, ParameterSpec, PosedBody
from apu_losses.bodies.skinning import BodyData, HandSpace, LinearBlendBody, LinearBlendPose
from apu_losses.bodies.smplx_adapter import from_smplx
from apu_losses.bodies.smplx_format import read_body_file
from apu_losses.numerics.rotations import rotation_matrix

__all__ = [
    "AnnyBody",
    "BodyData",
    "BodyFileError",
    "BodyModel",
    "HandSpace",
    "Landmarks",
    "LinearBlendBody",
    "LinearBlendPose",
    "ParameterSpec",
    "PosedBody",
    "PosedMeshBody",
    "explain_offset",
    "find_body_file",
    "flat_hand_pose",
    "from_smplx",
    "hand_parameter",
    "load_body",
    "read_body_file",
    "rotation_matrix",
    "transl_of_origin_rotation",
]
