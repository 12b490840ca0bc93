"""Videos: feet that stand stay, tracks come in as a sequence and go out as files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fitting_scenes import make_preset, nobody_saw, parameters, scene

from apu_contacts import ContactMap, Keypoints2D
from apu_contacts.keypoints import SKELETONS
from apu_contacts.sources import BodyTrack
from apu_losses.bodies import load_body
from apu_losses.fitting import (
    FittedTrack,
    SceneFitter,
    fitted_tracks,
    scene_from_tracks,
    sequence,
)
from apu_losses.functional import foot_lock_energy

NAMES = SKELETONS["body25"].joint_names
SOLES = [NAMES.index(f"{side}_{point}") for side in ("left", "right") for point in ("big_toe", "heel")]


@pytest.fixture(scope="module")
def body():
    return load_body("free")


def feet(body, result) -> np.ndarray:
    """``(F, 4, 3)`` toes and heels of the frames of one person."""
    params = {k: torch.as_tensor(v).float() for k, v in result.parameters.items()}
    with torch.no_grad():
        return body.keypoints(body.pose(params), "body25")[:, SOLES].numpy()


def walk(slide: np.ndarray):
    """A person who stands and is moved by ``slide (F, 3)``; nobody saw them."""
    frames = [
        scene([nobody_saw(parameters(transl=np.array([0, 0.3, 4]) + step))], [], f"frame {k}")
        for k, step in enumerate(slide)
    ]
    return sequence(frames, "clip")


def test_a_standing_foot_that_jitters_comes_to_rest(body) -> None:
    jitter = np.random.default_rng(0).normal(0, 0.008, (6, 3))
    preset = make_preset({"foot_lock": 1.0}, ["transl"], 40, learning_rate=0.002)
    (still,) = SceneFitter(body, preset=preset).fit([walk(jitter)])
    paths = np.abs(np.diff(feet(body, still), axis=0)).sum(axis=(0, 2)).max()
    before = np.abs(np.diff(jitter, axis=0)).sum()
    assert paths < 0.35 * before


def test_a_foot_that_is_moved_is_let_go() -> None:
    pulls = []
    for robust in (None, 0.04):
        after = torch.tensor([[[0.25, 0.0, 0.0]]], dtype=torch.float64, requires_grad=True)
        before = torch.zeros_like(after)
        one = torch.ones(1, dtype=torch.float64)
        foot_lock_energy(before, after, one, one[:, None], robust=robust).sum().backward()
        pulls.append(float(after.grad.norm()))
    assert pulls[1] < 1e-3 * pulls[0]


def test_the_energy_by_hand() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.normal(0, 0.05, (2, 3, 4, 3))
    gap, standing = np.array([1.0, 2.0, 3.0]), rng.integers(0, 2, (3, 4)).astype(float)
    squared = (((after - before) / gap[:, None, None]) ** 2).sum(2)
    plain = (squared * standing).sum(1)
    given = [torch.as_tensor(x) for x in (before, after, gap, standing)]
    np.testing.assert_allclose(foot_lock_energy(*given, robust=None).numpy(), plain, rtol=1e-12)
    robust = (0.04**2 * squared / (0.04**2 + squared) * standing).sum(1)
    np.testing.assert_allclose(foot_lock_energy(*given).numpy(), robust, rtol=1e-12)
    with pytest.raises(ValueError, match="standing must have shape"):
        foot_lock_energy(*given[:3], torch.ones(3))
    with pytest.raises(ValueError, match="gaps must be positive"):
        foot_lock_energy(given[0], given[1], torch.zeros(3), given[3])


def track(identity: str, frames: list[int], x: float, model: str = "smplx", **options) -> BodyTrack:
    count = len(frames)
    values = {
        "global_orient": np.tile([np.pi, 0, 0], (count, 1)),
        "body_pose": np.zeros((count, 63)),
        "transl": np.stack([np.full(count, x), np.full(count, 0.3), 3 + 0.05 * np.arange(count)], 1),
    }
    return BodyTrack("mine", identity, frames, values, model, **options)


def test_tracks_come_in_with_their_frames_and_contacts(body) -> None:
    people = [track("ann", [10, 11, 13], -0.4), track("bob", [11, 12, 13], 0.4)]
    touch = {11: [("bob", "ann", ContactMap([(3, 50)]))]}
    seen = {"ann": {13: Keypoints2D("coco17", np.full((17, 2), 7.0), np.ones(17))}}
    made = scene_from_tracks(people, 640, 480, body, contacts=touch, keypoints=seen, name="dance")
    assert [(p.track, p.frame) for p in made.people] == [
        ("ann", 0),
        ("ann", 1),
        ("bob", 1),
        ("bob", 2),
        ("ann", 3),
        ("bob", 3),
    ]
    (edge,) = made.contacts
    assert (edge.person_a, edge.person_b) == (2, 1)
    assert made.people[4].keypoints.xy.max() == 7
    # the joints that stand in lie where the estimate's own pelvis is seen
    hips = made.people[0].keypoints.xy[[11, 12]].mean(0)
    pelvis = people[0].estimate(10).joints[0]
    assert np.abs(hips - made.camera.project(pelvis[None])[0]).max() < 25
    some = scene_from_tracks(people, 640, 480, body, frames=[11, 13])
    assert [p.frame for p in some.people] == [0, 0, 2, 2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tracks": []}, "different identities"),
        ({"tracks": [track("a", [1], 0), track("a", [1], 1)]}, "different identities"),
        ({"tracks": [track("a", [1], 0, world=True)]}, "in the world"),
        ({"frames": [12, 11]}, "rising frames"),
        ({"frames": [99]}, r"got \[99\]"),
        ({"contacts": {10: [("ann", "bob", ContactMap.empty())]}}, "not both seen"),
    ],
)
def test_mistakes_are_named(body, change: dict, said: str) -> None:
    given = {"tracks": [track("ann", [10, 11], -0.4), track("bob", [11, 12], 0.4)]}
    with pytest.raises(ValueError, match=said):
        scene_from_tracks(**{**given, **change}, width=640, height=480, body=body)


def test_tracks_go_out_and_come_back(body, tmp_path: Path) -> None:
    people = [track("ann", [10, 11, 13], -0.4), track("bob", [11, 13], 0.4)]
    made = scene_from_tracks(people, 640, 480, body)
    preset = make_preset({"initial_pose": 1.0}, ["transl"], 1)
    (result,) = SceneFitter(body, preset=preset).fit([made])
    ann, bob = fitted_tracks(result, made)
    assert ann.identity == "ann" and ann.frames.tolist() == [0, 1, 3] and bob.frames.tolist() == [1, 3]
    for rows, each in (([0, 1, 3], ann), ([2, 4], bob)):
        np.testing.assert_array_equal(each.parameters["transl"], result.parameters["transl"][rows])
        again = FittedTrack.load(each.save(tmp_path / f"{each.identity}.npz"))
        assert (again.identity, again.body) == (each.identity, "free")
        assert again.parameters.keys() == each.parameters.keys()
        np.testing.assert_array_equal(again.parameters["body_pose"], each.parameters["body_pose"])
    with pytest.raises(ValueError, match="the one that was fitted"):
        fitted_tracks(result, replace(made, name="other"))
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="expected a track of a fit"):
        FittedTrack.load(tmp_path / "x.npz")
