"""How the points of posed bodies move with their parameters: Jacobians, for second-order solvers.

`body_derivatives` takes the closed form of a linear blend body, and forward-mode differentiation of any
other body; the second is the twin that the first is tested against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.func import jvp, vmap

from apu_losses.bodies.protocol import BodyModel

COLUMNS_AT_ONCE = 24
"""Columns computed together in forward mode: all at once is slower, for their tangents leave the cache."""


class BodyDerivatives(Protocol):
    """Derivatives of N posed bodies by D numbers of each: the chosen parameters, one after the other.

    A point of a body depends on that body's own parameters only.
    """

    @property
    def joints(self) -> Tensor:
        """``(N, J, 3, D)`` of the joints."""
        ...

    def keypoints(self, skeleton: str) -> Tensor:
        """``(N, K, 3, D)`` of the keypoints of a skeleton; zero for those that the body lacks."""
        ...

    def select(self, rows: Tensor, vertex_ids: Tensor) -> Tensor:
        """``(K, 3, D)`` of vertex ``vertex_ids[k]`` of body ``rows[k]``."""
        ...


def body_derivatives(body: BodyModel, params: Mapping[str, Tensor], names: Sequence[str]) -> BodyDerivatives:
    """Return derivatives of the bodies posed by ``params``, without gradient of their own.

    Args:
        body: any body model; one with a method ``derivatives(params, names)`` is asked for its closed form.
        params: ``(N, size)`` by name.
        names: the parameters to differentiate by, in this order.
    """
    closed_form = getattr(body, "derivatives", None)
    if closed_form is not None:
        found: BodyDerivatives = closed_form(params, names)
        return found
    return ForwardModeDerivatives(body, params, names)


class ForwardModeDerivatives:
    """`BodyDerivatives` of any body that forward-mode differentiation passes through."""

    def __init__(self, body: BodyModel, params: Mapping[str, Tensor], names: Sequence[str]) -> None:
        self._body = body
        self._fixed = {name: value.detach() for name, value in params.items()}
        self._names = tuple(names)
        self._point = torch.cat([self._fixed[name] for name in names], 1)

    def _pose(self, x: Tensor) -> Mapping[str, Tensor]:
        sizes = [self._fixed[name].shape[1] for name in self._names]
        return {**self._fixed, **dict(zip(self._names, x.split(sizes, 1), strict=True))}

    def _columns(self, points: Callable[[Tensor], Tensor]) -> Tensor:
        count, size = self._point.shape
        basis = torch.eye(size, dtype=self._point.dtype, device=self._point.device)

        def column(direction: Tensor) -> Tensor:
            moved: Tensor = jvp(points, (self._point,), (direction.expand(count, size),))[1]
            return moved

        with torch.no_grad():
            columns: Tensor = vmap(column, out_dims=-1, chunk_size=COLUMNS_AT_ONCE)(basis)
            return columns

    @property
    def joints(self) -> Tensor:
        """See `BodyDerivatives`."""
        return self._columns(lambda x: self._body.pose(self._pose(x)).joints)

    def keypoints(self, skeleton: str) -> Tensor:
        """See `BodyDerivatives`."""
        return self._columns(lambda x: self._body.keypoints(self._body.pose(self._pose(x)), skeleton))

    def select(self, rows: Tensor, vertex_ids: Tensor) -> Tensor:
        """See `BodyDerivatives`."""
        return self._columns(lambda x: self._body.pose(self._pose(x)).select(rows, vertex_ids))
