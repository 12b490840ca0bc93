"""The operators under ``torch.func.vmap``: a mapped dimension becomes more rows of the same call.

Every operator already takes a batch, so mapping over one more dimension costs one call, not one per entry.
What is posed may be mapped (vertices, points and what belongs to them); layouts are of the mesh topology and
are the same for all. The rule goes by the names of the arguments (`apu_losses.geometry.border`), which are
alike in all requests.

``torch.func.grad`` does not go through an operator of `torch.library` (PyTorch 2.13). It does go through the
losses: they search without gradient and compute their value from the points that were found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from apu_losses.geometry import custom_ops
from apu_losses.geometry.border import Operator

# Arguments with one entry a body, an edge or an item, which grow with the mapped dimension.
_STACKED = {
    "bodies.a",
    "bodies.second",
    "vertices_a",
    "vertices_b",
    "query.points",
    "vertices",
    "a.group",
    "b.group",
    "query.wanted",
}
# Arguments that number the rows of another argument.
_ROWS = {
    "a.row": "bodies.a",
    "b.row": "bodies.second",
    "rows.points": "query.points",
    "rows.mesh": "vertices",
    "first": "edge",
    "edge": "a.group",
}


def _rule(operator: Operator[Any]) -> Callable[..., Any]:
    names = (*operator.border.names, "backend")

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        count: int = info.batch_size
        given = list(args)
        at = {name: k for k, name in enumerate(names) if name in _STACKED or name in _ROWS}
        for k, (name, dim) in enumerate(zip(names, in_dims, strict=True)):
            value = given[k]
            if not isinstance(value, Tensor):
                continue
            if name not in at:
                if dim is not None:
                    raise ValueError(
                        f"vmap over {operator.op}: {name} is a layout of the mesh and the same for all; "
                        "map over vertices and points only"
                    )
                continue
            given[k] = value.movedim(dim, 0) if dim is not None else value.expand(count, *value.shape)
        for name, owner in _ROWS.items():
            if name in at and given[at[name]] is not None:
                # without a second tensor of bodies, both ends are rows of the first
                bodies = given[at["bodies.a"]] if given[at[owner]] is None else given[at[owner]]
                shift = bodies.shape[1] * torch.arange(count, device=bodies.device)
                given[at[name]] = given[at[name]] + shift[:, None]
        for k in at.values():
            if isinstance(given[k], Tensor):
                given[k] = given[k].flatten(0, 1)
        out = operator.op(*given)
        if isinstance(out, Tensor):
            return _apart(out, count), 0
        return tuple(_apart(each, count) for each in out), (0,) * len(out)

    return rule


def _apart(value: Tensor, count: int) -> Tensor:
    return value.reshape(count, value.shape[0] // count, *value.shape[1:])


for _operator in (
    custom_ops.region_min,
    custom_ops.region_nearest,
    custom_ops.region_matrix,
    custom_ops.region_soft_min,
    custom_ops.nearest_vertex,
    custom_ops.nearest_surface,
    custom_ops.winding_number,
    custom_ops.inside,
):
    _operator.map_over(_rule(_operator))
