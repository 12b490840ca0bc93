"""The operators under ``torch.func.vmap``: a mapped dimension becomes more rows of the same call.

Every operator already takes a batch, so mapping over one more dimension costs one call, not one per entry.
What is posed may be mapped (vertices, points and what belongs to them); layouts are of the mesh topology and
are the same for all. The rule goes by the names of an operator's arguments, which are alike in all of them.

``torch.func.grad`` does not go through an operator of `torch.library` (PyTorch 2.13). It does go through the
losses: they search without gradient and compute their value from the points that were found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from apu_losses.geometry import ops

# Arguments with one entry a body, an edge or an item, which grow with the mapped dimension.
_STACKED = {"verts_a", "verts_b", "points", "vertices", "group_a", "group_b", "wanted"}
# Arguments that number the rows of another argument.
_ROWS = {
    "row_a": "verts_a",
    "row_b": "verts_b",
    "row_points": "points",
    "row_mesh": "vertices",
    "first": "edge",
    "edge": "group_a",
}


def _rule(op: Any) -> Callable[..., Any]:
    names = [argument.name for argument in op._opoverload._schema.arguments]

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        count: int = info.batch_size
        given: dict[str, Any] = dict(zip(names, args, strict=True))
        for name, dim in zip(names, in_dims, strict=True):
            value = given[name]
            if not isinstance(value, Tensor):
                continue
            if name not in _STACKED and name not in _ROWS:
                if dim is not None:
                    raise ValueError(
                        f"vmap over {op._qualname}: {name} is a layout of the mesh and the same for all; "
                        "map over vertices and points only"
                    )
                continue
            given[name] = value.movedim(dim, 0) if dim is not None else value.expand(count, *value.shape)
        for name, owner in _ROWS.items():
            if given.get(name) is not None:
                # without a second tensor of bodies, both ends are rows of the first
                bodies = given["verts_a"] if given[owner] is None else given[owner]
                shift = bodies.shape[1] * torch.arange(count, device=bodies.device)
                given[name] = given[name] + shift[:, None]
        for name in _STACKED | _ROWS.keys():
            if isinstance(given.get(name), Tensor):
                given[name] = given[name].flatten(0, 1)
        out = op(*given.values())
        if isinstance(out, Tensor):
            return _apart(out, count), 0
        return tuple(_apart(each, count) for each in out), (0,) * len(out)

    return rule


def _apart(value: Tensor, count: int) -> Tensor:
    return value.reshape(count, value.shape[0] // count, *value.shape[1:])


for _op in (
    ops.region_min,
    ops.region_nearest,
    ops.region_matrix,
    ops.region_soft_min,
    ops.nearest_vertex,
    ops.nearest_surface,
    ops.winding_number,
    ops.inside,
):
    torch.library.register_vmap(_op, _rule(_op))
