"""From a type and a seed to the numbers of one scene: builds, ages, base poses with noise, exact places."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from apu_losses.bodies import load_body
from apu_losses.synthetic.interaction import Interaction
from apu_losses.synthetic.interactions import INTERACTIONS
from apu_losses.synthetic.places import Patch, patches
from apu_losses.synthetic.poses import Pose, hand_vector
from apu_losses.synthetic.truth_body import EXTRA_SHAPE_NAMES

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]

BODY_JOINTS = 22
"""The pelvis and the joints that ``body_pose`` turns."""

_POSE_NOISE = 0.10
_FINGER_NOISE = 0.05
_FOOT = ("heel", "big toe ball", "little toe ball")
_STIFF = ("pelvis", "spine1", "spine2", "spine3", "neck", "head", "left_collar", "right_collar")
_HINGES = ("left_knee", "right_knee", "left_elbow", "right_elbow")


@dataclass(frozen=True, eq=False)
class DrawnScene:
    """What the solver starts from. Person 0 is a, person 1 is b; the floor is y = 0.

    Args:
        interaction: name of the type.
        seed: from which it was drawn.
        mirrored: whether left and right were exchanged.
        type: the interaction, mirrored if so.
        betas: ``(2, 10 + E)`` the body's own shape coefficients and the extra ones.
        age: ``(2, 1)``.
        orient: ``(2, 3)`` rotation of the pelvis, axis-angle.
        body_pose: ``(2, 21, 3)``.
        hands: ``(2, 2, 45)`` left and right hand of each person.
        spot: ``(2, 2)`` where each stands: x and z of the pelvis, metres.
        lift: ``(2,)`` metres of each person's lowest point above the floor.
        touch: ``(T, 2)`` vertices that are to touch.
        rests: of each person the vertices that rest on the floor.
        freedom: ``(2,)`` how freely each leaves the base pose.
    """

    interaction: str
    seed: int
    mirrored: bool
    type: Interaction
    betas: FloatArray
    age: FloatArray
    orient: FloatArray
    body_pose: FloatArray
    hands: FloatArray
    spot: FloatArray
    lift: FloatArray
    touch: IntArray
    rests: tuple[IntArray, IntArray]
    freedom: FloatArray


def draw(interaction: str, seed: int) -> DrawnScene:
    """Draw a scene of a type; the same seed gives the same numbers everywhere.

    Raises:
        ValueError: an unknown type.
    """
    if interaction not in INTERACTIONS:
        raise ValueError(f"interaction must be one of {sorted(INTERACTIONS)}, got {interaction!r}")
    rng = np.random.default_rng([zlib.crc32(interaction.encode()), seed])
    mirrored = bool(rng.random() < 0.5)
    kind = INTERACTIONS[interaction]
    kind = kind.mirrored() if mirrored else kind
    age = np.array([[rng.uniform(*kind.age_a)], [rng.uniform(*kind.age_b)]])
    betas = _shapes(rng, age)
    joint_names, left_mean, right_mean = _skeleton()
    x, z, turn = kind.place
    people = (kind.a, kind.b)
    vectors = np.stack([_noisy_pose(rng, p, joint_names) for p in people])
    turned = Rotation.from_rotvec([[0, 0, 0], [0, np.radians(turn + rng.normal(0, 8)), 0]])
    orient = (turned * Rotation.from_rotvec(vectors[:, 0])).as_rotvec()
    hands = np.stack(
        [
            [
                _noisy_hand(rng, "left", p.left_hand, left_mean),
                _noisy_hand(rng, "right", p.right_hand, right_mean),
            ]
            for p in people
        ]
    )
    return DrawnScene(
        interaction=interaction,
        seed=seed,
        mirrored=mirrored,
        type=kind,
        betas=betas,
        age=age,
        orient=orient,
        body_pose=vectors[:, 1:],
        hands=hands,
        spot=np.array([[0.0, 0.0], [x, z]]) + np.array([[0.0], [1.0]]) * rng.normal(0, 0.03, (2, 2)),
        lift=np.array([0.0, kind.height]),
        touch=np.array(
            [[_vertex(rng, patches()[t.a]), _vertex(rng, patches()[t.b])] for t in kind.touches], np.int64
        ).reshape(-1, 2),
        rests=(_resting_vertices(kind.floor_a), _resting_vertices(kind.floor_b)),
        freedom=np.array([kind.free_a, kind.free_b]),
    )


@lru_cache(1)
def _skeleton() -> tuple[tuple[str, ...], FloatArray, FloatArray]:
    data = load_body("free").data
    assert data.left_hand is not None and data.right_hand is not None
    return data.joint_names[:BODY_JOINTS], data.left_hand.mean, data.right_hand.mean


def _shapes(rng: np.random.Generator, age: FloatArray) -> FloatArray:
    """Statures of grown-ups spread by 7 cm, builds and extra directions by about one deviation."""
    spread = np.concatenate([[0.7, 0.8], np.full(8, 0.6), np.full(len(EXTRA_SHAPE_NAMES), 0.6)])
    drawn = np.clip(rng.normal(0, 1, (2, len(spread))), -2, 2)
    # coefficients are lengths: on a child the same one changes proportions more
    return drawn * spread * (1 - 0.6 * np.minimum(age, 1))


def _noisy_pose(rng: np.random.Generator, of: Pose, joint_names: tuple[str, ...]) -> FloatArray:
    scale = np.array([0.35 if name in _STIFF else 0.6 if name in _HINGES else 1.0 for name in joint_names])
    noise = rng.normal(0, _POSE_NOISE, (len(joint_names), 3)) * scale[:, None]
    noise[0, 1:] = 0.0  # turns of the whole body are drawn with the place
    noise[[joint_names.index(j) for j in ("left_knee", "right_knee")], 1:] = 0.0
    return of.rotation_vectors(joint_names) + noise


def _noisy_hand(rng: np.random.Generator, side: str, shape: str, mean: FloatArray) -> FloatArray:
    return hand_vector(side, shape, mean) + rng.normal(0, _FINGER_NOISE, 45)


def _vertex(rng: np.random.Generator, patch: Patch) -> int:
    """Return a vertex of a patch; those near its centre are likelier."""
    radius = max(float(patch.distance[-1]), 1e-3)
    weight = np.exp(-0.5 * np.square(patch.distance / (0.6 * radius)))
    return int(rng.choice(patch.vertices, p=weight / weight.sum()))


def _resting_vertices(names: tuple[str, ...]) -> IntArray:
    found: list[int] = []
    for name in names:
        side, _, what = name.partition(" ")
        places = [f"{side} {point}" for point in _FOOT] if what == "foot" else [name]
        found += [patches()[place].center for place in places]
    return np.array(found, np.int64)
