"""Bodies must not share space."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from apu_losses.fitting.state import FitState
from apu_losses.functional.penetration import (
    Energy,
    Target,
    penetration_energy,
    select_penetrations,
    target_points,
)


@dataclass(frozen=True)
class PenetrationTerm:
    """Vertices of one person inside another are pushed to its surface; square metres (or BUDDI's quartic).

    Every two people of a scene whose boxes overlap are tested. Options: ``target``, ``energy``, see
    `apu_losses.functional.penetration`.
    """

    target: Target = "surface"
    energy: Energy = "l2"

    def __call__(self, state: FitState) -> Tensor:
        batch = state.batch
        if not len(batch.pair_a):
            return state.vertices.new_zeros(batch.size)
        found = select_penetrations(
            state.vertices, state.topology, batch.pair_a, batch.pair_b, target=self.target
        )
        width = found.target_vertices.shape[1]
        rows = torch.cat([found.row, found.target_row.repeat_interleave(width)])
        ids = torch.cat([found.vertex, found.target_vertices.flatten()])
        points = state.select(rows, ids)
        corners = (
            points[len(found) :].unflatten(0, (-1, width)) if len(found) else points.new_zeros(0, width, 3)
        )
        energy = penetration_energy(
            points[: len(found)], target_points(corners, found), found, energy=self.energy
        )
        return batch.per_scene(energy, batch.pair_scene)
