"""The torch back end: block-pruned plain PyTorch, exact, for any device and any float dtype.

What runs where neither numba nor Triton can. The reference, which evaluates every pair, takes 3 to 110 times
as long on a pair of free bodies (`docs/measurements/kernels.md`), so it does not take this one's place. The
soft minimum alone is the reference's, which is as fast.
"""

from __future__ import annotations

from torch import Tensor

from apu_losses.geometry import reference
from apu_losses.geometry.gradients import edge_gradient as edge_gradient
from apu_losses.geometry.gradients import nearest_gradient as nearest_gradient
from apu_losses.geometry.gradients import surface_gradient as surface_gradient
from apu_losses.geometry.pytorch.nearest import nearest_surface as nearest_surface
from apu_losses.geometry.pytorch.nearest import nearest_vertex as nearest_vertex
from apu_losses.geometry.pytorch.regions import check_edges
from apu_losses.geometry.pytorch.regions import region_matrix as region_matrix
from apu_losses.geometry.pytorch.regions import region_min as region_min
from apu_losses.geometry.pytorch.regions import region_nearest as region_nearest
from apu_losses.geometry.pytorch.winding import inside as inside
from apu_losses.geometry.pytorch.winding import winding_number as winding_number
from apu_losses.geometry.reference import region_soft_min_gradient as region_soft_min_gradient
from apu_losses.geometry.requests import SoftSearch


def region_soft_min(soft: SoftSearch) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_soft_min` of edges that exist."""
    check_edges(soft.search)
    return reference.region_soft_min(soft)
