"""How an operator asks: the names of what it is given, and the way of a request to a back end."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from apu_losses.geometry import vmap as _vmap  # noqa: F401  registers the rules for torch.func
from apu_losses.geometry.border import Operator
from apu_losses.geometry.checks import check_vertices
from apu_losses.geometry.dispatch import check_backend
from apu_losses.geometry.topology import MeshTopology, RegionIndex, RegionLists, as_region_index
from apu_losses.geometry.types import BackendName

Faces = MeshTopology | Tensor | NDArray[Any]
Regions = RegionIndex | RegionLists


def answer(operator: Operator[Any], request: Any, backend: BackendName) -> Any:
    """Answer a request; the reference answers directly, for autograd goes through it any number of times."""
    if check_backend(backend) == "reference":
        return operator.by_reference(request)
    return operator(request, backend)


def regions_of(
    verts_a: Tensor, verts_b: Tensor, regions: Regions, regions_b: Regions | None
) -> tuple[RegionIndex, RegionIndex]:
    """Return the regions of two meshes, laid out where the vertices are."""
    index_a = as_region_index(regions, verts_a).to(verts_a.device)
    index_b = index_a if regions_b is None else as_region_index(regions_b, verts_b).to(verts_b.device)
    for name, verts, index in (("verts_a", verts_a, index_a), ("verts_b", verts_b, index_b)):
        check_vertices(name, verts, index.vertex_count, "the regions belong to another mesh topology")
    return index_a, index_b
