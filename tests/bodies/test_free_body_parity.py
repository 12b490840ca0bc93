"""The free body in the smplx package: the file is read there too and gives the same body."""

from __future__ import annotations

import contextlib
import io
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up_body import as_smplx, random_parameters

from apu_contacts.keypoints import SKELETONS
from apu_losses.bodies import LinearBlendBody, load_body


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The asset under the name that the smplx package looks for, with its infant beside it."""
    root = tmp_path_factory.mktemp("free")
    (root / "smplx").mkdir()
    asset = resources.files("apu_losses.bodies").joinpath("data", "free_body.npz")
    with resources.as_file(asset) as path:
        shutil.copy(path, root / "smplx" / "SMPLX_NEUTRAL.npz")
        with np.load(path) as arrays:
            np.save(root / "kid.npy", arrays["kid_template"])
    return root


def create(models: Path, **options: Any) -> Any:
    smplx = pytest.importorskip("smplx", reason="the parity tests need the smplx package (extra [smplx])")
    with contextlib.redirect_stdout(io.StringIO()):
        return smplx.create(str(models), model_type="smplx", use_pca=False, batch_size=2, **options)


@pytest.fixture(scope="module")
def free() -> LinearBlendBody:
    return load_body()


@pytest.mark.parametrize("age", ["adult", "kid"])
@pytest.mark.parametrize("correctives", ["own", "made up"])
def test_vertices_joints_and_gradients_agree(
    models: Path, free: LinearBlendBody, age: str, correctives: str
) -> None:
    model = create(models, age=age, kid_template_path=str(models / "kid.npy"))
    if correctives == "made up":
        # some vertices and some features only, so that the compact storage is exercised
        generator = torch.Generator().manual_seed(0)
        dirs = torch.zeros(486, model.v_template.shape[0], 3)
        dirs[100:150, ::7] = 1e-3 * torch.randn(50, len(range(0, dirs.shape[1], 7)), 3, generator=generator)
        model.posedirs.copy_(dirs.flatten(1))
        body = load_body(model)
    else:
        body = free
    pull = torch.randn(2, free.num_vertices, 3, generator=torch.Generator().manual_seed(1))
    found = []
    for run in ("smplx", "ours"):
        params = random_parameters(free, 2)
        if age == "adult":
            params["age"] = torch.zeros(2, 1)
        params = {name: value.requires_grad_() for name, value in params.items()}
        if run == "smplx":
            given = as_smplx(params) if age == "kid" else {k: v for k, v in params.items() if k != "age"}
            out = model(**given)
            vertices, joints = out.vertices, out.joints[:, :55]
        else:
            known = {name: value for name, value in params.items() if name in body.parameter_specs}
            posed = body.pose(known)
            vertices, joints = posed.vertices(), posed.joints
        (vertices * pull).sum().backward()
        found.append((vertices, joints, {name: value.grad for name, value in params.items()}))
    torch.testing.assert_close(found[1][0], found[0][0], atol=5e-6, rtol=0)
    torch.testing.assert_close(found[1][1], found[0][1], atol=5e-6, rtol=0)
    for name, grad in found[0][2].items():
        if grad is not None:
            torch.testing.assert_close(
                found[1][2][name], grad, atol=2e-3, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_an_object_made_from_the_free_body_has_its_keypoints(models: Path, free: LinearBlendBody) -> None:
    """The object keeps no tables: surface points are vertices at SMPL-X's numbers, limb points are joints."""
    body = load_body(create(models, age="kid", kid_template_path=str(models / "kid.npy")))
    params = random_parameters(free, 2)
    mask = body.keypoint_mask("body25")
    assert mask.sum() >= 14
    theirs, ours = (b.keypoints(b.pose(params), "body25") for b in (body, free))
    names = SKELETONS["body25"].joint_names
    surface = torch.tensor(
        [name not in body.joint_names and name not in ("neck", "mid_hip") for name in names]
    )
    assert (theirs - ours)[:, mask & surface].norm(dim=-1).max() < 0.005
    for limb in ("left_shoulder", "right_elbow", "left_knee"):
        joint = body.pose(params).joints[:, body.joint_names.index(limb)]
        torch.testing.assert_close(theirs[:, names.index(limb)], joint)


def test_limb_keypoints_of_the_free_body_are_its_combinations_of_joints(free: LinearBlendBody) -> None:
    """Annotators click beside the joints: the file says where, as weights that sum to one."""
    with np.load(resources.files("apu_losses.bodies").joinpath("data", "free_body.npz")) as file:
        stated, weights = file["keypoint_names"].tolist(), torch.as_tensor(file["keypoint_joint_weights"])
    torch.testing.assert_close(weights.sum(1), torch.ones(len(stated)), atol=1e-4, rtol=0)
    posed = free.pose(random_parameters(free, 3))
    keypoints = free.keypoints(posed, "coco17")
    for name, row in zip(stated, weights, strict=True):
        column = SKELETONS["coco17"].joint_names.index(name)
        torch.testing.assert_close(keypoints[:, column], row @ posed.joints, atol=1e-5, rtol=0)
