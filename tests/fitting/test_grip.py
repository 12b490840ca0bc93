"""Fingers that close around what a contact says that they hold: around a forearm, and around nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fitting_scenes import UPRIGHT, parameters, person, scene, tensors
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from apu_contacts import ContactMap, PartContact, RegionMap
from apu_losses.bodies import load_body
from apu_losses.fitting import FitState, SceneContact, load_preset, make_batch
from apu_losses.fitting.objective.residuals import Movement
from apu_losses.fitting.objective.terms.hands import GripTerm, gripping_hands
from apu_losses.functional.hand_prior import finger_limits
from apu_losses.geometry import MeshTopology, RegionIndex, inside

REGIONS = RegionMap.load("free")
LEFT_PALM, LEFT_FINGERS, LEFT_BACK = 17, 33, 3
HOLDS = ContactMap.from_parts([PartContact("hand", "left", "forearm", "left")])
HANDS = ("left_hand_pose", "right_hand_pose")


def vertices_of(body, params):
    with torch.no_grad():
        return body.pose(tensors([params])).vertices()[0]


def hand_over_forearm(body, gap=0.014):
    """The left palm of one, hand flat, ``gap`` metres over the left forearm of another, across it."""
    flat = {name: -np.asarray(getattr(body.data, name.removesuffix("_pose")).mean) for name in HANDS}
    one = parameters(**flat)
    turn = Rotation.from_euler("y", 90, degrees=True) * Rotation.from_rotvec(UPRIGHT)
    two = {**one, "global_orient": turn.as_rotvec()}
    palm = vertices_of(body, one)[REGIONS.vertices(LEFT_PALM).copy()].mean(0)
    with torch.no_grad():
        joints = body.pose(tensors([two])).joints[0]
    ends = [joints[body.joint_names.index(name)] for name in ("left_elbow", "left_wrist")]
    # 3 cm below the palm lies the middle of an arm that is thinner than 6 cm there
    shift = (palm - sum(ends) / 2).double().numpy() + np.array([0, 0.03 + gap, 0])
    return one, {**two, "transl": two["transl"] + shift}


def grip_scene(body, one, two, contacts=HOLDS, **edge):
    return scene([person(body, one), person(body, two)], [SceneContact(0, 1, contacts, **edge)])


def only_fingers():
    whole = load_preset("best_hands")
    return replace(whole, stages=whole.stages[-1:])


def off_the_forearm(body, one, two):
    """Centimetres, mean over the palm side of the fingers, from the other's surface; and the depth of the
    deepest vertex of the hand. The surface is a cloud of points up to 4 mm apart.
    """
    mine, other = vertices_of(body, one), vertices_of(body, two)
    corners = other[body.faces].double()
    grid = [(i, j, 5 - i - j) for i in range(6) for j in range(6 - i)]
    share = torch.tensor(grid, dtype=torch.float64) / 5
    cloud = cKDTree(torch.einsum("gk,fkc->fgc", share, corners).flatten(0, 1).numpy())
    fingers = mine[REGIONS.vertices(LEFT_FINGERS).copy()]
    hand = mine[REGIONS.union((LEFT_PALM, LEFT_FINGERS, LEFT_BACK, 72)).copy()]
    within = inside(hand[None], other[None], body.faces)[0].numpy()
    depth = np.where(within, cloud.query(hand.double().numpy())[0], 0).max()
    return 100 * cloud.query(fingers.double().numpy())[0].mean(), 100 * depth


def end_of(result, row=0):
    return {name: value[row] for name, value in result.parameters.items()}


def test_fingers_close_around_a_forearm(fitter_of, body):
    one, two = hand_over_forearm(body)
    (result,) = fitter_of(only_fingers()).fit([grip_scene(body, one, two)])
    before, after = off_the_forearm(body, one, two), off_the_forearm(body, end_of(result), two)
    assert before[0] > 3.5 and after[0] < 1.5, (before, after)
    assert after[1] < 0.4 < before[1], "fingers end in the arm that they hold"
    flat = end_of(result)["left_hand_pose"] + np.asarray(body.data.left_hand.mean)
    assert finger_limits(torch.tensor(flat)[None], "left").item() < 1e-3
    still = dict(result.parameters)
    moved = still.pop("left_hand_pose")
    assert np.abs(moved[0] - one["left_hand_pose"]).max() > 0.5
    np.testing.assert_array_equal(moved[1], result.start["left_hand_pose"][1])
    for name, value in still.items():
        np.testing.assert_array_equal(value, result.start[name], err_msg=name)


@pytest.mark.parametrize(
    ("gap", "contacts", "edge"),
    [
        (0.2, HOLDS, {}),
        (0.014, HOLDS, {"order": "either"}),
        (0.014, ContactMap([[LEFT_BACK, 60]]), {}),
        (0.014, ContactMap.from_parts([PartContact("stomach", "none", "back", "none")]), {}),
    ],
    ids=["far away", "open order", "the back of the hand", "no hand"],
)
def test_a_hand_that_holds_nothing_stays_as_it_is(fitter_of, body, gap, contacts, edge):
    one, two = hand_over_forearm(body, gap)
    # what else moves fingers in this stage: contact draws one place of a hand, penetration pushes
    preset = only_fingers().without("penetration", "contact")
    (result,) = fitter_of(preset).fit([grip_scene(body, one, two, contacts, **edge)])
    for name in HANDS:
        np.testing.assert_array_equal(result.parameters[name], result.start[name])


def state_of(body, one, two):
    with torch.no_grad():
        template = body.pose({"transl": torch.zeros(1, 3, dtype=torch.float64)}).vertices()[0]
    light = load_body("free")
    batch = make_batch([grip_scene(light, one, two)], torch.device("cpu"), torch.float64)
    regions = RegionIndex.build(REGIONS, body.num_vertices, template)
    topology = MeshTopology.build(body.faces, body.num_vertices, template)

    def at(params):
        return FitState(body, regions, topology, batch, params, params, params)

    return at, tensors([one, two], torch.float64)


def test_the_gradient_is_that_of_differences_and_of_the_residuals():
    body = load_body("free", dtype=torch.float64)
    at, params = state_of(body, *hand_over_forearm(load_body("free")))
    free = ("transl", "left_hand_pose")
    live = {name: value.clone().requires_grad_(name in free) for name, value in params.items()}
    term = GripTerm(robust=0.07)
    state = at(live)
    term(state).sum().backward()
    exact = torch.cat([live[name].grad for name in free], 1)
    for name in free:
        direction = torch.randn(params[name].shape, generator=torch.Generator().manual_seed(4)).double()
        ends = [term(at({**params, name: params[name] + s * 1e-6 * direction})).item() for s in (1, -1)]
        assert (live[name].grad * direction).sum().item() == pytest.approx(
            (ends[0] - ends[1]) / 2e-6, rel=1e-4
        )
    with torch.no_grad():
        found = term.residuals(state, Movement(state, free))
    own = torch.zeros_like(exact)
    for rows, jacobian in found.parts:
        scaled = 2 * found.weight[:, None] * found.value
        own.index_add_(0, rows, torch.einsum("km,kmd->kd", scaled, jacobian))
    torch.testing.assert_close(own, exact, rtol=1e-6, atol=1e-7 * float(exact.abs().max()))


def test_each_hand_stands_once_for_each_whom_it_touches(body):
    one, two = hand_over_forearm(body)
    both = ContactMap([[LEFT_PALM, 60], [LEFT_FINGERS, 61], [26, LEFT_FINGERS], [10, 23]], [1, 1, 1, 0])
    made = grip_scene(body, one, two, both)
    batch = make_batch([made, made], torch.device("cpu"), torch.float32)
    # whose hand, left or right, whom it touches, scene; a contact of weight 0 names nothing
    first = [(0, 0, 1, 0), (0, 1, 1, 0), (1, 0, 0, 0)]
    assert sorted(gripping_hands(batch)) == first + [(a + 2, side, b + 2, 1) for a, side, b, _ in first]


def test_limits_are_those_of_hinges_and_mirrored():
    pose = torch.zeros(3, 15, 3, dtype=torch.float64)
    pose[0, 1] = torch.tensor([0.0, 0.0, -2.5])  # the middle joint of the index finger, 143 degrees
    pose[1, 3] = torch.tensor([0.5, 0.0, 0.0])  # the middle finger twisted by 29 degrees
    pose[2, :] = 0.1
    expected = [(2.5 - np.radians(110)) ** 2, (0.5 - np.radians(15)) ** 2, 0.0]
    np.testing.assert_allclose(finger_limits(pose.flatten(1), "left"), expected, atol=1e-12)
    mirrored = pose * torch.tensor([1.0, -1.0, -1.0])
    np.testing.assert_allclose(finger_limits(mirrored.flatten(1), "right"), expected, atol=1e-12)
    with pytest.raises(ValueError, match="coefficients have no axes"):
        finger_limits(torch.zeros(1, 12), "left")
