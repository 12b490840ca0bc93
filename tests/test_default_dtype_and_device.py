"""What a program sets as torch's default dtype or device changes nothing here."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

import apu_losses as al
from apu_contacts import ContactMap, RegionMap
from apu_losses import geometry as g
from apu_losses.functional import pose_prior
from apu_losses.functional.facing import contact_facing
from apu_losses.functional.ground import fit_ground, ground_height
from apu_losses.functional.metrics.joints import joint_pa_mpjpe
from apu_losses.functional.metrics.penetration import penetration_depth
from apu_losses.prior import ContactPrior, load_prior, make_network

PACKAGE = Path(al.__file__).parent
FACTORIES = {
    "arange", "as_tensor", "asarray", "empty", "eye", "full", "linspace", "logspace", "normal", "ones",
    "rand", "randint", "randn", "randperm", "scalar_tensor", "tensor", "tril_indices", "triu_indices",
    "zeros",
}  # fmt: skip
"""What makes a tensor out of something else, on the default device; ``from_numpy`` and ``*_like`` do not."""


def test_every_tensor_is_made_with_dtype_and_device():
    """By construction. `torch.arange` of whole numbers is int64 whatever the default; all else names both."""
    silent = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if ast.unparse(node.func.value) != "torch" or node.func.attr not in FACTORIES:
                continue
            expected = {"device"} if node.func.attr == "arange" else {"dtype", "device"}
            if missing := expected - {keyword.arg for keyword in node.keywords}:
                where = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                silent.append(f"{where}: {ast.unparse(node)} without {' and '.join(sorted(missing))}")
    assert not silent, "\n".join(silent)


def tensor(values: object) -> Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float32, device="cpu")


def with_gradient(loss: Tensor, *inputs: Tensor) -> list[Tensor]:
    return [loss, *torch.autograd.grad(loss.sum(), inputs)]


def geometry() -> Iterator[Tensor]:
    ball = trimesh.creation.icosphere(2, 0.3)
    faces, count = np.asarray(ball.faces), len(ball.vertices)
    a = tensor(ball.vertices)[None].requires_grad_()
    b = tensor(np.add(ball.vertices, (0.4, 0.0, 0.0)))[None].requires_grad_()
    mesh = g.MeshTopology.build(faces, count, a[0])
    regions = g.RegionIndex.from_lists([np.arange(50), np.arange(50, count)], count, a[0])
    pairs = g.RegionPairs.from_offsets([0, 2], [0, 1], [1, 0])
    row = [0]
    unions = g.RegionPairs.from_unions(row, row, [[0, 1]], [[1]])
    for backend in ("auto", "torch", "reference"):
        for edges in (pairs, unions):
            yield from g.region_min_distance(a, b, edges, regions, backend=backend)
        yield from g.region_nearest_vertex(a, b, pairs, regions, backend=backend)[:3]
        yield from g.region_distance_matrix(a, b, regions, cutoff=0.2, backend=backend)
        yield g.region_soft_minimum(a, b, pairs, regions, temperature=1e-3, backend=backend)
        yield from g.nearest_vertex(a, b, backend=backend)
        yield from g.nearest_surface(a, b, mesh, backend=backend)
        yield g.winding_number(a, b, mesh, backend=backend)
        yield g.winding_number(a, b, mesh, method="rays", backend=backend)
        yield g.inside(a, b, faces, backend=backend)
        deep = g.penetration(a, b, mesh, target="surface", backend=backend)
        assert deep.inside.any()
        yield from with_gradient(deep.distance2, a, b)
    yield from with_gradient(al.PenetrationLoss(faces)(a, b), a, b)
    yield from with_gradient(al.PenetrationLoss(faces, target="entry")(a, b), a, b)
    yield from with_gradient(al.MinimumDistanceLoss(faces)(a, b), a, b)
    yield g.contact_map_from_meshes(a, b, regions, threshold=0.1)


def body_and_losses() -> Iterator[Tensor]:
    body = al.load_body()
    pose = tensor(np.random.default_rng(0).normal(0, 0.2, (2, 63))).requires_grad_()
    transl = tensor([[0, 0, 3], [0.3, 0, 3]]).requires_grad_()
    posed = body.pose({"body_pose": pose, "transl": transl})
    vertices = posed.vertices()
    yield from (vertices, posed.joints, body.keypoints(posed, "body25"), body.stature({}))
    yield from with_gradient(vertices.square().mean() + posed.joints.sum(), pose, transl)
    a, b = vertices[:1], vertices[1:]
    contacts = ContactMap([(3, 26), (17, 71)])
    regions = RegionMap.load("free")
    for options in (
        {},
        {"over": "parts", "soft": 1e-3},
        {"mode": "chamfer_quartic"},
        {"order": "either"},
        {"robust": 0.1},
    ):
        yield al.SoftContactLoss(regions, **options)(a, b, contacts)
    yield al.PenetrationLoss(body.faces, template=vertices[0].detach())(a, b)
    yield al.SelfPenetrationLoss(body.faces, template=vertices[0].detach())(vertices)
    yield contact_facing(a, b, contacts, regions, body.faces)
    soles = vertices[0, ::100].detach()
    yield ground_height(soles, fit_ground(soles))
    yield al.PosePrior()(pose)
    yield al.ShapePrior()(tensor(np.ones((2, 10))))
    yield pose_prior.joint_limit_prior(pose, pose_prior.anatomical_limits())
    yield al.InitialPosePrior()(pose, pose_prior.relaxed_pose().expand(2, -1))
    yield joint_pa_mpjpe(posed.joints[None], posed.joints[None] + 0.01)
    rows = torch.tensor([0, 1], device="cpu")
    yield from penetration_depth(vertices, body.faces, rows[:1], rows[1:])
    camera = al.PinholeCamera.from_image_size(800, 600)
    yield from (camera.focal, camera.center, camera.project(posed.joints))


def prior() -> Iterator[Tensor]:
    shipped = load_prior("free")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = make_network(
            "buddi", shipped.layout, shipped.schedule, {"width": 16, "layers": 1, "heads": 2}
        )
    yield from network.parameters()
    code, noise = tensor(np.full((1, 2, shipped.layout.size), 0.1)), tensor(np.zeros(shipped.layout.size))
    for each in (shipped, ContactPrior(shipped.layout, network)):
        yield each.target(code, code + 0.05, 100, noise)


def short_fit() -> Iterator[Tensor]:
    from apu_losses.app.demo import demo_scene

    preset = al.load_preset("best")
    stages = tuple(dataclasses.replace(stage, max_iterations=2) for stage in preset.stages)
    fitter = al.SceneFitter(al.load_body(), preset=dataclasses.replace(preset, stages=stages))
    result = fitter.fit([demo_scene()])[0]
    assert {len(result.stages), *result.parameters} >= {len(stages), "body_pose", "transl"}
    yield from (torch.from_numpy(np.array(value)) for value in result.parameters.values())


SUBJECTS = {
    "geometry": geometry,
    "body and losses": body_and_losses,
    "prior": prior,
    "short fit": short_fit,
}


@contextmanager
def default(value: str) -> Iterator[None]:
    if value == "meta":  # stands for a GPU: a tensor that lands there by mistake has no numbers
        torch.set_default_device("meta")
    else:
        torch.set_default_dtype(getattr(torch, value))
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)


@pytest.fixture(scope="module")
def usual() -> dict[str, list[Tensor]]:
    return {}


@pytest.mark.parametrize(
    "value",
    ["bfloat16", "meta", *(pytest.param(name, marks=pytest.mark.long) for name in ("float16", "float64"))],
)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_defaults_change_nothing(value, subject, usual):
    if subject not in usual:
        usual[subject] = list(SUBJECTS[subject]())
    with default(value):
        found = list(SUBJECTS[subject]())
    for number, (ours, expected) in enumerate(zip(found, usual[subject], strict=True)):
        place = f"answer {number} of {subject}"
        assert (ours.dtype, ours.device) == (expected.dtype, expected.device), place
        torch.testing.assert_close(ours, expected, rtol=0, atol=0, equal_nan=True, msg=place)
