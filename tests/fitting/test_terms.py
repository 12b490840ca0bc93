"""Every built-in term against its formula on whole bodies, its scenes alone, and finite differences."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fitting_scenes import BUILT_IN_NAMES, HAND_ON_SHOULDER, nobody_saw, parameters, person, scene, some_pose
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from apu_contacts import ContactMap, RegionMap
from apu_contacts.keypoints import SKELETONS
from apu_contacts.regions import part_regions
from apu_losses.bodies import load_body
from apu_losses.fitting import FitState, SceneContact, Term, make_batch
from apu_losses.fitting.objective.terms.depth import BEHIND
from apu_losses.fitting.solve.registry import BUILT_IN
from apu_losses.functional.contact import soft_contact
from apu_losses.functional.facing import contact_facing
from apu_losses.functional.penetration import penetration_loss
from apu_losses.functional.pose_prior import BODY_JOINTS, anatomical_pose_prior
from apu_losses.functional.self_penetration import self_penetration_loss
from apu_losses.functional.skin import SkinPatches
from apu_losses.geometry import MeshTopology, RegionIndex

BACK_AND_ARMS = ContactMap([[10, 60], [11, 61], [3, 44], [3, 45]], [0.5, 1, 0.25, 0.75], [0, 0, 1, 1])
HANDS = ("left_hand_pose", "right_hand_pose")
FREE = ("global_orient", "body_pose", "betas", "age", "transl", *HANDS)

OPTIONS = {
    "keypoints": [{}, {"confidence_power": 2.0, "min_confidence": 0.5}, {"robust": 30.0}],
    "contact": [
        {},
        {"over": "pairs"},
        {"robust": 0.1},
        {"soft": 0.01},
        {"mode": "chamfer_quartic"},
    ],
    "facing": [{}, {"over": "pairs"}],
    "minimum_distance": [{}, {"between": "people"}],
    "penetration": [{}, {"target": "vertex", "energy": "quartic"}],
    "pose_prior": [{}],
    "hand_pose": [{}],
    "finger_limits": [{}],
    "initial_place": [{}],
    "initial_pose": [{}, {"spine": 4.0, "collars": 2.0}, {"metric": "geodesic"}],
    "shape": [{}, {"around": "start"}, {"around": "start", "first": 0.0}],
    "stature": [{}],
    "orientation": [{}],
    "age": [{}],
    "ground": [{}, {"feet": 0.0, "below": 2.0}, {"robust": None}],
    "depth_order": [{}, {"form": "logistic", "margin": 0.5}],
    "keypoint_depth": [{}, {"scale": "metric"}, {"robust": None}],
    "smoothness": [{}, {"penalised": "velocity"}],
    "foot_lock": [{}, {"robust": None, "height": 0.5}],
}
MOVING = ("smoothness", "foot_lock")
CASES = [(name, options) for name, several in OPTIONS.items() for options in several]
IDS = [f"{name} {options or ''}" for name, options in CASES]


def people_params():
    """Six people of three scenes; those of a scene stand into each other."""
    places = [
        (0, 0.3, 4),
        (-0.23, 0.3, 4),
        (0.23, 0.35, 4.1),
        (-0.42, 0.3, 5),
        (0, 0.3, 5),
        (0.42, 0.4, 5.05),
    ]
    ages = [0.0, 0.1, 0.4, 0.0, 0.3, 1.2]
    rng = np.random.default_rng(9)
    return [
        parameters(
            body_pose=some_pose(i),
            betas=rng.normal(0, 0.5, 10),
            age=[age],
            transl=place,
            global_orient=np.array([np.pi, 0, 0]) + rng.normal(0, 0.2, 3),
        )
        for i, (place, age) in enumerate(zip(places, ages, strict=True))
    ]


class World:
    """A float64 body, three scenes of 1, 2 and 3 people, and states of them."""

    def __init__(self):
        self.body = load_body("free", dtype=torch.float64)
        self.map = RegionMap.load("free")
        with torch.no_grad():
            template = self.body.pose({"transl": torch.zeros(1, 3, dtype=torch.float64)}).vertices()[0]
        self.regions = RegionIndex.build(self.map, self.body.num_vertices, template)
        self.topology = MeshTopology.build(self.body.faces, self.body.num_vertices, template)
        people = people_params()
        light = load_body("free")
        # what was seen is another pose than what is posed, and some of it uncertain
        made = [person(light, p, {**p, "body_pose": some_pose(40 + i)}) for i, p in enumerate(people)]
        for i, p in enumerate(made):
            object.__setattr__(p.keypoints, "confidence", np.random.default_rng(i).uniform(0, 1, 25))
        made[4] = nobody_saw(people[4])
        for i in (0, 1, 3, 5):  # nobody measured how far away the others are
            depths = np.random.default_rng(20 + i).uniform(3.5, 5.5, 25)
            depths[::7] = np.nan
            made[i] = replace(made[i], depths=depths)
        self.scenes = [
            scene(made[:1], [SceneContact(0, 0, ContactMap([[2, 50]]))], "one"),
            scene(
                made[1:3], [SceneContact(0, 1, HAND_ON_SHOULDER), SceneContact(1, 0, BACK_AND_ARMS)], "two"
            ),
            scene(made[3:], [SceneContact(2, 0, BACK_AND_ARMS, "either")], "three"),
        ]
        floor = (0.0, -1.0, 0.0, -1.0)
        self.scenes[1] = replace(self.scenes[1], depth_order=[(1, 0)], ground=floor)
        self.scenes[2] = replace(self.scenes[2], depth_order=[(2, 0), (1, 0), (1, 2)], ground=floor)
        # the same people as one person in frames 0, 1, 3, ...
        self.clips = [
            replace(
                s,
                contacts=(),
                depth_order=(),
                people=[replace(p, frame=(0, 1, 3)[i], track="somebody") for i, p in enumerate(s.people)],
            )
            for s in self.scenes
        ]
        self.params = {
            name: torch.as_tensor(np.stack([p[name] for p in people]), dtype=torch.float64)
            for name in FREE
            if name not in HANDS
        }
        fingers = np.random.default_rng(3).normal(0, 0.3, (2, 6, 45))
        self.params |= {name: torch.as_tensor(pose) for name, pose in zip(HANDS, fingers, strict=True)}
        generator = torch.Generator().manual_seed(0)
        self.start = {
            name: value + 0.1 * torch.randn(value.shape, generator=generator, dtype=torch.float64)
            for name, value in self.params.items()
        }

    def state(self, params=None, start=None, scenes=(0, 1, 2), reference=None, moving=False):
        those = self.clips if moving else self.scenes
        batch = make_batch([those[i] for i in scenes], torch.device("cpu"), torch.float64)
        params = self.params if params is None else params
        start = self.start if start is None else start
        return FitState(self.body, self.regions, self.topology, batch, params, start, reference or start)

    def rows(self, number):
        return slice(*[(0, 1), (1, 3), (3, 6)][number])


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def state(world):
    return world.state()


@pytest.fixture(scope="module")
def motion(world):
    return world.state(moving=True)


def value(name, state, **options):
    out = BUILT_IN[name](**options)(state)
    assert out.shape == (state.batch.size,)
    return out.detach().numpy()


def test_all_built_in_terms_are_tested_here():
    # tests/prior/test_guidance.py has the two whose target is held: no difference gives their gradient;
    # tests/fitting/test_grip.py has hands that hold somebody
    elsewhere = {"prior", "prior_vertices", "grip"}
    assert {*OPTIONS, "self_penetration"} == set(BUILT_IN_NAMES) == set(BUILT_IN) - elsewhere
    assert all(isinstance(term(), Term) for term in BUILT_IN.values())


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_a_scene_has_the_same_value_alone(world, state, motion, name, options):
    moving = name in MOVING
    together = value(name, motion if moving else state, **options)
    for number in range(3):
        rows = world.rows(number)
        params = {k: v[rows] for k, v in world.params.items()}
        start = {k: v[rows] for k, v in world.start.items()}
        alone = value(name, world.state(params, start, scenes=[number], moving=moving), **options)
        np.testing.assert_allclose(alone, together[number : number + 1], rtol=1e-9)
    assert (together[2 if moving else 1 :] > 0).all()  # two frames have no acceleration


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_gradient_equals_finite_differences(world, name, options):
    generator = torch.Generator().manual_seed(1)
    moving = name in MOVING
    # the nearness that weighs normals is a constant of the gradient: let it be 1
    term = BUILT_IN[name](**options, **({"within": 1e4} if name == "facing" else {}))
    live = {k: v.clone().requires_grad_() for k, v in world.params.items()}
    term(world.state(live, moving=moving)).sum().backward()
    checked = 0
    # what is slow to search moves in all parameters at once; penetration jumps where a vertex comes or goes
    step = 1e-8 if name == "penetration" else 1e-6
    slow = name in ("penetration", "minimum_distance")
    for changed in [FREE] if slow else [(parameter,) for parameter in FREE]:
        direction = {
            k: torch.randn(world.params[k].shape, generator=generator, dtype=torch.float64) for k in changed
        }
        ends = []
        for sign in (1, -1):
            moved = {k: world.params[k] + sign * step * d for k, d in direction.items()}
            ends.append(term(world.state({**world.params, **moved}, moving=moving)).sum().item())
        numeric = (ends[0] - ends[1]) / (2 * step)
        analytic = sum(
            (live[k].grad * d).sum().item() for k, d in direction.items() if live[k].grad is not None
        )
        assert analytic == pytest.approx(numeric, rel=1e-4, abs=1e-6 * abs(ends[0]) + 1e-9), changed
        checked += analytic != 0
    assert checked


def test_hand_pose_equals_the_formula_by_hand(world, state):
    """A bent joint costs its square, a twisted one ten times that, and thumbs turn about every axis."""
    factors = {"root": (10, 2, 1), "hinge": (10, 10, 1), "thumb": (2, 1, 1)}
    expected = np.zeros(6)
    for name in HANDS:
        off = (world.params[name] - world.start[name]).numpy().reshape(6, 15, 3) ** 2
        for joint in range(15):
            kind = "thumb" if joint >= 12 else "root" if joint % 3 == 0 else "hinge"
            expected += off[:, joint] @ factors[kind]
    by_scene = [expected[world.rows(number)].sum() for number in range(3)]
    np.testing.assert_allclose(value("hand_pose", state), by_scene, rtol=1e-12)


def test_keypoints_equal_the_formula_by_hand(world, state):
    points = world.body.keypoints(world.body.pose(world.params), "body25").numpy()
    expected = np.zeros(3)
    camera = world.scenes[0].camera
    owner = [0, 1, 1, 2, 2, 2]
    for row, p in enumerate(p for s in world.scenes for p in s.people):
        xy = points[row, :, :2] / points[row, :, 2:] * camera.focal + np.array(camera.center)
        c = p.keypoints.confidence
        if not (c > 0).any():
            continue
        scale = 512 / np.ptp(p.keypoints.xy[c > 0], axis=0).max()
        expected[owner[row]] += (c * (scale**2) * ((xy - p.keypoints.xy) ** 2).sum(1)).sum()
    np.testing.assert_allclose(value("keypoints", state), expected, rtol=1e-9)


@pytest.mark.parametrize("options", OPTIONS["contact"], ids=str)
def test_contact_equals_the_loss_on_whole_bodies(world, state, options):
    vertices = world.body.pose(world.params).vertices()

    def loss(a, b, cmap, order="given"):
        return soft_contact(
            vertices[a : a + 1], vertices[b : b + 1], cmap, world.map, order=order, **options
        ).item()

    expected = [
        loss(0, 0, ContactMap([[2, 50]])),
        loss(1, 2, HAND_ON_SHOULDER) + loss(2, 1, BACK_AND_ARMS),
        min(loss(5, 3, BACK_AND_ARMS), loss(3, 5, BACK_AND_ARMS)),
    ]
    np.testing.assert_allclose(value("contact", state, **options), expected, rtol=1e-9)


@pytest.mark.parametrize("options", OPTIONS["penetration"], ids=str)
def test_penetration_equals_the_loss_on_whole_bodies(world, state, options):
    v = world.body.pose(world.params).vertices()

    def loss(a, b):
        return penetration_loss(v[a : a + 1], v[b : b + 1], world.body.faces, **options).item()

    expected = [0.0, loss(1, 2), loss(3, 4) + loss(3, 5) + loss(4, 5)]
    np.testing.assert_allclose(value("penetration", state, **options), expected, rtol=1e-7)


@pytest.mark.parametrize("energy", ["l2", "quartic"])
def test_self_penetration_is_the_loss_on_whole_bodies(energy):
    """In float32, where the compiled search is: one hand is in its owner's belly, two people are free."""
    body = load_body("free")
    bent = np.zeros((21, 3))
    bent[15], bent[17] = [0.39, -0.55, -0.66], [0.27, -1.44, -1.38]  # left shoulder and elbow
    starts = [parameters(), parameters(body_pose=bent.ravel()), parameters(transl=[1, 0.3, 4])]
    scenes = [scene([person(body, start) for start in starts[:2]]), scene([person(body, starts[2])])]
    params = {k: torch.as_tensor(np.stack([s[k] for s in starts])).float() for k in starts[0]}
    params["body_pose"].requires_grad_()
    with torch.no_grad():
        rest = body.pose({"transl": torch.zeros(1, 3)}).vertices()[0]
    topology = MeshTopology.build(body.faces, body.num_vertices, rest)
    regions = RegionIndex.build(RegionMap.load("free"), body.num_vertices, rest)
    batch = make_batch(scenes, torch.device("cpu"), torch.float32)
    found = BUILT_IN["self_penetration"](energy=energy)(
        FitState(body, regions, topology, batch, params, params, params)
    )
    whole = self_penetration_loss(body.pose(params).vertices(), SkinPatches(topology, rest), energy=energy)
    assert found[1] == whole[2] == whole[0] == 0 < found[0]
    torch.testing.assert_close(found[0], whole.sum())
    one, other = (torch.autograd.grad(v.sum(), params["body_pose"])[0] for v in (found, whole))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_minimum_distance_is_that_of_the_people_who_touch(world, state):
    v = world.body.pose(world.params).vertices().numpy()

    def nearest(a, b):
        return cKDTree(v[b]).query(v[a])[0].min() ** 2

    edges, everyone = ([0, nearest(1, 2), nearest(5, 3)], [0, nearest(1, 2), 0])
    everyone[2] = nearest(3, 4) + nearest(3, 5) + nearest(4, 5)
    np.testing.assert_allclose(value("minimum_distance", state), edges, rtol=1e-9)
    np.testing.assert_allclose(value("minimum_distance", state, between="people"), everyone, rtol=1e-9)


@pytest.mark.parametrize(("people", "edges", "counts"), [(2, [], True), (3, [], False), (3, [(1, 0)], True)])
def test_an_edge_without_a_map_or_two_people_say_who_touches(world, people, edges, counts):
    contacts = [SceneContact(a, b, ContactMap.empty()) for a, b in edges]
    one = scene([*world.scenes[1].people, *world.scenes[0].people][:people], contacts)
    batch = make_batch([one], torch.device("cpu"), torch.float64)
    params = {k: v[[1, 2, 0][:people]] for k, v in world.params.items()}
    state = FitState(world.body, world.regions, world.topology, batch, params, params, params)
    pair = world.body.pose({k: v[:2] for k, v in params.items()}).vertices().numpy()
    expected = cKDTree(pair[1]).query(pair[0])[0].min() ** 2 if counts else 0
    np.testing.assert_allclose(value("minimum_distance", state), [expected], rtol=1e-9)


def test_facing_equals_the_loss_on_whole_bodies(world, state):
    v = world.body.pose(world.params).vertices()

    def loss(a, b, cmap):
        return contact_facing(v[a : a + 1], v[b : b + 1], cmap, world.regions, world.topology).item()

    # of the open edge of the third scene the contact term's order is taken
    expected = [loss(0, 0, ContactMap([[2, 50]])), loss(1, 2, HAND_ON_SHOULDER) + loss(2, 1, BACK_AND_ARMS)]
    np.testing.assert_allclose(value("facing", state)[:2], expected, rtol=1e-9)


def test_ground_by_hand(world, state):
    v = world.body.pose(world.params).vertices().numpy()[1:3]
    height = 1.0 - v[..., 1]  # the floor of the second scene
    labels = world.map.labels()
    feet = sum(
        0.01 * h**2 / (0.01 + h**2)
        for side in ("left", "right")
        for h in height[:, np.isin(labels, part_regions("foot", side))].min(1)
    )
    below = (np.minimum(height, 0) ** 2).sum()
    assert feet > 0 and below > 0
    assert value("ground", state)[1] == pytest.approx(feet + below, rel=1e-9)
    assert value("ground", state, feet=0.0, below=2.0)[1] == pytest.approx(2 * below, rel=1e-9)


def test_an_unknown_floor_lies_under_the_soles_of_the_start(world):
    """Standing as at the start, whoever is lowest touches it and nobody is far below."""
    state = world.state(start=world.params)
    assert value("ground", state, feet=0.0)[0] == pytest.approx(0, abs=1e-12)
    sunk = {k: v.clone() for k, v in world.params.items()}
    sunk["transl"][0, 1] += 0.1
    assert value("ground", world.state(sunk, start=world.params), feet=0.0)[0] > 0.1**2


def test_depth_order_and_motion_by_hand(world, state, motion):
    joints = world.body.pose(world.params).joints.numpy()
    z = joints[:, 0, 2]
    wrong = [(2, 1), (5, 3), (4, 3), (4, 5)]
    costs = [max(z[a] - z[b] + 0.1, 0) ** 2 for a, b in wrong]
    np.testing.assert_allclose(value("depth_order", state), [0, costs[0], sum(costs[1:])], rtol=1e-9)
    x = joints[:, :22]
    speed = [0, ((x[2] - x[1]) ** 2).sum(), ((x[4] - x[3]) ** 2).sum() + ((x[5] - x[4]) ** 2).sum() / 4]
    np.testing.assert_allclose(value("smoothness", motion, penalised="velocity"), speed, rtol=1e-9)
    change = (((x[5] - x[4]) / 2 - (x[4] - x[3])) / 1.5) ** 2
    np.testing.assert_allclose(value("smoothness", motion), [0, 0, change.sum()], rtol=1e-9)
    assert value("penetration", motion).tolist() == [0, 0, 0]  # frames do not share space


def test_gradient_of_chosen_vertices_equals_that_of_whole_bodies(world):
    """The terms skin a few vertices only; their gradient must be that of the loss on all."""
    live = {k: v.clone().requires_grad_() for k, v in world.params.items()}
    state = world.state(live)
    term = BUILT_IN["contact"]()(state)[1] + BUILT_IN["penetration"]()(state)[1]
    ours = torch.autograd.grad(term, list(live.values()))
    again = {k: v.clone().requires_grad_() for k, v in world.params.items()}
    v = world.body.pose(again).vertices()
    whole = (
        soft_contact(v[1:2], v[2:3], HAND_ON_SHOULDER, world.map)
        + soft_contact(v[2:3], v[1:2], BACK_AND_ARMS, world.map)
        + penetration_loss(v[1:2], v[2:3], world.body.faces)
    ).sum()
    theirs = torch.autograd.grad(whole, list(again.values()))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)
        assert a[1:3].abs().sum() > 0 and a[[0, 3, 4, 5]].abs().sum() == 0


def test_a_search_without_gradient_takes_none_from_what_follows(world):
    """Pose correctives too, which are strongest around the shoulders."""
    ids = torch.as_tensor(np.flatnonzero(world.map.labels() >= 0))[::7]
    rows = torch.zeros_like(ids)
    gradients = []
    for search_first in (True, False):
        live = {k: v.clone().requires_grad_() for k, v in world.params.items()}
        state = world.state(live)
        if search_first:
            assert not state.vertices.requires_grad
        points = state.select(rows, ids)
        gradients.append(torch.autograd.grad((points * points.detach().cos()).sum(), live["body_pose"])[0])
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


def per_scene(values):
    return [values[:1].sum(), values[1:3].sum(), values[3:].sum()]


def test_shape_age_and_stature_by_hand(world, state):
    betas, start = world.params["betas"].numpy(), world.start["betas"].numpy()
    np.testing.assert_allclose(value("shape", state), per_scene((betas**2).sum(1)))
    np.testing.assert_allclose(
        value("shape", state, around="start"), per_scene(((betas - start) ** 2).sum(1))
    )
    np.testing.assert_allclose(
        value("shape", state, around="start", first=0.0), per_scene(((betas - start)[:, 1:] ** 2).sum(1))
    )
    age, before = world.params["age"][:, 0].numpy(), world.start["age"][:, 0].numpy()
    outside = np.maximum(-age, 0) + np.maximum(age - 1, 0)
    np.testing.assert_allclose(value("age", state), per_scene((age - before) ** 2 + 100 * outside**2))

    def height(params):
        rest = world.body.pose({"betas": params["betas"], "age": params["age"]}).vertices()[..., 1]
        return (rest.amax(1) - rest.amin(1)).numpy()

    change = 100 * (height(world.params) - height(world.start))
    np.testing.assert_allclose(value("stature", state), per_scene(change**2), rtol=1e-6)


def test_pose_and_orientation_by_hand(world, state):
    pose, start = world.params["body_pose"].numpy(), world.start["body_pose"].numpy()
    squared = ((pose - start) ** 2).reshape(6, 21, 3).sum(2)
    np.testing.assert_allclose(value("initial_pose", state), per_scene(squared.sum(1)))
    factor = np.ones(21)
    factor[[i for i, name in enumerate(BODY_JOINTS) if name.startswith("spine")]] = 4
    factor[[i for i, name in enumerate(BODY_JOINTS) if name.endswith("collar")]] = 2
    assert factor.sum() == 21 + 3 * 3 + 2 * 1
    np.testing.assert_allclose(
        value("initial_pose", state, spine=4.0, collars=2.0), per_scene((squared * factor).sum(1))
    )

    def angles(a, b):
        return (
            Rotation.from_rotvec(a.reshape(-1, 3)) * Rotation.from_rotvec(b.reshape(-1, 3)).inv()
        ).magnitude()

    np.testing.assert_allclose(
        value("initial_pose", state, metric="geodesic"),
        per_scene((angles(pose, start).reshape(6, 21) ** 2).sum(1)),
    )
    moved = world.params["transl"].numpy() - world.start["transl"].numpy()
    np.testing.assert_allclose(value("initial_place", state), per_scene((moved**2).sum(1)))
    turned = angles(world.params["global_orient"].numpy(), world.start["global_orient"].numpy())
    np.testing.assert_allclose(value("orientation", state), per_scene(turned**2))
    np.testing.assert_allclose(
        value("pose_prior", state), per_scene(anatomical_pose_prior(world.params["body_pose"]).numpy())
    )


def test_keypoint_depth_by_hand(world, state):
    """Metres before the surface, weighed by confidence; the factor fits best by the share of a depth."""
    joints = SKELETONS["body25"].joint_names
    behind = np.array([next((m for word, m in BEHIND.items() if word in name), 0.0) for name in joints])
    z = world.body.keypoints(world.body.pose(world.params), "body25")[..., 2].numpy() - behind
    for scale in ("metric", "free"):
        expected = np.zeros(3)
        for number, one in enumerate(world.scenes):
            surface, seen, weight = [], [], []
            for place, someone in enumerate(one.people):
                known = np.zeros(25, bool) if someone.depths is None else np.isfinite(someone.depths)
                known &= someone.keypoints.confidence > 0
                surface += z[world.rows(number)][place][known].tolist()
                seen += [] if someone.depths is None else someone.depths[known].tolist()
                weight += someone.keypoints.confidence[known].tolist()
            surface, seen, weight = map(np.array, (surface, seen, weight))
            factor = 1.0 if scale == "metric" else (weight * surface / seen).sum() / weight.sum()
            expected[number] = (weight * (surface - factor * seen) ** 2).sum()
        np.testing.assert_allclose(
            value("keypoint_depth", state, robust=None, scale=scale), expected, rtol=1e-5
        )


ANCHORS = [
    ("initial_pose", {}),
    ("initial_pose", {"metric": "geodesic"}),
    ("shape", {"around": "start"}),
    ("stature", {}),
    ("orientation", {}),
    ("initial_place", {}),
]


@pytest.mark.parametrize(("name", "options"), ANCHORS, ids=str)
def test_anchors_are_zero_at_the_start_and_let_it_move(world, name, options):
    live = {k: v.clone().requires_grad_() for k, v in world.params.items()}
    out = BUILT_IN[name](**options)(world.state(live, start=world.params))
    np.testing.assert_allclose(out.detach().numpy(), 0, atol=1e-20)
    out.sum().backward()
    for parameter in live.values():
        if parameter.grad is not None:
            assert torch.isfinite(parameter.grad).all() and parameter.grad.abs().max() < 1e-6


def test_initial_pose_holds_on_to_the_reference_of_the_stage(world):
    state = world.state(start=world.start, reference=world.params)
    assert (value("initial_pose", state) == 0).all()
    assert (value("shape", state, around="start") > 0).all()  # which looks at the start of the fit


def test_scenes_without_contacts_or_a_second_person_have_no_such_value(world):
    alone = world.state({k: v[:1] for k, v in world.params.items()}, scenes=[0])
    assert value("penetration", alone).tolist() == [0]
    batch = make_batch([scene(world.scenes[1].people, [], "none")], torch.device("cpu"), torch.float64)
    params = {k: v[1:3] for k, v in world.params.items()}
    none = FitState(world.body, world.regions, world.topology, batch, params, params, params)
    for options in OPTIONS["contact"]:
        assert value("contact", none, **options).tolist() == [0]
    for name in ("facing", "depth_order", *MOVING):
        assert value(name, none).tolist() == [0]


def test_options_of_a_term_are_checked(world):
    state = world.state()
    with pytest.raises(ValueError, match="mode must be"):
        BUILT_IN["contact"](mode="max")(state)
    with pytest.raises(ValueError, match="target must be"):
        BUILT_IN["penetration"](target="bone")(state)
    with pytest.raises(ValueError, match="scale must be"):
        BUILT_IN["keypoint_depth"](scale="feet")
    with pytest.raises(ValueError, match="between must be"):
        BUILT_IN["minimum_distance"](between="us")
    with pytest.raises(FileNotFoundError):
        BUILT_IN["pose_prior"](mixture="no_such_gmm.pkl")
