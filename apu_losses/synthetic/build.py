"""Draw, solve and judge scenes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from apu_contacts.regions import RegionMap
from apu_losses.bodies import LinearBlendBody
from apu_losses.synthetic.check import (
    APART_LIMIT,
    DEPTH_LIMIT,
    FLOOR_LIMIT,
    TOUCH_LIMIT,
    regions_in_contact,
    signed_depth,
)
from apu_losses.synthetic.draw import DrawnScene, draw
from apu_losses.synthetic.scene_truth import IntendedContact, Rejected, TruthScene
from apu_losses.synthetic.solve import SolvedScenes, solve
from apu_losses.synthetic.truth_body import EXTRA_SHAPE_NAMES, load_truth_body

FloatArray = NDArray[np.floating[Any]]

_TRUNK_TURN, _WHOLE_TURN = np.radians(32), np.radians(28)
"""Farther than this from the base pose a spine joint, or the whole body, no longer shows the interaction."""


def draw_scene(interaction: str, seed: int, *, name: str | None = None) -> TruthScene | Rejected:
    """Draw a scene of a type, solve it and judge it; takes some seconds.

    The same type and seed give the same scene on the same machine. Between machines the solver's rounding
    may differ; the scenes of `load_truth_scenes` are files and the same everywhere.

    Args:
        interaction: a key of `INTERACTIONS`.
        seed: any non-negative number.
        name: of the scene; ``"hug-17"`` for the hug of seed 17 by default.

    Returns:
        The scene, or why it was rejected: where it does not touch as it should, where one person is inside
        the other, where feet do not stand on the floor, or where the pose is not what was asked for.

    Raises:
        ValueError: an unknown interaction.
        ImportError: libigl, which judges the result, is not installed.
    """
    return draw_scenes([(interaction, seed)], names=None if name is None else [name])[0]


def draw_scenes(
    wanted: Sequence[tuple[str, int]], *, names: Sequence[str] | None = None
) -> list[TruthScene | Rejected]:
    """`draw_scene` for many at once, which is faster: ``(interaction, seed)`` each, in this order."""
    drawn = [draw(interaction, seed) for interaction, seed in wanted]
    solved = solve(_solver_body(), drawn)
    return [
        _judge(scene, solved, n, names[n] if names is not None else f"{scene.interaction}-{scene.seed}")
        for n, scene in enumerate(drawn)
    ]


@lru_cache(1)
def _solver_body() -> LinearBlendBody:
    return load_truth_body(torch.float64)


@lru_cache(1)
def truth_body() -> LinearBlendBody:
    """Return the true people's body in float32, as scenes are recomputed with."""
    return load_truth_body(torch.float32)


@lru_cache(1)
def _regions() -> RegionMap:
    return RegionMap.load("free")


def pose_people(parameters: dict[str, FloatArray], extra: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Vertices ``(N, V, 3)`` and joints ``(N, 55, 3)`` of N true people, float32.

    Args:
        parameters: ``(N, size)`` by smplx's names.
        extra: ``(N, E)`` coefficients of the extra shape directions.
    """
    full = {**parameters, "betas": np.concatenate([parameters["betas"], extra], 1)}
    with torch.no_grad():
        posed = truth_body().pose(
            {k: torch.tensor(v, dtype=torch.float32, device="cpu") for k, v in full.items()}
        )
        return posed.vertices().numpy(), posed.joints.numpy()


def _judge(scene: DrawnScene, solved: SolvedScenes, n: int, name: str) -> TruthScene | Rejected:
    rows = slice(2 * n, 2 * n + 2)
    parameters = {key: value[rows].numpy().astype(np.float32) for key, value in solved.parameters.items()}
    own = parameters["betas"].shape[1] - len(EXTRA_SHAPE_NAMES)
    extra = parameters["betas"][:, own:]
    parameters["betas"] = parameters["betas"][:, :own]
    vertices, joints = pose_people(parameters, extra)
    pairs = solved.touch[n]
    gaps = np.linalg.norm(vertices[0][pairs[:, 0]] - vertices[1][pairs[:, 1]], axis=1)
    touch = float(gaps.max(initial=0.0))
    depth = signed_depth(vertices, truth_body().faces.numpy())
    reason = complaint(scene, parameters, vertices, touch, depth)
    if reason:
        return Rejected(scene.interaction, scene.seed, reason, touch, max(depth, 0.0))
    intended = tuple(
        IntendedContact(t.a, t.b, int(a), int(b)) for t, (a, b) in zip(scene.type.touches, pairs, strict=True)
    )
    return TruthScene(
        name=name,
        interaction=scene.interaction,
        seed=scene.seed,
        parameters=parameters,
        extra_shape=extra,
        vertices=vertices,
        joints=joints,
        intended=intended,
        contact_regions=regions_in_contact(vertices, _regions()),
        deepest=max(depth, 0.0),
    )


def complaint(
    scene: DrawnScene, parameters: dict[str, FloatArray], vertices: FloatArray, touch: float, depth: float
) -> str:
    """Why a scene is not true, or nothing."""
    if not np.isfinite(vertices).all():
        return "the solver diverged"
    if touch > TOUCH_LIMIT:
        return "a touch is missed"
    if depth >= DEPTH_LIMIT:
        return "one is inside the other"
    if not scene.type.touches and depth > -APART_LIMIT:
        return "they touch and should not"
    heights = np.concatenate([vertices[k][scene.rests[k], 1] for k in (0, 1)])
    if np.abs(heights).max(initial=0.0) > FLOOR_LIMIT or vertices[:, :, 1].min() < -FLOOR_LIMIT:
        return "off the floor"
    whole = Rotation.from_rotvec(parameters["global_orient"]) * Rotation.from_rotvec(scene.orient).inv()
    if (whole.magnitude() > _WHOLE_TURN * scene.freedom).any():
        return "the body turned away"
    spine = [2, 5, 8]  # of body_pose
    pose = parameters["body_pose"].reshape(2, 21, 3)[:, spine]
    turn = (
        Rotation.from_rotvec(pose.reshape(-1, 3))
        * Rotation.from_rotvec(scene.body_pose[:, spine].reshape(-1, 3)).inv()
    )
    if turn.magnitude().max() > _TRUNK_TURN:
        return "the trunk is bent away"
    return ""
