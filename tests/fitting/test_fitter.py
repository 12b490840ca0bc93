"""The fitter: what it reaches, what it leaves alone, and that no scene disturbs another."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from fitting_scenes import (
    HAND_ON_SHOULDER,
    assert_same,
    make_preset,
    mixed_scenes,
    nobody_saw,
    pair,
    parameters,
    person,
    scene,
    some_pose,
    tensors,
)

from apu_contacts import ContactMap, PartContact, RegionMap
from apu_losses.fitting import InitialBody, Preset, SceneContact, Stage

WEIGHTS = {"keypoints": 0.02, "contact": 1e4, "initial_pose": 20.0}
PARTS = {"contact": {"over": "parts"}}


def contact_preset(iterations=20, **options):
    return make_preset(WEIGHTS, iterations=iterations, options=PARTS, **options)


# --- what it reaches ---


def test_contact_brings_a_hand_to_a_shoulder(fitter_of, body):
    preset = make_preset({**WEIGHTS, "keypoints": 0.002}, iterations=100, options=PARTS, learning_rate=0.03)
    (result,) = fitter_of(preset).fit([pair(body, gap=0.15)])
    assert result.before.part_distance[0] > 0.19
    assert result.after.part_distance[0] < 0.01
    assert result.verdict.kept and not result.failed
    assert max(result.after.pose_change_max) < 60


def test_keypoints_bring_the_body_under_them(fitter_of, body):
    truth = parameters(body_pose=some_pose(3), transl=[0.2, 0.4, 4.2])
    preset = make_preset({"keypoints": 0.02}, iterations=80, learning_rate=0.03)
    (result,) = fitter_of(preset).fit([scene([person(body, parameters(), truth)])])
    assert result.before.keypoint_error[0] > 30 and result.after.keypoint_error[0] < 3


def test_penetration_pushes_bodies_apart(fitter_of, body):
    preset = make_preset({"penetration": 10.0}, ["transl"], iterations=15, learning_rate=0.02)
    (result,) = fitter_of(preset).fit([pair(body, gap=-0.45)])
    assert result.before.inside_vertices > 100
    assert result.after.depth_max < 0.5 * result.before.depth_max


def fist_in_belly(body, depth):
    """Somebody's left fist goes into the side of another, whose arms are up; the tip is ``depth`` m in."""
    arms_up = np.zeros((21, 3))
    arms_up[15], arms_up[16] = [0, 0, 1.3], [0, 0, -1.3]
    stands = parameters(transl=[0, 0, 4], body_pose=arms_up.ravel())
    posed = body.pose(tensors([stands, parameters(transl=[0, 0, 4])]))
    belly = posed.joints[0, body.joint_names.index("spine1")]
    from_belly = (posed.vertices()[0] - belly).abs()
    level = (from_belly[:, 0] < 0.25) & (from_belly[:, 1] < 0.03)
    low, high = posed.vertices()[0, level].amin(0), posed.vertices()[0, level].amax(0)
    fist = posed.joints[1, body.joint_names.index("left_middle3")]
    way_in = 1.0 if fist[0] > belly[0] else -1.0
    near = low if way_in > 0 else high
    wanted = torch.stack([near[0] + way_in * depth, belly[1], (low[2] + high[2]) / 2])
    enters = parameters(transl=np.array([0, 0, 4]) + (wanted - fist).numpy())
    return scene([person(body, enters), person(body, stands)]), way_in


@pytest.mark.parametrize(("target", "sign"), [("surface", 1), ("entry", -1)])
def test_a_fist_past_the_middle_of_a_belly_leaves_by_the_way_that_it_came(fitter_of, body, target, sign):
    """Only with ``target="entry"``: the nearest surface is that of the other side."""
    lost, way_in = fist_in_belly(body, 0.28)
    preset = make_preset(
        {"penetration": 1e3, "initial_pose": 1.0},
        ["transl"],
        80,
        {"penetration": {"target": target}},
        learning_rate=0.005,
    )
    (result,) = fitter_of(preset).fit([lost])
    moved = np.diff(result.start["transl"] - result.parameters["transl"], axis=0)[0, 0] * way_in
    assert result.before.inside_vertices > 1000 and result.after.inside_vertices == 0
    assert moved * sign > 0.05


def test_self_contact(fitter_of, body):
    start = parameters(body_pose=arm_across())
    hand_on_chest = ContactMap.from_parts([PartContact("hand", "left", "chest", "none")])
    touching = scene([person(body, start)], [SceneContact(0, 0, hand_on_chest)])
    preset = make_preset(
        {"contact": 1e4, "initial_pose": 5.0}, ["body_pose"], 60, options=PARTS, learning_rate=0.03
    )
    (result,) = fitter_of(preset).fit([touching])
    assert result.before.part_distance[0] > 0.08 and result.after.part_distance[0] < 0.01


def test_a_hand_leaves_the_own_belly(fitter_of, body):
    pose = np.zeros((21, 3))
    pose[15], pose[17] = [0.39, -0.55, -0.66], [0.27, -1.44, -1.38]  # left shoulder and elbow
    weights = {"self_penetration": 3e2, "initial_pose": 10.0, "keypoints": 1e-4}
    preset = make_preset(weights, ["body_pose"], 30, learning_rate=0.03)
    alone = scene([person(body, parameters(body_pose=pose.ravel()))])
    losses = []
    (result,) = fitter_of(preset).fit(
        [alone], callback=lambda now: losses.append(now.terms["self_penetration"])
    )
    assert losses[0] > 1000 and losses[-1] < 0.02 * losses[0]
    assert np.abs(result.parameters["body_pose"] - result.start["body_pose"]).max() < 1.0


def arm_across():
    pose = np.zeros((21, 3))
    pose[15] = [0, -1.0, 0]  # the left arm points forward
    pose[17] = [0, -1.2, 0]
    return pose.ravel()


def test_either_order_finds_the_swapped_one(fitter_of, body):
    there = pair(body, 0.1, map=HAND_ON_SHOULDER.transposed(), name="swapped")
    open_order = pair(body, 0.1, map=HAND_ON_SHOULDER.transposed(), order="either")
    right = pair(body, 0.1)
    fitter = fitter_of(contact_preset(30))
    wrong, found, known = fitter.fit([there, open_order, right])
    vertices = [body.pose(fitter.tensors(r.parameters)).vertices() for r in (wrong, found, known)]
    regions = RegionMap.load("free")
    hand = regions.union([int(i) for i in np.unique(HAND_ON_SHOULDER.pairs[:, 0])])
    shoulder = regions.union([int(i) for i in np.unique(HAND_ON_SHOULDER.pairs[:, 1])])
    gap = [torch.cdist(v[0, hand], v[1, shoulder]).min().item() for v in vertices]
    assert gap[1] == pytest.approx(gap[2], abs=1e-4) and gap[1] < gap[0] - 0.03


# --- what it leaves alone ---


@pytest.mark.parametrize("free", [("transl",), ("body_pose",), ("betas", "age"), ("global_orient", "transl")])
def test_a_parameter_that_is_not_free_keeps_its_bits(fitter_of, body, free):
    # half grown, so that age can move either way
    starts = [parameters(transl=[x, 0.3, 4.0], age=[0.4]) for x in (-0.6, 0.55)]
    children = scene([person(body, start) for start in starts], [SceneContact(0, 1, HAND_ON_SHOULDER)])
    (result,) = fitter_of(make_preset(WEIGHTS, free, iterations=3, options=PARTS)).fit([children])
    assert set(result.parameters) == set(body.parameter_specs)
    for name, value in result.parameters.items():
        same = np.array_equal(value, result.start[name])
        assert same != (name in free), name


def test_people_whom_nothing_pulls_stay(fitter_of, body):
    bystander = nobody_saw(parameters(transl=[3, 0.3, 6]))
    couple = pair(body, 0.1)
    with_bystander = scene([*couple.people, bystander], couple.contacts, "with a bystander")
    fitter = fitter_of(contact_preset(10))
    (alone,), (result,) = fitter.fit([couple]), fitter.fit([with_bystander])
    for name, value in result.parameters.items():
        np.testing.assert_array_equal(value[2], result.start[name][2])
        np.testing.assert_allclose(value[:2], alone.parameters[name], atol=1e-4)
    assert np.isnan(result.after.keypoint_error[2])
    assert not result.verdict.kept and "person 2 has no keypoint" in result.verdict.reason


def test_stages_run_one_after_the_other(fitter_of, body):
    stages = (
        Stage("first", {"keypoints": 0.02}, ("transl",), 0.02, 4, relative_slope=None),
        Stage(
            "second", {"initial_pose": 1.0, "keypoints": 0.02}, ("body_pose",), 0.02, 3, relative_slope=None
        ),
    )
    preset = Preset("two", {"keypoints": {}, "initial_pose": {}}, stages)
    seen = []
    fitter_of(preset).fit(
        mixed_scenes(body)[1:2],
        callback=lambda e: seen.append((e.stage, e.iteration, e.state.params["transl"].detach().clone())),
    )
    assert [s[:2] for s in seen] == [("first", i) for i in range(4)] + [("second", i) for i in range(3)]
    moved = [not torch.equal(a[2], b[2]) for a, b in pairwise(seen)]
    # the last step of a stage is measured and kept, not taken further
    assert moved == [True] * 3 + [False] * 3


def test_no_iterations_and_no_stages(fitter_of, body):
    for preset in (contact_preset(0), Preset("none", {}, ())):
        (result,) = fitter_of(preset).fit([pair(body)])
        assert result.iterations == 0 and not result.failed
        for name, value in result.parameters.items():
            np.testing.assert_array_equal(value, result.start[name])
        assert result.before == result.after and result.verdict.kept


def test_a_result_records_every_option(fitter_of, body):
    preset = make_preset(
        {"contact": 1.0, "penetration": 1.0}, iterations=0, options={"contact": {"robust": 0.2}}
    )
    (result,) = fitter_of(preset).fit([pair(body)])
    recorded = result.to_dict()["preset"]["terms"]
    assert recorded["contact"] == {"over": "parts", "mode": "min", "robust": 0.2, "soft": None}
    assert recorded["penetration"] == {"target": "surface", "energy": "l2", "mutual": False}
    again = Preset.from_dict(json.loads(json.dumps(result.to_dict()["preset"])))
    assert fitter_of(again).fit([pair(body)])[0].preset == again


def test_no_scenes_and_no_contacts(fitter_of, body):
    shares = []
    assert fitter_of(contact_preset(2)).fit([], progress=shares.append) == []
    assert shares == [1.0]
    couple = pair(body)
    (without, empty) = fitter_of(contact_preset(5)).fit(
        [scene(couple.people, ()), scene(couple.people, [SceneContact(0, 1, ContactMap.empty())])]
    )
    assert_same(without, empty)
    assert without.after.contact_distance == () and np.isnan(without.after.contact_share(0.1))
    assert without.stages[0].terms["contact"] == 0


# --- no scene disturbs another ---


def test_two_runs_give_the_same_bits(fitter_of, body):
    scenes = mixed_scenes(body)
    preset = make_preset({**WEIGHTS, "penetration": 10.0}, iterations=8, options=PARTS)
    for a, b in zip(fitter_of(preset).fit(scenes), fitter_of(preset).fit(scenes), strict=True):
        assert_same(a, b)
        assert a.stages == b.stages and a.before == b.before


def test_a_scene_ends_alike_alone_and_in_any_batch(fitter_of, body):
    scenes = mixed_scenes(body)
    together = fitter_of(contact_preset(15)).fit(scenes)
    one_by_one = fitter_of(contact_preset(15), batch_size=1).fit(scenes)
    backwards = fitter_of(contact_preset(15), batch_size=2).fit(scenes[::-1])[::-1]
    for a, b, c in zip(together, one_by_one, backwards, strict=True):
        assert a.scene == b.scene == c.scene
        assert_same(a, b, atol=1e-4)
        assert_same(a, c, atol=1e-4)


def test_a_converged_scene_leaves_and_ends_as_it_would_alone(fitter_of, body):
    preset = contact_preset(40, relative_slope=0.03, window=8)
    scenes = mixed_scenes(body)
    active = []
    together = fitter_of(preset).fit(scenes, callback=lambda e: active.append(e.scenes.tolist()))
    counts = [r.iterations for r in together]
    assert len(set(counts)) == 3, counts  # each leaves at a time of its own
    assert [sum(i in a for a in active) for i in range(3)] == counts
    for result, one in zip(together, scenes, strict=True):
        (alone,) = fitter_of(preset).fit([one])
        assert_same(alone, result, atol=2e-4)
        assert alone.stages[0].loss == pytest.approx(result.stages[0].loss, rel=1e-3)
    assert {r.stages[0].reason for r in together} <= {"converged", "iteration limit"}
    assert "converged" in {r.stages[0].reason for r in together}


def broken_start(body):
    couple = pair(body, name="broken")
    bad = parameters(body_pose=np.full(63, np.nan))
    return scene([couple.people[0], nobody_saw(bad)], couple.contacts, "broken")


def test_a_start_that_is_not_finite_ends_with_a_reason(fitter_of, body):
    scenes = mixed_scenes(body)
    fitter = fitter_of(contact_preset(10))
    results = fitter.fit([scenes[0], broken_start(body), *scenes[1:]])
    broken = results.pop(1)
    assert broken.failed and broken.iterations == 0 and not broken.verdict.kept
    assert "initial parameters are not finite" in broken.verdict.reason
    assert np.isnan(broken.parameters["body_pose"][1]).all() and np.isnan(broken.after.contact_distance[0])
    for a, b in zip(fitter.fit(scenes), results, strict=True):
        assert_same(a, b, atol=1e-5)
    (only,) = fitter.fit([broken_start(body)])
    assert only.failed


def test_a_start_that_fails_for_scenes_together_only_is_an_error(fitter_of, body, monkeypatch):
    fitter = fitter_of(contact_preset(2))
    alone = fitter._laid

    def laid(scenes):
        if len(scenes) > 1:
            raise ValueError("too many")
        return alone(scenes)

    monkeypatch.setattr(fitter, "_laid", laid)
    with pytest.raises(ValueError, match="too many"):
        fitter.fit(mixed_scenes(body))


def breaking(bad_scene, iteration):
    """A user's term that is NaN for one scene from some iteration on, and 0 for the others."""
    calls = []

    def term(state):
        names = [s.name for s in state.batch.scenes]
        calls.append(1)
        value = state.per_scene(0 * state.joints.sum((1, 2)))
        bad = torch.tensor([name == bad_scene for name in names]) & (len(calls) > iteration)
        return value + torch.where(bad, float("nan"), 0.0)

    return term


@pytest.mark.parametrize("iteration", [0, 10])
def test_a_scene_that_breaks_ends_with_a_reason_and_its_last_good_parameters(fitter_of, body, iteration):
    scenes = mixed_scenes(body)
    seen = []
    plain = fitter_of(contact_preset(14).weighted(mine=1.0), terms={"mine": breaking("nobody", 0)}).fit(
        scenes, callback=lambda e: seen.append(e.state.params["body_pose"].detach().numpy().copy())
    )
    told = []
    results = fitter_of(
        contact_preset(14).weighted(mine=1.0), terms={"mine": breaking("alone", iteration)}
    ).fit(
        scenes,
        callback=lambda e: told.append(
            (e.attempt, e.evaluation, dict(zip(e.scenes.tolist(), e.taken.tolist(), strict=True)))
        ),
    )
    everybody, others = dict.fromkeys(range(3), True), {0: True, 2: True}
    assert told == [
        *((1, i, everybody) for i in range(iteration)),
        (1, iteration, {**everybody, 1: False}),  # where it broke
        *((1, i, others) for i in range(iteration + 1, 14)),
        *((2, i, others) for i in range(14)),  # the others again, without it
    ]
    broken = results[1]
    assert broken.failed and not broken.verdict.kept
    assert broken.verdict.reason == f"failed: the term 'mine' is nan in stage 'only', iteration {iteration}"
    assert broken.iterations == iteration + 1
    kept = seen[max(iteration - 1, 0)][2:3]
    np.testing.assert_array_equal(broken.parameters["body_pose"], kept)
    for number in (0, 2):
        assert_same(plain[number], results[number], atol=1e-5)
    assert all(np.isfinite(v).all() for r in results for v in r.parameters.values())


def test_a_gradient_that_breaks_ends_its_own_scene_only(fitter_of, body):
    def term(state):
        # finite value, infinite slope at the start: the root of the distance from it
        moved = (state.params["body_pose"] - state.start["body_pose"]).square().sum(1)
        alone = torch.tensor([s.name == "alone" for s in state.batch.scenes])[state.batch.row_scene]
        return state.per_scene(torch.zeros_like(moved).index_put((alone,), moved[alone].sqrt()))

    results = fitter_of(contact_preset(4).weighted(mine=1.0), terms={"mine": term}).fit(mixed_scenes(body))
    assert [r.failed for r in results] == [False, True, False]
    assert "a gradient is not finite" in results[1].verdict.reason
    np.testing.assert_array_equal(results[1].parameters["body_pose"], results[1].start["body_pose"])


def test_a_failed_scene_takes_no_part_in_the_next_stage(fitter_of, body):
    first = contact_preset(3).weighted(mine=1.0).stages[0]
    second = Stage("after", {"keypoints": 0.02}, ("transl",), 0.02, 2, relative_slope=None)
    preset = Preset("two", contact_preset().terms, (first, second))
    results = fitter_of(preset, terms={"mine": breaking("pair", 1)}).fit(mixed_scenes(body))
    assert [len(r.stages) for r in results] == [1, 2, 2]
    assert [r.failed for r in results] == [True, False, False]


# --- what it says ---


def test_a_term_of_the_wrong_shape_is_named(fitter_of, body):
    for bad in (lambda s: s.joints.sum((1, 2)), lambda s: s.joints.sum(), lambda s: 3.0):
        fitter = fitter_of(contact_preset(2).weighted(mine=1.0), terms={"mine": bad})
        with pytest.raises(
            ValueError, match=r"'mine' must return one value a scene, a tensor of shape \(3,\)"
        ):
            fitter.fit(mixed_scenes(body))


def test_age_stays_between_adult_and_infant_whatever_pulls(fitter_of, body):
    for sign in (1.0, -1.0):
        pull = {"pull": lambda state, sign=sign: state.per_scene(sign * state.params["age"].sum(1))}
        result = fitter_of(make_preset({"pull": 1.0}, ["age"], 40, options={}), terms=pull).fit([pair(body)])[
            0
        ]
        assert ((result.parameters["age"] >= 0) & (result.parameters["age"] <= 1)).all()


def test_what_the_fitter_refuses(fitter_of, body):
    with pytest.raises(ValueError, match="no preset 'good'"):
        fitter_of("good")
    with pytest.raises(ValueError, match=r"weighs \['mine'\]"):
        fitter_of(contact_preset().weighted(mine=1.0))
    with pytest.raises(ValueError, match="no option"):
        fitter_of(contact_preset().with_options("contact", colour=1))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        fitter_of(contact_preset(), batch_size=0)
    with pytest.raises(ValueError, match=r"'only': the body has no parameter \['hair'\].*body_pose"):
        fitter_of(make_preset(WEIGHTS, ["hair"], 1, options=PARTS))
    other = RegionMap(
        "other", 100, np.zeros(76, dtype=np.int64), np.zeros(0, dtype=np.int64), "made up", True
    )
    with pytest.raises(ValueError, match=r"'other' is for 100 vertices, but the body 'free' has"):
        fitter_of(contact_preset(), regions=other)


def test_the_callback_sees_every_iteration_of_every_scene(fitter_of, body):
    events = []

    def see(event):
        total = sum(event.terms.values())
        torch.testing.assert_close(total, event.loss)
        assert event.max_iterations == 4 and event.stage == "only"
        assert event.state.batch.size == len(event.scenes)
        events.append((event.iteration, tuple(event.scenes.tolist())))

    fitter_of(contact_preset(4), batch_size=2).fit(mixed_scenes(body), callback=see)
    assert events == [(i, (0, 1)) for i in range(4)] + [(i, (2,)) for i in range(4)]


def test_progress_never_falls_and_ends_at_one(fitter_of, body):
    first = contact_preset(6, relative_slope=0.5, window=3).stages[0]
    second = Stage("after", {"keypoints": 0.02}, ("transl",), 0.02, 3, relative_slope=None)
    shares = []
    fitter_of(Preset("two", contact_preset().terms, (first, second)), batch_size=2).fit(
        [*mixed_scenes(body), broken_start(body)], progress=shares.append
    )
    assert shares[-1] == 1.0 and all(a <= b for a, b in pairwise(shares))
    assert 0 < shares[0] < 0.2 and len(shares) > 8


def test_losses_of_the_report_are_those_of_the_parameters(fitter_of, body):
    couple = pair(body, 0.1)
    fitter = fitter_of(contact_preset(6))
    (result,) = fitter.fit([couple])
    # the same keypoints; start where the first fit ended
    ends = [InitialBody({name: v[i] for name, v in result.parameters.items()}) for i in range(2)]
    moved = scene([replace(p, initial=e) for p, e in zip(couple.people, ends, strict=True)], couple.contacts)
    again = []
    fitter_of(make_preset({"contact": 1e4, "keypoints": 0.02}, iterations=1, options=PARTS)).fit(
        [moved], callback=lambda e: again.append(e.terms)
    )
    for name in ("contact", "keypoints"):
        assert again[0][name].item() == pytest.approx(result.stages[0].terms[name], rel=1e-4)


# --- far away ---


def test_a_person_sixty_metres_away(fitter_of, body):
    near = pair(body, 0.1)
    shift = np.array([0.0, 0.0, 56.0])
    starts = [{**p.initial.parameters, "transl": p.initial.parameters["transl"] + shift} for p in near.people]
    far = scene([person(body, s) for s in starts], near.contacts, "far")
    preset = make_preset({"contact": 1e4, "initial_pose": 20.0}, ["body_pose"], 20, options=PARTS)
    a, b = fitter_of(preset).fit([near, far])
    # single floats are 4 micrometres apart there; the fit must not notice
    assert b.before.part_distance[0] == pytest.approx(a.before.part_distance[0], abs=2e-5)
    assert b.after.part_distance[0] == pytest.approx(a.after.part_distance[0], abs=2e-3)
    assert b.after.part_distance[0] < 0.6 * b.before.part_distance[0]
    assert max(b.before.keypoint_error) < 0.5  # the scale makes much of a small person's box
