"""Feet that stand do not slide: the frames of a sequence hang together where a person touches the floor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from apu_contacts.keypoints import SKELETONS
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.objective.batch import SKELETON
from apu_losses.fitting.objective.residuals import Movement, Residuals, no_residuals
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.objective.terms.motion import tracks
from apu_losses.fitting.objective.terms.options import check_options
from apu_losses.functional.robust import geman_mcclure_weight
from apu_losses.functional.temporal import foot_lock_energy

_SOLES = tuple(f"{side}_{point}" for side in ("left", "right") for point in ("big_toe", "heel"))
_ANKLES = ("left_ankle", "right_ankle")


@dataclass(frozen=True)
class FootLockTerm:
    """Toes and heels that stand stay where they are from frame to frame (people with the same ``track``).

    A point stands where, at the start of the fit, it is among the lowest of the person's feet in both frames;
    up is the normal of the scene's ``ground``, or the picture's. Whether it moves nevertheless is seen as the
    fit goes: a faster one is let go. A heel may rise while the toes stand. Of a body without toes and heels
    its ankles.

    Options: ``robust``, metres per frame above which a foot is being moved, or ``None``: 0.04 is a third of
    what a walking foot swings between two of thirty frames a second, and twice what estimates of a standing
    one jitter; ``height``, metres above the person's lowest point within which a point stands.
    """

    robust: float | None = 0.04
    height: float = 0.06
    _known: list[tuple[Mapping[str, Tensor], _Steps]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        check_options(self, "robust", "height")

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        steps = self._steps(state)
        if not len(steps.first):
            return state.batch.keypoints.new_zeros(state.batch.size)
        points = state.keypoints3d[:, steps.points]
        energy = foot_lock_energy(
            points[steps.first], points[steps.second], steps.gap, steps.standing, robust=self.robust
        )
        return state.batch.per_scene(energy, steps.scene)

    def residuals(self, state: FitState, movement: Movement) -> Residuals:
        """Return the speed of each point that stands."""
        steps = self._steps(state)
        step, point = steps.standing.nonzero(as_tuple=True)
        if not len(step):
            return no_residuals(state, movement)
        points = state.keypoints3d[:, steps.points]
        gap = steps.gap[step]
        first, second = steps.first[step], steps.second[step]
        speed = (points[second, point] - points[first, point]) / gap[:, None]
        weight = steps.standing[step, point]
        if self.robust is not None:
            weight = weight * geman_mcclure_weight(speed.detach().square().sum(1), self.robust)
        moved = movement.keypoints(SKELETON)[:, steps.points]
        scale = gap[:, None, None]
        return Residuals(
            speed, weight, [(second, moved[second, point] / scale), (first, -moved[first, point] / scale)]
        )

    def _steps(self, state: FitState) -> _Steps:
        """Who is followed by whom, and which points stand. The start stays one object while scenes stay."""
        if not self._known or self._known[0][0] is not state.start:
            self._known[:] = [(state.start, self._find(state))]
        return self._known[0][1]

    def _find(self, state: FitState) -> _Steps:
        batch, like = state.batch, state.batch.keypoints
        rows: list[tuple[int, int, int, int]] = []
        first = 0
        for number, scene in enumerate(batch.scenes):
            for track in tracks(scene):
                for before, after in pairwise(track):
                    gap = scene.people[after].frame - scene.people[before].frame
                    rows.append((first + before, first + after, gap, number))
            first += len(scene.people)
        columns = torch.tensor(rows, dtype=torch.int64, device=like.device).reshape(-1, 4).unbind(1)
        points = _points(state.body)
        standing = like.new_zeros(len(rows), len(points))
        if rows and len(points):
            with torch.no_grad():
                feet = state.body.keypoints(state.body.pose(state.start), SKELETON)[:, points].to(like)
            up = like.new_tensor([scene.ground[:3] if scene.ground else (0, -1, 0) for scene in batch.scenes])
            height = (feet * up[batch.row_scene][:, None]).sum(2)
            low = height - height.amin(1, keepdim=True) <= self.height
            standing = (low[columns[0]] & low[columns[1]]).to(like)
        return _Steps(columns[0], columns[1], columns[2].to(like), columns[3], points, standing)


class _Steps(NamedTuple):
    """``(K,)`` rows of a person in two frames that follow each other, frames between them, and the scene;
    ``(P,)`` the keypoints of the feet; ``(K, P)`` 1 where a point stands.
    """

    first: Tensor
    second: Tensor
    gap: Tensor
    scene: Tensor
    points: Tensor
    standing: Tensor


def _points(body: BodyModel) -> Tensor:
    """``(P,)`` toes and heels among the keypoints, or the ankles of a body that has none."""
    names = SKELETONS[SKELETON].joint_names
    present = body.keypoint_mask(SKELETON)
    for wanted in (_SOLES, _ANKLES):
        ids = [names.index(name) for name in wanted if bool(present[names.index(name)])]
        if ids:
            return torch.tensor(ids, dtype=torch.int64, device=present.device)
    return torch.zeros(0, dtype=torch.int64, device=present.device)
