"""Exact geometry between posed meshes: region minima, nearest points, inside tests.

One operator, one meaning, four back ends: ``reference`` (plain PyTorch, the oracle), ``torch`` (block-pruned
PyTorch, any device), ``cpu`` (numba with explicit SIMD), ``cuda`` (Triton). All agree on values, ties, NaN
and empty regions. numba and triton are imported when their back end first runs.

A call goes from `operators` (checks arguments, makes a request of `requests`) through `custom_ops` (autograd,
compilers; `border` lays the request flat) to the `Backend` that `dispatch` chose.
"""

from apu_losses.geometry.dispatch import BackendStatus, describe
from apu_losses.geometry.operators import (
    contact_map_from_meshes,
    inside,
    nearest_surface,
    nearest_vertex,
    penetration,
    region_distance_matrix,
    region_min_distance,
    region_nearest_vertex,
    region_soft_minimum,
    winding_number,
    winding_number_bounded,
)
from apu_losses.geometry.topology import MeshTopology, RegionIndex
from apu_losses.geometry.types import (
    NearestSurface,
    NearestVertex,
    Penetration,
    RegionMinimum,
    RegionNearest,
    RegionPairs,
    WindingNumber,
)
from apu_losses.geometry.warm import warmup
from apu_losses.numerics.distances import safe_sqrt

__all__ = [
    "BackendStatus",
    "MeshTopology",
    "NearestSurface",
    "NearestVertex",
    "Penetration",
    "RegionIndex",
    "RegionMinimum",
    "RegionNearest",
    "RegionPairs",
    "WindingNumber",
    "contact_map_from_meshes",
    "describe",
    "inside",
    "nearest_surface",
    "nearest_vertex",
    "penetration",
    "region_distance_matrix",
    "region_min_distance",
    "region_nearest_vertex",
    "region_soft_minimum",
    "safe_sqrt",
    "warmup",
    "winding_number",
    "winding_number_bounded",
]
