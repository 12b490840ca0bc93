"""`SceneFitter` on Anny: bones and phenotypes instead of SMPL-X's parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fitting_scenes import CAMERA, HAND_ON_SHOULDER, UPRIGHT, scene

from apu_contacts import Keypoints2D
from apu_losses.bodies.anny_adapter import AnnyBody
from apu_losses.bodies.region_map import region_map_for
from apu_losses.fitting import (
    InitialBody,
    Joints3D,
    SceneContact,
    SceneFitter,
    ScenePerson,
    initial_parameters,
    load_preset,
)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*region map of 'anny'")]

LIMBS = tuple(
    f"{side}_{joint}"
    for side in ("left", "right")
    for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
)


@pytest.fixture(scope="module")
def anny():
    pytest.importorskip("anny", reason="needs the anny package (extra [anny])")
    return AnnyBody()


def two_people(body, gap=0.06):
    """An adult and a child of ten side by side; a hand of one nearly reaches a shoulder of the other."""
    spec = body.parameter_specs["phenotypes"]
    phenotypes = torch.tensor([spec.default] * 2)
    age = body.phenotype_labels.index("age")
    phenotypes[1, age] = 0.45
    params = {
        "global_orient": torch.tensor([UPRIGHT] * 2).float(),
        "phenotypes": phenotypes,
        "transl": torch.tensor([[-0.5, 0.9, 4.0], [0.5, 0.7, 4.0]]),
    }
    with torch.no_grad():
        joints = body.pose(params).joints
    reach = joints[0, body.joint_names.index("left_middle1")]
    shoulder = joints[1, body.joint_names.index("right_shoulder")]
    params["transl"][1] += reach - shoulder + torch.tensor([gap + 0.1, 0.0, 0.0])
    return params


def as_scene(body, params, *, retargeted):
    with torch.no_grad():
        posed = body.pose(params)
        points = body.keypoints(posed, "body25").double().numpy()
    mask = body.keypoint_mask("body25").numpy()
    xy = points[..., :2] / np.where(mask, points[..., 2], 1)[..., None] * CAMERA.focal + np.array(
        CAMERA.center
    )
    people = []
    for k in range(2):
        given = {name: value[k].numpy() for name, value in params.items()}
        joints = None
        if retargeted:
            rows = [body.joint_names.index(name) for name in LIMBS]
            joints = Joints3D(LIMBS, posed.joints[k, rows].double().numpy())
            given = {"global_orient": given["global_orient"]}
        people.append(
            ScenePerson(Keypoints2D("body25", xy[k], np.where(mask, 0.9, 0.0)), InitialBody(given, joints))
        )
    return scene(people, [SceneContact(0, 1, HAND_ON_SHOULDER)])


def test_a_start_is_retargeted_by_bones_and_phenotypes(anny):
    params = two_people(anny)
    made = as_scene(anny, params, retargeted=True)
    found, report = initial_parameters(anny, [person.initial for person in made.people])
    assert report.max_distance.max() < 0.03 and report.mean_distance.max() < 0.01
    heights = anny.stature(found), anny.stature(params)
    torch.testing.assert_close(heights[0], heights[1], atol=0.08, rtol=0)
    assert heights[0][0] - heights[0][1] > 0.15  # an adult and a child


@pytest.mark.parametrize("retargeted", [False, True])
def test_two_annys_come_into_contact(anny, tmp_path, retargeted):
    fitter = SceneFitter(anny, regions=region_map_for(anny), preset=load_preset("best"))
    (result,) = fitter.fit([as_scene(anny, two_people(anny), retargeted=retargeted)])
    assert not result.failed and max(result.after.keypoint_error) < 5
    assert 0.03 < min(result.before.contact_distance) < 0.3
    assert result.after.contact_share(0.005, over="parts") == 1.0
    assert max(abs(change) for change in result.after.stature_change) < 0.02
    assert set(result.parameters) == {"global_orient", "body_pose", "phenotypes", "transl"}
    assert result.body_model == "anny" and any("hand_pose" in note for note in result.notes)
    # it wrote what it can pose again
    again = anny.pose({k: torch.as_tensor(v).float() for k, v in result.parameters.items()}).vertices()
    assert torch.isfinite(again).all() and again[..., 2].min() > 2
    assert len(result.save(tmp_path / "out")) >= 2
