"""Small meshes, regions and poses with known answers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from apu_contacts.contacts import ContactMap
from apu_losses.geometry.topology import RegionIndex

REGION_SIZES = [3 + region % 5 for region in range(75)]
VERTICES = sum(REGION_SIZES) + 20  # some vertices lie in no region


def toy_regions(seed: int = 0) -> RegionIndex:
    """75 regions of 3 to 7 vertices each, scattered over the numbering."""
    ids = np.random.default_rng(seed).permutation(VERTICES)
    starts = np.cumsum([0, *REGION_SIZES])
    return RegionIndex.from_lists([ids[a:b] for a, b in pairwise(starts)], VERTICES)


def toy_bodies(count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """``(count, VERTICES, 3)`` point clouds about a metre wide, near each other."""
    generator = torch.Generator().manual_seed(seed)
    cloud = torch.randn(count, VERTICES, 3, generator=generator, dtype=torch.float64) * 0.3
    return (cloud + 0.2 * torch.arange(count, dtype=torch.float64)[:, None, None]).to(dtype)


def toy_map(groups: int = 3, seed: int = 0) -> ContactMap:
    """Groups of 2 x 3 region pairs with different weights; the first two groups share pairs."""
    rng = np.random.default_rng(seed)
    pairs, weights, group = [], [], []
    for g in range(groups):
        source = np.random.default_rng(seed + 100) if g < 2 else rng
        a, b = source.choice(75, 2, replace=False), source.choice(75, 3, replace=False)
        pairs += [(i, j) for i in a for j in b[: 3 - (g == 1)]]
        size = len(pairs) - len(group)
        weights += [0.3 + 0.2 * g] * size
        group += [g] * size
    return ContactMap(pairs, weights, group)


def icosphere(
    radius: float, centre: tuple[float, float, float], subdivisions: int = 3
) -> tuple[Tensor, Tensor]:
    """Vertices ``(V, 3)`` float64 and outward faces of a sphere."""
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    vertices = torch.as_tensor(np.array(mesh.vertices) + np.array(centre))
    return vertices, torch.as_tensor(np.array(mesh.faces), dtype=torch.int64)
