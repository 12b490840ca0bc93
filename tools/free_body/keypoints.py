"""Where people annotate shoulders, elbows, wrists, hips, knees and ankles: as combinations of nearby joints.

The joints are MakeHuman's; the keypoints of COCO lie centimetres from some of them. Anny ships regressors
of the COCO keypoints from the posed skin. Here they are expressed in joints, which costs a fitter nothing
per vertex.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from .correctives import RANGES
from .inputs import Source
from .people import People
from .pose import apply_motions, blend_motions, joint_motions
from .rig import JOINT, mirror_joint_ids
from .topology import Mesh

# Joints that a keypoint of the left side may be made of, its own first.
NEIGHBOURS = {
    "left_shoulder": ("left_shoulder", "left_collar", "left_elbow", "neck", "spine3"),
    "left_elbow": ("left_elbow", "left_shoulder", "left_wrist"),
    "left_wrist": ("left_wrist", "left_elbow", "left_middle1"),
    "left_hip": ("left_hip", "right_hip", "pelvis", "left_knee", "spine1"),
    "left_knee": ("left_knee", "left_hip", "left_ankle"),
    "left_ankle": ("left_ankle", "left_knee", "left_foot"),
}
POSES_EACH = 3
RIDGE = 2e-4  # square metres per equation: prefers the joint itself over large opposite weights


@dataclass(frozen=True)
class Keypoints:
    """Names `(12,)`, weights on joints `(12, 55)` with rows that sum to one, and for each left keypoint
    the mean distance in metres of its joint and of the combination from COCO's, on poses held out of the
    fit.
    """

    names: tuple[str, ...]
    weights: np.ndarray
    distances: dict[str, tuple[float, float]]


def fit_keypoints(
    source: Source, mesh: Mesh, weights: np.ndarray, posedirs: np.ndarray, people: People, seed: int = 0
) -> Keypoints:
    """Ridge regression of each keypoint on its joint and the neighbours, over random people in random
    poses.
    """
    rng = np.random.default_rng(seed)
    joints, targets = [], {name: [] for name in NEIGHBOURS}  # type: ignore[var-annotated]
    rows = {}
    for name in NEIGHBOURS:
        w = source.coco[name][source.base_ids[mesh.kept]]
        rows[name] = w / w.sum()
    for i in range(len(people.years)):
        for _ in range(POSES_EACH):
            local = _random_pose(rng)
            shaped = people.vertices[i] + posedirs @ (local[1:] - np.eye(3)).reshape(-1)
            motions = joint_motions(local, people.joints[i])
            posed = apply_motions(blend_motions(weights, motions), shaped)
            joints.append(np.einsum("jab,jb->ja", motions[:, :3, :3], people.joints[i]) + motions[:, :3, 3])
            for name, row in rows.items():
                targets[name].append(row @ posed[: len(mesh.kept)])
    at = np.array(joints)
    names = tuple(NEIGHBOURS) + tuple(n.replace("left", "right") for n in NEIGHBOURS)
    out, gains = np.zeros((len(names), 55)), {}
    train, held = np.s_[::2], np.s_[1::2]
    for k, (name, near) in enumerate(NEIGHBOURS.items()):
        own, rest = JOINT[near[0]], [JOINT[n] for n in near[1:]]
        a = (at[:, rest] - at[:, [own]])[train].transpose(0, 2, 1).reshape(-1, len(rest))
        want = np.array(targets[name])
        b = (want - at[:, own])[train].reshape(-1)
        w = np.linalg.solve(a.T @ a + RIDGE * len(b) * np.eye(len(rest)), a.T @ b)
        out[k, rest] = w
        out[k, own] = 1 - w.sum()
        out[k + len(NEIGHBOURS)] = out[k][mirror_joint_ids()]
        before = np.linalg.norm(at[:, own] - want, axis=1)[held].mean()
        after = np.linalg.norm(np.einsum("j,njd->nd", out[k], at) - want, axis=1)[held].mean()
        gains[name] = (float(before), float(after))
    return Keypoints(names, out, gains)


def _random_pose(rng: np.random.Generator) -> np.ndarray:
    """(55, 3, 3) every joint that has correctives turned within half of its range, both sides alike in
    law.
    """
    out = np.tile(np.eye(3), (55, 1, 1))
    for name, limits in RANGES.items():
        low, high = np.array(limits, float).T
        vector = np.radians(rng.uniform(low, high) * rng.uniform(0, 1))
        out[JOINT[name]] = Rotation.from_rotvec(vector).as_matrix()
        if name.startswith("left"):
            vector = np.radians(rng.uniform(low, high) * rng.uniform(0, 1)) * [1, -1, -1]
            out[JOINT[name.replace("left", "right")]] = Rotation.from_rotvec(vector).as_matrix()
    return out
