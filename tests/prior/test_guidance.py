"""What a prior does in a fit: the same whoever is first, whichever side, wherever; to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch
from fitting_scenes import make_preset, pair, parameters, person, scene, some_pose
from prior_pairs import drawn_people, turned

from apu_losses.bodies import load_body
from apu_losses.fitting import FitState, SceneFitter, load_preset, make_batch
from apu_losses.fitting.objective.terms.prior import PriorTerm, PriorVertexTerm
from apu_losses.prior import PriorLayout, drawn_noise, guide, load_prior

TERMS = (
    PriorTerm(t=100, shape=0.1, orient=1.0),
    PriorTerm(t=100, shape=0.1, orient=1.0, squared=False),
    PriorTerm(t=100, told=False),
    PriorVertexTerm(t=100, vertices=40),
)


@pytest.fixture(scope="module")
def free():
    return load_body("free")


@pytest.fixture(scope="module")
def fitter(free):
    return SceneFitter(free, preset="best")


def state_of(fitter, people, start):
    """A state of one scene whose two people are given, and where their fit began."""
    body = fitter.body
    someone = [person(body, parameters(transl=[x, 0.3, 4.0])) for x in (-0.4, 0.4)]
    batch = make_batch([scene(someone)], torch.device("cpu"), torch.float32)

    def stacked(two):
        return {name: torch.cat([p[name] for p in two]).float() for name in two[0]}

    geometry = fitter.geometry
    params, begun = stacked(people), stacked(start)
    return FitState(body, geometry.regions, geometry.topology, batch, params, begun, begun)


@pytest.fixture(scope="module")
def couple():
    people, start = drawn_people(1, 3, 0.2), drawn_people(1, 4, 0.2)
    for k in (0, 1):  # an estimate of the same two
        start[k] = {n: 0.8 * people[k][n] + 0.2 * start[k][n] for n in start[k]}
    return people, start


@pytest.mark.parametrize("term", TERMS)
def test_who_is_first_where_they_are_and_which_side_do_not_matter(fitter, free, couple, term):
    people, start = couple
    layout = PriorLayout.of_body(free)
    value = float(term(state_of(fitter, people, start)))
    assert value > 1e-3
    exchanged = float(term(state_of(fitter, people[::-1], start[::-1])))
    turn, shift = (
        roma.rotvec_to_rotmat(torch.tensor([0.0, 2.0, 0.0]).double()),
        torch.tensor([1.0, 0, 0]).double(),
    )
    moved = [[turned(p, _Double(free), layout, turn, shift) for p in two] for two in (people, start)]
    about_the_vertical = float(term(state_of(fitter, *moved)))
    flip = torch.tensor([1.0, -1.0, -1.0]).double()
    images = [
        [
            {
                **p,
                "global_orient": p["global_orient"] * flip,
                "body_pose": layout.mirrored_pose(p["body_pose"]),
                "transl": p["transl"] * -flip,
            }
            for p in two
        ]
        for two in (people, start)
    ]
    mirrored = float(term(state_of(fitter, *images)))
    assert exchanged == pytest.approx(value, rel=1e-4)
    assert about_the_vertical == pytest.approx(value, rel=1e-3)
    # the body itself is symmetric to a millimetre; its few vertices that are compared are not
    assert mirrored == pytest.approx(value, rel=0.1 if isinstance(term, PriorVertexTerm) else 2e-2)


class _Double:
    """The body in single precision, asked in double."""

    def __init__(self, body):
        self.body = body

    def pose(self, params):
        return self.body.pose({n: v.float() for n, v in params.items()})


def test_what_the_prior_has_in_mind_costs_nothing(fitter, free, couple):
    """People who stand where they are drawn to, with a target that stays, have no distance left."""
    people, start = couple
    state = state_of(fitter, people, start)
    rows = torch.tensor([0]), torch.tensor([1])
    prior = load_prior("free")
    wanted = guide(prior, free, state.params, state.start, *rows, drawn_noise(prior, 0), 100)
    there = {name: value[0] for name, value in wanted.params.items()}
    assert set(there) == {"global_orient", "body_pose", "betas", "age", "transl"}
    placed = FitState(free, state.regions, state.topology, state.batch, there, state.start, state.reference)
    for term in (PriorTerm(t=100, shape=1.0, orient=1.0), PriorVertexTerm(t=100, vertices=40)):
        key = (type(term).__name__, term)
        placed.once(key, lambda: (replace(wanted, apart=there["transl"][1:] - there["transl"][:1]), rows[0]))
        assert float(term(placed)) < 1e-8
    # and the two were moved alike: half way between their roots is where it was
    middles = [free.pose(p).joints[:, 0].mean(0) for p in (state.params, there)]
    torch.testing.assert_close(middles[0], middles[1], atol=1e-5, rtol=0)


def test_the_target_has_no_gradient_and_the_pull_leads_there(fitter, free, couple):
    people, start = couple
    state = state_of(fitter, people, start)
    params = {n: v.clone().requires_grad_() for n, v in state.params.items()}
    moved = FitState(free, state.regions, state.topology, state.batch, params, state.start, state.reference)
    term = PriorTerm(t=100, pose=0.0, transl=1.0)
    term(moved).sum().backward()
    prior = load_prior("free")
    rows = torch.tensor([0]), torch.tensor([1])
    wanted = guide(prior, free, state.params, state.start, *rows, drawn_noise(prior, 0), 100)
    apart = state.params["transl"][1] - state.params["transl"][0] - wanted.apart[0]
    torch.testing.assert_close(params["transl"].grad[1], 2 * apart, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(params["transl"].grad[0], -2 * apart, rtol=1e-4, atol=1e-6)
    assert params["body_pose"].grad is None or not params["body_pose"].grad.any()


@pytest.fixture(scope="module")
def scenes(free):
    near = pair(free, gap=-0.1)
    alone = scene([person(free, parameters(), parameters(body_pose=some_pose(1)))], name="alone")
    three = scene([person(free, parameters(transl=[x, 0.3, 5.0])) for x in (-0.8, 0.0, 0.8)], name="three")
    return [alone, three, near]


@pytest.mark.parametrize("optimizer", ["adam", "levenberg_marquardt"])
def test_a_guided_fit_repeats_to_the_bit_in_any_company(free, scenes, optimizer):
    preset = make_preset(
        {"keypoints": 0.02, "initial_pose": 100.0, "prior": 100.0, "prior_vertices": 10.0},
        iterations=3,
        optimizer=optimizer,
    )
    preset = preset.with_options("prior", t=100).with_options("prior_vertices", t=100, vertices=30)
    fitter = SceneFitter(free, preset=preset)
    (alone,) = fitter.fit(scenes[-1:])
    torch.rand(5)  # whoever draws in between
    (again,) = fitter.fit(scenes[-1:])
    last, first = fitter.fit(scenes)[-1], fitter.fit([scenes[-1], *scenes[:-1]])[0]
    assert not alone.failed and alone.stages[0].terms["prior"] > 0
    for other in (again, last, first):
        for name, value in alone.parameters.items():
            np.testing.assert_array_equal(value, other.parameters[name], err_msg=name)
        assert alone.stages == other.stages


def test_somebody_alone_is_left_alone(free, scenes):
    preset = make_preset({"keypoints": 0.02, "prior": 100.0}, iterations=1)
    (result,) = SceneFitter(free, preset=preset).fit(scenes[:1])
    assert result.stages[0].terms["prior"] == 0


def test_best_takes_the_prior_by_a_weight(free, scenes):
    best = load_preset("best").weighted(prior=100.0).with_options("prior", t=200)
    short = replace(best, stages=tuple(replace(s, max_iterations=2) for s in best.stages[:2]))
    (result,) = SceneFitter(free, preset=short).fit(scenes[-1:])
    assert not result.failed and all(s.terms["prior"] > 0 for s in result.stages)
    assert result.preset.terms["prior"]["prior"] == "free"  # the record says which


def test_only_those_whom_an_edge_joins(free, scenes):
    preset = make_preset({"keypoints": 0.02, "prior": 1.0}, iterations=1)
    results = SceneFitter(free, preset=preset.with_options("prior", between="edges")).fit(scenes)
    assert [r.stages[0].terms["prior"] > 0 for r in results] == [False, False, True]


def test_mistakes_are_named(free, couple):
    for options, said in {
        (("t", -1),): "t must be a whole number, at least 0, got -1",
        (("t", 2.5),): "t must be a whole number",
        (("told", 1),): "told must be True or False, got 1",
        (("between", "all"),): "between must be",
        (("pose", float("nan")),): "pose must be",
    }.items():
        with pytest.raises(ValueError, match=said):
            PriorTerm(**dict(options))
    with pytest.raises(ValueError, match="vertices must be a whole number, at least 1"):
        PriorVertexTerm(vertices=0)
    fitter = SceneFitter(free)
    with pytest.raises(ValueError, match="t must be below the 1000 steps"):
        PriorTerm(t=1000)(state_of(fitter, *couple))
    with pytest.raises(ValueError, match="no prior 'mine'"):
        PriorTerm(prior="mine")(state_of(fitter, *couple))
