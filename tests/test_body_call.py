"""A body is called by smplx's keyword names, and what it needs has a name that no module has."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from apu_losses.bodies import BodyModel, PosedMeshBody, load_body

BODY = load_body("free", dtype=torch.float64)


def test_keywords_pose_as_the_mapping_does():
    generator = torch.Generator().manual_seed(0)
    params = {
        name: 0.2 * torch.rand(2, BODY.parameter_specs[name].size, generator=generator, dtype=torch.float64)
        for name in ("global_orient", "body_pose", "betas", "transl")
    }
    posed = BODY(**params)
    assert torch.equal(posed.vertices(), BODY.pose(params).vertices())
    assert torch.equal(
        BODY(transl=params["transl"], betas=None).joints, BODY.pose({"transl": params["transl"]}).joints
    )
    with pytest.raises(ValueError, match="glasses"):
        BODY(glasses=params["betas"])


def test_posed_meshes_are_called_too():
    mesh = PosedMeshBody(np.eye(4, 3)[None], np.array([[0, 1, 2], [0, 2, 3]]))
    moved = mesh(transl=torch.tensor([[0.0, 0.0, 2.0]]))
    torch.testing.assert_close(
        moved.vertices(), mesh.pose({"transl": torch.tensor([[0.0, 0.0, 2.0]])}).vertices()
    )


def test_a_torch_module_can_be_a_body():
    """`parameters` of a module are what it learns; the protocol asks for another name."""

    class Wrapped(torch.nn.Module):
        name, num_vertices = "wrapped", BODY.num_vertices
        faces, joint_names = BODY.faces, BODY.joint_names
        parameter_specs = BODY.parameter_specs
        pose, keypoints, keypoint_mask, stature = BODY.pose, BODY.keypoints, BODY.keypoint_mask, BODY.stature

    wrapped = Wrapped()
    assert isinstance(wrapped, BodyModel) and list(wrapped.parameters()) == []
