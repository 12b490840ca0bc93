"""Other tools' ways of placing a body, and the mistakes that they lead to."""

from __future__ import annotations

import re

import pytest
import roma
import torch

from apu_losses.bodies import load_body
from apu_losses.bodies.placement import explain_offset, transl_of_origin_rotation

NAMES = ("pelvis", "head", "left_wrist", "right_ankle", "left_knee")


def test_mistakes_are_named() -> None:
    body = load_body(dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    params = {
        name: 0.4 * torch.randn(1, body.parameter_specs[name].size, generator=generator, dtype=torch.float64)
        for name in ("body_pose", "betas", "transl", "global_orient")
    }
    params["transl"] += torch.tensor([0.0, 0.3, 3.0])
    index = [body.joint_names.index(name) for name in NAMES]
    joints = body.pose(params).joints[:, index]
    still = body.pose(
        {**params, "global_orient": torch.zeros(1, 3).double(), "transl": torch.zeros(1, 3).double()}
    )
    turn = roma.rotvec_to_rotmat(params["global_orient"])
    about_origin = still.joints[:, index] @ turn.mT + params["transl"][:, None]
    for given, said in (
        (joints, "^$"),
        (joints + 0.001, "^$"),
        (joints * 1000, "in millimetres"),
        (joints * 100, "in centimetres"),
        (about_origin, "turned about the origin"),
        (joints * torch.tensor([1.0, -1.0, -1.0]), r"y up \(OpenGL\)"),
        (joints * torch.tensor([-1.0, 1.0, 1.0]), "left and right exchanged"),
        (joints - joints[:, :1], "is the translation missing"),
        (joints.flip(1), "another joint order"),
    ):
        (line,) = explain_offset(body, params, given, NAMES)
        assert re.search(said, line), (said, line)
    moved = {**params, "transl": transl_of_origin_rotation(body, params)}
    torch.testing.assert_close(body.pose(moved).joints[:, index], about_origin)
    with pytest.raises(ValueError, match=r"unknown names \['tail'\]"):
        explain_offset(body, params, joints, (*NAMES[:4], "tail"))
