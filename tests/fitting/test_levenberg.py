"""Second-order steps: residuals against gradients, curvature against differences, steps against algebra."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from fitting_scenes import assert_same, make_preset, mixed_scenes, pair, parameters, person, scene, some_pose

from apu_losses.bodies import load_body
from apu_losses.camera import PinholeCamera
from apu_losses.fitting import FitState, SceneFitter, Stage, make_batch
from apu_losses.fitting.objective.residuals import Movement, Residuals, curvature
from apu_losses.fitting.solve.registry import BUILT_IN
from apu_losses.geometry import MeshTopology, RegionIndex

FREE = ("global_orient", "body_pose", "betas", "age", "transl")
WEIGHTS = {"keypoints": 0.02, "contact": 1e4, "initial_pose": 20.0, "penetration": 1e3}
LM = {"optimizer": "levenberg_marquardt", "learning_rate": 0.0}

SQUARES = [
    ("keypoints", {}),
    ("keypoints", {"confidence_power": 2.0, "min_confidence": 0.5, "robust": 30.0}),
    ("contact", {}),
    ("contact", {"over": "parts", "robust": 0.1}),
    ("contact", {"over": "parts", "soft": 0.01}),
    ("contact", {"mode": "chamfer_quartic"}),
    ("minimum_distance", {}),
    ("initial_pose", {"spine": 4.0}),
    ("initial_pose", {"metric": "geodesic"}),
    ("orientation", {}),
    ("stature", {}),
    ("prior", {"t": 100, "shape": 0.1, "orient": 3.0}),
]
SEPARABLE = ["pose_prior", "shape", "age", "initial_pose", "initial_place"]


def lm_preset(iterations=12, weights=WEIGHTS, **options):
    return make_preset(weights, free=("body_pose", "transl"), iterations=iterations, **LM, **options)


def couple_state(dtype):
    """A state of a couple who stand a little into each other, seen in other poses; all is free."""
    body, light = load_body("free", dtype=dtype), load_body("free")
    with torch.no_grad():
        template = body.pose({"transl": torch.zeros(1, 3, dtype=dtype)}).vertices()[0]
    people = [
        parameters(transl=[x, 0.3, 4.0], body_pose=some_pose(i), age=[0.2 * i], betas=np.full(10, 0.3))
        for i, x in enumerate((-0.36, 0.36))
    ]
    seen = [person(light, p, {**p, "body_pose": some_pose(7 + i)}) for i, p in enumerate(people)]
    couple = replace(pair(light), people=seen)
    params = {
        name: torch.tensor(np.stack([p[name] for p in people]), dtype=dtype).requires_grad_() for name in FREE
    }
    generator = torch.Generator().manual_seed(0)
    start = {
        name: value.detach() + 0.1 * torch.randn(value.shape, generator=generator, dtype=dtype)
        for name, value in params.items()
    }
    return FitState(
        body,
        RegionIndex.build(SceneFitter(light, preset="paper").regions, body.num_vertices, template),
        MeshTopology.build(body.faces, body.num_vertices, template),
        make_batch([couple], torch.device("cpu"), dtype),
        params,
        start,
        start,
    )


@pytest.fixture
def posed():
    """A state of one test's own: it keeps what it has computed, with or without gradients."""
    return couple_state(torch.float64)


def gradient_of(found, people, size):
    """``2 J^T W r``."""
    gradient = found.value.new_zeros(people, size)
    for rows, jacobian in found.parts:
        scaled = 2 * found.weight[:, None] * found.value
        gradient.index_add_(0, rows, torch.einsum("km,kmd->kd", scaled, jacobian))
    return gradient


def autograd_of(value, params):
    found = torch.autograd.grad(value, list(params.values()), allow_unused=True, retain_graph=True)
    return torch.cat(
        [torch.zeros_like(p) if g is None else g for g, p in zip(found, params.values(), strict=True)], 1
    )


@pytest.mark.parametrize(("name", "options"), SQUARES)
def test_residuals_have_the_value_and_the_gradient_of_their_term(posed, name, options):
    term = BUILT_IN[name](**options)
    value = term(posed).sum()
    expected = autograd_of(value, posed.params)
    with torch.no_grad():
        found = term.residuals(posed, Movement(posed, FREE))
    assert len(found.value) > 0 and (found.weight >= 0).all()
    assert expected.abs().max() > 0
    gradient = gradient_of(found, 2, 80)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-7 * float(expected.abs().max()))
    if not {"robust", "soft", "mode"} & set(options):
        squares = found.weight[:, None] * found.value.square()
        torch.testing.assert_close(squares.sum(), value.detach(), rtol=1e-9, atol=0)


@pytest.mark.parametrize("options", [{}, {"target": "vertex", "energy": "quartic"}])
def test_depths_have_the_value_and_the_gradient_of_penetration(monkeypatch, options):
    """In float32, which is searched fast. Of many vertices an even choice stands for all of them."""
    posed = couple_state(torch.float32)
    term = BUILT_IN["penetration"](**options)
    value = term(posed).sum()
    expected = autograd_of(value, posed.params)
    with torch.no_grad():
        found = term.residuals(posed, Movement(posed, FREE))
        monkeypatch.setattr("apu_losses.fitting.objective.terms.penetration._ENOUGH", 128)
        thinned = term.residuals(posed, Movement(posed, FREE))
    largest = float(expected.abs().max())
    torch.testing.assert_close(gradient_of(found, 2, 80), expected, rtol=1e-3, atol=1e-4 * largest)
    squares = found.weight[:, None] * found.value.square()
    torch.testing.assert_close(squares.sum(), value.detach(), rtol=1e-4, atol=0)
    assert len(thinned.value) < 256 < len(found.value)
    assert float(thinned.weight.sum()) == pytest.approx(len(found.value))
    alike = torch.nn.functional.cosine_similarity(
        gradient_of(thinned, 2, 80).flatten(), expected.flatten(), dim=0
    )
    assert alike > 0.97


def test_the_jacobian_of_the_camera_is_the_derivative_of_its_pixels():
    camera = PinholeCamera(
        torch.tensor([900.0], dtype=torch.float64), torch.tensor([[320.0, 240.0]]).double()
    )
    points = torch.tensor([[[0.3, -0.2, 3.0], [0.1, 0.2, 0.02], [0.5, 0.1, -1.0]]], dtype=torch.float64)
    wanted = torch.autograd.functional.jacobian(camera.project, points)
    found = camera.project_jacobian(points)
    for k in range(3):
        torch.testing.assert_close(found[0, k], wanted[0, k, :, 0, k])


def test_curvature_of_keypoints_that_fit_is_their_second_derivative(posed):
    """Gauss-Newton leaves nothing out where residuals are zero: differences of the gradient tell."""
    with torch.no_grad():
        seen = posed.keypoints2d.detach()
    batch = replace(
        posed.batch, target_keypoints=seen, target_confidence=torch.ones_like(posed.batch.confidence)
    )
    term = BUILT_IN["keypoints"]()

    def gradient(offset):
        pieces = offset.split([p.shape[1] for p in posed.params.values()], 1)
        moved = {
            name: (value.detach() + piece).requires_grad_()
            for (name, value), piece in zip(posed.params.items(), pieces, strict=True)
        }
        state = FitState(
            posed.body, posed.regions, posed.topology, batch, moved, posed.start, posed.reference
        )
        return torch.cat(torch.autograd.grad(term(state).sum(), list(moved.values())), 1), state

    generator = torch.Generator().manual_seed(2)
    direction = torch.randn(2, 80, generator=generator, dtype=torch.float64)
    step = 1e-5
    numeric = (gradient(step * direction)[0] - gradient(-step * direction)[0]) / (2 * step)
    state = gradient(torch.zeros_like(direction))[1]
    (matrix,) = curvature([("keypoints", term, 1.0)], state, FREE, torch.ones_like(direction)).matrices
    analytic = (matrix @ direction.flatten()).reshape(2, 80)
    torch.testing.assert_close(analytic, numeric, rtol=1e-4, atol=1e-5 * float(numeric.abs().max()))


@pytest.mark.parametrize("name", SEPARABLE)
def test_curvature_of_a_separable_term_is_its_second_derivative(posed, name):
    term = BUILT_IN[name]()
    moves = torch.ones(2, 80, dtype=torch.float64)
    (matrix,) = curvature([(name, term, 1.0)], posed, FREE, moves).matrices
    columns = {"shape": ("betas", 66), "age": ("age", 76), "initial_place": ("transl", 77)}
    key, first = columns.get(name, ("body_pose", 3))
    changed = posed.params[key]

    def value(x):
        params = {**posed.params, key: x}
        return term(
            FitState(posed.body, posed.regions, posed.topology, posed.batch, params, posed.start, posed.start)
        ).sum()

    exact = torch.autograd.functional.hessian(value, changed.detach())
    own = exact[0, :, 0, :]
    size = own.shape[0]
    torch.testing.assert_close(matrix[first : first + size, first : first + size], own)
    assert own.abs().max() > 0


def test_curvature_of_a_function_that_is_a_square_is_its_second_derivative(posed):
    """A user's own term says not what it squares; the curvature of ``(a . x)^2`` is 2 a a^T."""
    along = torch.linspace(-1.0, 2.0, 6, dtype=torch.float64).reshape(2, 3)

    def term(state):
        return state.per_scene((along * state.params["transl"]).sum(1)).square()

    moves = torch.ones(2, 80, dtype=torch.float64)
    (matrix,) = curvature([("mine", term, 3.0)], posed, FREE, moves).matrices
    first = sum(posed.params[name].shape[1] for name in FREE[: FREE.index("transl")])
    places = torch.cat([torch.arange(first, first + 3), torch.arange(80 + first, 83 + first)])
    expected = torch.zeros_like(matrix)
    expected[places[:, None], places] = 6 * torch.outer(along.flatten(), along.flatten())
    torch.testing.assert_close(matrix, expected)

    below = curvature([("mine", lambda state: -term(state), 1.0)], posed, FREE, moves).matrices[0]
    assert (below == 0).all()  # no square is negative


class Line:
    """A term that is linear least squares in the pose: ``|A x - b|^2`` a person."""

    def __init__(self, rows=40):
        generator = torch.Generator().manual_seed(4)
        self.matrix = torch.randn(rows, 63, generator=generator)
        self.target = torch.randn(rows, generator=generator)

    def __call__(self, state):
        away = state.params["body_pose"] @ self.matrix.T - self.target
        return state.per_scene(away.square().sum(1))

    def residuals(self, state, movement):
        pose = state.params["body_pose"]
        jacobian = movement.of_parameter("body_pose", self.matrix.expand(len(pose), -1, -1))
        rows = torch.arange(len(pose))
        return Residuals(pose @ self.matrix.T - self.target, torch.ones(len(pose)), [(rows, jacobian)])


@pytest.mark.parametrize("prior", ["initial_pose", "own, separable"])
def test_one_step_solves_a_linear_problem(body, prior):
    """Ridge regression around the start has a closed form; a diagonal term without residuals counts, too."""
    line = Line()
    start = parameters(body_pose=some_pose(3))

    def pull(state):
        return state.per_scene((state.params["body_pose"] - state.start["body_pose"]).square().sum(1))

    pull.separable = True
    name = "initial_pose" if prior == "initial_pose" else "pull"
    preset = make_preset({name: 0.5}, free=("body_pose",), iterations=2, damping=1e-9, **LM).weighted(
        line=2.0
    )
    terms = {"line": line} if name == "initial_pose" else {"line": line, "pull": pull}
    (result,) = SceneFitter(body, preset=preset, terms=terms).fit([scene([person(body, start)])])
    a, b = line.matrix.numpy().astype(float), line.target.numpy().astype(float)
    x0 = start["body_pose"]
    wanted = np.linalg.solve(2 * a.T @ a + 0.5 * np.eye(63), 2 * a.T @ b + 0.5 * x0)
    assert np.abs(wanted - x0).max() > 0.1
    np.testing.assert_allclose(result.parameters["body_pose"][0], wanted, atol=2e-4)


def test_a_term_of_anybody_takes_part_with_its_gradient(body):
    """Neither residuals nor a diagonal: the steps still go down, by its gradient, to where it ends."""

    def quartic(state):
        return state.per_scene((state.params["transl"] - state.start["transl"] - 0.1).pow(4).sum(1))

    preset = make_preset({"orientation": 1.0}, free=("transl", "body_pose"), iterations=40, **LM)
    preset = preset.weighted(quartic=1.0, initial_pose=1.0)
    preset = replace(preset, terms={**preset.terms, "initial_pose": {}})
    (result,) = SceneFitter(body, preset=preset, terms={"quartic": quartic}).fit(
        [scene([person(body, parameters())])]
    )
    assert not result.failed
    assert result.stages[0].loss <= 3 * 0.1**4


def test_the_loss_of_adam_falls_with_every_step(body):
    """A stage of Adam that only looks finds the very loss that was reported; none was higher before it."""
    losses: dict[int, list[float]] = {}
    taken: dict[int, list[bool]] = {}
    tried: list[tuple[int, dict]] = []
    evaluations = []

    def watch(event):
        evaluations.append((event.attempt, event.evaluation))
        if event.stage == "only":
            for number, loss, stands in zip(
                event.scenes.tolist(), event.loss.tolist(), event.taken.tolist(), strict=True
            ):
                losses.setdefault(number, []).append(loss)
                taken.setdefault(number, []).append(stands)
            tried.append(
                (event.scenes.tolist(), {k: v.detach().clone() for k, v in event.state.params.items()})
            )

    steps = lm_preset(8)
    look = Stage("look", WEIGHTS, ("body_pose", "transl"), 0.0, 1)
    preset = replace(steps, stages=(*steps.stages, look))
    results = SceneFitter(body, preset=preset).fit([pair(body, -0.1), pair(body, 0.1)], callback=watch)
    for number, result in enumerate(results):
        seen = losses[number]
        assert seen[0] > 1.5 * seen[-1]
        assert all(later <= earlier for earlier, later in pairwise(seen))
        assert result.stages[0].loss == seen[-1]
        assert result.stages[1].loss == pytest.approx(seen[-1], rel=1e-4)
        # a step was taken where the loss fell, and the scene ends where the last one that was taken led
        assert taken[number] == [True, *(later < earlier for earlier, later in pairwise(seen))]
        last = max(i for i, stands in enumerate(taken[number]) if stands)
        scenes, params = tried[last]
        rows = slice(2 * scenes.index(number), 2 * scenes.index(number) + 2)
        np.testing.assert_array_equal(result.parameters["transl"], params["transl"][rows].double().numpy())
    assert evaluations == [(1, i) for i in range(len(evaluations))]


def test_ten_steps_reach_what_a_hundred_of_adam_do_not(body):
    """Of a smooth loss; where searches jump, steps that went down at first may end higher than Adam's."""
    scenes = mixed_scenes(body)[1:]
    weights = {"keypoints": 0.02, "initial_pose": 20.0}
    slow = SceneFitter(body, preset=make_preset(weights, iterations=100, learning_rate=0.02)).fit(scenes)
    fast = SceneFitter(body, preset=lm_preset(11, weights)).fit(scenes)
    for a, b in zip(slow, fast, strict=True):
        assert b.stages[0].loss < a.stages[0].loss


def test_mixed_scenes_end_where_they_end_alone(body):
    """To the bit: nothing of a scene depends on its batch, so that searches which jump jump alike."""
    preset = lm_preset(7)
    scenes = mixed_scenes(body)
    together = SceneFitter(body, preset=preset).fit(scenes)
    again = SceneFitter(body, preset=preset).fit(scenes)
    for one, twin, which in zip(together, again, scenes, strict=True):
        assert_same(one, twin)
        (alone,) = SceneFitter(body, preset=preset).fit([which])
        assert_same(one, alone)


def test_a_scene_that_breaks_ends_alone(body):
    def touchy(state):
        values = state.per_scene(state.params["transl"].square().sum(1)) * 0
        bad = state.batch.keypoints.new_tensor([s.name == "bad" for s in state.batch.scenes])
        return torch.where(bad > 0, torch.nan, values)

    preset = lm_preset(5).weighted(touchy=1.0)
    good = [pair(body, 0.1, "a"), pair(body, -0.05, "b")]
    fitter = SceneFitter(body, preset=preset, terms={"touchy": touchy})
    first, bad, second = fitter.fit([good[0], pair(body, 0.0, "bad"), good[1]])
    assert bad.failed and "'touchy' is nan in stage 'only', iteration 0" in bad.stages[-1].reason
    for result, alone in zip([first, second], fitter.fit(good), strict=True):
        assert_same(result, alone)


def test_a_step_to_where_the_loss_is_not_a_number_is_not_taken(body):
    """A term that holds in a small place only: the scene ends in it, lower than it began."""
    start = parameters()

    def fenced(state):
        moved = (state.params["transl"] - state.start["transl"]).norm(dim=1)
        return state.per_scene(torch.where(moved > 0.05, torch.nan, 0 * moved))

    preset = make_preset({"keypoints": 0.02}, free=("transl",), iterations=8, **LM).weighted(fenced=1.0)
    seen = {**start, "transl": np.array([0.2, 0.3, 4.0])}
    fitter = SceneFitter(body, preset=preset, terms={"fenced": fenced})
    (result,) = fitter.fit([scene([person(body, start, seen)])])
    assert not result.failed
    assert 0.0 < np.linalg.norm(result.parameters["transl"] - result.start["transl"]) <= 0.05
    assert result.after.keypoint_error[0] < result.before.keypoint_error[0]


def test_scenes_that_need_no_step_are_over(body):
    preset = make_preset({"initial_pose": 1.0}, iterations=30, relative_slope=1e-4, **LM)
    (result,) = SceneFitter(body, preset=preset).fit([pair(body)])
    assert result.stages[0].reason == "converged"
    assert result.stages[0].iterations < 20


@pytest.mark.parametrize(
    ("options", "words"), [({"optimizer": "newton"}, "optimizer"), ({"damping": 0.0}, "damping")]
)
def test_options_are_checked(options, words):
    with pytest.raises(ValueError, match=words):
        Stage("s", {"keypoints": 1.0}, ("transl",), 0.1, 10, **options)
