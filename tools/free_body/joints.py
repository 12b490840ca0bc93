"""A sparse joint regressor that places the joints of adults and children alike."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from .people import People
from .rig import JOINT, JOINT_NAMES, mirror_joint_ids

GOOD_ENOUGH = 1.5e-3  # metres: a convex row this good on the training people is kept
NEAR, NEAR_TRUNK = 1500, 3000  # vertices that a row may draw from
CANDIDATES = 300  # of those, drawn at random, offered to the solver
RIDGE = 4e-6  # square metres per equation: keeps the signed weights below about 0.15
SUM_WEIGHT = 30.0  # metres: how firmly a row is held to sum to one during the fit


def fit_joint_regressor(train: People, weights: np.ndarray, mirror: np.ndarray, seed: int = 0) -> np.ndarray:
    """(55, V) rows that sum to one.

    A row is convex (non-negative least squares) where that places the joint well: fingers, face, feet.
    MakeHuman's hips, knees and spine move against the skin from person to person, which no convex row can
    follow; those are ridge regressions on the near vertices. Left and middle joints are fitted, right ones
    mirrored.
    """
    rng = np.random.default_rng(seed)
    mean, mean_joints = train.vertices.mean(0), train.joints.mean(0)
    out = np.zeros((len(JOINT_NAMES), len(mean)))
    other = mirror_joint_ids()
    trunk = {JOINT[n] for n in ("pelvis", "spine1", "spine2", "spine3", "neck")}
    head = weights[:, JOINT["head"]] + weights[:, JOINT["jaw"]] > 0.5
    for j, name in enumerate(JOINT_NAMES):
        if name.startswith("right"):
            continue
        distance = np.linalg.norm(mean - mean_joints[j], axis=1)
        if "eye" in name or name == "jaw":
            distance = np.where(head, distance, np.inf)
        near = np.argsort(distance, kind="stable")[: NEAR_TRUNK if j in trunk else NEAR]
        pick = np.sort(rng.permutation(near)[:CANDIDATES])
        features = train.vertices[:, pick]
        if other[j] == j:  # a middle joint: each vertex stands for itself and its mirror image
            features = 0.5 * (features + train.vertices[:, mirror[pick]])
        # Coordinates relative to the joint's mean, so that the sum constraint is not bought with position.
        a = (features - mean_joints[j]).transpose(0, 2, 1).reshape(-1, len(pick))
        b = (train.joints[:, j] - mean_joints[j]).reshape(-1)
        w = _solve(a, b)
        if other[j] == j:
            np.add.at(out[j], pick, 0.5 * w)
            np.add.at(out[j], mirror[pick], 0.5 * w)
        else:
            out[j, pick] = w
            out[other[j], mirror[pick]] = w
    return out


def _solve(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Weights that sum to one with a @ w near b: convex where that is good enough, else a ridge
    regression.
    """
    full = np.concatenate([a, np.full((1, a.shape[1]), SUM_WEIGHT)])
    target = np.append(b, SUM_WEIGHT)
    w, _ = nnls(full, target, maxiter=50 * a.shape[1])
    w /= w.sum()
    if np.linalg.norm((a @ w - b).reshape(-1, 3), axis=1).mean() > GOOD_ENOUGH:
        w = np.linalg.solve(full.T @ full + RIDGE * len(b) * np.eye(a.shape[1]), full.T @ target)
        w /= w.sum()
    return w


def joint_error(regressor: np.ndarray, people: People) -> np.ndarray:
    """(N, 55) distance in metres between regressed and true joints."""
    return np.linalg.norm(np.einsum("jv,nvd->njd", regressor, people.vertices) - people.joints, axis=-1)
