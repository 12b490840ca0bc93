"""Every operator called on a pair of meshes; in a module that child processes can import."""

from __future__ import annotations

import sys

import torch
from kernels_meshes import pair
from torch.utils.data import Dataset

from apu_losses import geometry as g
from apu_losses.geometry import warmup


def edges(m, k=4):
    return g.RegionPairs.from_offsets([0, k, 2 * k], [0, 2, 4, 6] * 2, [1, 3, 5, 11] * 2)


def total(a, b, m, p, backend):
    """One loss through all operators."""
    contact = g.region_min_distance(a, b, p, m.regions, backend=backend).distance2
    near = g.region_nearest_vertex(a, b, p, m.regions, backend=backend).distance2
    soft = g.region_soft_minimum(a, b, p, m.regions, temperature=1e-2, backend=backend)
    matrix = g.region_distance_matrix(a, b, m.regions, cutoff=0.3, backend=backend).distance2
    deep = g.penetration(a, b, m.topology, points_topology=m.topology, backend=backend).distance2
    surface = g.nearest_surface(a, b, m.topology, points_topology=m.topology, backend=backend).distance2
    finite = [torch.where(torch.isfinite(x), x, torch.zeros_like(x)) for x in (contact, near, soft, matrix)]
    return sum(x.sum() for x in (*finite, deep, g.safe_sqrt(surface)))


def answers(a, b, m, backend):
    """What every operator says of a pair."""
    p = edges(m)
    return (
        *g.region_min_distance(a, b, p, m.regions, backend=backend),
        *g.region_nearest_vertex(a, b, p, m.regions, backend=backend)[:3],
        *g.region_distance_matrix(a, b, m.regions, backend=backend),
        g.region_soft_minimum(a, b, p, m.regions, temperature=1e-2, backend=backend),
        *g.nearest_vertex(a, b, points_topology=m.topology, backend=backend),
        *g.nearest_surface(a, b, m.topology, backend=backend),
        g.winding_number(a, b, m.topology, backend=backend),
        g.inside(a, b, m.topology, backend=backend),
        *g.penetration(a, b, m.topology, target="surface", backend=backend),
    )


class Items(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, k):
        torch.set_num_threads(2)
        m = pair(2, 2, seed=k)
        return torch.cat([x.flatten().double() for x in answers(m.a, m.b, m, "cpu")])


def compiled():
    """How many signatures each numba kernel of the cpu back end has been compiled for."""
    from numba.core.dispatcher import Dispatcher

    modules = [m for name, m in list(sys.modules.items()) if name.startswith("apu_losses.geometry")]
    return {
        (v.__module__, v.__name__): len(v.signatures)
        for m in modules
        for v in vars(m).values()
        if isinstance(v, Dispatcher)
    }


def print_what_warmup_leaves():
    """Number of kernels compiled by the warm-up, and those that a first use compiles again."""
    warmup("cpu")
    before = compiled()
    m = pair(2, 2)
    p = edges(m)
    a, b = m.a.clone().requires_grad_(), m.b.clone().requires_grad_()
    answers(a, b, m, "cpu")
    torch.autograd.grad(total(a, b, m, p, "cpu"), (a, b))
    print(sum(before.values()), sorted(k for k, n in compiled().items() if n != before.get(k)))
