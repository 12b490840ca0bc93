"""Exact geometry between posed meshes: region minima, nearest points, inside tests.

One operator, one meaning, four back ends: ``reference`` (plain PyTorch, the oracle), ``torch`` (block-pruned
PyTorch, any device), ``cpu`` (numba with explicit SIMD), ``cuda`` (Triton). All agree on values, ties, NaN
and empty regions. numba and triton are imported when their back end first runs.
"""

from apu_losses.geometry.dispatch import BackendStatus, describe
from apu_losses.geometry.operators import (
    MeshTopology,
    NearestSurface,
    NearestVertex,
    Penetration,
    RegionIndex,
    RegionMinimum,
    RegionNearest,
    RegionPairs,
    WindingNumber,
    contact_map_from_meshes,
    inside,
    nearest_surface,
    nearest_vertex,
    penetration,
    region_distance_matrix,
    region_min_distance,
    region_nearest_vertex,
    region_soft_minimum,
    safe_sqrt,
    winding_number,
    winding_number_bounded,
)
from apu_losses.geometry.warm import warmup

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
