"""Pose priors against scipy, a synthetic file in the format of SMPLify, and the anatomy of a T-posed body."""

from __future__ import annotations

import math
import pickle
import struct

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from scipy.stats import multivariate_normal

from apu_losses.functional.pose_prior import (
    BODY_JOINTS,
    JOINT_LIMITS_DEGREES,
    anatomical_limits,
    anatomical_pose_prior,
    initial_pose_prior,
    joint_limit_prior,
    load_pose_mixture,
    make_pose_mixture,
    mixture_pose_prior,
    relaxed_pose,
)
from apu_losses.modules import InitialPosePrior, PosePrior
from apu_losses.numerics.rotation_difference import rotation_difference


def mixture_data(count: int = 8, size: int = 69, seed: int = 0):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(count, size, size)) * 0.1
    covariances = root @ root.transpose(0, 2, 1) + 0.05 * np.eye(size)
    weights = rng.uniform(0.2, 1, count)
    return {
        "means": rng.normal(size=(count, size)) * 0.3,
        "covars": covariances,
        "weights": weights / weights.sum(),
    }


def poses(count: int = 5, seed: int = 1, spread: float = 0.4) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(count, 63, generator=g, dtype=torch.float64) * spread


def python2_pickle(content: dict[str, np.ndarray]) -> bytes:
    """What Python 2 wrote for a dictionary of arrays: protocol 2, with bytes as plain strings."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    def array(a: np.ndarray) -> bytes:
        shape = b"(" + b"".join(b"J" + struct.pack("<i", n) for n in a.shape) + b"t"
        dtype = (
            b"cnumpy\ndtype\n("
            + text(b"f8")
            + b"K\x00K\x01tR(K\x03"
            + text(b"<")
            + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        )
        empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR"
        return empty + b"(K\x01" + shape + dtype + b"\x89" + text(a.astype("<f8").tobytes()) + b"tb"

    items = b"".join(text(key.encode()) + array(value) for key, value in content.items())
    return b"\x80\x02}(" + items + b"u."


def test_marginal_is_the_density_of_scipy():
    data = mixture_data()
    mixture = make_pose_mixture(*data.values(), constants="marginal", dtype=torch.float64)
    x = poses()
    expected = [
        -max(
            math.log(w) + multivariate_normal(m[:63], c[:63, :63]).logpdf(pose)
            for m, c, w in zip(data["means"], data["covars"], data["weights"], strict=True)
        )
        for pose in x.numpy()
    ]
    np.testing.assert_allclose(mixture_pose_prior(x, mixture), expected, rtol=1e-10)


def test_without_truncation_marginal_is_the_full_density():
    data = mixture_data(3, 63)
    mixture = make_pose_mixture(*data.values(), constants="marginal", dtype=torch.float64)
    x = data["means"][1]
    expected = -math.log(data["weights"][1]) - multivariate_normal(x, data["covars"][1]).logpdf(x)
    value = mixture_pose_prior(torch.tensor(x)[None], mixture)
    assert value.item() == pytest.approx(expected)


def test_untruncated_constants_are_those_of_all_69_dimensions():
    """The formula of BUDDI's code, written out."""
    data = mixture_data()
    mixture = make_pose_mixture(*data.values(), dtype=torch.float64)
    roots = np.sqrt(np.array([np.linalg.det(c) for c in data["covars"]]))
    weights = data["weights"] / ((2 * np.pi) ** (69 / 2) * roots / roots.min())
    x = poses()
    expected = []
    for pose in x.numpy():
        values = []
        for mean, covariance, weight in zip(data["means"], data["covars"], weights, strict=True):
            d = pose - mean[:63]
            values.append(0.5 * d @ np.linalg.inv(covariance[:63, :63]) @ d - np.log(weight))
        expected.append(min(values))
    np.testing.assert_allclose(mixture_pose_prior(x, mixture), expected, rtol=1e-9)


@pytest.mark.parametrize("writer", ["python2", "python3"])
def test_file_round_trip(tmp_path, writer):
    data = mixture_data()
    path = tmp_path / "gmm_08.pkl"
    path.write_bytes(python2_pickle(data) if writer == "python2" else pickle.dumps(data))
    read = load_pose_mixture(path, dtype=torch.float64)
    expected = make_pose_mixture(*data.values(), dtype=torch.float64)
    for a, b in zip(read, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_a_file_that_could_run_something_is_refused(tmp_path):
    class Bomb:
        def __reduce__(self):
            return print, ("ran",)

    path = tmp_path / "gmm_08.pkl"
    path.write_bytes(pickle.dumps({"means": Bomb()}))
    with pytest.raises(ValueError, match="nothing was run"):
        load_pose_mixture(path)
    path.write_bytes(pickle.dumps({"means": np.zeros(3)}))
    with pytest.raises(ValueError, match="expected a dictionary with means, covars and weights"):
        load_pose_mixture(path)
    with pytest.raises(FileNotFoundError):
        load_pose_mixture(tmp_path / "nowhere.pkl")


def test_mixture_gradient_and_errors():
    data = mixture_data(3)
    mixture = make_pose_mixture(*data.values(), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: mixture_pose_prior(x, mixture), poses(2).requires_grad_(True))
    with pytest.raises(ValueError, match=r"\(N, 63\)"):
        mixture_pose_prior(torch.zeros(1, 69), mixture)
    with pytest.raises(ValueError, match="positive definite"):
        make_pose_mixture(data["means"], -data["covars"], data["weights"])
    with pytest.raises(ValueError, match="weights must be positive"):
        make_pose_mixture(data["means"], data["covars"], -data["weights"])
    with pytest.raises(ValueError, match="expected means"):
        make_pose_mixture(data["means"][:, :60], data["covars"], data["weights"])
    with pytest.raises(ValueError, match="'marginal'"):
        make_pose_mixture(*data.values(), constants="all")


def joint_pose(**degrees: tuple[float, float, float]) -> torch.Tensor:
    pose = torch.zeros(1, 21, 3, dtype=torch.float64)
    for name, angles in degrees.items():
        pose[0, BODY_JOINTS.index(name)] = torch.tensor(angles, dtype=torch.float64).deg2rad()
    return pose.flatten(1)


# What a motion does to the bone beyond the joint, on a T-posed body (+x left, +y up, +z front): an
# independent check that the table has the right signs.
@pytest.mark.parametrize(
    ("joint", "degrees", "bone", "goes"),
    [
        ("left_knee", (90, 0, 0), (0, -1, 0), (0, 0, -1)),  # the shank swings back
        ("right_knee", (90, 0, 0), (0, -1, 0), (0, 0, -1)),
        ("left_elbow", (0, -90, 0), (1, 0, 0), (0, 0, 1)),  # the forearm comes forward
        ("right_elbow", (0, 90, 0), (-1, 0, 0), (0, 0, 1)),
        ("left_hip", (-90, 0, 0), (0, -1, 0), (0, 0, 1)),  # sitting
        ("right_hip", (-90, 0, 0), (0, -1, 0), (0, 0, 1)),
        ("left_shoulder", (0, 0, -90), (1, 0, 0), (0, -1, 0)),  # the arm hangs
        ("right_shoulder", (0, 0, 90), (-1, 0, 0), (0, -1, 0)),
        ("left_shoulder", (0, -90, 0), (1, 0, 0), (0, 0, 1)),  # the arm reaches forward
        ("right_shoulder", (0, 90, 0), (-1, 0, 0), (0, 0, 1)),
        ("left_ankle", (50, 0, 0), (0, 0, 1), (0, -math.sin(math.radians(50)), math.cos(math.radians(50)))),
    ],
)
def test_ordinary_motions_are_within_limits_and_their_opposites_are_not(joint, degrees, bone, goes):
    np.testing.assert_allclose(Rotation.from_rotvec(degrees, degrees=True).apply(bone), goes, atol=1e-12)
    limits = anatomical_limits(dtype=torch.float64)
    assert joint_limit_prior(joint_pose(**{joint: degrees}), limits).item() == 0
    beyond = joint_pose(**{joint: tuple(-1.1 * d for d in degrees)})
    hinge = "knee" in joint or "elbow" in joint
    if hinge:
        expected = math.radians(1.1 * 90 - 5) ** 2
        assert joint_limit_prior(beyond, limits).item() == pytest.approx(expected)


def test_resting_poses_are_within_limits():
    limits = anatomical_limits(dtype=torch.float64)
    assert joint_limit_prior(torch.zeros(1, 63, dtype=torch.float64), limits).item() == 0
    assert joint_limit_prior(relaxed_pose(dtype=torch.float64)[None], limits).item() == 0
    bound = relaxed_pose(dtype=torch.float64)[None].clone()
    assert anatomical_pose_prior(bound).item() == 0


@pytest.mark.real
def test_people_in_photographs_are_within_limits(real_dir):
    """33 people as BEV sees them, standing, crouching and embracing: nobody more than a few degrees out."""
    from apu_contacts.sources import read_bev

    limits = anatomical_limits(dtype=torch.float64)
    people = [p for name in ("girls_250416", "college_232334") for p in read_bev(real_dir / name / "bev.npz")]
    poses = torch.tensor(np.array([np.asarray(p.smpl_thetas)[3:66] for p in people]))
    assert len(poses) == 33
    assert joint_limit_prior(poses, limits).max() < math.radians(5) ** 2


def test_limits_are_closed_forms_at_their_edges():
    limits = anatomical_limits(dtype=torch.float64)
    for side in limits:
        assert joint_limit_prior(side[None], limits).item() == pytest.approx(0, abs=1e-24)
    over = limits.high + 0.1
    assert joint_limit_prior(over[None], limits).item() == pytest.approx(63 * 0.01)
    assert (limits.low <= 0).all() and (limits.high >= 0).all()
    assert set(JOINT_LIMITS_DEGREES) == {n for n in BODY_JOINTS if not n.startswith("right_")}


def test_left_and_right_are_judged_alike():
    pose = poses(6, spread=0.8).reshape(6, 21, 3)
    swap = [
        BODY_JOINTS.index(n.replace("left_", "#").replace("right_", "left_").replace("#", "right_"))
        for n in BODY_JOINTS
    ]
    mirrored = pose[:, swap] * torch.tensor([1.0, -1.0, -1.0])
    torch.testing.assert_close(
        anatomical_pose_prior(pose.flatten(1)), anatomical_pose_prior(mirrored.flatten(1))
    )


def test_anatomical_prior_gradient_and_errors():
    start = poses(2, spread=0.7).requires_grad_(True)
    assert torch.autograd.gradcheck(anatomical_pose_prior, start)
    with pytest.raises(ValueError, match="21 body joints"):
        anatomical_pose_prior(torch.zeros(1, 66))


def test_geodesic_difference_equals_scipy():
    a, b = poses(4, spread=1.0), poses(4, seed=2, spread=1.0)
    ra, rb = (Rotation.from_rotvec(x.reshape(-1, 3).numpy()) for x in (a, b))
    expected = (rb.inv() * ra).as_rotvec().reshape(4, 21, 3)
    np.testing.assert_allclose(rotation_difference(a, b), expected, atol=1e-10)
    np.testing.assert_allclose(
        initial_pose_prior(a, b), (np.linalg.norm(expected, axis=-1) ** 2).sum(1), atol=1e-9
    )


def test_axis_angle_difference_is_that_of_the_numbers():
    a, b = poses(), poses(seed=2)
    expected = ((a - b) ** 2).sum(1)
    torch.testing.assert_close(initial_pose_prior(a, b, metric="axis_angle"), expected)
    weights = torch.arange(21, dtype=torch.float64)
    weighted = (((a - b) ** 2).reshape(5, 21, 3).sum(-1) * weights).sum(1)
    torch.testing.assert_close(initial_pose_prior(a, b, metric="axis_angle", joint_weights=weights), weighted)


def test_the_same_rotation_written_otherwise_is_no_change():
    pose = poses(3).reshape(3, 21, 3)
    angle = pose.norm(dim=-1, keepdim=True)
    other = (pose / angle * (angle - 2 * math.pi)).flatten(1)
    assert initial_pose_prior(other, pose.flatten(1)).max().item() == pytest.approx(0, abs=1e-12)
    assert initial_pose_prior(other, pose.flatten(1), metric="axis_angle").min().item() > 100


@pytest.mark.parametrize("metric", ["geodesic", "axis_angle"])
@pytest.mark.parametrize("offset", [0.0, 1e-7, 1e-3, 0.5])
def test_initial_prior_gradient_at_and_away_from_the_start(metric, offset):
    reference = poses(2)
    reference[1] = 0
    start = (reference + offset * poses(2, seed=9)).requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda x: initial_pose_prior(x, reference, metric=metric), start, eps=1e-6, atol=1e-6
    )
    (gradient,) = torch.autograd.grad(initial_pose_prior(start, reference, metric=metric).sum(), start)
    assert torch.isfinite(gradient).all() and (offset > 0 or gradient.abs().max() < 1e-12)


def test_initial_prior_errors():
    with pytest.raises(ValueError, match="'geodesic' or 'axis_angle'"):
        initial_pose_prior(poses(), poses(), metric="chordal")
    for metric in ("geodesic", "axis_angle"):
        with pytest.raises(ValueError, match="same shape"):
            initial_pose_prior(poses(2), poses(3), metric=metric)
    with pytest.raises(ValueError, match=r"\(21,\)"):
        initial_pose_prior(poses(), poses(), joint_weights=torch.ones(63))


def test_modules_are_shells():
    x = poses()
    mixture = make_pose_mixture(*mixture_data().values(), dtype=torch.float64)
    prior = PosePrior(mixture)
    assert set(prior.state_dict()) == set(mixture._fields)
    torch.testing.assert_close(prior(x), mixture_pose_prior(x, mixture))
    torch.testing.assert_close(PosePrior(limit_weight=5.0)(x), anatomical_pose_prior(x, limit_weight=5.0))
    weights = torch.rand(21)
    module = InitialPosePrior(metric="axis_angle", joint_weights=weights)
    torch.testing.assert_close(
        module(x, x + 0.1), initial_pose_prior(x, x + 0.1, metric="axis_angle", joint_weights=weights)
    )
