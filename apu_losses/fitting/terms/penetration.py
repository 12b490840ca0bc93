"""Bodies must share space neither with each other nor with themselves."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from apu_losses.fitting.state import FitState
from apu_losses.functional.penetration import (
    Energy,
    PenetrationSelection,
    Rule,
    Target,
    penetration_energy,
    select_penetrations,
    target_points,
)
from apu_losses.functional.self_penetration import select_self_penetrations
from apu_losses.functional.skin import SkinPatches


@dataclass(frozen=True)
class PenetrationTerm:
    """Vertices of one person inside another are pushed to its surface; square metres (or BUDDI's quartic).

    Every two people of a scene whose boxes overlap are tested. Options: ``target``, ``energy``, ``rule``, see
    `apu_losses.functional.penetration`.
    """

    target: Target = "surface"
    energy: Energy = "l2"
    rule: Rule = "either"

    def __call__(self, state: FitState) -> Tensor:
        batch = state.batch
        if not len(batch.pair_a):
            return state.vertices.new_zeros(batch.size)
        found = select_penetrations(
            state.vertices, state.topology, batch.pair_a, batch.pair_b, target=self.target, rule=self.rule
        )
        return batch.per_scene(_energy(state, found, self.energy), batch.pair_scene)


@dataclass(frozen=True)
class SelfPenetrationTerm:
    """Vertices of a person inside another part of the same person are pushed out; square metres.

    Options: ``apart``, metres along the skin between parts that may not overlap (nearer ones are folds of
    skin); ``energy``. See `apu_losses.functional.self_penetration`.
    """

    apart: float = 0.5
    energy: Energy = "l2"
    _skins: list[SkinPatches] = field(default_factory=list, init=False, repr=False, compare=False)

    def __call__(self, state: FitState) -> Tensor:
        found = select_self_penetrations(state.vertices, self._skin(state))
        return state.per_scene(_energy(state, found, self.energy))

    def _skin(self, state: FitState) -> SkinPatches:
        if not self._skins or self._skins[0].topology is not state.topology:
            with torch.no_grad():
                rest = state.body.pose({"transl": state.vertices.new_zeros(1, 3)}).vertices()[0]
            self._skins[:] = [SkinPatches(state.topology, rest, self.apart)]
        return self._skins[0]


def _energy(state: FitState, found: PenetrationSelection, energy: Energy) -> Tensor:
    """The loss of a selection; only the vertices that it names are skinned with gradient."""
    count, width = found.target_vertices.shape
    rows = torch.cat([found.row, found.target_row.repeat_interleave(width)])
    points = state.select(rows, torch.cat([found.vertex, found.target_vertices.flatten()]))
    corners = points[count:].reshape(count, width, 3)
    return penetration_energy(points[:count], target_points(corners, found), found, energy=energy)
