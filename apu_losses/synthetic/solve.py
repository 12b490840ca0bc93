"""Bring drawn scenes together: points meet, skins face each other, joints stay in range, nobody overlaps.

A kinematic target solve by Adam for many scenes at once, in two parts. The first knows bodies as balls and
lets collisions count late and gently, as early repulsion twists bodies. The second looks at the meshes: it
finds the vertices that are inside the other body and pushes them out, while the chosen points keep touching.
None of this is a loss of `apu_losses.functional`: no regions, no keypoints, no pose prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apu_losses.bodies import LinearBlendBody
from apu_losses.functional.geometry import penetration
from apu_losses.synthetic.check import DEPTH_LIMIT, FLOOR_LIMIT, TOUCH_LIMIT
from apu_losses.synthetic.draw import BODY_JOINTS, DrawnScene
from apu_losses.synthetic.places import patches
from apu_losses.synthetic.spheres import medial_radii, sphere_vertices
from apu_losses.synthetic.truth_body import template_normals, vertex_normals

FloatArray = NDArray[np.floating[Any]]

GAP = 0.0025
"""Metres at which two points count as touching: skins meet without sharing space."""

_BALL_STEPS, _MESH_STEPS = 220, 24
_TOUCH_WEIGHT, _INSIDE_WEIGHT, _FLOOR_WEIGHT = 4e4, 1e4, 8e3
_MOST_INSIDE, _LOWEST, _LONGEST = 200, 12, 0.12
_DAMPING = 0.25
_GOOD = 0.75
"""A scene this far below the limits is not improved further."""
_STEP = 0.014
_PACE = {"global_orient": 0.3, "transl": 0.4}
_SOFT = 0.003
"""Metres that skin may give way before a vertex is pushed out."""

_LEASH = {
    "spine": 4.0,
    "neck": 2.5,
    "head": 2.5,
    "collar": 5.0,
    "shoulder": 1.0,
    "elbow": 1.0,
    "wrist": 1.6,
    "hip": 3.0,
    "knee": 2.0,
    "ankle": 2.0,
    "foot": 6.0,
}
_ROOT_LEASH = 25.0


@dataclass(frozen=True, eq=False)
class SolvedScenes:
    """Parameters of N scenes, two rows each: ``(2 N, size)`` by name, in the truth body's words."""

    parameters: dict[str, Tensor]
    vertices: Tensor
    joints: Tensor
    touch: tuple[NDArray[np.int64], ...]


class _Problem:
    """The numbers of many drawn scenes in one batch; rows 2 n and 2 n + 1 are the people of scene n."""

    def __init__(self, body: LinearBlendBody, scenes: Sequence[DrawnScene]) -> None:
        self.body, self.scenes = body, scenes
        dtype = body.dtype

        def rows(name: str) -> Tensor:
            return torch.tensor(np.concatenate([getattr(s, name) for s in scenes]), dtype=dtype)

        self.shape = {"betas": rows("betas"), "age": rows("age")}
        hands = rows("hands")
        self.base = {
            "global_orient": rows("orient"),
            "body_pose": rows("body_pose").flatten(1),
            "left_hand_pose": hands[:, 0].clone(),
            "right_hand_pose": hands[:, 1].clone(),
        }
        self.base["transl"] = self._standing(rows("spot"), rows("lift"))
        names = body.joint_names[1:BODY_JOINTS]
        stiffness = torch.tensor(
            [next(w for key, w in _LEASH.items() if key in name) for name in names], dtype=dtype
        )
        freedom = rows("freedom")[:, None]
        self.stiffness = (stiffness.repeat_interleave(3) / freedom**2).contiguous()
        self.root_stiffness = _ROOT_LEASH / freedom**2
        index = {name: 3 * i for i, name in enumerate(names)}
        self.knees = torch.tensor([index["left_knee"], index["right_knee"]])
        self.elbows = torch.tensor([index["left_elbow"], index["right_elbow"]])

        pairs = [
            (2 * n, *t, touch.facing)
            for n, s in enumerate(scenes)
            for t, touch in zip(s.touch, s.type.touches, strict=True)
        ]
        table = np.array(pairs, np.int64).reshape(-1, 4)
        self.touch_row = torch.tensor(table[:, 0])
        self.touch_vertex = torch.tensor(table[:, 1:3])
        self.facing = torch.tensor(table[:, 3], dtype=dtype)
        rests = [(2 * n + k, v) for n, s in enumerate(scenes) for k in (0, 1) for v in s.rests[k]]
        rest_table = np.array(rests, np.int64).reshape(-1, 2)
        self.rest_row, self.rest_vertex = torch.tensor(rest_table[:, 0]), torch.tensor(rest_table[:, 1])
        # where b is carried nothing holds it but the touches; everybody else stays near the spot
        self.carried = torch.tensor([not len(s.rests[k]) for s in scenes for k in (0, 1)])
        self.clearance = torch.tensor(
            [GAP / 2 if len(s.touch) else s.type.clearance for s in scenes], dtype=dtype
        )
        self._fill_with_balls()
        with torch.no_grad():
            self.rest_start = self.body.pose(self.base | self.shape).select(self.rest_row, self.rest_vertex)

    def _standing(self, spot: Tensor, lift: Tensor) -> Tensor:
        """Translations that put each person on the spot, the lowest point ``lift`` above the floor."""
        with torch.no_grad():
            posed = self.body.pose(self.shape | self.base)
            low = posed.vertices()[:, :, 1].amin(1)
            pelvis = posed.joints[:, 0]
        return torch.stack([spot[:, 0] - pelvis[:, 0], lift - low, spot[:, 1] - pelvis[:, 2]], 1)

    def _fill_with_balls(self) -> None:
        body, dtype = self.body, self.body.dtype
        ids = sphere_vertices()
        people = len(self.shape["betas"])
        # the last row is the mean body
        shape = {name: torch.cat([value, torch.zeros_like(value[:1])]) for name, value in self.shape.items()}
        with torch.no_grad():
            upright = body.pose({**shape, **_flat_hands(body, people + 1)}).vertices().numpy()
        faces = body.faces.numpy()
        centers, radii = [], []
        for vertices in upright:
            normals = vertex_normals(vertices, faces)
            radius = medial_radii(vertices, normals, ids)
            centers.append(vertices[ids] - radius[:, None] * normals[ids])
            radii.append(radius)
        self.centers = torch.tensor(np.stack(centers[:-1]), dtype=dtype)
        self.radii = torch.tensor(np.stack(radii[:-1]), dtype=dtype)
        self.ball_weights = torch.tensor(body.data.weights[ids], dtype=dtype)
        # a person's own balls that are apart in the T-pose must stay apart
        mean, r = torch.tensor(centers[-1], dtype=dtype), torch.tensor(radii[-1], dtype=dtype)
        self.own_pairs = torch.triu(torch.cdist(mean, mean) - r[:, None] - r > 0.05, 1)

    def parameters(self, free: dict[str, Tensor]) -> dict[str, Tensor]:
        return {**self.shape, **free}

    def balls(self, transforms: Tensor, transl: Tensor) -> Tensor:
        """``(2 N, S, 3)`` centres of the balls."""
        mixed = (self.ball_weights @ transforms.flatten(2)).unflatten(2, (3, 4))
        return (mixed[..., :3] @ self.centers[..., None])[..., 0] + mixed[..., 3] + transl[:, None]

    def near_balls(self, centers: Tensor) -> tuple[Tensor, Tensor]:
        """Flat indices of pairs of balls that may collide soon: of two people, and of one with itself."""
        count = self.radii.shape[1]
        reach = 0.05
        with torch.no_grad():
            a, b = centers[0::2], centers[1::2]
            bound = self.radii[0::2, :, None] + self.radii[1::2, None] + self.clearance[:, None, None] + reach
            scene, i, j = torch.nonzero(torch.cdist(a, b) < bound, as_tuple=True)
            between = torch.stack([(2 * scene) * count + i, (2 * scene + 1) * count + j])
            bound = self.radii[:, :, None] + self.radii[:, None] + reach
            row, i, j = torch.nonzero((torch.cdist(centers, centers) < bound) & self.own_pairs, as_tuple=True)
            own = torch.stack([row * count + i, row * count + j])
        return between, own

    def overlap(self, centers: Tensor, pairs: Tensor, margin: Tensor | float) -> Tensor:
        flat, radii = centers.flatten(0, 1), self.radii.flatten()
        distance = (flat[pairs[0]] - flat[pairs[1]]).square().sum(1).clamp(min=1e-8).sqrt()
        return (radii[pairs[0]] + radii[pairs[1]] + margin - distance).clamp(min=0)

    def leash(self, free: dict[str, Tensor]) -> Tensor:
        """What keeps people in their base pose, and joints in their range."""
        pose = free["body_pose"]
        loss = 2 * (self.stiffness * (pose - self.base["body_pose"]).square()).sum()
        loss = (
            loss
            + 2 * (self.root_stiffness * (free["global_orient"] - self.base["global_orient"]).square()).sum()
        )
        for name in ("left_hand_pose", "right_hand_pose"):
            loss = loss + 0.6 * (free[name] - self.base[name]).square().sum()
        knee_x = pose[:, self.knees]
        knee_rest = torch.stack([pose[:, self.knees + 1], pose[:, self.knees + 2]])
        elbow = [pose[:, self.elbows + k] for k in range(3)]
        bend = elbow[1] * torch.tensor([1.0, -1.0], dtype=pose.dtype)
        limits = (-knee_x).clamp(min=0).square().sum() + 0.5 * knee_rest.square().sum()
        limits = limits + (knee_x - 2.4).clamp(min=0).square().sum()
        limits = limits + bend.clamp(min=0).square().sum() + (-2.5 - bend).clamp(min=0).square().sum()
        limits = limits + (elbow[0].abs() - 1.3).clamp(min=0).square().sum()
        return loss + 60 * limits

    def floor(self, posed: Any) -> Tensor:
        """What rests stays down and does not slide apart; where a person stands may move as a whole."""
        points = posed.select(self.rest_row, self.rest_vertex)
        down = points[:, 1].square().sum()
        moved = (points - self.rest_start)[:, [0, 2]]
        rows = len(self.carried)
        count = torch.zeros(rows, dtype=points.dtype).index_add(
            0, self.rest_row, torch.ones(len(points), dtype=points.dtype)
        )
        mean = (
            torch.zeros(rows, 2, dtype=points.dtype).index_add(0, self.rest_row, moved)
            / count.clamp(min=1)[:, None]
        )
        slide = (moved - mean[self.rest_row]).square().sum()
        return 2e3 * down + 60 * slide + 4 * mean.square().sum()

    def touching(self, posed: Any, transforms: Tensor) -> tuple[Tensor, Tensor]:
        """Distance of each pair of points that is to touch, and the cosine of their normals."""
        a, b = self.touch_row, self.touch_row + 1
        way = posed.select(a, self.touch_vertex[:, 0]) - posed.select(b, self.touch_vertex[:, 1])
        distance = way.square().sum(1).clamp(min=1e-10).sqrt()
        return distance, (self._normals(transforms, a, 0) * self._normals(transforms, b, 1)).sum(1)

    def stay(self, name: str) -> Tensor:
        """``(2 N, size)`` how much each number of a parameter resists when the meshes settle."""
        base = self.base[name]
        if name == "body_pose":
            return self.stiffness * 2
        weight = {"global_orient": 2 * _ROOT_LEASH, "transl": 10.0}.get(name, 0.6)
        return torch.full_like(base, weight)

    def normals_at(self, vertices: Tensor, ids: Tensor) -> Tensor:
        """``(n, 3)`` unit normals of the posed mesh ``vertices (V, 3)`` at some of its vertices."""
        normals = vertex_normals(vertices.numpy(), self.body.faces.numpy())
        return torch.tensor(normals[ids.numpy()], dtype=vertices.dtype)

    def _normals(self, transforms: Tensor, rows: Tensor, side: int) -> Tensor:
        ids = self.touch_vertex[:, side]
        if not hasattr(self, "_template_normals"):
            self._template_normals = torch.tensor(template_normals(self.body.data), dtype=self.body.dtype)
            self._weights = torch.tensor(self.body.data.weights, dtype=self.body.dtype)
        mixed = (self._weights[ids][:, None] @ transforms[rows][..., :3].flatten(2)).unflatten(2, (3, 3))[
            :, 0
        ]
        normal = (mixed @ self._template_normals[ids][..., None])[..., 0]
        return normal / normal.norm(dim=1, keepdim=True).clamp(min=1e-9)


def _flat_hands(body: LinearBlendBody, rows: int) -> dict[str, Tensor]:
    hands = {}
    for name, hand in (("left_hand_pose", body.data.left_hand), ("right_hand_pose", body.data.right_hand)):
        assert hand is not None
        hands[name] = -torch.tensor(hand.mean, dtype=body.dtype).expand(rows, -1)
    return hands


def solve(body: LinearBlendBody, scenes: Sequence[DrawnScene]) -> SolvedScenes:
    """Solve drawn scenes together.

    Args:
        body: `load_truth_body`, in float64.
        scenes: any number; each is solved as if it were alone, up to rounding.
    """
    problem = _Problem(body, scenes)
    free = {name: value.clone().requires_grad_() for name, value in problem.base.items()}
    _meet_as_balls(problem, free)
    with torch.no_grad():
        parameters = problem.parameters(_settle_as_meshes(problem, free))
        posed = body.pose(parameters)
        owner = (problem.touch_row // 2).numpy()
        pairs = problem.touch_vertex.numpy()
        touch = tuple(pairs[owner == n] for n in range(len(scenes)))
        return SolvedScenes(parameters, posed.vertices(), posed.joints, touch)


def _meet_as_balls(problem: _Problem, free: dict[str, Tensor]) -> None:
    optimiser = torch.optim.Adam(
        [{"params": [value], "pace": _PACE.get(name, 1.0)} for name, value in free.items()], betas=(0.9, 0.99)
    )
    between = own = torch.empty(2, 0, dtype=torch.int64)
    for step in range(_BALL_STEPS):
        t = step / _BALL_STEPS
        for group in optimiser.param_groups:
            group["lr"] = group["pace"] * _STEP * 0.2 ** max(0.0, (t - 0.6) / 0.4)
        pull = 10 ** (2 + 2.2 * min(1.0, t / 0.5))
        crowd = min(1.0, max(0.0, (t - 0.15) / 0.5)) ** 2
        posed = problem.body.pose(problem.parameters(free))
        transforms = posed.world_transforms
        distance, cosine = problem.touching(posed, transforms)
        loss = pull * (distance - GAP).clamp(min=0).square().sum()
        loss = loss + 10 * (problem.facing * (1 + cosine)).sum()
        loss = loss + problem.leash(free) + problem.floor(posed)
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


def _settle_as_meshes(problem: _Problem, free: dict[str, Tensor]) -> dict[str, Tensor]:
    """Damped Gauss-Newton steps, each scene by itself, until points touch and nobody is inside another.

    A scene stops where it is good; one that never is keeps the best that it had.
    """
    _slide_touches(problem, free)
    now = {name: value.detach().clone() for name, value in free.items()}
    start = {name: value.clone() for name, value in now.items()}
    best = {name: value.clone() for name, value in now.items()}
    score = np.full(len(problem.scenes), np.inf)
    sizes = [value.shape[1] for value in now.values()]
    stay = torch.cat([problem.stay(name) for name in now], 1)
    active = list(range(len(problem.scenes)))
    for step in range(_MESH_STEPS + 1):
        rows = torch.tensor([2 * n + k for n in active for k in (0, 1)])
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
            if score[n] < _GOOD or step == _MESH_STEPS:
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


def _score(problem: _Problem, inside: _Inside, vertices: Tensor, n: int) -> float:
    """How far a scene is from being true: below 1 it touches, stands, and nobody is inside the other."""
    a, b = problem.touch_vertex[problem.touch_row == 2 * n].T
    gap = (vertices[0, a] - vertices[1, b]).norm(dim=1).numpy().max(initial=0.0)
    heights = [vertices[k, problem.rest_vertex[problem.rest_row == 2 * n + k], 1] for k in (0, 1)]
    off = torch.cat(heights).abs().numpy().max(initial=0.0)
    under = -float(vertices[:, :, 1].min())
    depth = inside.depth_now.max(initial=0.0)
    return max(gap / TOUCH_LIMIT, depth / DEPTH_LIMIT, off / FLOOR_LIMIT, under / FLOOR_LIMIT)


def _scene_rows(
    problem: _Problem, inside: _Inside, vertices: Tensor, derivatives: Any, n: int, first_row: int
) -> tuple[Tensor, Tensor]:
    """Weighted residuals ``(R,)`` of scene n and their derivatives ``(R, 2 D)`` by its two people.

    ``vertices (2, V, 3)`` and ``inside`` are the scene's own; in ``derivatives`` it starts at ``first_row``.
    """
    dtype = vertices.dtype
    # (person, vertex) against (person, vertex) or the floor, along a direction, short by a length
    first, second, along, short, scale = [], [], [], [], []
    a, b = problem.touch_vertex[problem.touch_row == 2 * n].T
    way = vertices[0, a] - vertices[1, b] - GAP * problem.normals_at(vertices[1], b)
    for axis in range(3):
        first.append(torch.stack([torch.zeros_like(a), a], 1))
        second.append(torch.stack([torch.ones_like(b), b], 1))
        along.append(torch.eye(3, dtype=dtype)[axis].expand(len(a), 3))
        short.append(way[:, axis])
        scale.append(torch.full((len(a),), _TOUCH_WEIGHT, dtype=dtype))
    deep = inside.depth_now.argsort(kind="stable")[::-1][:_MOST_INSIDE].copy()
    first.append(torch.stack([inside.person[deep], inside.vertex[deep]], 1))
    nearest = inside.corners[deep].gather(1, inside.weights[deep].argmax(1, keepdim=True))[:, 0]
    second.append(torch.stack([1 - inside.person[deep], nearest], 1))
    along.append(inside.outward[deep])
    short.append(-(torch.tensor(inside.depth_now[deep], dtype=dtype) - _SOFT))
    scale.append(torch.full((len(deep),), _INSIDE_WEIGHT, dtype=dtype))
    for person in (0, 1):
        lowest = vertices[person, :, 1].argsort(stable=True)[:_LOWEST]
        under = lowest[vertices[person, lowest, 1] < -0.002]
        ids = torch.cat([problem.rest_vertex[problem.rest_row == 2 * n + person], under])
        first.append(torch.stack([torch.full_like(ids, person), ids], 1))
        second.append(torch.full((len(ids), 2), -1))
        along.append(torch.tensor([0.0, 1, 0], dtype=dtype).expand(len(ids), 3))
        short.append(vertices[person, ids, 1])
        scale.append(torch.full((len(ids),), _FLOOR_WEIGHT, dtype=dtype))
    one, other, direction = torch.cat(first), torch.cat(second), torch.cat(along)
    weight = torch.cat(scale).sqrt()
    size = sum(value.shape[1] for value in problem.base.values())
    jacobian = torch.zeros(len(one), 2, size, dtype=dtype)
    for points, sign in ((one, 1.0), (other, -1.0)):
        used = torch.nonzero(points[:, 0] >= 0)[:, 0]
        person, vertex = points[used].T
        moved = derivatives.select(first_row + person, vertex)
        jacobian[used, person] += sign * (direction[used, :, None] * moved).sum(1)
    return weight * torch.cat(short), (weight[:, None, None] * jacobian).flatten(1)


def _slide_touches(problem: _Problem, free: dict[str, Tensor]) -> None:
    """Take for each touch the nearest two vertices around the two that were drawn."""
    vertices = problem.body.pose(problem.parameters(free)).vertices().detach()
    k = 0
    for n, scene in enumerate(problem.scenes):
        for touch in scene.type.touches:
            ids = [torch.tensor(patches()[name].vertices) for name in (touch.a, touch.b)]
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
    row = torch.arange(len(vertices))
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
