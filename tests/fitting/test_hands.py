"""Hands in the fit: fingers are found where their keypoints were seen, and stay where they were not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fitting_scenes import CAMERA, make_preset, pair, parameters, scene, some_pose, tensors

from apu_contacts import Keypoints2D
from apu_contacts.keypoints import SKELETONS
from apu_losses.fitting import InitialBody, ScenePerson, load_preset

SKELETON = "coco_wholebody133"
HANDS = ("left_hand_pose", "right_hand_pose")
FINGERS = ("index", "middle", "pinky", "ring", "thumb")


def bent_hands(seed):
    """Fingers that bend by up to 60 degrees at each joint, thumbs that turn a little."""
    rng = np.random.default_rng(seed)
    hands = {}
    for name, sign in zip(HANDS, (-1, 1), strict=True):
        pose = np.zeros((15, 3))
        pose[:12, 2] = sign * rng.uniform(0, 1.05, 12)
        pose[12:] = rng.normal(0, 0.2, (3, 3))
        hands[name] = pose.ravel()
    return hands


def seen_with_hands(body, truth, noise=3.0, seed=0, hands=True):
    """All keypoints of a posed body as a detector sees them; ``noise`` in pixels of a person 512 tall."""
    with torch.no_grad():
        points = body.keypoints(body.pose(tensors([truth])), SKELETON)[0].double().numpy()
    xy = points[:, :2] / points[:, 2:] * CAMERA.focal + np.array(CAMERA.center)
    xy += np.random.default_rng(seed).normal(0, noise * np.ptp(xy[:17], axis=0).max() / 512, xy.shape)
    confidence = np.full(133, 0.9)
    confidence[23:91] = 0
    if not hands:
        confidence[91:] = 0
    return Keypoints2D(SKELETON, xy, confidence)


def close_person(body, seed, hands=True):
    """Somebody 2.5 m away whose hands were closed a little, and the truth."""
    start = parameters(body_pose=some_pose(seed, 0.15), transl=[0, 0.3, 2.5])
    truth = {**start, "body_pose": start["body_pose"] + np.random.default_rng(seed).normal(0, 0.05, 63)}
    truth |= bent_hands(seed)
    return ScenePerson(seen_with_hands(body, truth, seed=seed, hands=hands), InitialBody(start)), truth


def finger_error(body, params, truth):
    """``(2,)`` millimetres, mean distance of the finger joints of each hand, relative to its wrist."""
    found, real = (
        body.pose({k: torch.as_tensor(np.atleast_2d(v)).float() for k, v in p.items()}).joints[0]
        for p in (params, truth)
    )
    errors = []
    for side in ("left", "right"):
        names = [f"{side}_{finger}{k}" for finger in FINGERS for k in (1, 2, 3)]
        index = [body.joint_names.index(name) for name in names]
        wrist = body.joint_names.index(f"{side}_wrist")
        off = (found[index] - found[wrist]) - (real[index] - real[wrist])
        errors.append(1000 * float(off.norm(dim=1).mean()))
    return np.array(errors)


def test_fingers_are_found_where_they_were_seen(fitter_of, body):
    errors = {}
    for hands in (False, True):
        people = [close_person(body, seed, hands) for seed in range(2)]
        scenes = [scene([person], name=str(i)) for i, (person, _) in enumerate(people)]
        results = fitter_of("best").fit(scenes)
        errors[hands] = np.concatenate([
            finger_error(body, result.parameters, truth)
            for result, (_, truth) in zip(results, people, strict=True)
        ])  # fmt: skip
        for result in results:
            moved = [np.abs(result.parameters[name] - result.start[name]).max() for name in HANDS]
            assert min(moved) > 0.1 if hands else max(moved) == 0
            assert len(result.after.hand_keypoint_error) == hands
            if hands:
                assert result.after.hand_keypoint_error < result.before.hand_keypoint_error
    assert errors[True].mean() < 0.6 * errors[False].mean(), errors
    assert (errors[True] < errors[False]).mean() >= 0.75, errors


def test_people_without_hands_do_not_notice_a_neighbour_with_hands(fitter_of, body):
    """To the bit: beside somebody whose hands are seen they end as beside the same person without."""
    other, preset = pair(body, name="other"), load_preset("best")
    preset = replace(
        preset, stages=[replace(s, max_iterations=15, relative_slope=None) for s in preset.stages]
    )
    results = {}
    for hands in (False, True):
        one, _ = close_person(body, 1, hands)
        moved, results[hands] = fitter_of(preset).fit([scene([one], name="one"), other])
        assert np.array_equal(moved.parameters[HANDS[0]], moved.start[HANDS[0]]) != hands
    for name, value in results[False].parameters.items():
        np.testing.assert_array_equal(value, results[True].parameters[name])
    for name in HANDS:
        np.testing.assert_array_equal(results[True].parameters[name], results[True].start[name])


def test_hands_leave_the_batch_with_their_scene(fitter_of, body):
    """The scene whose hands were seen breaks off and keeps what it had; the rest goes on."""
    one, _ = close_person(body, 1)
    calls = []

    def trap(state):
        calls.append(state.batch.any_hand)
        breaks = state.per_scene(state.batch.sees_hand.any(1).float()) > 0
        return torch.where(breaks & (len(calls) == 4), torch.nan, 0.0)

    preset = make_preset({"keypoints": 0.02, "hand_pose": 1.0, "trap": 1.0}, ["transl"], 8)
    preset = replace(preset, stages=(replace(preset.stages[0], free_where_seen=HANDS),))
    broken, other = fitter_of(preset, terms={"trap": trap}).fit([scene([one], name="one"), pair(body)])
    assert calls[:4] == [True] * 4 and not any(calls[4:])
    assert broken.failed and other.iterations == 8 and not other.failed
    assert not np.array_equal(broken.parameters[HANDS[0]], broken.start[HANDS[0]])


def test_keypoints_of_hands_equal_the_formula_by_hand(fitter_of, body):
    person, _ = close_person(body, 2)
    keypoints = person.keypoints
    confidence = keypoints.confidence.copy()
    confidence[[95, 96, 120]] = [0.2, 0.6, 0.0]  # below the threshold, uncertain, missing
    person = ScenePerson(Keypoints2D(SKELETON, keypoints.xy, confidence), person.initial)
    values = {}
    for weight in (0.0, 0.7):
        options = {"keypoints": {"hands": weight, "hand_min_confidence": 0.3}}
        (result,) = fitter_of(make_preset({"keypoints": 1.0}, ["transl"], 1, options)).fit([scene([person])])
        values[weight] = result.stages[0].loss
    with torch.no_grad():
        points = (
            body.keypoints(body.pose(fitter_of("best").start([scene([person])])), SKELETON)[0]
            .double()
            .numpy()
        )
    xy = points[:, :2] / points[:, 2:] * CAMERA.focal + np.array(CAMERA.center)
    index = SKELETONS[SKELETON].indices([n for n in SKELETONS[SKELETON].joint_names if "_hand_" in n])
    # the scale is that of the body alone
    scale = 512 / np.ptp(keypoints.xy[:23], axis=0).max()
    squared = scale**2 * ((xy - keypoints.xy) ** 2).sum(1)[index]
    used = np.where(confidence[index] > 0.3, confidence[index], 0)
    assert values[0.7] - values[0.0] == pytest.approx(0.7 * (used * squared).sum(), rel=1e-3)


def test_a_stage_refuses_what_hands_do_not_tell():
    stage = load_preset("best").stages[0]
    with pytest.raises(ValueError, match=r"free_where_seen may name left_hand_pose.*got \['betas'\]"):
        replace(stage, free_where_seen=("betas",))
    with pytest.raises(ValueError, match="not free for everybody"):
        replace(stage, free=("left_hand_pose",), free_where_seen=("left_hand_pose",))
