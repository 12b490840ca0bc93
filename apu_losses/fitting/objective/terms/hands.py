"""Fingers that close around what they hold and lie on what they touch, where a contact names the hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from apu_losses.bodies.skinning import HandSpace
from apu_losses.fitting.body_parameters import HAND_POSES
from apu_losses.fitting.objective.batch import SceneBatch
from apu_losses.fitting.objective.residuals import Movement, Residuals, no_residuals
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.objective.terms.options import check_options
from apu_losses.functional.hand_prior import finger_limits
from apu_losses.functional.robust import geman_mcclure, geman_mcclure_weight
from apu_losses.geometry.operators import nearest_surface

_PALM_SIDE = ((17, 33), (23, 26))
"""The palm and the palm side of the fingers, of the left and of the right hand (regions.json)."""
_PADS = 48
"""So many evenly chosen vertices of the palm side of a hand's fingers stand for all of them."""


@dataclass(frozen=True)
class GripTerm:
    """The palm side of fingers lies on whom the hand touches; square metres, the mean over a hand, summed.

    A hand takes part where a contact names its palm or the palm side of its fingers, and somebody else
    touches it. An edge whose person order is open names no hand. Fingers only close if something lets them
    move: free ``left_hand_pose`` and ``right_hand_pose`` in a stage, as the preset ``best_hands`` does.

    Options: ``within``, metres: a hand all of whose fingers are further from the other's surface does not
    close (its contact let go); ``robust``, metres at which a place of a finger lets go.

    Example:
        >>> from apu_losses import load_preset
        >>> load_preset("best").weighted(grip=1e5).stages[0].weights["grip"]
        100000.0
    """

    within: float = 0.03
    robust: float = 0.05
    _pads: dict[int, tuple[object, Tensor]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        check_options(self, "within", "robust")

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        found, (points, targets) = state.once(self, lambda: self._search(state))
        squared = (points - targets).square().sum(1)
        # a hand too far away costs as much as it can, so that no step gains by taking one away
        most = torch.full_like(squared, self.robust**2)
        energy = torch.where(found.near, geman_mcclure(squared, self.robust), most)
        return state.batch.per_scene(found.share * energy, found.scene)

    def residuals(self, state: FitState, movement: Movement) -> Residuals:
        """Return what separates each place of a finger from the surface."""
        found, (points, targets) = state.once(self, lambda: self._search(state))
        count = len(found.share)
        if not count:
            return no_residuals(state, movement)
        squared = (points - targets).detach().square().sum(1)
        weight = found.share * found.near * geman_mcclure_weight(squared, self.robust)
        moved = movement.select(*found.skinned())
        corners = moved[count:].unflatten(0, (count, 3)) * found.weights[..., None, None]
        return Residuals(
            points - targets, weight, [(found.row, moved[:count]), (found.row_other, -corners.sum(1))]
        )

    def _search(self, state: FitState) -> tuple[_Found, tuple[Tensor, Tensor]]:
        found = self._nearest(state)
        count = len(found.share)
        points = state.select(*found.skinned())
        corners = points[count:].reshape(count, 3, 3)
        return found, (points[:count], (corners * found.weights[..., None]).sum(1))

    def _nearest(self, state: FitState) -> _Found:
        vertices = state.vertices
        none = torch.zeros(0, dtype=torch.int64, device=vertices.device)
        number = vertices.new_zeros(0)
        columns: list[tuple[Tensor, ...]] = [
            (none, none, none, none.reshape(0, 3), number.reshape(0, 3), number, none, none.bool())
        ]
        for row, side, other, scene in gripping_hands(state.batch):
            ids = self._pads_of(state, side)
            # one search a hand: a scene has the same bits in any company
            near = nearest_surface(vertices[row, ids][None], vertices[other][None], state.topology)
            close = bool((near.distance2[0] < self.within**2).any())
            columns.append((
                torch.full_like(ids, row),
                ids,
                torch.full_like(ids, other),
                state.topology.faces[near.face[0].clamp(min=0)],
                near.barycentric[0].to(vertices.dtype),
                torch.full_like(near.distance2[0], 1 / len(ids), dtype=vertices.dtype),
                torch.full_like(ids, scene),
                torch.full_like(ids, close, dtype=torch.bool),
            ))  # fmt: skip
        return _Found(*(torch.cat(each) for each in zip(*columns, strict=True)))

    def _pads_of(self, state: FitState, side: int) -> Tensor:
        """Vertices of the palm side of the fingers of a hand."""
        known = self._pads.get(side)
        if known is None or known[0] is not state.regions:
            ids = state.regions.vertices(_PALM_SIDE[side][1])
            step = max(1, len(ids) // _PADS)
            known = self._pads[side] = (state.regions, ids[::step])
        return known[1]


@dataclass(frozen=True)
class FingerLimitsTerm:
    """No finger bends or spreads further than fingers do, square radians; see `finger_limits`.

    A hand that is written in PCA coefficients has the value 0.
    """

    separable = True

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        total = state.batch.keypoints.new_zeros(state.batch.rows)
        sides: tuple[Literal["left", "right"], ...] = ("left", "right")
        for name, side in zip(HAND_POSES, sides, strict=True):
            pose = state.params.get(name)
            space: HandSpace | None = getattr(getattr(state.body, "data", None), f"{side}_hand", None)
            if pose is None or pose.shape[1] != 45:
                continue
            mean = pose.new_zeros(45) if space is None else pose.new_tensor(space.mean)
            total = total + finger_limits(pose + mean, side)
        return state.per_scene(total)


def gripping_hands(batch: SceneBatch) -> list[tuple[int, int, int, int]]:
    """Return ``(row, side, row of the other, scene)`` of every hand whose palm side a contact names.

    ``side``: 0 left, 1 right. Each hand stands once for each other person that it touches.
    """
    found = dict.fromkeys(
        (own, side, other, scene)
        for contacts, row_a, row_b, order, scene in zip(
            batch.contact_maps,
            batch.edge_rows_a,
            batch.edge_rows_b,
            batch.edge_order,
            batch.edge_scene.tolist(),
            strict=True,
        )
        if row_a != row_b and order == "given"
        for column, own, other in ((0, row_a, row_b), (1, row_b, row_a))
        for side in (0, 1)
        if set(contacts.pairs[contacts.weights > 0, column].tolist()) & set(_PALM_SIDE[side])
    )
    return list(found)


class _Found(NamedTuple):
    """``(K,)`` places of fingers, the face of the other's surface nearest to each (its corners ``(K, 3)`` and
    their weights), the share of each in its hand's mean, its scene, and whether its hand is near enough.
    """

    row: Tensor
    vertex: Tensor
    row_other: Tensor
    corners: Tensor
    weights: Tensor
    share: Tensor
    scene: Tensor
    near: Tensor

    def skinned(self) -> tuple[Tensor, Tensor]:
        """Rows and ids of the vertices that this is made of: the places, then three corners of each."""
        rows = torch.cat([self.row, self.row_other.repeat_interleave(3)])
        return rows, torch.cat([self.vertex, self.corners.flatten()])
