"""Vertices, joints and gradients, against the smplx package and finite differences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from made_up_body import VERTICES, as_smplx, made_up_arrays, random_parameters
from torch.func import jvp, vmap

from apu_losses.bodies import BodyModel, LinearBlendBody, PosedBody, load_body, read_body_file
from apu_losses.bodies.blend import Influences, blend_mesh

BACKENDS = ["auto", "torch"]


@pytest.fixture(scope="module", params=BACKENDS)
def body(request: pytest.FixtureRequest, model_file: Path, kid_file: Path) -> LinearBlendBody:
    """Every test of this file on the compiled path and on its twin."""
    data = read_body_file(model_file, kid_template=kid_file)
    return LinearBlendBody(data, backend=request.param)


@pytest.fixture(scope="module")
def precise(body: LinearBlendBody) -> LinearBlendBody:
    return body.to(dtype=torch.float64)


def test_it_is_what_the_protocol_asks_for(body: LinearBlendBody) -> None:
    assert isinstance(body, BodyModel)
    assert isinstance(body.pose({}), PosedBody)
    assert {name: spec.size for name, spec in body.parameter_specs.items()} == {
        "betas": 10, "age": 1, "expression": 10, "transl": 3, "global_orient": 3, "body_pose": 63,
        "jaw_pose": 3, "leye_pose": 3, "reye_pose": 3, "left_hand_pose": 45, "right_hand_pose": 45,
    }  # fmt: skip
    assert body.parameter_specs["body_pose"].rotation and not body.parameter_specs["betas"].rotation


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # options of smplx.create, options of our loader
    "adult": ({"use_pca": False}, {}),
    "flat hands": ({"use_pca": False, "flat_hand_mean": True}, {"flat_hand_mean": True}),
    "pca hands": ({"use_pca": True, "num_pca_comps": 12}, {"num_pca_comps": 12}),
    "kid": ({"use_pca": False, "age": "kid"}, {"kid_template": True}),
    "full shape space": (
        {"use_pca": False, "gender": "female", "num_betas": 25, "num_expression_coeffs": 7},
        {"num_betas": 25, "num_expression": 7},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_the_smplx_package(
    case: str, model_file: Path, kid_file: Path, smplx_create: Callable[..., Any]
) -> None:
    theirs, ours = (dict(options) for options in CASES[case])
    if theirs.get("age") == "kid":
        theirs["kid_template_path"] = str(kid_file)
        ours["kid_template"] = kid_file
    path = model_file.with_name("SMPLX_FEMALE.npz") if theirs.get("gender") == "female" else model_file
    model = smplx_create(batch_size=3, **theirs)
    body = load_body(path, **ours)

    generator = torch.Generator().manual_seed(3)
    pull = torch.randn(3, VERTICES, 3, generator=generator)
    pull_joints = torch.randn(3, 55, 3, generator=generator)
    results = []
    for run in ("theirs", "ours"):
        params = {name: value.requires_grad_() for name, value in random_parameters(body, 3).items()}
        if run == "theirs":
            out = model(**as_smplx(params))
            vertices, joints = out.vertices, out.joints[:, :55]
        else:
            posed = body.pose(params)
            vertices, joints = posed.vertices(), posed.joints
        ((vertices * pull).sum() + (joints * pull_joints).sum()).backward()
        results.append((vertices, joints, {name: value.grad for name, value in params.items()}))
    (v, j, g), (v2, j2, g2) = results
    torch.testing.assert_close(v2, v, atol=2e-6, rtol=0)
    torch.testing.assert_close(j2, j, atol=2e-6, rtol=0)
    for name in g:
        assert g[name].abs().max() > 0.05, f"{name} must matter for the comparison to mean anything"
        torch.testing.assert_close(g2[name], g[name], atol=3e-4, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_chosen_vertices_are_those_of_the_whole_mesh(body: LinearBlendBody) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(0, 4, (150,), generator=generator)
    ids = torch.randint(0, VERTICES, (150,), generator=generator)
    pull = torch.randn(150, 3, generator=generator)
    ways = {
        "vertices": lambda posed: posed.vertices()[rows, ids],
        "select": lambda posed: posed.select(rows, ids),
        "vertices(ids)": lambda posed: posed.vertices(ids)[rows, torch.arange(150)],
    }
    points, grads = {}, {}
    for way, choose in ways.items():
        params = {name: value.requires_grad_() for name, value in random_parameters(body, 4).items()}
        points[way] = choose(body.pose(params))
        (points[way] * pull).sum().backward()
        grads[way] = {name: value.grad for name, value in params.items()}
    for way in ("select", "vertices(ids)"):
        torch.testing.assert_close(points[way], points["vertices"], atol=1e-6, rtol=0)
        for name, grad in grads["vertices"].items():
            assert grads[way][name].abs().sum() > 0, f"{way} must reach {name}"
            torch.testing.assert_close(grads[way][name], grad, atol=1e-4, rtol=1e-4)


def test_no_items_give_an_empty_result(body: LinearBlendBody) -> None:
    none = torch.zeros(0, dtype=torch.int64)
    params = random_parameters(body, 2)
    params["body_pose"].requires_grad_()
    posed = body.pose(params)
    assert posed.select(none, none).shape == (0, 3)
    assert posed.vertices(none).shape == (2, 0, 3)
    posed.select(none, none).sum().backward()
    assert params["body_pose"].grad is not None and not params["body_pose"].grad.any()


@pytest.mark.parametrize("at", ["rest", "pose"])
def test_gradients_are_those_of_finite_differences(precise: LinearBlendBody, at: str) -> None:
    params = random_parameters(precise, 2, scale=0.0 if at == "rest" else 0.5)
    names = list(params)
    ids = torch.tensor([3, 77, 500])
    rows = torch.tensor([0, 1, 1])

    def points(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        posed = precise.pose(dict(zip(names, values, strict=True)))
        return posed.joints[:, [0, 15, 39]], posed.vertices(ids), posed.select(rows, ids)

    leaves = tuple(params[name].requires_grad_() for name in names)
    assert torch.autograd.gradcheck(points, leaves, fast_mode=True)
    if at == "rest":
        assert all(torch.isfinite(g).all() for g in torch.autograd.grad(points(*leaves)[1].sum(), leaves))


def test_second_derivatives_are_those_of_finite_differences(precise: LinearBlendBody) -> None:
    rows, ids = torch.tensor([0, 1]), torch.tensor([5, 9])
    shape = random_parameters(precise, 2)

    def points(pose: torch.Tensor, transl: torch.Tensor) -> tuple[torch.Tensor, ...]:
        posed = precise.pose({"betas": shape["betas"], "body_pose": pose, "transl": transl})
        return posed.select(rows, ids), posed.vertices(ids)

    inputs = (shape["body_pose"].requires_grad_(), shape["transl"].requires_grad_())
    assert torch.autograd.gradgradcheck(points, inputs, fast_mode=True)


def test_forward_mode_and_function_transforms_work(precise: LinearBlendBody) -> None:
    """Levenberg-Marquardt takes Jacobian columns by vmap over jvp."""
    rows, ids = torch.tensor([0, 1, 1]), torch.tensor([5, 9, 300])
    pose = random_parameters(precise, 2)["body_pose"]

    def points(x: torch.Tensor) -> torch.Tensor:
        posed = precise.pose({"body_pose": x})
        flat = (posed.select(rows, ids), posed.vertices(ids), precise.keypoints(posed, "body25"))
        return torch.cat([value.reshape(-1) for value in flat])

    basis = torch.eye(pose.numel(), dtype=pose.dtype).view(-1, *pose.shape)
    columns = vmap(lambda tangent: jvp(points, (pose,), (tangent,))[1])(basis)
    expected = torch.autograd.functional.jacobian(points, pose).flatten(1).T
    torch.testing.assert_close(columns, expected)


def test_a_row_does_not_depend_on_the_others(body: LinearBlendBody) -> None:
    params = random_parameters(body, 5)
    whole = body.pose(params)
    for n in (0, 3):
        alone = body.pose({name: value[n : n + 1] for name, value in params.items()})
        torch.testing.assert_close(alone.vertices()[0], whole.vertices()[n], atol=1e-6, rtol=0)
        torch.testing.assert_close(alone.joints[0], whole.joints[n], atol=1e-6, rtol=0)


def test_the_same_input_gives_the_same_bits(body: LinearBlendBody) -> None:
    results = []
    for _ in range(2):
        params = random_parameters(body, 6)
        params["body_pose"].requires_grad_()
        moved = body.pose(params).vertices()
        (moved * moved.detach().sin()).sum().backward()
        results.append((moved.detach(), params["body_pose"].grad))
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])


def test_the_number_of_threads_does_not_change_a_bit_of_compiled_skinning() -> None:
    generator = torch.Generator().manual_seed(0)
    count = 5000  # more than two pieces of work per body
    influences = Influences.build(
        made_up_arrays(vertices=count)["weights"], torch.float32, torch.device("cpu")
    )
    before = torch.get_num_threads()
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            generator.manual_seed(0)
            transforms = torch.randn(3, 55, 12, generator=generator).requires_grad_()
            rest = torch.randn(3, count, 3, generator=generator).requires_grad_()
            moved = blend_mesh(transforms, rest, torch.arange(count), influences, "cpu")
            moved.square().sum().backward()
            results.append((moved, transforms.grad, rest.grad))
        finally:
            torch.set_num_threads(before)
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


def test_left_out_parameters_are_zero_and_single_rows_are_shared(body: LinearBlendBody) -> None:
    params = random_parameters(body, 3)
    shared = {"body_pose": params["body_pose"], "betas": params["betas"][:1]}
    spelled = {name: torch.zeros_like(value) for name, value in params.items()}
    spelled |= {"body_pose": params["body_pose"], "betas": params["betas"][:1].expand(3, -1)}
    torch.testing.assert_close(body.pose(shared).vertices(), body.pose(spelled).vertices())
    assert body.pose({}).vertices().shape == (1, VERTICES, 3)


def test_translation_moves_and_orientation_turns_about_the_pelvis(precise: LinearBlendBody) -> None:
    shape = {"betas": random_parameters(precise, 1)["betas"]}
    still = precise.pose(shape)
    turn = torch.tensor([[0.0, 0.0, torch.pi / 2]], dtype=torch.float64)
    moved = precise.pose(
        {**shape, "global_orient": turn, "transl": torch.tensor([[1.0, 2.0, 60.0]]).double()}
    )
    torch.testing.assert_close(
        moved.joints[0, 0], still.joints[0, 0] + torch.tensor([1.0, 2.0, 60.0]).double()
    )
    offset = (still.joints - still.joints[:, :1])[0]
    expected = torch.stack([-offset[:, 1], offset[:, 0], offset[:, 2]], 1)
    torch.testing.assert_close((moved.joints - moved.joints[:, :1])[0], expected)


def test_stature_is_the_height_of_the_unposed_mesh() -> None:
    free = load_body(dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    betas = torch.randn(60, 10, generator=generator, dtype=torch.float64)
    age = torch.linspace(0, 1, 60, dtype=torch.float64)[:, None]
    rest = free.pose({"betas": betas, "age": age}).vertices()[..., 1]
    stature = free.stature({"betas": betas, "age": age, "transl": torch.ones(60, 3)})
    torch.testing.assert_close(stature, rest.amax(1) - rest.amin(1), atol=1e-3, rtol=0)
    assert torch.autograd.gradcheck(
        lambda betas, age: free.stature({"betas": betas, "age": age}),
        (betas[:3].requires_grad_(), age[:3].requires_grad_()),
    )
    assert free.stature({"transl": torch.ones(4, 3)}).shape == (4,), "one value per body"


def test_float32_agrees_with_float64_sixty_metres_away(
    body: LinearBlendBody, precise: LinearBlendBody
) -> None:
    params = random_parameters(precise, 2)
    params["transl"] = torch.tensor([[3.0, -1.0, 60.0], [0.0, 0.0, 2.0]], dtype=torch.float64)
    single = body.pose({name: value.float() for name, value in params.items()}).vertices()
    torch.testing.assert_close(single.double(), precise.pose(params).vertices(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("body_pose", (2, 69), r"body_pose must have shape \(N, 63\), got \(2, 69\).*SMPL's 23 joints"),
        ("body_pose", (2, 21, 3), r"body_pose .*flatten"),
        ("body_pose", (2, 21, 3, 3), r"body_pose .*rotation matrices"),
        ("betas", (2, 11), r"betas .*`age`"),
        ("betas", (2, 16), r"betas .*num_betas"),
        ("transl", (3,), r"transl .*batch dimension"),
        ("left_hand_pose", (2, 12), r"left_hand_pose .*num_pca_comps"),
        ("jaw_pose", (3, 3), "jaw_pose has 3 rows, other parameters have 5"),
        ("poses", (2, 3), r"params holds \['poses'\]"),
    ],
)
def test_wrong_shapes_are_named(
    body: LinearBlendBody, name: str, shape: tuple[int, ...], message: str
) -> None:
    params = {name: torch.zeros(shape)}
    if "rows" in message:
        params["global_orient"] = torch.zeros(5, 3)
    with pytest.raises(ValueError, match=message):
        body.pose(params)


def test_other_types_and_bad_ids_are_named(body: LinearBlendBody) -> None:
    with pytest.raises(TypeError, match=r"betas is torch.float64.*body.to"):
        body.pose({"betas": torch.zeros(1, 10, dtype=torch.float64)})
    posed = body.pose({})
    with pytest.raises(ValueError, match=r"vertex ids must be int64"):
        posed.vertices(torch.zeros(3))
    with pytest.raises(ValueError, match=r"rows must be int64 of shape \(2,\)"):
        posed.select(torch.zeros(3, dtype=torch.int64), torch.zeros(2, dtype=torch.int64))
    zero = torch.zeros(1, dtype=torch.int64)
    for rows, ids in ((zero + 1, zero), (zero, zero + VERTICES), (zero - 1, zero), (zero, zero - 1)):
        with pytest.raises((IndexError, RuntimeError)):
            posed.select(rows, ids)
    with pytest.raises((IndexError, RuntimeError)):
        posed.vertices(zero + VERTICES)


def test_backends_are_chosen_or_refused(body: LinearBlendBody) -> None:
    with pytest.raises(ValueError, match="backend must be"):
        LinearBlendBody(body.data, backend="gpu")
    compiled = LinearBlendBody(body.data, backend="cpu")
    with pytest.raises(ValueError, match=r"torch\.func"):
        vmap(lambda x: compiled.pose({"transl": x}).vertices())(torch.zeros(2, 1, 3))


def test_bodies_are_not_changed_by_use_or_by_their_arrays(model_file: Path) -> None:
    body = load_body(model_file)
    before = body.pose({}).vertices()
    body.data.v_template[:] = 0
    torch.testing.assert_close(body.pose({}).vertices(), before)
    assert body.to(dtype=torch.float64).dtype == torch.float64 and body.dtype == torch.float32
