"""Pose correctives: what plain blend skinning loses at a bent joint, as SMPL-X pose directions.

The truth is Anny's own rig, posed in one step from its rest pose (a relaxed A-pose, half way between arms
down and arms up) with linear and dual quaternion skinning mixed. Our skeleton starts from the T-pose, so
lowering an arm is 90 degrees of plain blend skinning; the correctives are fitted, per joint, so that it
lands where the truth does.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from .inputs import Source
from .people import closed_rest, median_phenotypes, t_posed
from .pose import blend_motions, joint_motions
from .rig import JOINT, JOINT_NAMES, PARENTS, bone_to_joint, mirror_joint_ids
from .topology import Mesh
from .tpose import chain, skin, t_pose_rotations

# Rotation vectors in degrees, (low, high) about x, y, z, that a joint is fitted on: its everyday range.
RANGES = {
    "left_hip": ((-125, 30), (-35, 35), (-20, 50)),
    "left_knee": ((0, 140), (-8, 8), (-5, 5)),
    "left_ankle": ((-35, 50), (-15, 15), (-15, 15)),
    "left_collar": ((-8, 8), (-25, 20), (-15, 30)),
    "left_shoulder": ((-50, 50), (-110, 40), (-95, 85)),
    "left_elbow": ((-45, 45), (-140, 5), (-8, 8)),
    "left_wrist": ((-60, 60), (-25, 25), (-65, 65)),
    "spine1": ((-20, 40), (-25, 25), (-20, 20)),
    "spine2": ((-15, 35), (-25, 25), (-20, 20)),
    "spine3": ((-15, 30), (-25, 25), (-15, 15)),
    "neck": ((-30, 40), (-40, 40), (-25, 25)),
}
SAMPLES = 160
RIDGE = 1e-3
SMALLEST = 0.8e-3  # metres: a vertex that a joint never moves by more is left out
# The correctives are lengths of a grown body, and on a child they are too long for its limbs: 1.6 times at
# five years. So they are fitted a little short, and shorter still at the shoulder, where too much lifts a
# child's shoulders to its ears: an adult with arms down keeps 98 % of the thickness, a child of five 100 %.
GAIN, SHOULDER_GAIN = 0.85, 0.6
SIGNS = np.array([-1.0, 1.0, 1.0])


def fit_correctives(
    source: Source, mesh: Mesh, weights: np.ndarray, stature: float, seed: int = 0
) -> np.ndarray:
    """Pose directions `(V, 3, 486)`, linear in R - I of joints 1..54, for a body of the given stature in
    metres.

    Left and middle joints are fitted by ridge regression of the offsets in the T-pose, right ones are
    mirrored.
    """
    phenotypes = median_phenotypes(source, np.array([25.0]))
    rest, heads, _ = next(source.people(phenotypes))
    person = t_posed(source, mesh, phenotypes, np.array([25.0]))
    vertices, joints = person.vertices[0], person.joints[0]
    scale = stature / np.ptp(vertices[:, 1])
    base = chain(source.parents, heads, t_pose_rotations(source, heads))
    root = base[0, :3, :3] @ heads[0] + base[0, :3, 3]
    base[:, :3, 3] -= root  # the pelvis at the origin, as in the T-posed person
    at, bone_weights = closed_rest(source, mesh, rest, heads), mesh.values(source.weights)
    owner = np.array([bone_to_joint(b) for b in source.bones])
    out = np.zeros((mesh.size, 3, 54, 9))
    other = mirror_joint_ids()
    rng = np.random.default_rng(seed)
    for name, limits in RANGES.items():
        j = JOINT[name]
        gain = SHOULDER_GAIN if name in ("left_shoulder", "left_collar") else GAIN
        low, high = np.array(limits, float).T
        turns = Rotation.from_rotvec(np.radians(rng.uniform(low, high, (SAMPLES, 3)))).as_matrix()
        moved = _moved(weights, j)
        offsets = np.zeros((SAMPLES, len(moved), 3))
        for k, turn in enumerate(turns):
            local = np.tile(np.eye(3), (55, 1, 1))
            local[j] = turn
            motions = joint_motions(local, joints)
            truth = skin(at[moved], bone_weights[moved], motions[owner] @ base)
            blended = blend_motions(weights[moved], motions)
            back = np.linalg.solve(blended[:, :, :3], (truth - blended[:, :, 3])[:, :, None])[:, :, 0]
            offsets[k] = back - vertices[moved]
        features = (turns - np.eye(3)).reshape(SAMPLES, 9)
        gram = features.T @ features + RIDGE * SAMPLES * np.eye(9)
        fit = np.linalg.solve(gram, features.T @ offsets.reshape(SAMPLES, -1)).reshape(9, len(moved), 3)
        effect = np.linalg.norm(np.einsum("kf,fvd->kvd", features, fit), axis=-1).max(0)
        fit *= np.clip((effect - SMALLEST) / SMALLEST, 0, 1)[None, :, None] * scale * gain
        block = np.zeros((mesh.size, 3, 3, 3))
        block[moved] = fit.transpose(1, 2, 0).reshape(len(moved), 3, 3, 3)
        image = block[mesh.mirror] * np.einsum("d,a,b->dab", SIGNS, SIGNS, SIGNS)
        if other[j] == j:
            block = 0.5 * (block + image)
        out[:, :, j - 1] = block.reshape(mesh.size, 3, 9)
        if other[j] != j:
            out[:, :, other[j] - 1] = image.reshape(mesh.size, 3, 9)
    return out.reshape(mesh.size, 3, 486)


def _moved(weights: np.ndarray, j: int) -> np.ndarray:
    """Vertices that a joint moves in part: rigid ones need no corrective."""
    below = [i for i in range(len(JOINT_NAMES)) if _descends(i, j)]
    share = weights[:, below].sum(1)
    return np.where((share > 0.005) & (share < 0.995))[0]


def _descends(i: int, j: int) -> bool:
    while i > j:
        i = int(PARENTS[i])
    return i == j
