"""Depths that a picture leaves open: what is tried, that it makes the same picture, and which end is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fitting_scenes import HAND_ON_SHOULDER, arm_out, pair, parameters, person, scene, tensors

from apu_losses.fitting import FitResult, InitialBody, SceneContact, load_preset
from apu_losses.fitting.depth_choice import choose_depths
from apu_losses.fitting.result.findings import Finding
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


ARM = "person 0: lower left arm mirrored"


def mistaken(body):
    """Somebody whose left hand lies on a shoulder before them, and an estimate whose forearm points away.

    In the picture the two are the same but for perspective.
    """
    start = parameters(body_pose=arm_out(), transl=[-0.55, 0.3, 4.0])
    start["body_pose"][51:54] = [0.0, -1.2, 0.0]
    other = parameters(body_pose=arm_out("right"), transl=[0.55, 0.3, 4.0])
    joints = body.pose(tensors([start, other])).joints.double().numpy()
    hand, shoulder = (body.joint_names.index(name) for name in ("left_middle1", "right_shoulder"))
    other["transl"] = other["transl"] + joints[0, hand] - joints[1, shoulder]
    touching = [SceneContact(0, 1, HAND_ON_SHOULDER)]
    truth = scene([person(body, start), person(body, other)], touching, "mistaken")
    both = {name: np.stack([start[name], other[name]]) for name in start}
    (mirrored,) = (h for h in depth_hypotheses(body, truth, both) if h.name == ARM)
    wrong = {name: value[0] for name, value in mirrored.parameters.items()}
    people = [replace(truth.people[0], initial=InitialBody(wrong)), truth.people[1]]
    return replace(truth, people=people), start


@pytest.fixture(scope="module")
def explored(fitter_of, body):
    """A scene whose start is wrong and one whose start is right, fitted together; heard: attempts and stages.

    Two steps with contact show which arm touches: penetration would take most of the time.
    """
    best = load_preset("best")
    short = replace(best, stages=(replace(best.stages[1], max_iterations=2),))
    scenes, heard = [mistaken(body)[0], pair(body, gap=0.02, name="as it was")], []
    fitter = fitter_of(replace(short, hypotheses=3))
    results = fitter.fit(scenes, callback=lambda e: heard.append((e.attempt, tuple(e.scenes.tolist()))))
    return scenes, results, heard, fitter, fitter_of(short)


def test_the_better_end_is_kept_with_what_was_tried(explored, body, tmp_path):
    scenes, (result, _), heard, _, short = explored
    (plain,) = short.fit(scenes[:1])
    assert plain.depth is None and result.depth is not None and len(result.depth.tried) == 3
    losses = dict(result.depth.tried)
    assert losses["as given"] == pytest.approx(plain.stages[-1].loss)
    kept = result.depth.kept
    # the upper arm lies nearly in the picture's plane: mirrored or not, the hand is in the same place
    assert kept in (ARM, ARM.replace("lower ", "")) and kept == min(losses, key=losses.__getitem__)
    assert result.stages[-1].loss == losses[kept] < 0.9 * losses["as given"]
    costs = sorted(loss if name == "as given" else loss / 0.9 for name, loss in losses.items())
    assert result.depth.margin == pytest.approx(costs[1] / costs[0] - 1)
    # the forearm is on the side of the truth, and the hand on the shoulder
    names, (_, truth) = body.joint_names, mistaken(body)
    elbow, wrist = names.index("left_elbow"), names.index("left_wrist")
    depth = []
    for own in ({n: v[0] for n, v in result.parameters.items()}, truth):
        joints = body.pose(tensors([own])).joints[0]
        depth.append(float(joints[wrist, 2] - joints[elbow, 2]))
    assert depth[0] == pytest.approx(depth[1], abs=0.05) and depth[1] < -0.1
    assert max(result.after.part_distance) < 0.05 < max(plain.after.part_distance)
    # who listens hears of the start as given, and then of the one that was kept, of this scene alone
    assert set(heard) == {(1, (0, 1)), (2, (0,))}
    assert result.preset.hypotheses == 3 and result.scene == "mistaken"
    result.save(tmp_path / "r")
    assert FitResult.load(tmp_path / "r").depth == result.depth


def test_a_start_that_is_no_worse_is_kept(explored):
    _, (_, result), _, _, _ = explored
    losses = dict(result.depth.tried)
    assert result.depth.kept == "as given" and result.stages[-1].loss == losses["as given"]
    assert len(losses) == 3 and all(loss >= 0.9 * losses["as given"] for loss in losses.values())
    assert result.depth.margin >= 0


def test_an_end_that_breaks_more_limits_is_not_kept(explored, body):
    scenes, (result, _), _, _, short = explored
    (plain,) = short.fit(scenes[:1])
    fine, wrong = Finding("spine", 3.0, 45.0, True), Finding("spine", 90.0, 45.0, False)

    def kept(given, other):
        first, end = replace(plain, findings=given), replace(result, findings=other)
        (chosen,) = choose_depths(
            body, scenes[:1], [first], 2, lambda all_: [end] * len(all_), lambda all_: [end] * len(all_)
        )
        return chosen.changed, chosen.result.depth

    assert kept((fine,), (fine,))[0] and kept((wrong,), (wrong,))[0] and kept((wrong,), (fine,))[0]
    # less of it, and something else: neither is worse
    assert kept((wrong, fine), (fine, replace(wrong, name="pose")))[0]
    changed, depth = kept((fine,), (wrong,))
    assert not changed and depth.kept == "as given" and depth.margin < 0
    assert depth.tried[0][0] == "as given" and len(depth.tried) == 2


def test_the_same_is_kept_in_any_company(explored):
    scenes, together, _, fitter, _ = explored
    for one, beside in zip(scenes, together, strict=True):
        (alone,) = fitter.fit([one])
        assert alone.depth == beside.depth
        assert all(np.array_equal(alone.parameters[n], beside.parameters[n]) for n in alone.parameters)


def test_how_many_are_tried_is_a_whole_number():
    with pytest.raises(ValueError, match="hypotheses must be a whole number from 1, got 0"):
        replace(load_preset("best"), hypotheses=0)
    told = replace(load_preset("paper"), hypotheses=4).to_dict()
    assert told["hypotheses"] == 4 and Preset.from_dict(told).hypotheses == 4
