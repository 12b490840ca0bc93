"""First part of the solver: bodies as balls, all scenes in one optimisation.

Points that are to touch approach, their skins turn to face each other, feet stay planted, hinges stay in
their range. Collisions count late and gently, as early repulsion twists bodies.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from apu_losses.synthetic.problem import GAP, Problem

_STEPS, _STEP = 220, 0.014
_PACE = {"global_orient": 0.3, "transl": 0.4}
"""Steps of these parameters are shorter: they move the whole body."""


def meet(problem: Problem, free: dict[str, Tensor]) -> None:
    """Move the people of all scenes together; ``free`` (what is solved for) changes in place."""
    optimiser = torch.optim.Adam(
        [{"params": [value], "pace": _PACE.get(name, 1.0)} for name, value in free.items()], betas=(0.9, 0.99)
    )
    between = own = torch.empty(2, 0, dtype=torch.int64, device="cpu")
    for step in range(_STEPS):
        t = step / _STEPS
        for group in optimiser.param_groups:
            group["lr"] = group["pace"] * _STEP * 0.2 ** max(0.0, (t - 0.6) / 0.4)
        pull = 10 ** (2 + 2.2 * min(1.0, t / 0.5))
        crowd = min(1.0, max(0.0, (t - 0.15) / 0.5)) ** 2
        posed = problem.body.pose(problem.parameters(free))
        transforms = posed.world_transforms
        distance, cosine = _touching(problem, posed, transforms)
        loss = pull * (distance - GAP).clamp(min=0).square().sum()
        loss = loss + 10 * (problem.facing * (1 + cosine)).sum()
        loss = loss + _leash(problem, free) + _floor(problem, posed)
        centers = problem.balls(transforms, free["transl"])
        if step % 8 == 0:
            between, own = problem.near_balls(centers)
        count = centers.shape[1]
        margin = problem.clearance[(between[0] // count) // 2]
        loss = loss + (2e3 + 8e4 * crowd) * problem.overlap(centers, between, margin).square().sum()
        loss = loss + 2e3 * problem.overlap(centers, own, -0.012).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def _leash(problem: Problem, free: dict[str, Tensor]) -> Tensor:
    """Return what keeps people in their base pose, and joints in their range."""
    pose = free["body_pose"]
    loss = 2 * (problem.stiffness * (pose - problem.base["body_pose"]).square()).sum()
    turned = (free["global_orient"] - problem.base["global_orient"]).square()
    loss = loss + 2 * (problem.root_stiffness * turned).sum()
    for name in ("left_hand_pose", "right_hand_pose"):
        loss = loss + 0.6 * (free[name] - problem.base[name]).square().sum()
    knee_x = pose[:, problem.knees]
    knee_rest = torch.stack([pose[:, problem.knees + 1], pose[:, problem.knees + 2]])
    elbow = [pose[:, problem.elbows + k] for k in range(3)]
    bend = elbow[1] * torch.tensor([1.0, -1.0], dtype=pose.dtype, device="cpu")
    limits = (-knee_x).clamp(min=0).square().sum() + 0.5 * knee_rest.square().sum()
    limits = limits + (knee_x - 2.4).clamp(min=0).square().sum()
    limits = limits + bend.clamp(min=0).square().sum() + (-2.5 - bend).clamp(min=0).square().sum()
    limits = limits + (elbow[0].abs() - 1.3).clamp(min=0).square().sum()
    return loss + 60 * limits


def _floor(problem: Problem, posed: Any) -> Tensor:
    """Keep down what rests, and let it not slide apart; where a person stands may move as a whole."""
    points = posed.select(problem.rest_row, problem.rest_vertex)
    down = points[:, 1].square().sum()
    moved = (points - problem.rest_start)[:, [0, 2]]
    rows = 2 * len(problem.scenes)
    ones = torch.ones(len(points), dtype=points.dtype, device="cpu")
    count = torch.zeros(rows, dtype=points.dtype, device="cpu").index_add(0, problem.rest_row, ones)
    total = torch.zeros(rows, 2, dtype=points.dtype, device="cpu").index_add(0, problem.rest_row, moved)
    mean = total / count.clamp(min=1)[:, None]
    slide = (moved - mean[problem.rest_row]).square().sum()
    return 2e3 * down + 60 * slide + 4 * mean.square().sum()


def _touching(problem: Problem, posed: Any, transforms: Tensor) -> tuple[Tensor, Tensor]:
    """Distance of each pair of points that is to touch, and the cosine of their normals."""
    a, b = problem.touch_row, problem.touch_row + 1
    way = posed.select(a, problem.touch_vertex[:, 0]) - posed.select(b, problem.touch_vertex[:, 1])
    distance = way.square().sum(1).clamp(min=1e-10).sqrt()
    return distance, (_normals(problem, transforms, a, 0) * _normals(problem, transforms, b, 1)).sum(1)


def _normals(problem: Problem, transforms: Tensor, rows: Tensor, side: int) -> Tensor:
    """``(T, 3)`` posed unit normals of the touching vertices of one side, moved with their joints."""
    ids = problem.touch_vertex[:, side]
    mixed = (problem.weights[ids][:, None] @ transforms[rows][..., :3].flatten(2)).unflatten(2, (3, 3))[:, 0]
    normal = (mixed @ problem.template_normals[ids][..., None])[..., 0]
    return normal / normal.norm(dim=1, keepdim=True).clamp(min=1e-9)
