"""Second part of the solver: on the meshes, until points touch and nobody is inside another.

Every step looks which vertices are inside the other body and solves one damped linear system for small
changes of both people: the touching points meet, those vertices get out, the soles stand on the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apu_losses.bodies import LinearBlendBody
from apu_losses.geometry.operators import penetration
from apu_losses.synthetic.check import DEPTH_LIMIT, FLOOR_LIMIT, TOUCH_LIMIT
from apu_losses.synthetic.places import patches
from apu_losses.synthetic.problem import GAP, ROOT_LEASH, Problem
from apu_losses.synthetic.truth_body import vertex_normals

FloatArray = NDArray[np.floating[Any]]

_STEPS, _LONGEST, _DAMPING = 24, 0.12, 0.25
_TOUCH_WEIGHT, _INSIDE_WEIGHT, _FLOOR_WEIGHT = 4e4, 1e4, 8e3
_MOST_INSIDE, _LOWEST = 200, 12
_GOOD = 0.75
"""A scene this far below the limits is not improved further."""
_SOFT = 0.003
"""Metres that skin may give way before a vertex is pushed out."""


def settle(problem: Problem, free: dict[str, Tensor]) -> dict[str, Tensor]:
    """Damped Gauss-Newton steps, each scene by itself, until points touch and nobody is inside another.

    A scene stops where it is good; one that never is keeps the best that it had.
    """
    _slide_touches(problem, free)
    now = {name: value.detach().clone() for name, value in free.items()}
    start = {name: value.clone() for name, value in now.items()}
    best = {name: value.clone() for name, value in now.items()}
    score = np.full(len(problem.scenes), np.inf)
    sizes = [value.shape[1] for value in now.values()]
    stay = torch.cat([_stay(problem, name) for name in now], 1)
    active = list(range(len(problem.scenes)))
    for step in range(_STEPS + 1):
        rows = torch.tensor([2 * n + k for n in active for k in (0, 1)], dtype=torch.int64, device="cpu")
        full = {name: value[rows] for name, value in problem.parameters(now).items()}
        vertices = problem.body.pose(full).vertices()
        inside = _look_inside(problem.body, vertices)
        derivatives = problem.body.derivatives(full, list(now))
        still = []
        for k, n in enumerate(active):
            people = slice(2 * n, 2 * n + 2)
            mine = inside.of(k)
            pair = vertices[2 * k : 2 * k + 2]
            worth = _score(problem, mine, pair, n)
            if worth < score[n]:
                score[n] = worth
                for name, value in now.items():
                    best[name][people] = value[people]
            if score[n] < _GOOD or step == _STEPS:
                continue
            still.append(n)
            residual, jacobian = _scene_rows(problem, mine, pair, derivatives, n, 2 * k)
            weight = stay[people].flatten()
            moved = torch.cat([now[name][people] - start[name][people] for name in now], 1).flatten()
            # the damping holds back steps that the next look inside would take back
            normal = jacobian.T @ jacobian + torch.diag(weight * (1 + _DAMPING * step))
            change = -torch.linalg.solve(normal, jacobian.T @ residual + weight * moved)
            change = change * min(1.0, _LONGEST / float(change.abs().max().clamp(min=1e-12)))
            for name, part in zip(now, change.view(2, -1).split(sizes, 1), strict=True):
                now[name][people] += part
        active = still
        if not active:
            break
    return best


def _score(problem: Problem, inside: _Inside, vertices: Tensor, n: int) -> float:
    """How far a scene is from being true: below 1 it touches, stands, and nobody is inside the other."""
    a, b = problem.touch_vertex[problem.touch_row == 2 * n].T
    gap = (vertices[0, a] - vertices[1, b]).norm(dim=1).numpy().max(initial=0.0)
    heights = [vertices[k, problem.rest_vertex[problem.rest_row == 2 * n + k], 1] for k in (0, 1)]
    off = torch.cat(heights).abs().numpy().max(initial=0.0)
    under = -float(vertices[:, :, 1].min())
    depth = inside.depth_now.max(initial=0.0)
    return max(gap / TOUCH_LIMIT, depth / DEPTH_LIMIT, off / FLOOR_LIMIT, under / FLOOR_LIMIT)


def _scene_rows(
    problem: Problem, inside: _Inside, vertices: Tensor, derivatives: Any, n: int, first_row: int
) -> tuple[Tensor, Tensor]:
    """Weighted residuals ``(R,)`` of scene n and their derivatives ``(R, 2 D)`` by its two people.

    ``vertices (2, V, 3)`` and ``inside`` are the scene's own; in ``derivatives`` it starts at ``first_row``.
    """
    dtype = vertices.dtype
    # (person, vertex) against (person, vertex) or the floor, along a direction, short by a length
    first, second, along, short, scale = [], [], [], [], []
    a, b = problem.touch_vertex[problem.touch_row == 2 * n].T
    way = vertices[0, a] - vertices[1, b] - GAP * _normals_at(problem, vertices[1], b)
    for axis in range(3):
        first.append(torch.stack([torch.zeros_like(a), a], 1))
        second.append(torch.stack([torch.ones_like(b), b], 1))
        along.append(torch.eye(3, dtype=dtype, device="cpu")[axis].expand(len(a), 3))
        short.append(way[:, axis])
        scale.append(torch.full((len(a),), _TOUCH_WEIGHT, dtype=dtype, device="cpu"))
    deep = inside.depth_now.argsort(kind="stable")[::-1][:_MOST_INSIDE].copy()
    first.append(torch.stack([inside.person[deep], inside.vertex[deep]], 1))
    nearest = inside.corners[deep].gather(1, inside.weights[deep].argmax(1, keepdim=True))[:, 0]
    second.append(torch.stack([1 - inside.person[deep], nearest], 1))
    along.append(inside.outward[deep])
    short.append(-(torch.tensor(inside.depth_now[deep], dtype=dtype, device="cpu") - _SOFT))
    scale.append(torch.full((len(deep),), _INSIDE_WEIGHT, dtype=dtype, device="cpu"))
    for person in (0, 1):
        lowest = vertices[person, :, 1].argsort(stable=True)[:_LOWEST]
        under = lowest[vertices[person, lowest, 1] < -0.002]
        ids = torch.cat([problem.rest_vertex[problem.rest_row == 2 * n + person], under])
        first.append(torch.stack([torch.full_like(ids, person), ids], 1))
        second.append(torch.full((len(ids), 2), -1, dtype=torch.int64, device="cpu"))
        along.append(torch.tensor([0.0, 1, 0], dtype=dtype, device="cpu").expand(len(ids), 3))
        short.append(vertices[person, ids, 1])
        scale.append(torch.full((len(ids),), _FLOOR_WEIGHT, dtype=dtype, device="cpu"))
    one, other, direction = torch.cat(first), torch.cat(second), torch.cat(along)
    weight = torch.cat(scale).sqrt()
    size = sum(value.shape[1] for value in problem.base.values())
    jacobian = torch.zeros(len(one), 2, size, dtype=dtype, device="cpu")
    for points, sign in ((one, 1.0), (other, -1.0)):
        used = torch.nonzero(points[:, 0] >= 0)[:, 0]
        person, vertex = points[used].T
        moved = derivatives.select(first_row + person, vertex)
        jacobian[used, person] += sign * (direction[used, :, None] * moved).sum(1)
    return weight * torch.cat(short), (weight[:, None, None] * jacobian).flatten(1)


def _stay(problem: Problem, name: str) -> Tensor:
    """``(2 N, size)`` how much each number of a parameter resists when the meshes settle."""
    base = problem.base[name]
    if name == "body_pose":
        return problem.stiffness * 2
    weight = {"global_orient": 2 * ROOT_LEASH, "transl": 10.0}.get(name, 0.6)
    return torch.full_like(base, weight)


def _normals_at(problem: Problem, vertices: Tensor, ids: Tensor) -> Tensor:
    """``(n, 3)`` unit normals of the posed mesh ``vertices (V, 3)`` at some of its vertices."""
    normals = vertex_normals(vertices.numpy(), problem.body.faces.numpy())
    return torch.tensor(normals[ids.numpy()], dtype=vertices.dtype, device="cpu")


def _slide_touches(problem: Problem, free: dict[str, Tensor]) -> None:
    """Take for each touch the nearest two vertices around the two that were drawn."""
    vertices = problem.body.pose(problem.parameters(free)).vertices().detach()
    k = 0
    for n, scene in enumerate(problem.scenes):
        for touch in scene.type.touches:
            ids = [
                torch.tensor(patches()[name].vertices, dtype=torch.int64, device="cpu")
                for name in (touch.a, touch.b)
            ]
            now = problem.touch_vertex[k]
            near = []
            for side in (0, 1):
                points = vertices[2 * n + side, ids[side]]
                here = vertices[2 * n + side, now[side]]
                near.append(ids[side][(points - here).norm(dim=1) < 0.025])
                near[side] = near[side] if len(near[side]) else now[side : side + 1]
            gaps = torch.cdist(vertices[2 * n, near[0]], vertices[2 * n + 1, near[1]])
            i, j = divmod(int(gaps.argmin()), gaps.shape[1])
            problem.touch_vertex[k] = torch.stack([near[0][i], near[1][j]])
            k += 1


@dataclass(frozen=True)
class _Inside:
    """Vertices inside the other body, and the way to the skin there that they must get behind."""

    scene: Tensor
    person: Tensor
    vertex: Tensor
    corners: Tensor
    weights: Tensor
    outward: Tensor
    depth_now: FloatArray

    def of(self, scene: int) -> _Inside:
        """Those of one scene of the batch."""
        mine = torch.nonzero(self.scene == scene)[:, 0]
        return _Inside(
            self.scene[mine],
            self.person[mine],
            self.vertex[mine],
            self.corners[mine],
            self.weights[mine],
            self.outward[mine],
            self.depth_now[mine.numpy()],
        )


@torch.no_grad()
def _look_inside(body: LinearBlendBody, vertices: Tensor) -> _Inside:
    """``vertices (2 N, V, 3)``: rows 2 n and 2 n + 1 are the people of scene n."""
    row = torch.arange(len(vertices), device="cpu")
    other = row ^ 1
    single = vertices.float()
    found = penetration(single, single, body.faces, rows=(row, other), target="surface")
    which, vertex = torch.nonzero(found.inside & (found.distance2 > _SOFT**2), as_tuple=True)
    corners = body.faces[found.target[which, vertex]]
    assert found.barycentric is not None
    weights = found.barycentric[which, vertex].to(vertices.dtype)
    skin = (vertices[other[which][:, None], corners] * weights[..., None]).sum(1)
    way = skin - vertices[which, vertex]
    depth = way.norm(dim=1)
    outward = way / depth.clamp(min=1e-9)[:, None]
    return _Inside(which // 2, which % 2, vertex, corners, weights, outward, depth.numpy())
