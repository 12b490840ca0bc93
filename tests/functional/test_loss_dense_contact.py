"""Labelled vertices drawn together: the formula by kd-trees, gradients by differences, the term in a fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fitting_scenes import parameters, person, scene, some_pose
from scipy.spatial import cKDTree

from apu_contacts import RegionMap
from apu_contacts.regions import part_regions
from apu_losses.bodies import load_body
from apu_losses.fitting import DenseContact, DenseContactTerm, FitState, SceneFitter, load_preset, make_batch
from apu_losses.fitting.objective.residuals import Movement
from apu_losses.functional import dense_contact
from apu_losses.geometry import MeshTopology, RegionIndex

RNG = np.random.default_rng(4)
A, B = RNG.normal(size=(2, 40, 3)), RNG.normal(size=(2, 60, 3)) + np.array([0.5, 0, 0])
P, Q = RNG.uniform(0, 1, (2, 40)), RNG.uniform(0, 1, 60)


def by_hand(a, b, p, q, threshold=0.5, robust=None):
    total = 0.0
    for own, other, chance, chances in ((a, b, p, q), (b, a, q, p)):
        squared = cKDTree(other[chances >= threshold]).query(own[chance >= threshold])[0] ** 2
        if robust is not None:
            squared = robust**2 * squared / (robust**2 + squared)
        total += np.average(squared, weights=chance[chance >= threshold]) / 2
    return total


@pytest.mark.parametrize("options", [{}, {"threshold": 0.2}, {"robust": 0.3}], ids=str)
def test_the_formula_of_two_topologies(options: dict) -> None:
    value = dense_contact(*map(torch.as_tensor, (A, B, P, Q)), **options)
    expected = [by_hand(A[k], B[k], P[k], Q, **options) for k in range(2)]
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-12)


def test_gradient_by_finite_differences() -> None:
    a, b = (torch.as_tensor(x).requires_grad_() for x in (A, B))
    assert torch.autograd.gradcheck(
        lambda x, y: dense_contact(x, y, torch.as_tensor(P), torch.as_tensor(Q), robust=0.5), (a, b)
    )


def test_no_label_no_pull_and_nan_shows() -> None:
    a = torch.as_tensor(A).requires_grad_()
    value = dense_contact(a, torch.as_tensor(B), torch.zeros(40), torch.as_tensor(Q))
    value.sum().backward()
    assert value.tolist() == [0, 0] and a.grad is not None and not a.grad.any()
    broken = torch.as_tensor(A).clone()
    broken[1, np.flatnonzero(P[1] >= 0.5)[0]] = torch.nan
    found = dense_contact(broken, torch.as_tensor(B), torch.as_tensor(P), torch.as_tensor(Q))
    assert found[0].isfinite() and found[1].isnan()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"contacts_a": torch.zeros(7)}, "contacts_a must be one probability a vertex"),
        ({"contacts_b": torch.full((60,), 2.0)}, "are these logits"),
        ({"verts_b": torch.zeros(3, 60, 3)}, "as many bodies"),
        ({"threshold": 0.0}, "threshold"),
    ],
)
def test_mistakes_are_named(change: dict, said: str) -> None:
    given = {"verts_a": A, "verts_b": B, "contacts_a": P, "contacts_b": Q}
    tensors = {k: torch.as_tensor(v) for k, v in given.items()}
    with pytest.raises(ValueError, match=said):
        dense_contact(**{**tensors, **change})


REGIONS = RegionMap.load("free")


def on(part: str, side: str) -> np.ndarray:
    chance = np.zeros(REGIONS.vertex_count)
    ids = REGIONS.union(part_regions(part, side))
    chance[ids] = np.random.default_rng(len(ids)).uniform(0.5, 1, len(ids))
    return chance


LABELS = {
    "two": [DenseContact(0, 1, on("hand", "left"), on("upper arm", "right"))],
    "three": [
        DenseContact(0, 2, on("hand", "right"), on("forearm", "right")),
        DenseContact(2, 1, on("hand", "left"), on("head", "none")),
    ],
}


class World:
    """Three people in a scene of two and one of three, in float64."""

    def __init__(self) -> None:
        self.body = load_body("free", dtype=torch.float64)
        with torch.no_grad():
            rest = self.body.pose({"transl": torch.zeros(1, 3, dtype=torch.float64)}).vertices()[0]
        self.regions = RegionIndex.build(REGIONS, self.body.num_vertices, rest)
        self.topology = MeshTopology.build(self.body.faces, self.body.num_vertices, rest)
        places = [(0, 0.3, 4), (0.5, 0.3, 4), (0, 0.3, 5), (0.6, 0.3, 5), (1.1, 0.3, 5.1)]
        people = [parameters(body_pose=some_pose(k), transl=p) for k, p in enumerate(places)]
        made = [person(load_body("free"), p) for p in people]
        self.scenes = [scene(made[:2], [], "two"), scene(made[2:], [], "three")]
        self.params = {
            k: torch.as_tensor(np.stack([p[k] for p in people]), dtype=torch.float64) for k in people[0]
        }

    def state(self, params=None, scenes=(0, 1)):
        batch = make_batch([self.scenes[k] for k in scenes], torch.device("cpu"), torch.float64)
        params = self.params if params is None else params
        return FitState(self.body, self.regions, self.topology, batch, params, params, params)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.mark.parametrize("robust", [None, 0.1])
def test_the_term_is_the_loss_on_whole_bodies_in_any_company(world: World, robust: float | None) -> None:
    term = DenseContactTerm(LABELS, robust=robust, most=10_000)
    together = term(world.state())
    v = world.body.pose(world.params).vertices()

    def loss(a: int, b: int, said: DenseContact) -> float:
        chances = torch.as_tensor(said.contacts_a), torch.as_tensor(said.contacts_b)
        return float(dense_contact(v[a : a + 1], v[b : b + 1], *chances, robust=robust))

    expected = [loss(0, 1, LABELS["two"][0]), loss(2, 4, LABELS["three"][0]) + loss(4, 3, LABELS["three"][1])]
    np.testing.assert_allclose(together.numpy(), expected, rtol=1e-9)
    for number, rows in enumerate((slice(0, 2), slice(2, 5))):
        alone = term(world.state({k: p[rows] for k, p in world.params.items()}, [number]))
        assert torch.equal(alone[0], together[number])


def test_the_terms_gradient_by_finite_differences_and_its_residuals(world: World) -> None:
    term = DenseContactTerm(LABELS, robust=0.2, most=50)
    live = {k: v.clone().requires_grad_() for k, v in world.params.items()}
    state = world.state(live)
    term(state).sum().backward()
    generator = torch.Generator().manual_seed(0)
    for name in ("transl", "body_pose", "global_orient"):
        way = torch.randn(world.params[name].shape, generator=generator, dtype=torch.float64)
        ends = [
            float(term(world.state({**world.params, name: world.params[name] + s * 1e-6 * way})).sum())
            for s in (1, -1)
        ]
        assert float((live[name].grad * way).sum()) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4)
    found = term.residuals(world.state(), movement := Movement(world.state(), ("transl", "body_pose")))
    slope = torch.zeros(5, movement.size, dtype=torch.float64)
    for rows, jacobian in found.parts:
        each = 2 * (found.weight[:, None, None] * found.value[:, :, None] * jacobian).sum(1)
        slope.index_add_(0, rows, each)
    torch.testing.assert_close(
        slope, torch.cat([live["transl"].grad, live["body_pose"].grad], 1), rtol=1e-6, atol=1e-9
    )


def test_a_fit_brings_labelled_vertices_together(world: World) -> None:
    preset = load_preset("best").without("contact", "penetration").weighted(dense_contact=1e4)
    fitter = SceneFitter(preset=preset, terms={"dense_contact": DenseContactTerm(LABELS, robust=None)})
    (result,) = fitter.fit([replace(world.scenes[0], contacts=())])
    body = load_body("free")

    def near(parameters_: dict) -> float:
        v = body.pose({k: torch.as_tensor(p).float() for k, p in parameters_.items()}).vertices()
        said = LABELS["two"][0]
        masks = said.contacts_a > 0, said.contacts_b > 0
        return float(cKDTree(v[1][masks[1]].numpy()).query(v[0][masks[0]].numpy())[0].min())

    assert near(dict(result.parameters)) < 0.02 < 0.05 < near(dict(result.start))


def test_a_term_names_its_mistakes(world: World) -> None:
    with pytest.raises(ValueError, match="of another topology"):
        DenseContactTerm({"two": [DenseContact(0, 1, np.ones(5), np.ones(5))]})(world.state())
    with pytest.raises(ValueError, match="the scene has 2"):
        DenseContactTerm({"two": [DenseContact(0, 2, LABELS["two"][0].contacts_a, on("head", "none"))]})(
            world.state()
        )
    with pytest.raises(ValueError, match="twice"):
        DenseContact(1, 1, np.ones(5), np.ones(5))
    with pytest.raises(ValueError, match="most"):
        DenseContactTerm({}, most=0)
    assert DenseContactTerm({})(world.state()).tolist() == [0, 0]
