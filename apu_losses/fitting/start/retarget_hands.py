"""Fingers of another skeleton: the wrists and fingers are turned until our finger joints point as theirs do.

Hands of two skeletons differ in size and in where a joint is thought to lie; what carries over is where each
joint lies seen from the wrist, in units of the hand.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from apu_losses.bodies.derivatives import body_derivatives
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.body_parameters import HAND_POSES, pose_joints
from apu_losses.fitting.start.named_points import named_points
from apu_losses.numerics.least_squares import levenberg_marquardt

_JOINT_METRES = 0.005  # standard deviation of a finger joint seen from the wrist
_FINGER_RADIANS = 0.5  # around the start: joints do not tell how a finger is rolled
_WRIST_RADIANS = 0.3
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_KNUCKLES = (*(f"{finger}1" for finger in _FINGERS[1:]), "hand_5", "hand_9", "hand_13", "hand_17")
_MIN_POINTS = 4
"""Points without which nothing is said about a hand."""


def is_finger(name: str) -> bool:
    """Whether a joint or keypoint belongs to the fingers: ``"left_index1"``, ``"right_hand_8"``."""
    part = name.partition("_")[2]
    return part.startswith("hand_") or part.rstrip("0123456789") in _FINGERS


def retarget_hands(
    body: BodyModel,
    params: dict[str, Tensor],
    names: Sequence[str],
    target: Tensor,
    weight: Tensor,
) -> dict[str, Tensor]:
    """Parameters with wrists and fingers turned onto the targets; all else, and the wrists' places, stay.

    A hand whose wrist, or all but three of whose points, carry no weight stays as it is.

    Args:
        body: with hand poses; another is left alone.
        params: ``(N, size)`` by name, with the bodies in place.
        names: J names of joints and keypoints; those that are neither fingers nor wrists are not used.
        target: ``(N, J, 3)`` metres.
        weight: ``(N, J)``.
    """
    hands = [name for name in HAND_POSES if name in params]
    turning = pose_joints(body)
    if not hands or not any(is_finger(name) for name in names):
        return params
    used = [i for i, name in enumerate(names) if is_finger(name) or name.endswith("_wrist")]
    pick, known = named_points(body, [names[i] for i in used])
    kept = [used[i] for i in known]
    where = {names[i]: place for place, i in enumerate(kept)}
    target, weight = target[:, kept], weight[:, kept].clone()
    wrists, fingers, root = [], [], []
    for side in ("left", "right"):
        wrist = f"{side}_wrist"
        own = [place for name, place in where.items() if is_finger(name) and name.startswith(side)]
        if wrist not in where or len(own) < _MIN_POINTS or f"{side}_hand_pose" not in hands:
            continue
        seen = ((weight[:, own] > 0).sum(1) >= _MIN_POINTS) & (weight[:, where[wrist]] > 0)
        weight[:, own] = weight[:, own] * seen[:, None]
        fingers += own
        root += [where[wrist]] * len(own)
        wrists += [wrist] if wrist in turning else []
    if not fingers:
        return params
    blocks = ("body_pose", *hands)
    columns = [3 * turning.index(wrist) + axis for wrist in wrists for axis in range(3)]
    moved = torch.tensor(columns, dtype=torch.long, device=target.device)
    sizes = [params[name].shape[1] for name in hands]
    start = torch.cat([params["body_pose"][:, moved], *(params[name] for name in hands)], dim=1)
    sigma = torch.full_like(start[0], _FINGER_RADIANS)
    sigma[: len(columns)] = _WRIST_RADIANS
    body_size = params["body_pose"].shape[1]
    hand_columns = torch.arange(body_size, body_size + sum(sizes), device=target.device)
    free = torch.cat([moved, hand_columns])
    scale = weight[:, fingers].sqrt()[..., None] / _JOINT_METRES

    def unpack(x: Tensor) -> dict[str, Tensor]:
        turned, *poses = x.split([len(columns), *sizes], dim=1)
        pose = params["body_pose"].clone()
        pose[:, moved] = turned
        return {**params, "body_pose": pose, **dict(zip(hands, poses, strict=True))}

    def offsets(points: Tensor) -> Tensor:
        return points[:, fingers] - points[:, root]

    wanted = offsets(torch.where(weight[..., None] > 0, target, torch.zeros_like(target)))
    with torch.no_grad():
        wanted = wanted * _relative_size(offsets(pick(body.pose(params))), wanted, fingers, where, weight)

    def residuals(x: Tensor) -> Tensor:
        away = (offsets(pick(body.pose(unpack(x)))) - wanted) * scale
        return torch.cat([away.flatten(1), (x - start) / sigma], dim=1)

    def jacobian(x: Tensor) -> Tensor:
        away = pick.derivatives(body_derivatives(body, unpack(x), blocks))[..., free]
        away = offsets(away) * scale[..., None]
        return torch.cat([away.flatten(1, 2), torch.diag_embed((1 / sigma).expand_as(x))], dim=1)

    solved = levenberg_marquardt(residuals, start, jacobian=jacobian, max_iterations=20, tolerance=1e-4)
    return unpack(solved.x)


def _relative_size(
    ours: Tensor, theirs: Tensor, fingers: Sequence[int], where: dict[str, int], weight: Tensor
) -> Tensor:
    """``(N, 1, 1)`` how much larger our hands are, by the distance of the knuckles from the wrist."""
    knuckles = [
        row
        for row, place in enumerate(fingers)
        if any(place == where.get(f"{side}_{name}") for side in ("left", "right") for name in _KNUCKLES)
    ]
    seen = (weight[:, fingers] > 0)[:, knuckles]
    sums = [(points[:, knuckles].norm(dim=-1) * seen).sum(1) for points in (ours, theirs)]
    ratio = torch.where(sums[1] > 0, sums[0] / sums[1].clamp(min=1e-6), torch.ones_like(sums[0]))
    return ratio.clamp(0.3, 3.0)[:, None, None]
