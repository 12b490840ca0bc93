"""Joint and vertex errors: closed forms, scipy, roma, and nothing degenerate that scores well."""

from __future__ import annotations

import math

import numpy as np
import pytest
import roma
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.transform import Rotation

from apu_losses.functional.metrics import (
    joint_pa_mpjpe,
    joint_pa_mpjpe_orders,
    mpjpe,
    pa_mpjpe,
    similarity_alignment,
    v2v,
)

RNG = np.random.default_rng(0)
TRUTH = torch.as_tensor(RNG.normal(size=(5, 2, 22, 3)))


def moved(points: torch.Tensor, scale: float = 1.7, shift: float = 3.0, seed: int = 0) -> torch.Tensor:
    rotation = torch.as_tensor(Rotation.random(random_state=np.random.default_rng(seed)).as_matrix())
    return scale * points @ rotation.T + shift


def test_alignment_equals_roma_and_scipy():
    truth = TRUTH[:, 0]
    points = moved(truth) + 0.2 * torch.as_tensor(RNG.normal(size=truth.shape))
    found = similarity_alignment(points, truth)
    rotation, translation, scale = roma.rigid_points_registration(points, truth, compute_scaling=True)
    torch.testing.assert_close(found.rotation, rotation)
    torch.testing.assert_close(found.scale, scale)
    torch.testing.assert_close(found.translation, translation)
    for x, y, r in zip(points.numpy(), truth.numpy(), found.rotation.numpy(), strict=True):
        x, y = x - x.mean(0), y - y.mean(0)
        np.testing.assert_allclose(r, Rotation.align_vectors(y, x)[0].as_matrix(), atol=1e-9)
        # Procrustes without the ban on reflections agrees where no reflection is better
        turn = orthogonal_procrustes(x, y)[0]
        assert np.linalg.det(turn) < 0 or np.allclose(turn.T, r, atol=1e-9)


def test_a_mirror_image_is_not_a_perfect_fit():
    flipped = TRUTH[:, 0] * torch.tensor([-1.0, 1, 1], dtype=torch.float64)
    found = similarity_alignment(flipped, TRUTH[:, 0])
    torch.testing.assert_close(torch.linalg.det(found.rotation), torch.ones(5, dtype=torch.float64))
    assert (pa_mpjpe(flipped, TRUTH[:, 0]) > 0.1).all()


def test_closed_forms():
    one = TRUTH[:, 0]
    assert mpjpe(one + 5.0, one).abs().max() < 1e-12  # a translation is no error
    off = one.clone()
    off[:, 3] += torch.tensor([0.3, 0.0, 0.4], dtype=torch.float64)  # one joint of 22, half a metre
    np.testing.assert_allclose(mpjpe(off, one), 0.5 / 22)
    off[:, 0] += 1.0  # the root itself: every other joint is then off
    assert (mpjpe(off, one) > 1.0).all()
    np.testing.assert_allclose(
        mpjpe(off, one, roots=(1, 2)), (0.5 + math.sqrt(3)) / 22
    )  # hips as root forgive neither
    np.testing.assert_allclose(pa_mpjpe(moved(one), one), 0, atol=1e-9)
    np.testing.assert_allclose(v2v(one + 2.0, one), 2 * math.sqrt(3))
    np.testing.assert_allclose(v2v(moved(one), one, align="similarity"), 0, atol=1e-9)
    roots = torch.stack([one[:, 0] + 2.0, one[:, 0]])
    np.testing.assert_allclose(v2v(one + 2.0, one, align="root", roots=roots), 0, atol=1e-9)


def test_one_similarity_for_two_people_counts_the_distance_between_them():
    """Two perfect people who stand d too far apart: each moves d/2, and the scale takes its share."""
    apart = TRUTH.clone()
    apart[:, 0, :, 0] += 0.4
    np.testing.assert_allclose(pa_mpjpe(apart[:, 0], TRUTH[:, 0]), 0, atol=1e-9)
    error = joint_pa_mpjpe(apart, TRUTH)
    assert (error > 0.1).all() and (error < 0.2 + 1e-9).all()
    torch.testing.assert_close(error, pa_mpjpe(apart.reshape(5, 44, 3), TRUTH.reshape(5, 44, 3)))
    np.testing.assert_allclose(joint_pa_mpjpe(moved(TRUTH), TRUTH), 0, atol=1e-9)


def test_both_person_orders():
    orders = joint_pa_mpjpe_orders(TRUTH.flip(1), TRUTH)
    np.testing.assert_allclose(orders.exchanged, 0, atol=1e-9)
    assert (orders.given > 0.3).all()
    torch.testing.assert_close(orders.smaller, orders.exchanged)


@pytest.mark.parametrize("measure", [mpjpe, pa_mpjpe, v2v])
def test_nan_stays_with_its_item(measure):
    points = TRUTH[:, 0].clone()
    points[2, 4, 1] = math.nan
    error = measure(points, TRUTH[:, 0])
    assert error.isnan().tolist() == [False, False, True, False, False]
    assert (error[[0, 1, 3, 4]] < 1e-9).all()


def test_coinciding_points_are_no_score():
    """All joints in one point, of the estimate or of the truth: the scale is undefined or zero."""
    points = TRUTH[:3, 0].clone()
    points[1] = points[1, :1] * 1000
    for a, b in ((points, TRUTH[:3, 0]), (TRUTH[:3, 0], points)):
        assert pa_mpjpe(a, b).isnan().tolist() == [False, True, False]
    point = torch.full((1, 22, 3), 1000.1, dtype=torch.float32)
    assert pa_mpjpe(point, TRUTH[:1, 0].float()).isnan().all()


def test_gradients():
    points = (TRUTH[:2] + 0.1 * torch.as_tensor(RNG.normal(size=(2, 2, 22, 3)))).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: joint_pa_mpjpe(p, TRUTH[:2]), points)
    assert torch.autograd.gradcheck(lambda p: mpjpe(p[:, 0], TRUTH[:2, 0], roots=(1, 2)), points)
    exact = TRUTH[:, 0].clone().requires_grad_()
    v2v(exact, TRUTH[:, 0]).sum().backward()
    assert exact.grad is not None and (exact.grad == 0).all()


def test_errors():
    with pytest.raises(ValueError, match="same shape"):
        pa_mpjpe(TRUTH[:, 0], TRUTH[:, 0, :5])
    with pytest.raises(ValueError, match="roots must name"):
        mpjpe(TRUTH[:, 0], TRUTH[:, 0], roots=(22,))
    with pytest.raises(ValueError, match="at least one point"):
        pa_mpjpe(TRUTH[:, 0, :0], TRUTH[:, 0, :0])
    with pytest.raises(ValueError, match="two people"):
        joint_pa_mpjpe_orders(TRUTH[:, :1], TRUTH[:, :1])
    with pytest.raises(ValueError, match="align must be"):
        v2v(TRUTH[:, 0], TRUTH[:, 0], align="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="roots must have shape"):
        v2v(TRUTH[:, 0], TRUTH[:, 0], align="root")
