"""What a back end is: the answers to every request of `apu_losses.geometry.requests`, and their gradients.

A back end is a module with these functions. Values, ties, NaN and empty groups follow
`apu_losses.geometry.reference`. A back end need not be differentiable: what autograd needs is derived from
the indices, and asked for in requests of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from apu_losses.geometry.requests import (
    EdgeGradient,
    InsideSearch,
    MatrixSearch,
    NearestSearch,
    RegionSearch,
    SoftGradient,
    SoftSearch,
    SurfaceGradient,
    SurfaceSearch,
    VertexGradient,
    VertexSearch,
    WindingSearch,
)

Minima = tuple[Tensor, Tensor, Tensor]


class Backend(Protocol):
    """Tensors in, tensors out; what is asked stands with the request."""

    def region_min(self, search: RegionSearch, /) -> Minima:
        """Squared distances ``(K,)``, vertex ids of a and of b."""
        ...

    def region_nearest(self, asked: NearestSearch, /) -> Minima:
        """Return the same of ``(S,)`` answers."""
        ...

    def region_matrix(self, search: MatrixSearch, /) -> Minima:
        """Return the same of ``(B, Ra, Rb)`` pairs of regions."""
        ...

    def edge_gradient(self, asked: EdgeGradient, /) -> tuple[Tensor, Tensor]:
        """Gradients of both tensors of bodies; where there is one, the second gradient is empty."""
        ...

    def region_soft_min(self, soft: SoftSearch, /) -> Minima:
        """Soft minima ``(K,)``, and two tensors ``(K,)`` that its gradient asks for."""
        ...

    def region_soft_min_gradient(self, asked: SoftGradient, /) -> tuple[Tensor, Tensor]:
        """Gradients of both tensors of bodies."""
        ...

    def nearest_vertex(self, search: VertexSearch, /) -> tuple[Tensor, Tensor]:
        """Squared distances and vertices ``(E, Q)``."""
        ...

    def nearest_gradient(self, asked: VertexGradient, /) -> tuple[Tensor, Tensor]:
        """Gradients of points and vertices."""
        ...

    def nearest_surface(self, search: SurfaceSearch, /) -> Minima:
        """Squared distances and faces ``(E, Q)``, weights of the corners ``(E, Q, 3)``."""
        ...

    def surface_gradient(self, asked: SurfaceGradient, /) -> tuple[Tensor, Tensor]:
        """Gradients of points and vertices."""
        ...

    def winding_number(self, search: WindingSearch, /) -> tuple[Tensor, Tensor]:
        """Winding numbers and bounds on their errors ``(E, Q)``, zero for the exact methods."""
        ...

    def inside(self, search: InsideSearch, /) -> Tensor:
        """Bool ``(E, Q)``."""
        ...


if TYPE_CHECKING:  # the type checker holds each back end to the protocol here
    from apu_losses.geometry import reference
    from apu_losses.geometry.cpu import backend as cpu
    from apu_losses.geometry.cuda import backend as cuda
    from apu_losses.geometry.pytorch import backend as pytorch

    _reference: Backend = reference
    _pytorch: Backend = pytorch
    _cpu: Backend = cpu
    _cuda: Backend = cuda
