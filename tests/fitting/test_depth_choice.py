"""Depths that a picture leaves open: what is tried, that it makes the same picture, and which end is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fitting_scenes import pair

from apu_losses.fitting import FitResult, load_preset
from apu_losses.fitting.solve.stage import Preset
from apu_losses.fitting.start.depths import APART, depth_hypotheses


def start_of(fitter, scene):
    return {name: value.double().numpy() for name, value in fitter.start([scene]).items()}


def seen(body, parameters):
    posed = body.pose({name: torch.as_tensor(v, dtype=torch.float32) for name, v in parameters.items()})
    points = body.keypoints(posed, "body25")
    return 500 * points[..., :2] / points[..., 2:], posed.joints


def bent(scene):
    """The first person's left forearm points at the camera."""
    person = scene.people[0]
    pose = np.array(person.initial.parameters.get("body_pose", np.zeros(63)), dtype=float).reshape(21, 3)
    pose[17] = [0.0, -1.2, 0.0]
    initial = replace(person.initial, parameters={**person.initial.parameters, "body_pose": pose.ravel()})
    return replace(scene, people=[replace(person, initial=initial), *scene.people[1:]])


def test_hypotheses_make_the_same_picture_in_another_depth(fitter_of, body):
    scene = bent(pair(body, gap=0.1))
    given = start_of(fitter_of("best"), scene)
    found = depth_hypotheses(body, scene, given)
    assert found[0].name == "" and all(np.array_equal(found[0].parameters[n], given[n]) for n in given)
    assert len({h.name for h in found}) == len(found)
    arms = [h for h in found if h.name == "person 0: lower left arm mirrored"]
    assert len(arms) == 1
    pixels, joints = seen(body, given)
    moved, mirrored = seen(body, arms[0].parameters)
    names = body.joint_names
    elbow, wrist = names.index("left_elbow"), names.index("left_wrist")
    depth = [float(j[0, wrist, 2] - j[0, elbow, 2]) for j in (joints, mirrored)]
    assert abs(depth[0]) > 0.1 and depth[1] == pytest.approx(-depth[0], abs=0.03)
    assert (moved - pixels).norm(dim=-1).max() < 8  # but for perspective
    for order in ("person 0 in front of person 1", "person 1 in front of person 0"):
        for h in found:
            if h.name == order:
                near, far = int(order[7]), int(order[-1])
                _, joints = seen(body, h.parameters)
                gap = float(joints[far, 0, 2] - joints[near, 0, 2])
                assert gap == pytest.approx(APART, abs=1e-4)
                break
        else:
            pytest.fail(f"{order} is not tried")


def test_an_order_that_is_said_is_not_tried_the_other_way(fitter_of, body):
    scene = replace(pair(body, gap=0.1), depth_order=[(1, 0)])
    names = [h.name for h in depth_hypotheses(body, scene, start_of(fitter_of("best"), scene))]
    assert "person 1 in front of person 0" in names and "person 0 in front of person 1" not in names


@pytest.fixture(scope="module")
def short():
    best = load_preset("best")
    return replace(best, stages=tuple(replace(s, max_iterations=2) for s in best.stages[:2]))


def test_the_better_end_is_kept_with_what_was_tried(fitter_of, body, short, tmp_path):
    scene = bent(pair(body, gap=0.1))
    (plain,) = fitter_of(short).fit([scene])
    heard = []
    fitter = fitter_of(replace(short, hypotheses=3))
    (result,) = fitter.fit([scene], callback=lambda e: heard.append(e.attempt))
    assert plain.depth is None and result.depth is not None and len(result.depth.tried) == 3
    losses = dict(result.depth.tried)
    assert losses["as given"] == pytest.approx(plain.stages[-1].loss)
    assert result.stages[-1].loss == losses[result.depth.kept] and result.depth.margin >= 0
    if result.depth.kept == "as given":
        assert set(heard) == {1}
        np.testing.assert_array_equal(result.parameters["transl"], plain.parameters["transl"])
    else:
        assert set(heard) == {1, 2}
        assert losses[result.depth.kept] < 0.9 * losses["as given"]
    assert result.preset.hypotheses == 3
    result.save(tmp_path / "r")
    assert FitResult.load(tmp_path / "r").depth == result.depth


def test_the_same_is_kept_in_any_company(fitter_of, body, short):
    fitter = fitter_of(replace(short, hypotheses=2))
    scenes = [bent(pair(body, gap=0.1)), pair(body, gap=0.02, name="other")]
    together, alone = fitter.fit(scenes), [fitter.fit([scene])[0] for scene in scenes]
    for one, other in zip(together, alone, strict=True):
        assert one.depth == other.depth
        assert all(np.array_equal(one.parameters[n], other.parameters[n]) for n in one.parameters)


def test_how_many_are_tried_is_a_whole_number():
    with pytest.raises(ValueError, match="hypotheses must be a whole number from 1, got 0"):
        replace(load_preset("best"), hypotheses=0)
    told = replace(load_preset("paper"), hypotheses=4).to_dict()
    assert told["hypotheses"] == 4 and Preset.from_dict(told).hypotheses == 4
