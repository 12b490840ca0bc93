"""Feet in the fit: they turn to where toes and heels were seen, whichever detector saw them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fitting_scenes import parameters, scene, seen, some_pose, tensors

from apu_contacts import Keypoints2D
from apu_contacts.keypoints import SKELETONS, convert_keypoints
from apu_losses.fitting import InitialBody, ScenePerson

ANKLES = {"left": 3 * 6, "right": 3 * 7}  # places in body_pose
FEET = ("big_toe", "small_toe", "heel")


def turned_feet(body, seed, skeleton, feet):
    """Somebody whose feet point outwards by 40 degrees, who starts with straight ones; 2 px of noise."""
    start = parameters(body_pose=some_pose(seed, 0.1), transl=[0, 0.3, 3.0])
    pose = start["body_pose"].copy()
    for side, sign in (("left", 1), ("right", -1)):
        pose[ANKLES[side] + 1] += sign * np.radians(40)
    truth = {**start, "body_pose": pose}
    keypoints = seen(body, truth, 0.9)
    xy = keypoints.xy + np.random.default_rng(seed).normal(0, 2, keypoints.xy.shape)
    confidence = keypoints.confidence.copy()
    if not feet:
        for side in ANKLES:
            confidence[SKELETONS["body25"].indices([f"{side}_{point}" for point in FEET])] = 0
    found = convert_keypoints(Keypoints2D("body25", xy, confidence), skeleton)
    return ScenePerson(found, InitialBody(start)), truth


def off_degrees(body, params, truth):
    """``(2,)`` angle between where the feet point, from heel to big toe, and where they should."""
    names = SKELETONS["body25"].index
    directions = []
    for each in (params, truth):
        posed = body.pose(tensors([{name: np.ravel(value) for name, value in each.items()}]))
        at = body.keypoints(posed, "body25")[0].double()
        ways = torch.stack([at[names[f"{side}_big_toe"]] - at[names[f"{side}_heel"]] for side in ANKLES])
        directions.append(torch.nn.functional.normalize(ways, dim=1))
    return torch.rad2deg(torch.arccos((directions[0] * directions[1]).sum(1).clamp(-1, 1))).numpy()


@pytest.mark.parametrize("skeleton", ["body25", "halpe26", "coco_wholebody133"])
def test_feet_turn_to_where_they_were_seen(fitter_of, body, skeleton):
    errors = {}
    for feet in (False, True):
        people = [turned_feet(body, seed, skeleton, feet) for seed in range(2)]
        scenes = [scene([person], name=str(k)) for k, (person, _) in enumerate(people)]
        results = fitter_of("best").fit(scenes)
        errors[feet] = np.concatenate([
            off_degrees(body, result.parameters, truth)
            for result, (_, truth) in zip(results, people, strict=True)
        ])  # fmt: skip
    assert errors[False].mean() > 25  # nothing says that they turned
    assert errors[True].mean() < 0.5 * errors[False].mean()
