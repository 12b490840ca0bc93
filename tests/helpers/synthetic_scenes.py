"""Scenes put together by hand from two free bodies: their one contact is exact, nothing else is promised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from apu_losses.bodies import load_body
from apu_losses.synthetic import IntendedContact, TruthScene

REACH = {"right_shoulder": (0.0, 1.3, 0.4), "left_shoulder": (0.0, 0.0, -1.2), "right_elbow": (0.0, 0.5, 0.0)}
STAND = {"right_shoulder": (0.0, 0.0, 1.2), "left_shoulder": (0.0, 0.0, -1.2)}
_PLACES = {
    "right palm": ("right_middle1", (0.0, -0.02, 0.0)),
    "left top of shoulder": ("left_shoulder", (0.0, 0.05, 0.0)),
    "right forearm": ("right_elbow", (-0.1, 0.03, 0.0)),
    "upper back": ("spine3", (0.0, 0.0, -0.15)),
    "breastbone": ("spine3", (0.0, 0.0, 0.15)),
}
# name, place of person 0, place of person 1, yaw of person 1
KINDS = (
    ("handshake", "right palm", "right palm", np.pi),
    ("pat", "right palm", "upper back", 0.0),
    ("support", "right palm", "left top of shoulder", 2.6),
    ("push", "right palm", "breastbone", np.pi),
    ("grab", "right palm", "right forearm", 2.6),
)


def scenes(count: int, seed: int = 0) -> list[TruthScene]:
    """Scenes of `KINDS` in turn, with drawn poses and shapes."""
    return [scene(number % len(KINDS), seed + number) for number in range(count)]


def scene(kind: int, seed: int) -> TruthScene:
    body = load_body("free", backend="torch")
    rng = np.random.default_rng(seed)
    name, place_a, place_b, yaw = KINDS[kind]
    both_reach = place_b == "right palm"
    pose = np.stack([_pose(body.joint_names, REACH), _pose(body.joint_names, REACH if both_reach else STAND)])
    pose = pose + rng.normal(0, 0.06, pose.shape)
    params = {
        "global_orient": np.array([[0.0, 0.0, 0.0], [0.0, yaw + rng.normal(0, 0.2), 0.0]]),
        "body_pose": pose.reshape(2, -1),
        "betas": rng.normal(0, 0.5, (2, 10)),
        "age": np.zeros((2, 1)),
        "transl": np.zeros((2, 3)),
        "left_hand_pose": np.zeros((2, 45)),
        "right_hand_pose": np.zeros((2, 45)),
    }
    ids = _vertex(body, place_a), _vertex(body, place_b)
    posed = body.pose({k: torch.as_tensor(v, dtype=torch.float32) for k, v in params.items()})
    vertices, joints = posed.vertices().numpy(), posed.joints.numpy()
    moves = np.zeros((2, 3))
    moves[0, 1] = -vertices[0, :, 1].min()
    moves[1] = vertices[0, ids[0]] + moves[0] - vertices[1, ids[1]]
    params["transl"] = moves
    return TruthScene(
        name=f"{name}-{seed:04d}",
        interaction=name,
        seed=seed,
        parameters=params,
        extra_shape=np.zeros((2, 0)),
        vertices=(vertices + moves[:, None]).astype(np.float32),
        joints=(joints + moves[:, None]).astype(np.float32),
        intended=(IntendedContact(place_a, place_b, *ids),),
        contact_regions=((_region(ids[0]), _region(ids[1])),),
        deepest=0.0,
    )


def _pose(names: Sequence[str], turns: dict[str, tuple[float, float, float]]) -> np.ndarray:
    pose = np.zeros((21, 3))
    for name, turn in turns.items():
        pose[names.index(name) - 1] = turn
    return pose


def _vertex(body, place: str) -> int:
    joint, offset = _PLACES[place]
    template = np.asarray(body.data.v_template)
    joints = np.asarray(body.data.joint_regressor) @ template
    return int(np.linalg.norm(template - joints[body.joint_names.index(joint)] - offset, axis=1).argmin())


def _region(vertex: int) -> int:
    from apu_contacts import RegionMap

    regions = RegionMap.load("free")
    return next(i for i in range(75) if vertex in regions.vertices(i))
