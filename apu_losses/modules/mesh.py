"""The mesh that arguments of a loss describe."""

from __future__ import annotations

from numbers import Integral

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from apu_losses.functional.options import checked_faces, described
from apu_losses.geometry.lazy_topology import LazyTopology


def mesh_of(
    faces: ArrayLike | Tensor, vertex_count: int | None, template: ArrayLike | Tensor | None
) -> LazyTopology:
    """Return the mesh that arguments of a loss describe; errors say which argument is another's.

    Raises:
        TypeError, ValueError: faces that are none, or a template in place of the vertex count.
    """
    faces = checked_faces(faces)
    if vertex_count is None:
        rest = None if template is None else torch.as_tensor(template, dtype=torch.float64, device="cpu")
        vertex_count = int(faces.max()) + 1 if rest is None else len(rest)
    elif isinstance(vertex_count, bool) or not isinstance(vertex_count, Integral):
        raise TypeError(
            f"vertex_count must be a whole number or None, got {described(vertex_count)}; "
            "a body at rest goes in by name: template=..."
        )
    return LazyTopology.build(faces, int(vertex_count), template)
