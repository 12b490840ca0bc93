"""The face of the operators: each checks its arguments, makes a request, and has a back end answer it.

Every function is batched, differentiable where that means something, deterministic, and runs on a choice of
back ends (``backend="auto"``) that agree. Distances come squared, because the gradient of a plain distance is
undefined at zero; `apu_losses.geometry.safe_sqrt` takes the root with zero gradient there.

The rules for ties, NaN, empty regions and infinities stand in `apu_losses.geometry.reference`.
For speed, build a `RegionIndex` and a `MeshTopology` once per mesh and pass these; plain region maps and
faces work too.
"""

from apu_losses.geometry.operators.inside_meshes import (
    inside,
    penetration,
    unchecked_penetration,
    winding_number,
    winding_number_bounded,
)
from apu_losses.geometry.operators.nearest_points import nearest_surface, nearest_vertex
from apu_losses.geometry.operators.region_distances import (
    region_distance_matrix,
    region_min_distance,
    region_nearest_vertex,
    region_soft_minimum,
)
from apu_losses.geometry.operators.request import Faces, Regions
from apu_losses.geometry.operators.touching_regions import contact_map_from_meshes

__all__ = [
    "Faces",
    "Regions",
    "contact_map_from_meshes",
    "inside",
    "nearest_surface",
    "nearest_vertex",
    "penetration",
    "region_distance_matrix",
    "region_min_distance",
    "region_nearest_vertex",
    "region_soft_minimum",
    "unchecked_penetration",
    "winding_number",
    "winding_number_bounded",
]
