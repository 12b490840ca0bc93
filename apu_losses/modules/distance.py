"""Two people come near each other, wherever they are nearest."""

from __future__ import annotations

from numpy.typing import ArrayLike
from torch import Tensor, nn

from apu_losses.functional.first_look import FirstLook
from apu_losses.functional.nearest import minimum_distance
from apu_losses.geometry.types import BackendName
from apu_losses.modules.mesh import mesh_of


class MinimumDistanceLoss(nn.Module):
    """Pulls the nearest two points of two people together: `apu_losses.functional.minimum_distance`.

    Args:
        faces: ``(F, 3)`` of the mesh.
        vertex_count: V of the mesh; the largest id in ``faces`` plus one by default.
        template: ``(V, 3)`` a body in any pose, by which the search is laid out. By default the first body
            that is seen is it; code that is compiled before one is seen searches slowly without.
        faces_b: of the second mesh, where it is another topology.
        backend: of the geometry search.

    Example:
        >>> import torch, trimesh
        >>> from apu_losses import MinimumDistanceLoss
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> verts_a = torch.tensor(ball.vertices, dtype=torch.float32)[None]
        >>> verts_b = verts_a + torch.tensor([1.9, 0.0, 0.0])
        >>> MinimumDistanceLoss(ball.faces)(verts_a, verts_b + torch.tensor([1.1, 0.0, 0.0]))  # 1 m apart
        tensor([1.])
    """

    def __init__(
        self,
        faces: ArrayLike | Tensor,
        *,
        vertex_count: int | None = None,
        template: ArrayLike | Tensor | None = None,
        faces_b: ArrayLike | Tensor | None = None,
        backend: BackendName = "auto",
    ) -> None:
        super().__init__()
        self._mesh = mesh_of(faces, vertex_count, template)
        self._mesh_b = None if faces_b is None else mesh_of(faces_b, None, None)
        self._first_look = FirstLook()
        self.backend: BackendName = backend

    def forward(self, verts_a: Tensor, verts_b: Tensor) -> Tensor:
        """``(B, V, 3)`` and ``(B, V, 3)``, of another topology ``(B, V', 3)``, to ``(B,)`` squared metres."""
        self._first_look.at(verts_a=verts_a, verts_b=verts_b)
        return minimum_distance(
            verts_a,
            verts_b,
            self._mesh.of(verts_a),
            faces_b=None if self._mesh_b is None else self._mesh_b.of(verts_b),
            backend=self.backend,
        )
