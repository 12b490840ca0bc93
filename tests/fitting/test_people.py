"""Any number of people of all ages in one scene, and one person in several frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fitting_scenes import HAND_ON_SHOULDER, arm_out, make_preset, pair, parameters, person, scene

from apu_contacts import ContactMap, PartContact
from apu_losses.fitting import SceneContact, load_preset, load_scene, save_scene, sequence

PARTS = {"contact": {"over": "parts"}}
WEIGHTS = {"contact": 1e4, "initial_pose": 5.0}


def chain(body, count):
    """People in a row, each with a hand near the next one's shoulder."""
    starts = [parameters(transl=[1.2 * (i - (count - 1) / 2), 0.3, 6.0]) for i in range(count)]
    contacts = [SceneContact(i, i + 1, HAND_ON_SHOULDER) for i in range(count - 1)]
    return scene([person(body, start) for start in starts], contacts, f"chain of {count}")


@pytest.mark.parametrize("count", [3, 5])
def test_a_chain_of_people_touches_at_every_link(fitter_of, body, count):
    preset = make_preset(WEIGHTS, iterations=80, options=PARTS, learning_rate=0.03)
    (result,) = fitter_of(preset).fit([chain(body, count)])
    assert min(result.before.part_distance) > 0.05
    assert len(result.after.part_distance) == count - 1 and max(result.after.part_distance) < 0.015


def carried_child(body):
    """A child of a toddler's age in front of an adult's chest."""
    adult = parameters(transl=[0.0, 0.3, 4.0], body_pose=arm_out())
    child = parameters(transl=[0.05, 0.15, 3.5], age=[0.7])
    holding = [PartContact("hand", "left", "back", "left"), PartContact("chest", "none", "chest", "none")]
    edge = SceneContact(0, 1, ContactMap.from_parts(holding))
    return scene([person(body, adult), person(body, child)], [edge], "carried")


@pytest.mark.parametrize("free", [False, True], ids=["age fixed", "age fitted"])
def test_an_adult_carries_a_child(fitter_of, body, free):
    preset = make_preset(
        {**WEIGHTS, "age": 1000.0, "penetration": 1e3, "keypoints": 1e-3},
        ["body_pose", "transl", "global_orient", *(["age"] if free else [])],
        80,
        PARTS,
        learning_rate=0.03,
    )
    (result,) = fitter_of(preset).fit([carried_child(body)])
    stature = body.stature(fitter_of(preset).tensors(result.parameters))
    assert stature[1] < 0.75 * stature[0]
    assert max(result.after.part_distance) < 0.05 < max(result.before.part_distance)
    age = result.parameters["age"][:, 0]
    assert np.array_equal(result.parameters["age"], result.start["age"]) != free
    assert ((age >= 0) & (age <= 1)).all() and abs(age[1] - 0.7) < 0.2


def test_the_own_preset_takes_a_child_and_leaves_its_age_or_fits_it(fitter_of, body):
    best = load_preset("best")
    short = replace(best, stages=tuple(replace(s, max_iterations=10) for s in best.stages))
    (result,) = fitter_of(short).fit([carried_child(body)])
    assert not result.failed and np.array_equal(result.parameters["age"], result.start["age"])
    (fitted,) = fitter_of(short.freed("age").weighted(age=1000.0)).fit([carried_child(body)])
    moved = np.abs(fitted.parameters["age"] - fitted.start["age"])
    assert not fitted.failed and 0 < moved.max() < 0.1


def test_a_sequence_is_smoothed_and_a_jerk_goes(fitter_of, body):
    clip = [pair(body, gap=0.1, name=f"frame {i}") for i in range(5)]
    jerk = {**clip[2].people[0].initial.parameters, "transl": np.array([-0.65, 0.3, 4.4])}
    clip[2] = replace(clip[2], people=[person(body, jerk), clip[2].people[1]])
    together = sequence(clip, "clip")
    assert len(together.people) == 10 and len(together.contacts) == 5
    preset = make_preset({"smoothness": 1.0, "initial_pose": 1.0}, ["transl"], 60, learning_rate=0.02)
    (result,) = fitter_of(preset).fit([together])
    depth = np.stack([result.start["transl"][0::2, 2], result.parameters["transl"][0::2, 2]])
    bend = np.abs(np.diff(depth, 2, axis=1)).max(1)
    assert bend[0] > 0.7 and bend[1] < 0.1 * bend[0]
    other = result.parameters["transl"][1::2]  # who moves steadily is left alone
    np.testing.assert_allclose(other, result.start["transl"][1::2], atol=1e-6)


def test_what_a_sequence_refuses(body):
    frame = pair(body)
    with pytest.raises(ValueError, match="at least one frame"):
        sequence([])
    with pytest.raises(ValueError, match=r"frame 1 .* another camera"):
        sequence([frame, replace(frame, width=100)])
    twice = replace(frame, people=[replace(p, label="he") for p in frame.people])
    with pytest.raises(ValueError, match="'he' occurs twice in frame 0"):
        sequence([twice])
    both = sequence([frame, frame])
    with pytest.raises(ValueError, match="different frames"):
        replace(both, contacts=[SceneContact(0, 2, HAND_ON_SHOULDER)])
    kept = replace(frame, depth_order=[(1, 0)]).keep_people([1, 0])
    assert kept.depth_order == ((0, 1),)
    for bad in ([(0, 0)], [(0, 5)]):
        with pytest.raises(ValueError, match="depth_order"):
            replace(frame, depth_order=bad)
    with pytest.raises(ValueError, match="unit normal"):
        replace(frame, ground=(0, -2, 0, 1))


def test_floor_order_and_frames_survive_a_file(body, tmp_path):
    clip = sequence([pair(body, name=f"frame {i}") for i in range(2)], "clip")
    clip = replace(clip, depth_order=[(1, 0), (2, 3)], ground=(0.0, -1.0, 0.0, -1.5))
    save_scene(clip, tmp_path / "clip.json")
    back = load_scene(tmp_path / "clip.json")
    assert back.depth_order == clip.depth_order and back.ground == clip.ground
    assert [(p.frame, p.track) for p in back.people] == [(p.frame, p.track) for p in clip.people]
    assert [(p.frame, p.track) for p in back.people][2:] == [(1, "person 0"), (1, "person 1")]
