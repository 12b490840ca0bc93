"""Meshes and regions for the kernel tests: small, closed, with every awkward kind of region."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import trimesh
from torch import Tensor

from apu_losses.geometry.topology import MeshTopology, RegionIndex

GPU = ["cuda"] if torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET", "0") != "1" else []
"""The Triton back end, where it can really run; without a GPU see `test_triton`."""


@dataclass(frozen=True)
class Pair:
    """Posed pairs of one blob mesh, near each other: ``a, b (B, V, 3)``."""

    a: Tensor
    b: Tensor
    faces: Tensor
    topology: MeshTopology
    regions: RegionIndex


def blob(subdivisions: int) -> tuple[np.ndarray, np.ndarray]:
    """A closed genus-0 mesh that is neither round nor convex."""
    mesh = trimesh.creation.icosphere(subdivisions)
    v = mesh.vertices * np.array([0.35, 0.9, 0.25])
    v[:, 0] += 0.12 * np.sin(5 * v[:, 1])
    v[:, 2] += 0.08 * np.cos(4 * v[:, 1])
    return v, np.asarray(mesh.faces)


def blob_regions(vertices: np.ndarray, count: int = 12) -> list[np.ndarray]:
    """Slabs of very different sizes along y, one single vertex, one empty region."""
    order = np.argsort(vertices[:, 1], kind="stable")
    cuts = np.unique((len(order) * np.linspace(0, 1, count - 1) ** 1.7).astype(int))
    lists = [np.sort(order[a:b]) for a, b in pairwise(cuts)]
    return [*lists, order[:1], np.zeros(0, np.int64)]


def pair(batch: int = 2, subdivisions: int = 3, seed: int = 0, dtype: torch.dtype = torch.float32) -> Pair:
    """Two blobs side by side, overlapping a little, jittered by ``seed``."""
    v, f = blob(subdivisions)
    generator = torch.Generator().manual_seed(seed)
    rest = torch.tensor(v, device="cpu")[None].repeat(batch, 1, 1)
    a = rest + 0.01 * torch.randn(rest.shape, generator=generator, dtype=torch.float64, device="cpu")
    b = rest * torch.tensor([-1.0, 1.0, -1.0], device="cpu")
    b = b + torch.tensor([0.1, 0.05, 0.42], device="cpu")
    b = b + 0.05 * torch.randn(batch, 1, 3, generator=generator, dtype=torch.float64, device="cpu")
    topology = MeshTopology.build(f, len(v), v)
    regions = RegionIndex.from_lists(blob_regions(v), len(v), v)
    device = torch.get_default_device()
    return Pair(a.to(device, dtype), b.to(device, dtype), torch.tensor(f), topology, regions)


def all_edges(batch: int, regions: int) -> tuple[Tensor, Tensor, Tensor]:
    """Row, region of a and region of b of every pair of regions in every item."""
    grid = torch.cartesian_prod(torch.arange(batch), torch.arange(regions), torch.arange(regions))
    row, a, b = grid.unbind(1)
    return row.contiguous(), a.contiguous(), b.contiguous()
