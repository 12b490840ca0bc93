"""Bodies must share space neither with each other nor with themselves."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from apu_losses.fitting.objective.residuals import Movement, Residuals, no_residuals, rank_within
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.objective.terms.options import check_options
from apu_losses.functional.penetration import Energy, Target, penetration_energy, select_penetrations
from apu_losses.functional.penetration_selection import PenetrationSelection, target_points
from apu_losses.functional.self_penetration import select_self_penetrations
from apu_losses.functional.skin import SkinPatches
from apu_losses.numerics.ordered import ordered_matmul

_ENOUGH = 2048
"""Vertices of a pair of people (or of one) whose movement tells how the whole penetration term bends.

Only bodies that lie far in each other have more. With 128 one vertex that came or went changed which of the
others were looked at, and so every step: a fit hung on last bits (docs/measurements/fitting.md).
"""


@dataclass(frozen=True)
class PenetrationTerm:
    """Vertices of one person inside another are pushed to its surface; square metres (or BUDDI's quartic).

    Every two people of a scene whose boxes overlap are tested. Options: ``target``, ``energy``, ``mutual``,
    see `apu_losses.functional.penetration`.
    """

    target: Target = "surface"
    energy: Energy = "l2"
    mutual: bool = False

    def __post_init__(self) -> None:
        check_options(self)

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        batch = state.batch
        if not len(batch.pair_a):
            return state.vertices.new_zeros(batch.size)
        pushed = state.once(self, lambda: self._search(state))
        return batch.per_scene(pushed.energy(self.energy), batch.pair_scene)

    def residuals(self, state: FitState, movement: Movement) -> Residuals:
        """Depths along the way out."""
        if not len(state.batch.pair_a):
            return no_residuals(state, movement)
        return state.once(self, lambda: self._search(state)).residuals(movement, self.energy)

    def _search(self, state: FitState) -> _Pushed:
        pair_a, pair_b = state.batch.pair_a, state.batch.pair_b
        found = select_penetrations(
            state.vertices, state.topology, pair_a, pair_b, target=self.target, mutual=self.mutual
        )
        return _Pushed.of(state, found)


@dataclass(frozen=True)
class SelfPenetrationTerm:
    """Vertices of a person inside another part of the same person are pushed out; square metres.

    Options: ``apart``, metres along the skin between parts that may not overlap (nearer ones are folds of
    skin); ``energy``. See `apu_losses.functional.self_penetration`.
    """

    apart: float = 0.5
    energy: Energy = "l2"
    _skins: list[SkinPatches] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_options(self, "apart")

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        return state.per_scene(state.once(self, lambda: self._search(state)).energy(self.energy))

    def residuals(self, state: FitState, movement: Movement) -> Residuals:
        """Depths along the way out."""
        return state.once(self, lambda: self._search(state)).residuals(movement, self.energy)

    def _search(self, state: FitState) -> _Pushed:
        return _Pushed.of(state, select_self_penetrations(state.vertices, self._skin(state)))

    def _skin(self, state: FitState) -> SkinPatches:
        if not self._skins or self._skins[0].topology is not state.topology:
            with torch.no_grad():
                rest = state.body.pose({"transl": state.vertices.new_zeros(1, 3)}).vertices()[0]
            self._skins[:] = [SkinPatches(state.topology, rest, self.apart)]
        return self._skins[0]


@dataclass(frozen=True)
class _Pushed:
    """What a search found, with the positions ``(S, 3)`` of its vertices and of the points they belong to;
    only these are skinned with gradient.
    """

    found: PenetrationSelection
    points: Tensor
    targets: Tensor

    @classmethod
    def of(cls, state: FitState, found: PenetrationSelection) -> _Pushed:
        count, width = found.target_vertices.shape
        rows = torch.cat([found.row, found.target_row.repeat_interleave(width)])
        points = state.select(rows, torch.cat([found.vertex, found.target_vertices.flatten()]))
        corners = points[count:].reshape(count, width, 3)
        return cls(found, points[:count], target_points(corners, found))

    def energy(self, energy: Energy) -> Tensor:
        """Return the loss of each owner of the selection."""
        return penetration_energy(self.points, self.targets, self.found, energy=energy)

    def residuals(self, movement: Movement, energy: Energy) -> Residuals:
        """Depths along the way out; of many vertices of an owner an even choice stands for all."""
        found = self.found
        kept, share = _thinned(found.pair, len(found.broken), _ENOUGH)
        way = (self.points - self.targets).detach()[kept]
        depth = way.norm(dim=1, keepdim=True)
        out = (way / depth.clamp(min=1e-9))[:, None]
        width = found.target_vertices.shape[1]
        rows, corners = found.target_row[kept], found.target_vertices[kept]
        ids = torch.cat([found.vertex[kept], corners.flatten()])
        moved = movement.select(torch.cat([found.row[kept], rows.repeat_interleave(width)]), ids)
        weights = found.target_weights[kept].to(moved.dtype)[..., None, None]
        surface = (moved[len(kept) :].unflatten(0, (len(kept), width)) * weights).sum(1)
        value, slope = depth, torch.ones_like(depth)
        if energy == "quartic":  # (100 d^2)^2 is the square of 100 d^2
            value, slope = 100 * depth**2, 200 * depth
        parts = [
            (found.row[kept], ordered_matmul(out, moved[: len(kept)])),
            (rows, -ordered_matmul(out, surface)),
        ]
        return Residuals(value, share, [(row, slope[..., None] * jacobian) for row, jacobian in parts])


def _thinned(owner: Tensor, owners: int, most: int) -> tuple[Tensor, Tensor]:
    """Return indices of under ``2 most`` items of each owner, evenly chosen, and how many items each stands
    for.
    """
    count = torch.bincount(owner, minlength=owners)
    stride = (count // most).clamp(min=1)
    kept = torch.nonzero(rank_within(owner, owners) % stride[owner] == 0)[:, 0]
    share = count.float() / torch.bincount(owner[kept], minlength=owners).clamp(min=1)
    return kept, share[owner[kept]]
