"""Awkward inputs of the operators, with the answers to compare: ties, NaN, infinities, empty groups."""

from __future__ import annotations

import math

import torch

from apu_losses import geometry as g
from apu_losses.geometry.topology import RegionIndex

inf, nan = math.inf, math.nan


def nearest_case(backend):
    """Ties, coincident vertices, empty groups, what is not finite, what overflows, and what flows back."""
    a = torch.tensor([[[0.0, 0, 0]] * 20 + [[0, nan, 0], [3e38, 0, 0], [0, 0, 2]]], requires_grad=True)
    b = torch.tensor(
        [[[5.0, 0, 0]] + [[0.0, 0, 1], [0, 1, 0]] * 12 + [[-3e38, 0, 0], [0, inf, 0]]], requires_grad=True
    )
    lists_a, lists_b = [[22, 7, 5], [], [20, 3], [21], [1]], [[4, 3, 2, 0], [], [26, 1], [25], [1, 25]]
    regions_a = RegionIndex.from_lists(lists_a, 23).to(a.device)
    regions_b = RegionIndex.from_lists(lists_b, 27).to(a.device)
    group_a, group_b = torch.tensor([0, 1, 0, 2, 4, 1, 3, 4]), torch.tensor([0, 0, 1, 0, 2, 2, 3, 4])
    row = torch.zeros(8, dtype=torch.int64)
    pairs = g.RegionPairs(row, row, group_a, group_b)
    found = g.region_nearest_vertex(a, b, pairs, regions_a, regions_b, backend=backend)
    return found, torch.autograd.grad(found.distance2, (a, b), torch.ones_like(found.distance2))


def soft_case(backend):
    """Soft minima that are a sum, coincident, empty, poisoned and too far, and what flows back."""
    a = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, nan, 0], [3e38, 0, 0], [0, 0, 0]]], requires_grad=True)
    b = torch.tensor([[[0.0, 0, 0], [0, 1, 0], [-3e38, 0, 0], [0, inf, 0]]], requires_grad=True)
    regions_a = RegionIndex.from_lists([[0, 4], [], [2, 0], [3], [1], [0, 3]], 5).to(a.device)
    regions_b = RegionIndex.from_lists([[0], [], [2], [3], [1], [1, 2]], 4).to(a.device)
    group_a, group_b = (
        torch.tensor([[0, 4, 5], [5, 1, 0], [2, 0, 3]]),
        torch.tensor([[0, 4, 5], [4, 0, 1], [0, 3, 2]]),
    )
    row = torch.zeros(9, dtype=torch.int64)
    pairs = g.RegionPairs(row, row, group_a.flatten(), group_b.flatten())
    soft = g.region_soft_minimum(a, b, pairs, regions_a, regions_b, temperature=0.5, backend=backend)
    return soft.detach(), *torch.autograd.grad(soft, (a, b), torch.ones_like(soft))


def winding_case(backend, method):
    """Winding numbers and the inside test of a tetrahedron, of one with NaN, and of one with infinity."""
    mesh = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [nan, 0, 0]]]).repeat(3, 1, 1)
    mesh[1, 2, 1], mesh[2, 3, 2] = nan, -inf
    faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    points = torch.tensor([[[0.1, 0.1, 0.1], [5, 5, 5], [nan, 0, 0], [0.1, inf, 0.1], [0.1, 0.1, -inf]]])
    points = points.repeat(3, 1, 1)
    w = g.winding_number(points, mesh, faces, method=method, backend=backend)
    return w, g.inside(points, mesh, faces, method=method, backend=backend)
