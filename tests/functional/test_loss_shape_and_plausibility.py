"""Shape priors, plausibility and contact measures: closed forms, and no failure that scores well."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loss_toys import toy_bodies, toy_map, toy_regions
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from apu_losses.functional.contact_edges import ContactEdges
from apu_losses.functional.metrics import contact_distances, share_within
from apu_losses.functional.plausibility import SPINE, pose_change, shape_change, stature_change
from apu_losses.functional.pose_prior import BODY_JOINTS
from apu_losses.functional.shape import shape_change_prior, shape_prior, stature_prior
from apu_losses.modules import ShapePrior

BETAS = torch.arange(20, dtype=torch.float64).reshape(2, 10) / 10


def test_shape_priors_are_sums_of_squares():
    np.testing.assert_allclose(shape_prior(BETAS), (BETAS.numpy() ** 2).sum(1))
    start, weights = BETAS.flip(0), torch.linspace(0, 2, 10, dtype=torch.float64)
    np.testing.assert_allclose(shape_change_prior(BETAS, start), ((BETAS - start).numpy() ** 2).sum(1))
    np.testing.assert_allclose(
        shape_change_prior(BETAS, start, weights=weights), ((BETAS - start) ** 2 * weights).sum(1)
    )
    assert shape_change_prior(BETAS, BETAS).tolist() == [0, 0]
    torch.testing.assert_close(ShapePrior()(BETAS), shape_prior(BETAS))
    torch.testing.assert_close(ShapePrior()(BETAS, start), shape_change_prior(BETAS, start))


def test_stature_prior_is_in_squared_centimetres():
    stature, start = torch.tensor([1.62, 1.80]), torch.tensor([1.60, 1.85])
    torch.testing.assert_close(stature_prior(stature, start), torch.tensor([4.0, 25.0]), rtol=1e-4, atol=0)
    torch.testing.assert_close(stature_change(stature, start), torch.tensor([2.0, -5.0]), rtol=1e-4, atol=0)


def test_shape_errors():
    with pytest.raises(ValueError, match=r"\(N, K\)"):
        shape_prior(BETAS[0])
    with pytest.raises(ValueError, match="shape of betas"):
        shape_change_prior(BETAS, BETAS[:, :5])
    with pytest.raises(ValueError, match="one value a coefficient"):
        shape_change_prior(BETAS, BETAS, weights=torch.ones(2))
    with pytest.raises(ValueError, match="shape of stature"):
        stature_prior(torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match="same shape"):
        stature_change(torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match="same shape"):
        shape_change(BETAS, BETAS[:, :5])


def test_shape_change_is_the_largest_of_the_coefficients():
    np.testing.assert_allclose(
        shape_change(BETAS, BETAS.flip(0)), np.abs(BETAS.numpy() - BETAS.numpy()[::-1]).max(1)
    )
    assert shape_change(torch.full((1, 10), float("nan")), torch.zeros(1, 10)).isnan().all()


def test_pose_change_in_degrees():
    rng = np.random.default_rng(0)
    start = Rotation.random(21, random_state=rng)
    degrees = np.zeros(21)
    degrees[BODY_JOINTS.index("left_shoulder")] = 60
    degrees[BODY_JOINTS.index("spine2")] = 25
    axes = rng.normal(size=(21, 3))
    turn = Rotation.from_rotvec(
        np.radians(degrees)[:, None] * axes / np.linalg.norm(axes, axis=1, keepdims=True)
    )
    pose = (start * turn).as_rotvec().reshape(1, 63)
    change = pose_change(torch.tensor(pose), torch.tensor(start.as_rotvec().reshape(1, 63)))
    assert change.largest.item() == pytest.approx(60) and change.spine.item() == pytest.approx(25)
    assert change.rms.item() == pytest.approx(np.sqrt((60**2 + 25**2) / 21))
    assert BODY_JOINTS[change.joint.item()] == "left_shoulder"
    assert [i + 1 for i in SPINE] == [3, 6, 9]


def test_distances_and_shares_equal_scipy():
    regions, bodies = toy_regions(), toy_bodies(4)
    maps = [toy_map(seed=0), toy_map(seed=1)]
    edges = ContactEdges.from_maps(maps, [0, 2], [1, 3], over="pairs")
    distances, edge = contact_distances(bodies, edges, regions)
    expected = [
        cdist(bodies[a, regions.vertices(int(i))], bodies[b, regions.vertices(int(j))]).min()
        for m, a, b in zip(maps, (0, 2), (1, 3), strict=True)
        for i, j in m.merged().pairs
    ]
    np.testing.assert_allclose(distances, expected)
    assert edge.tolist() == [0] * len(maps[0].merged()) + [1] * len(maps[1].merged())
    limits = [0.1, 0.2, 10.0]
    np.testing.assert_allclose(
        share_within(distances, limits), [(np.array(expected) <= limit).mean() for limit in limits]
    )


def test_no_failure_scores_well():
    """NaN in, NaN out; a share of nothing is no share."""
    assert share_within(torch.tensor([]), [0.02]).isnan().all()
    assert share_within(torch.tensor([0.01, float("nan")]), [0.02, 1.0]).isnan().all()
    bodies = toy_bodies(2)
    bodies[0] = float("nan")
    distances, _ = contact_distances(bodies, ContactEdges.from_maps([toy_map()], [0], [1]), toy_regions())
    assert distances.isnan().all()
    pose = torch.zeros(2, 63)
    pose[1, 4] = float("nan")
    change = pose_change(pose, torch.zeros(2, 63))
    assert change.rms[0] == 0 and change.rms[1].isnan() and change.largest[1].isnan()
    assert stature_change(torch.tensor([float("nan")]), torch.tensor([1.7])).isnan()
    with pytest.raises(ValueError, match=r"\(C,\)"):
        share_within(torch.zeros(2, 2), [0.1])
