"""Bodies leave each other, and themselves."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from apu_losses.functional.first_look import FirstLook
from apu_losses.functional.options import check_choice, check_flag
from apu_losses.functional.penetration import Energy, Target, penetration_loss
from apu_losses.functional.self_penetration import self_penetration_loss
from apu_losses.functional.skin import SkinPatches
from apu_losses.geometry.types import BackendName
from apu_losses.modules.mesh import mesh_of


class PenetrationLoss(nn.Module):
    """Pushes bodies out of each other: `apu_losses.functional.penetration_loss`.

    Args:
        faces: ``(F, 3)`` of the closed mesh, outward.
        faces_b: of the second mesh, where it is another topology.
        vertex_count: V of the mesh; the largest id in ``faces`` plus one by default.
        template: ``(V, 3)`` a body in any pose, by which the search is laid out. By default the first body
            that is seen is it; code that is compiled before one is seen searches slowly without.
        target: depth to the nearest ``"surface"`` point or ``"vertex"``, or by ``"entry"``, the way in.
        energy: ``"l2"`` or BUDDI's ``"quartic"``.
        mutual: only pairs count of which each has vertices inside the other, as BUDDI has it.
        backend: of the geometry operators.

    Example:
        >>> import torch, trimesh
        >>> from apu_losses import PenetrationLoss
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> verts_a = torch.tensor(ball.vertices, dtype=torch.float32)[None]
        >>> verts_b = verts_a + torch.tensor([1.9, 0.0, 0.0])
        >>> PenetrationLoss(ball.faces)(verts_a, verts_b)
        tensor([0.0212])
    """

    def __init__(
        self,
        faces: ArrayLike | Tensor,
        *,
        faces_b: ArrayLike | Tensor | None = None,
        vertex_count: int | None = None,
        template: ArrayLike | Tensor | None = None,
        target: Target = "surface",
        energy: Energy = "l2",
        mutual: bool = False,
        backend: BackendName = "auto",
    ) -> None:
        super().__init__()
        check_choice("target", target, Target)
        check_choice("energy", energy, Energy)
        check_flag("mutual", mutual)
        self._mesh = mesh_of(faces, vertex_count, template)
        self._mesh_b = None if faces_b is None else mesh_of(faces_b, None, None)
        self._first_look = FirstLook()
        self.target: Target = target
        self.energy: Energy = energy
        self.mutual = mutual
        self.backend: BackendName = backend

    def forward(self, verts_a: Tensor, verts_b: Tensor) -> Tensor:
        """``(B, V, 3)`` twice to ``(B,)``."""
        self._first_look.at(verts_a=verts_a, verts_b=verts_b)
        return penetration_loss(
            verts_a,
            verts_b,
            self._mesh.of(verts_a),
            faces_b=None if self._mesh_b is None else self._mesh_b.of(verts_b),
            target=self.target,
            energy=self.energy,
            mutual=self.mutual,
            backend=self.backend,
        )


class SelfPenetrationLoss(nn.Module):
    """Pushes a body out of itself: `apu_losses.functional.self_penetration_loss`.

    Args:
        faces: ``(F, 3)`` of the closed mesh, outward.
        template: ``(V, 3)`` the body at rest; distances along its skin tell folds from penetration.
        apart: metres along the skin between parts that may not overlap.
        energy: ``"l2"`` or ``"quartic"``.
        backend: of the geometry operators.

    Example:
        >>> import torch
        >>> from apu_losses import SelfPenetrationLoss, load_body
        >>> body = load_body()
        >>> rest = body(transl=torch.zeros(1, 3)).vertices()
        >>> SelfPenetrationLoss(body.faces, template=rest[0])(rest)
        tensor([0.])
    """

    def __init__(
        self,
        faces: ArrayLike | Tensor,
        *,
        template: ArrayLike | Tensor,
        apart: float = 0.5,
        energy: Energy = "l2",
        backend: BackendName = "auto",
    ) -> None:
        super().__init__()
        check_choice("energy", energy, Energy)
        template = torch.as_tensor(template, dtype=torch.float64, device="cpu")
        self.skin = SkinPatches(mesh_of(faces, len(template), template).topology, template, apart)
        self._first_look = FirstLook()
        self.energy: Energy = energy
        self.backend: BackendName = backend

    def forward(self, vertices: Tensor) -> Tensor:
        """``(N, V, 3)`` to ``(N,)``."""
        self._first_look.at(vertices=vertices)
        return self_penetration_loss(vertices, self.skin, energy=self.energy, backend=self.backend)
