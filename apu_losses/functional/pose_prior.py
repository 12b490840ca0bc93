"""Priors on the body pose: a mixture of Gaussians, anatomical joint limits, and the pose that the fit started
from.

Poses are axis-angle, radians, ``(N, 63)``: the 21 body joints of SMPL-X in their order, without the root.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from apu_contacts.keypoints.joints import BODY
from apu_losses.numerics.rotation_difference import rotation_difference

Constants = Literal["untruncated", "marginal"]
Metric = Literal["geodesic", "axis_angle"]

BODY_JOINTS = BODY[1:]
"""The 21 body joints of SMPL-X, in the order of ``body_pose``."""

# Degrees about x, y and z of the T-posed body: +x to its left, +y up, +z to its front. Axis-angle components,
# so that a joint bent about one axis has the range of that axis. Joints in pairs are given for the left; the
# right mirrors them (y and z change sign). Wide on purpose: ordinary clinical ranges of motion (AAOS) plus
# some 10 to 20 degrees, as the joints of a skinned body share motions that anatomy gives to one (forearm
# twist: elbow and wrist; raising an arm: collar and shoulder) and as components mix when a joint turns about
# several axes.
JOINT_LIMITS_DEGREES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    # x < 0 lifts the thigh to the front, y > 0 turns it outwards, z > 0 spreads it
    "left_hip": ((-135, 40), (-60, 75), (-45, 75)),
    # a hinge: x > 0 brings the heel to the seat
    "left_knee": ((-5, 155), (-20, 20), (-25, 20)),
    # x > 0 points the toes
    "left_ankle": ((-40, 60), (-35, 35), (-35, 35)),
    "left_foot": ((-60, 45), (-20, 20), (-20, 25)),
    # x > 0 bends forward; the lowest of the three takes most of it
    "spine1": ((-25, 60), (-25, 25), (-25, 25)),
    "spine2": ((-25, 45), (-25, 25), (-25, 25)),
    "spine3": ((-25, 40), (-30, 30), (-25, 25)),
    "neck": ((-45, 45), (-50, 50), (-35, 35)),
    "head": ((-45, 45), (-50, 50), (-35, 35)),
    # y < 0 brings the shoulder forward, z > 0 lifts it
    "left_collar": ((-30, 30), (-45, 30), (-25, 45)),
    # y < 0 brings the arm forward, z < 0 lowers it
    "left_shoulder": ((-100, 100), (-140, 65), (-110, 110)),
    # a hinge: y < 0 brings the hand to the shoulder; x is the twist of the forearm
    "left_elbow": ((-100, 100), (-160, 5), (-40, 60)),
    # z < 0 bends towards the palm, y < 0 towards the thumb
    "left_wrist": ((-90, 90), (-45, 50), (-90, 85)),
}

# Arms hanging at an angle, elbows and knees a little bent: how people stand, unlike the T-pose.
RELAXED_DEGREES: dict[str, tuple[float, float, float]] = {
    "left_shoulder": (0, 0, -55),
    "left_elbow": (0, -20, 0),
    "left_knee": (8, 0, 0),
}

# How firmly a joint is held at the relaxed pose. A trunk that bends to reach a contact looks wrong first.
_FIRMNESS = {"spine1": 4.0, "spine2": 4.0, "spine3": 4.0, "neck": 2.0, "head": 2.0}
_FIRMNESS |= dict.fromkeys(("left_collar", "left_ankle", "left_foot", "left_wrist"), 2.0)


class PoseMixture(NamedTuple):
    """A mixture of K Gaussians over D pose dimensions, ready to be evaluated.

    ``means (K, D)``; ``whiten (K, D, D)``: inverse Cholesky factors of the covariances, so that
    ``||whiten (x - mean)||^2`` is the squared Mahalanobis distance; ``log_weights (K,)`` with all constants.

    Example:
        >>> import numpy as np
        >>> from apu_losses.functional import make_pose_mixture
        >>> mixture = make_pose_mixture(np.zeros((2, 63)), np.stack([np.eye(63)] * 2), [0.5, 0.5])
        >>> mixture.means.shape, mixture.log_weights.shape
        (torch.Size([2, 63]), torch.Size([2]))
    """

    means: Tensor
    whiten: Tensor
    log_weights: Tensor

    def to(self, example: Tensor) -> PoseMixture:
        """Return the same with the device and dtype of a tensor."""
        return PoseMixture(*(t.to(example) for t in self))


def make_pose_mixture(
    means: ArrayLike,
    covariances: ArrayLike,
    weights: ArrayLike,
    *,
    dimensions: int = 63,
    constants: Constants = "untruncated",
    dtype: torch.dtype = torch.float32,
) -> PoseMixture:
    """Prepare a mixture, keeping the first ``dimensions`` of each Gaussian.

    SMPLify's prior has 69 dimensions (23 SMPL joints); SMPL-X has 63 (its hands are apart). Cutting mean and
    covariance gives the exact marginal Gaussian; there are two ways to treat the constants:

    - ``"untruncated"``: those of the 69-dimensional Gaussians, each determinant relative to the smallest one,
      as BUDDI
      computes them: ``log w_m - 69/2 log(2 pi) - 1/2 (log|S_m| - min log|S|)``.
    - ``"marginal"``: those of the marginals, so that the prior is the true ``-log max_m w_m N(x; m)``.

    Args:
        means: ``(K, D)``
        covariances: ``(K, D, D)``
        weights: ``(K,)`` positive.
        dimensions: leading dimensions to keep.
        constants: see above.
        dtype: of the result; everything is computed in float64.

    Raises:
        ValueError: shapes that do not agree, weights that are not positive, a covariance that is not positive
            definite.

    Example:
        >>> import numpy as np
        >>> import torch
        >>> from apu_losses.functional import make_pose_mixture, mixture_pose_prior
        >>> mixture = make_pose_mixture(np.zeros((1, 63)), np.eye(63)[None], [1.0])
        >>> rest, bent = torch.zeros(1, 63), torch.full((1, 63), 0.1)
        >>> mixture_pose_prior(bent, mixture) - mixture_pose_prior(rest, mixture)  # half of 63 * 0.1 ** 2
        tensor([0.3150])
    """
    mean, covariance, weight = (np.asarray(x, dtype=np.float64) for x in (means, covariances, weights))
    count, full = mean.shape if mean.ndim == 2 else (0, 0)
    if not count or covariance.shape != (count, full, full) or weight.shape != (count,) or dimensions > full:
        raise ValueError(
            f"expected means (K, D), covariances (K, D, D), weights (K,) with D >= {dimensions}, "
            f"got {mean.shape}, {covariance.shape} and {weight.shape}"
        )
    if constants not in ("untruncated", "marginal"):
        raise ValueError(f"constants must be 'untruncated' or 'marginal', got {constants!r}")
    if not (weight > 0).all():
        raise ValueError(f"weights must be positive, got {weight.tolist()}")
    kept = covariance[:, :dimensions, :dimensions]
    try:
        factors = np.linalg.cholesky(kept)
        half_logdet = np.log(np.linalg.cholesky(covariance).diagonal(axis1=1, axis2=2)).sum(1)
    except np.linalg.LinAlgError:
        raise ValueError("covariances must be positive definite; the file may be damaged") from None
    if constants == "untruncated":
        log_weights = np.log(weight) - full / 2 * math.log(2 * math.pi) - (half_logdet - half_logdet.min())
    else:
        half_logdet = np.log(factors.diagonal(axis1=1, axis2=2)).sum(1)
        log_weights = np.log(weight) - dimensions / 2 * math.log(2 * math.pi) - half_logdet
    whiten = np.linalg.solve(factors, np.broadcast_to(np.eye(dimensions), kept.shape))
    return PoseMixture(
        *(torch.as_tensor(x, dtype=dtype, device="cpu") for x in (mean[:, :dimensions], whiten, log_weights))
    )


def load_pose_mixture(
    path: str | Path, *, constants: Constants = "untruncated", dtype: torch.dtype = torch.float32
) -> PoseMixture:
    """Read SMPLify's ``gmm_08.pkl``: a pickled dictionary of ``means``, ``covars`` and ``weights``.

    The file comes from the SMPLify website and may not be redistributed. It is read by an unpickler that
    admits NumPy arrays only; an old file that holds a scikit-learn object is refused.

    Raises:
        SourceMissingError: no such file.
        UnsafePickleError: the file refers to anything but NumPy arrays; nothing was run.
        ValueError: not such a dictionary.

    Example:
        >>> import pickle, tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from apu_losses.functional import load_pose_mixture
        >>> path = Path(tempfile.mkdtemp()) / "gmm_08.pkl"
        >>> covars = np.tile(np.eye(69), (8, 1, 1))
        >>> made_up = {"means": np.zeros((8, 69)), "covars": covars, "weights": np.full(8, 1 / 8)}
        >>> _ = path.write_bytes(pickle.dumps(made_up))
        >>> tuple(load_pose_mixture(path).means.shape)
        (8, 63)
    """
    from apu_contacts.sources import read_numpy_pickle

    content = read_numpy_pickle(path)
    if not isinstance(content, dict) or not {"means", "covars", "weights"} <= set(content):
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{path}: expected a dictionary with means, covars and weights, got {found}")
    return make_pose_mixture(
        content["means"], content["covars"], content["weights"], constants=constants, dtype=dtype
    )


def mixture_pose_prior(body_pose: Tensor, mixture: PoseMixture) -> Tensor:
    """``min_m [ 1/2 (x - mu_m)^T S_m^-1 (x - mu_m) - log w_m ]``: SMPLify's max-mixture.

    Args:
        body_pose: ``(N, 63)``
        mixture: from `load_pose_mixture`.

    Returns:
        ``(N,)``. Its constants keep it from ever being 0; only differences mean something.

    Raises:
        ValueError: a pose of another size than the mixture.

    Example:
        >>> import numpy as np
        >>> import torch
        >>> from apu_losses.functional import make_pose_mixture, mixture_pose_prior
        >>> mixture = make_pose_mixture(np.zeros((1, 63)), 0.01 * np.eye(63)[None], [1.0])
        >>> likely, rare = mixture_pose_prior(torch.stack([torch.zeros(63), torch.full((63,), 0.1)]), mixture)
        >>> rare - likely
        tensor(31.5000)
    """
    if body_pose.dim() != 2 or body_pose.shape[1] != mixture.means.shape[1]:
        raise ValueError(
            f"body_pose must have shape (N, {mixture.means.shape[1]}), got {tuple(body_pose.shape)}"
        )
    mixture = mixture.to(body_pose)
    from_mean = body_pose[:, None] - mixture.means
    # pose by pose: the bits of a product depend on how many rows it has
    whitened = [(mixture.whiten @ pose.clone()[..., None])[..., 0] for pose in from_mean.unbind(0)]
    mahalanobis = torch.stack(whitened).square().sum(-1) if whitened else from_mean.sum(-1)
    return (mahalanobis / 2 - mixture.log_weights).amin(1)


class JointLimits(NamedTuple):
    """``low`` and ``high``: ``(63,)`` bounds of the axis-angle components, radians.

    Example:
        >>> from apu_losses.functional import anatomical_limits
        >>> limits = anatomical_limits()
        >>> limits.low.shape, bool((limits.low <= limits.high).all())
        (torch.Size([63]), True)
    """

    low: Tensor
    high: Tensor


def anatomical_limits(
    *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> JointLimits:
    """Return the table `JOINT_LIMITS_DEGREES` for the 21 body joints of SMPL-X, in radians.

    Example:
        >>> from apu_losses.functional import anatomical_limits
        >>> limits = anatomical_limits()
        >>> limits.low[9:12], limits.high[9:12]  # of the left knee, radians about x, y and z
        (tensor([-0.0873, -0.3491, -0.4363]), tensor([2.7053, 0.3491, 0.3491]))
    """
    rows = []
    for name in BODY_JOINTS:
        rows.append(
            [_mirrored(bounds, axis) for axis, bounds in enumerate(JOINT_LIMITS_DEGREES[_left(name)])]
            if name.startswith("right_")
            else list(JOINT_LIMITS_DEGREES[name])
        )
    table = torch.tensor(rows, dtype=torch.float64, device=device).deg2rad().to(dtype).reshape(-1, 2)
    return JointLimits(table[:, 0], table[:, 1])


def relaxed_pose(*, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Tensor:
    """``(63,)`` the pose of `RELAXED_DEGREES`, radians.

    Example:
        >>> from apu_losses.functional import relaxed_pose
        >>> relaxed_pose().shape, relaxed_pose().reshape(-1, 3)[15]  # the left shoulder, by which arms hang
        (torch.Size([63]), tensor([ 0.0000,  0.0000, -0.9599]))
    """
    rows = []
    for name in BODY_JOINTS:
        x, y, z = RELAXED_DEGREES.get(_left(name), (0.0, 0.0, 0.0))
        rows.append([x, -y, -z] if name.startswith("right_") else [x, y, z])
    return torch.tensor(rows, dtype=torch.float64, device=device).deg2rad().to(dtype).reshape(-1)


def joint_limit_prior(body_pose: Tensor, limits: JointLimits) -> Tensor:
    """Sum of squared angles by which a pose leaves its limits: ``(N, 63)`` to ``(N,)``, squared radians.

    Example:
        >>> import torch
        >>> from apu_losses.functional import anatomical_limits, joint_limit_prior
        >>> pose = torch.zeros(2, 63)
        >>> pose[1, 3 * 3] = -0.5  # a knee that bends forwards
        >>> joint_limit_prior(pose, anatomical_limits())
        tensor([0.0000, 0.1703])
    """
    _check_pose("body_pose", body_pose)
    low, high = (bound.to(body_pose) for bound in limits)
    return ((low - body_pose).relu() + (body_pose - high).relu()).square().sum(1)


def anatomical_pose_prior(body_pose: Tensor, *, limit_weight: float = 20.0) -> Tensor:
    """Return the free default: deviation from a relaxed pose plus joint limits, for whoever has no mixture
    file.

    ``sum_j f_j ||x_j - relaxed_j||^2 + limit_weight * joint_limit_prior``: the trunk is held four times as
    firmly as the limbs (f), and a knee or elbow that bends the wrong way twenty times.

    Args:
        body_pose: ``(N, 63)``
        limit_weight: of the limits against the deviation.

    Returns:
        ``(N,)`` squared radians.

    Example:
        >>> import torch
        >>> from apu_losses.functional import anatomical_pose_prior
        >>> pose = torch.zeros(2, 63)
        >>> pose[1, 3 * 3] = -0.5  # a knee that bends forwards
        >>> straight, broken = anatomical_pose_prior(pose)
        >>> bool(broken > straight + 1)
        True
    """
    _check_pose("body_pose", body_pose)
    mean = relaxed_pose(dtype=body_pose.dtype, device=body_pose.device)
    firmness = body_pose.new_tensor([_FIRMNESS.get(_left(name), 1.0) for name in BODY_JOINTS])
    deviation = ((body_pose - mean).square() * firmness.repeat_interleave(3)).sum(1)
    limits = anatomical_limits(dtype=body_pose.dtype, device=body_pose.device)
    return deviation + limit_weight * joint_limit_prior(body_pose, limits)


def initial_pose_prior(
    body_pose: Tensor, reference: Tensor, *, metric: Metric = "geodesic", joint_weights: Tensor | None = None
) -> Tensor:
    """Squared distance to the pose that the fit (or the stage) started from, summed over joints.

    Args:
        body_pose, reference: ``(N, 3 J)`` axis-angle, radians.
        metric: ``"geodesic"``: the angle of the rotation between the two, which does not depend on how a
            rotation is written; ``"axis_angle"``: the difference of the numbers, as BUDDI has it. They agree
            where poses are small.
        joint_weights: ``(J,)``; ones by default.

    Returns:
        ``(N,)`` squared radians.

    Raises:
        ValueError: shapes that do not agree, or an unknown metric.

    Example:
        >>> import torch
        >>> from apu_losses.functional import initial_pose_prior
        >>> bent = torch.zeros(1, 63)
        >>> bent[0, 0] = 0.5
        >>> initial_pose_prior(bent, torch.zeros(1, 63))
        tensor([0.2500])
    """
    if metric not in ("geodesic", "axis_angle"):
        raise ValueError(f"metric must be 'geodesic' or 'axis_angle', got {metric!r}")
    if metric == "geodesic":
        difference = rotation_difference(body_pose, reference)
    elif body_pose.shape == reference.shape and body_pose.dim() == 2:
        difference = (body_pose - reference).unflatten(1, (-1, 3))
    else:
        raise ValueError(
            "body_pose and reference must have the same shape (N, 3 J), "
            f"got {tuple(body_pose.shape)} and {tuple(reference.shape)}"
        )
    squared = difference.square().sum(-1)
    if joint_weights is None:
        return squared.sum(1)
    if joint_weights.shape != squared.shape[1:]:
        raise ValueError(
            f"joint_weights must have shape ({squared.shape[1]},), got {tuple(joint_weights.shape)}"
        )
    return (squared * joint_weights.to(squared)).sum(1)


def _mirrored(bounds: tuple[float, float], axis: int) -> tuple[float, float]:
    return bounds if axis == 0 else (-bounds[1], -bounds[0])


def _left(name: str) -> str:
    return name.replace("right_", "left_", 1)


def _check_pose(name: str, pose: Tensor) -> None:
    if pose.dim() != 2 or pose.shape[1] != 3 * len(BODY_JOINTS):
        raise ValueError(
            f"{name} must have shape (N, {3 * len(BODY_JOINTS)}), the 21 body joints of SMPL-X without the "
            f"root, got {tuple(pose.shape)}"
        )
