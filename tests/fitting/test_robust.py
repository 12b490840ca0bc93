"""A world that is not as it should be: a bad scene is fitted or ends with a reason, and disturbs no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from fitting_scenes import HAND_ON_SHOULDER, nobody_saw, pair, parameters, person, scene, some_pose

from apu_contacts import ContactMap, Keypoints2D
from apu_contacts.camera import Camera
from apu_losses.fitting import (
    FitResult,
    InitialBody,
    Joints3D,
    Scene,
    SceneContact,
    ScenePerson,
    load_preset,
)

EDGE = [SceneContact(0, 1, HAND_ON_SHOULDER)]
NAN, INF = float("nan"), float("inf")


def couple(body, first: ScenePerson | None = None, contacts=EDGE) -> Scene:
    """Two people, the first replaced."""
    usual = pair(body, -0.05)
    return scene([first or usual.people[0], usual.people[1]], contacts, "bad")


def seen_with(body, change: Callable[[np.ndarray, np.ndarray], None]) -> Scene:
    """The first person's keypoints changed in place."""
    usual = pair(body, -0.05).people[0]
    xy, confidence = usual.keypoints.xy.copy(), usual.keypoints.confidence.copy()
    change(xy, confidence)
    return couple(body, ScenePerson(Keypoints2D("body25", xy, confidence), usual.initial))


def starting_at(body, **values) -> Scene:
    """The first person's initial parameters changed, its keypoints as they were."""
    usual = pair(body, -0.05).people[0]
    changed = {**usual.initial.parameters, **{k: np.asarray(v, dtype=float) for k, v in values.items()}}
    return couple(body, ScenePerson(usual.keypoints, InitialBody(changed)))


def with_joints(body, xyz: np.ndarray, weights=None) -> Scene:
    names = body.joint_names[: len(xyz)]
    usual = pair(body, -0.05).people[0]
    return couple(
        body,
        ScenePerson(usual.keypoints, InitialBody(usual.initial.parameters, Joints3D(names, xyz, weights))),
    )


def set_all(xy_value=None, confidence_value=None, rows=slice(None)):
    def change(xy, confidence):
        if xy_value is not None:
            xy[rows] = xy_value
        if confidence_value is not None:
            confidence[rows] = confidence_value

    return change


def mostly_outside(xy, confidence):
    """Only head and one shoulder are in the picture; a detector says nothing of the rest."""
    keep = [0, 1, 2, 15, 16, 17, 18]
    confidence[np.setdiff1d(np.arange(25), keep)] = 0.0
    xy[:, 0] -= 380


def far_away(body, metres):
    starts = [parameters(transl=[x, 0.3, metres]) for x in (-0.5, 0.55)]
    return scene([person(body, start) for start in starts], EDGE, "bad")


def coincident(body):
    start = parameters(body_pose=some_pose(4))
    return scene([person(body, start), person(body, start)], EDGE, "bad")


# what the scene is -> what becomes of it: None if it is fitted, else words of the reason
CASES: dict[str, tuple[Callable[..., Scene], str | None]] = {
    "nobody was seen": (lambda b: couple(b, nobody_saw(parameters(transl=[-0.5, 0.3, 4]))), None),
    "one keypoint only": (lambda b: seen_with(b, set_all(confidence_value=0, rows=slice(1, None))), None),
    "all keypoints in one place": (lambda b: seen_with(b, set_all(xy_value=(300.0, 200.0))), None),
    "keypoints a nanometre apart": (
        lambda b: seen_with(b, lambda xy, _: xy.__setitem__(slice(None), 300 + 1e-9 * xy)),
        None,
    ),
    "keypoints of hardly any confidence": (lambda b: seen_with(b, set_all(confidence_value=1e-60)), None),
    "keypoints beyond float32": (lambda b: seen_with(b, set_all(xy_value=1e60, rows=slice(3, 5))), None),
    "mostly outside the picture": (lambda b: seen_with(b, mostly_outside), None),
    "keypoints a thousand kilometres off": (
        lambda b: seen_with(b, set_all(xy_value=1e30, rows=slice(3, 5))),
        None,
    ),
    "an empty contact map": (lambda b: couple(b, contacts=[SceneContact(0, 1, ContactMap.empty())]), None),
    "no contacts": (lambda b: couple(b, contacts=[]), None),
    "a start that is not a number": (lambda b: starting_at(b, body_pose=[NAN] * 63), "initial parameters"),
    "a start at infinity": (lambda b: starting_at(b, transl=[INF, 0, 4]), "initial parameters"),
    "a start beyond float32": (lambda b: starting_at(b, transl=[1e30, 0, 4]), "failed"),
    "a start behind the camera": (lambda b: starting_at(b, transl=[-0.5, 0.3, -4]), None),
    "a start in the camera": (lambda b: starting_at(b, transl=[0.0, 0.0, 0.0]), None),
    "a pose turned many times": (lambda b: starting_at(b, global_orient=[3 * np.pi, 0, 0]), None),
    "joints that are not numbers": (lambda b: with_joints(b, np.full((22, 3), NAN)), "initial"),
    "two joints only": (lambda b: with_joints(b, np.zeros((2, 3))), "at least 4"),
    "a parameter of the wrong size": (lambda b: starting_at(b, body_pose=np.zeros(69)), "must have 63"),
    "a parameter that no body has": (lambda b: starting_at(b, hair=[1.0]), "'hair' of person 0"),
    "joints in one place": (lambda b: with_joints(b, np.tile([0.0, 0, 4], (22, 1))), None),
    "joints without weight": (
        lambda b: with_joints(b, np.random.default_rng(0).normal(0, 0.3, (22, 3)), np.zeros(22)),
        "0 of the 22",
    ),
    "60 m away": (lambda b: far_away(b, 60.0), None),
    "two bodies in one place": (coincident, None),
    "a person twice as big as the picture": (lambda b: far_away(b, 0.6), None),
}


@pytest.fixture(scope="module")
def short():
    """The own preset with a few steps a stage: every term is evaluated, with and without penetration."""
    best = load_preset("best")
    return replace(best, stages=tuple(replace(s, max_iterations=4, relative_slope=None) for s in best.stages))


@pytest.fixture(scope="module")
def first_order(short):
    """The same with Adam in both stages: there a scene may break in the second."""
    adam = [replace(s, optimizer="adam", learning_rate=s.learning_rate or 0.015) for s in short.stages]
    return replace(short, stages=tuple(adam))


@pytest.fixture(scope="module")
def good(body):
    alone = scene([person(body, parameters(), parameters(body_pose=some_pose(1)))], name="alone")
    return [pair(body, -0.1, "pair"), alone]


@pytest.fixture(scope="module")
def undisturbed(fitter_of, short, good):
    return fitter_of(short).fit(good)


def assert_same_bits(a: FitResult, b: FitResult) -> None:
    assert a.parameters.keys() == b.parameters.keys()
    for name, value in a.parameters.items():
        np.testing.assert_array_equal(value, b.parameters[name], err_msg=name)
    assert a.stages == b.stages
    for one, other in ((a.before, b.before), (a.after, b.after)):
        np.testing.assert_equal(one.to_dict(), other.to_dict())


@pytest.mark.bits
@pytest.mark.parametrize("case", CASES)
def test_a_bad_scene_ends_with_a_reason(case, fitter_of, short, body, good, undisturbed):
    make, reason = CASES[case]
    first, bad, last = fitter_of(short).fit([good[0], make(body), good[1]])
    if reason is not None:
        assert bad.failed and not bad.verdict.kept
        assert bad.verdict.reason.startswith("failed: ") and reason in bad.verdict.reason
    else:
        assert not bad.failed, bad.verdict.reason
        assert all(np.isfinite(value).all() for value in bad.parameters.values())
        assert all(np.isfinite(s.loss) for s in bad.stages)
    assert_same_bits(first, undisturbed[0])
    assert_same_bits(last, undisturbed[1])


# a step of Levenberg-Marquardt to nowhere is not taken, so a scene cannot break there
@pytest.mark.bits
# A second-order step to where a term is NaN is not taken: the scene breaks where the next stage begins.
@pytest.mark.parametrize(
    ("preset", "iteration", "stage"), [("short", 0, 0), ("short", 3, 1), ("first_order", 5, 1)]
)
def test_a_scene_that_breaks_on_the_way_leaves_the_others_their_bits(
    preset, iteration, stage, fitter_of, body, good, request
):
    short = request.getfixturevalue(preset)
    calls: list[int] = []

    def term(state):
        names = [s.name for s in state.batch.scenes]
        calls.append(1)
        bad = torch.tensor([name == "bad" and len(calls) > iteration for name in names])
        return torch.where(bad, NAN, state.per_scene(0 * state.joints.sum((1, 2))))

    fitter = fitter_of(short.weighted(mine=1.0), terms={"mine": term}, batch_size=2)
    plain = fitter_of(short.weighted(mine=1.0), terms={"mine": term}, batch_size=2).fit(good)
    calls.clear()
    results = fitter.fit([good[0], couple(body), good[1]])
    assert [r.failed for r in results] == [False, True, False]
    assert f"the term 'mine' is nan in stage '{short.stages[stage].name}'" in results[1].verdict.reason
    assert_same_bits(results[0], plain[0])
    assert_same_bits(results[2], plain[1])


def test_progress_never_falls_when_a_batch_is_fitted_again(fitter_of, short, body, good):
    shares: list[float] = []
    fitter_of(short).fit([good[0], starting_at(body, transl=[NAN, 0, 4])], progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0


@pytest.mark.parametrize("bad", [NAN, INF])
def test_numbers_that_cannot_be_are_refused_where_they_are_given(body, bad):
    with pytest.raises(ValueError, match="xy must be finite wherever confidence is above 0"):
        seen_with(body, set_all(xy_value=bad, rows=slice(3, 9)))
    with pytest.raises(ValueError, match="confidence"):
        seen_with(body, set_all(confidence_value=bad, rows=slice(3, 9)))
    with pytest.raises(ValueError, match="weights"):
        ContactMap([[1, 2]], [bad])
    with pytest.raises(ValueError, match="weights"):
        ContactMap([[1, 2]], [-1.0])
    with pytest.raises(ValueError, match="focal"):
        Camera(bad, (0.0, 0.0))
    ScenePerson(Keypoints2D("body25", np.full((25, 2), bad), np.zeros(25)))  # what was not seen lies anywhere


def crowd(body, count=5) -> Scene:
    """A chain of people, each with a hand near the next one's shoulder, and one who touches themself."""
    starts = [parameters(transl=[1.05 * (i - count / 2), 0.3, 6.0], age=[0.15 * i]) for i in range(count)]
    contacts = [SceneContact(i, i + 1, HAND_ON_SHOULDER) for i in range(count - 1)]
    contacts.append(SceneContact(0, 0, ContactMap([[2, 50]])))
    return scene([person(body, start) for start in starts], contacts, f"crowd of {count}")


@pytest.mark.long
@pytest.mark.bits
def test_a_mixed_batch_of_every_defect(fitter_of, short, body, good):
    """Scenes of 1, 2 and 5 people and every defect at once; then the same without what cannot be fitted."""
    broken_crowd = crowd(body)
    lost = replace(broken_crowd.people[3], initial=InitialBody({"body_pose": np.full(63, NAN)}))
    broken_crowd = replace(broken_crowd, people=[*broken_crowd.people[:3], lost, broken_crowd.people[4]])
    bad = [make(body) for make, _ in CASES.values()]
    reasons = [reason for _, reason in CASES.values()]
    scenes = [good[0], *bad[:9], crowd(body), *bad[9:], broken_crowd, good[1]]
    expected = [None, *reasons[:9], None, *reasons[9:], "initial", None]
    fitter = fitter_of(short, batch_size=len(scenes))
    results = fitter.fit(scenes)
    for one, result, reason in zip(scenes, results, expected, strict=True):
        assert result.scene == one.name and result.failed == (reason is not None), result.verdict.reason
        assert reason is None or reason in result.verdict.reason
        assert len(result.parameters["transl"]) == len(one.people)
    fitted = [i for i, reason in enumerate(expected) if reason is None]
    again = fitter.fit([scenes[i] for i in fitted])
    for index, other in zip(fitted, again, strict=True):
        assert_same_bits(results[index], other)


@pytest.mark.long
def test_every_term_takes_every_defect(fitter_of, short, body):
    """Terms that no preset weighs, too: finite losses where the scene can be fitted."""
    every = short.weighted(
        **dict.fromkeys(("facing", "minimum_distance", "ground", "depth_order", "smoothness", "age"), 1.0),
        self_penetration=1.0,
        penetration=1.0,
    )
    every = replace(every, stages=tuple(replace(s, max_iterations=1) for s in every.stages[:1]))
    usable = [make(body) for make, reason in CASES.values() if reason is None]
    scenes = [*usable, crowd(body), replace(crowd(body), name="floor", ground=(0.0, -1.0, 0.0, -1.5))]
    scenes = [replace(s, depth_order=[(1, 0)]) for s in scenes]
    for one, result in zip(scenes, fitter_of(every).fit(scenes), strict=True):
        assert not result.failed, (one.name, result.verdict.reason)
        assert np.isfinite(list(result.stages[-1].terms.values())).all()
