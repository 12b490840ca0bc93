"""Many drawn scenes as one batch of numbers: parameters, what touches, what rests on the floor, balls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from apu_losses.bodies import LinearBlendBody
from apu_losses.synthetic.draw import BODY_JOINTS, DrawnScene
from apu_losses.synthetic.spheres import medial_radii, sphere_vertices
from apu_losses.synthetic.truth_body import template_normals, vertex_normals

GAP = 0.0025
"""Metres at which two points count as touching: skins meet without sharing space."""

LEASH = {
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
"""How stiffly each joint holds to its base pose; the first name that fits counts."""
ROOT_LEASH = 25.0
"""The same for the turn of the whole body."""


class Problem:
    """The numbers of many drawn scenes in one batch; rows 2 n and 2 n + 1 are the people of scene n."""

    def __init__(self, body: LinearBlendBody, scenes: Sequence[DrawnScene]) -> None:
        self.body, self.scenes = body, scenes
        dtype = body.dtype

        def rows(name: str) -> Tensor:
            return torch.tensor(np.concatenate([getattr(s, name) for s in scenes]), dtype=dtype, device="cpu")

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
            [next(w for key, w in LEASH.items() if key in name) for name in names], dtype=dtype, device="cpu"
        )
        freedom = rows("freedom")[:, None]
        self.stiffness = (stiffness.repeat_interleave(3) / freedom**2).contiguous()
        self.root_stiffness = ROOT_LEASH / freedom**2
        index = {name: 3 * i for i, name in enumerate(names)}
        self.knees = torch.tensor([index["left_knee"], index["right_knee"]], dtype=torch.int64, device="cpu")
        self.elbows = torch.tensor(
            [index["left_elbow"], index["right_elbow"]], dtype=torch.int64, device="cpu"
        )

        pairs = [
            (2 * n, *t, touch.facing)
            for n, s in enumerate(scenes)
            for t, touch in zip(s.touch, s.type.touches, strict=True)
        ]
        table = np.array(pairs, np.int64).reshape(-1, 4)
        self.touch_row = torch.tensor(table[:, 0], dtype=torch.int64, device="cpu")
        self.touch_vertex = torch.tensor(table[:, 1:3], dtype=torch.int64, device="cpu")
        self.facing = torch.tensor(table[:, 3], dtype=dtype, device="cpu")
        rests = [(2 * n + k, v) for n, s in enumerate(scenes) for k in (0, 1) for v in s.rests[k]]
        rest_table = np.array(rests, np.int64).reshape(-1, 2)
        self.rest_row, self.rest_vertex = (
            torch.tensor(rest_table[:, 0], dtype=torch.int64, device="cpu"),
            torch.tensor(rest_table[:, 1], dtype=torch.int64, device="cpu"),
        )
        self.clearance = torch.tensor(
            [GAP / 2 if len(s.touch) else s.type.clearance for s in scenes], dtype=dtype, device="cpu"
        )
        self.template_normals = torch.tensor(template_normals(body.data), dtype=dtype, device="cpu")
        self.weights = torch.tensor(body.data.weights, dtype=dtype, device="cpu")
        self._fill_with_balls()
        with torch.no_grad():
            self.rest_start = self.body.pose(self.base | self.shape).select(self.rest_row, self.rest_vertex)

    def _standing(self, spot: Tensor, lift: Tensor) -> Tensor:
        """Return translations that put each person on the spot, the lowest point ``lift`` above the floor."""
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
        self.centers = torch.tensor(np.stack(centers[:-1]), dtype=dtype, device="cpu")
        self.radii = torch.tensor(np.stack(radii[:-1]), dtype=dtype, device="cpu")
        self.ball_weights = self.weights[torch.tensor(ids, dtype=torch.int64, device="cpu")]
        # a person's own balls that are apart in the T-pose must stay apart
        mean, r = (
            torch.tensor(centers[-1], dtype=dtype, device="cpu"),
            torch.tensor(radii[-1], dtype=dtype, device="cpu"),
        )
        self.own_pairs = torch.triu(torch.cdist(mean, mean) - r[:, None] - r > 0.05, 1)

    def parameters(self, free: dict[str, Tensor]) -> dict[str, Tensor]:
        """All parameters of the body: the fixed shapes, and those that are solved for."""
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
        """By how much each pair of balls is nearer than ``margin`` apart, metres."""
        flat, radii = centers.flatten(0, 1), self.radii.flatten()
        distance = (flat[pairs[0]] - flat[pairs[1]]).square().sum(1).clamp(min=1e-8).sqrt()
        return (radii[pairs[0]] + radii[pairs[1]] + margin - distance).clamp(min=0)


def _flat_hands(body: LinearBlendBody, rows: int) -> dict[str, Tensor]:
    hands = {}
    for name, hand in (("left_hand_pose", body.data.left_hand), ("right_hand_pose", body.data.right_hand)):
        assert hand is not None
        hands[name] = -torch.tensor(hand.mean, dtype=body.dtype, device="cpu").expand(rows, -1)
    return hands
