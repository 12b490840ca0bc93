"""Bodies far from the origin: right in double precision, spoken of in single."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import trimesh
from tubes import spiral, tube, tube_faces

import apu_losses as al
from apu_losses.functional import select_penetrations
from apu_losses.functional.metrics.penetration import penetration_depth, penetration_volume
from apu_losses.numerics import precision

BALL = trimesh.creation.icosphere(3, 0.3)
FACES = np.asarray(BALL.faces)
VERTICES = torch.tensor(np.asarray(BALL.vertices), dtype=torch.float64)[None]
FAR = torch.tensor([1e6, -3e5, 2e6], dtype=torch.float64)  # float32 rounds to an eighth of a metre there


def pair(away=0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two balls of 0.3 m, 0.2 m inside each other."""
    off = torch.tensor([0.4, 0.013, 0.007], dtype=torch.float64)
    return VERTICES + away, VERTICES * torch.tensor([1.0, 0.9, 1.1], dtype=torch.float64) + off + away


def value_and_gradient(loss, *bodies):
    bodies = [body.clone().requires_grad_() for body in bodies]
    value = loss(*bodies)
    value.sum().backward()
    return value.detach(), torch.cat([body.grad for body in bodies])


def mapped(loss):
    """The way without shapes that depend on values, as compiled code takes it."""
    return torch.func.vmap(lambda a, b: loss(a[None], b[None])[0])


@pytest.mark.parametrize(
    ("away", "way", "target"),
    [
        (1e3, lambda loss: loss, "surface"),
        (FAR, lambda loss: loss, "surface"),
        (FAR, lambda loss: loss, "vertex"),
        (FAR, mapped, "surface"),
    ],
)
def test_penetration_in_double_precision_is_the_same_far_away(away, way, target):
    loss = way(al.PenetrationLoss(FACES, target=target))
    near, far = value_and_gradient(loss, *pair()), value_and_gradient(loss, *pair(away))
    assert near[0] > 0.5
    torch.testing.assert_close(far[0], near[0], rtol=1e-6, atol=0)
    torch.testing.assert_close(far[1], near[1], rtol=0, atol=2e-4)  # of up to 0.4; weights of the search


@pytest.mark.parametrize("options", [{"target": "entry"}, {"mutual": True}, {"backend": "torch"}])
def test_options_of_penetration_far_away(options):
    loss = al.PenetrationLoss(FACES, **options)
    near, far = value_and_gradient(loss, *pair()), value_and_gradient(loss, *pair(FAR))
    assert near[0] > 0.5
    torch.testing.assert_close(far[0], near[0], rtol=1e-6, atol=0)


def test_near_and_far_pairs_in_one_call():
    """Each pair has its own origin; rows are named as they were given; a near pair keeps its bits."""
    near, far = pair(), pair(FAR)
    elsewhere = VERTICES - 5e5
    vertices = torch.cat([near[0], far[1], elsewhere, far[0], near[1]])
    rows_a, rows_b = torch.tensor([3, 0, 0]), torch.tensor([1, 4, 2])
    found = select_penetrations(vertices, FACES, rows_a, rows_b)
    alone = select_penetrations(torch.cat(near), FACES, torch.tensor([0]), torch.tensor([1]))
    assert set(found.pair.tolist()) == {0, 1}
    assert set(found.row[found.pair == 0].tolist()) == {3, 1}
    own = found.pair == 1
    assert torch.equal(found.vertex[own], alone.vertex)
    assert torch.equal(found.target_row[own], torch.where(alone.target_row == 0, 0, 4))
    assert torch.equal(found.target_weights[own], alone.target_weights)
    assert int((found.pair == 0).sum()) == len(alone)


@pytest.mark.long
def test_other_losses_in_double_precision_far_away():
    a, b = pair()
    far_a, far_b = pair(FAR)
    distance = al.MinimumDistanceLoss(FACES)
    apart = torch.tensor([0.5, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(distance(far_a, far_b + apart), distance(a, b + apart), rtol=1e-6, atol=0)
    coil = tube(spiral(0.02)).double()
    own = al.SelfPenetrationLoss(tube_faces(), template=coil[0], apart=0.3)
    assert own(coil).item() > 0
    torch.testing.assert_close(own(coil + FAR), own(coil), rtol=1e-6, atol=0)
    rows = torch.tensor([0]), torch.tensor([1])
    for metric in (penetration_depth, penetration_volume):
        here, there = metric(torch.cat([a, b]), FACES, *rows), metric(torch.cat([far_a, far_b]), FACES, *rows)
        torch.testing.assert_close(there, here, rtol=2e-3, atol=0)  # the volume counts cells


def test_bodies_that_are_not_finite_stay_broken_far_away():
    a, b = pair(FAR)
    a[0, 0, 1] = torch.nan
    assert al.PenetrationLoss(FACES)(a, b).isnan().all()


@pytest.fixture
def fresh_warnings():
    precision._warn_of_distance.cache_clear()
    yield
    precision._warn_of_distance.cache_clear()


@pytest.mark.parametrize("what", ["loss", "function"])
def test_single_precision_far_away_is_spoken_of_once(what, fresh_warnings):
    a, b = (body.float() for body in pair(5e3))
    rows = torch.tensor([0]), torch.tensor([1])

    def call():
        if what == "loss":
            al.MinimumDistanceLoss(FACES)(a, b)
        else:
            select_penetrations(torch.cat([a, b]), FACES, *rows)

    with pytest.warns(RuntimeWarning, match=r"4096 m from the origin.*0.49 mm.*float64"):
        call()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call()


@pytest.mark.parametrize(("away", "dtype"), [(40.0, torch.float32), (1e6, torch.float64)])
def test_what_is_right_is_not_spoken_of(away, dtype, fresh_warnings):
    a, b = (body.to(dtype) for body in pair(away))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        al.PenetrationLoss(FACES)(a, b)
