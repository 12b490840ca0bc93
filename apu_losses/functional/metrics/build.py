"""How a body is built, in units of people: litres of volume, and how thick its parts are.

Coefficients of shape are no measure of a body: a unit of one may be a hand's breadth of girth and of another
nothing. A fit that thins a body to come out of another one shows here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from apu_losses.numerics.precision import widen


def body_volumes(vertices: Tensor, faces: Tensor) -> Tensor:
    """Return the volume inside closed meshes.

    Args:
        vertices: ``(N, V, 3)`` metres.
        faces: ``(F, 3)`` outward faces of a closed mesh.

    Returns:
        ``(N,)`` litres; NaN where a coordinate is not finite.

    Example:
        >>> import torch
        >>> corners = torch.tensor([[[0.0, 0, 0], [0.3, 0, 0], [0, 0.3, 0], [0, 0, 0.2]]])
        >>> faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        >>> round(float(body_volumes(corners, faces)), 4)  # 0.3 * 0.3 * 0.2 / 6 cubic metres
        3.0
    """
    if vertices.dim() != 3 or vertices.shape[2] != 3:
        raise ValueError(f"vertices must have shape (N, V, 3), got {tuple(vertices.shape)}")
    points = widen(vertices).double()
    corners = (points - points.mean(1, keepdim=True))[:, faces]  # near the origin nothing cancels
    product = torch.linalg.cross(corners[:, :, 0], corners[:, :, 1])
    litres: Tensor = 1000 * (product * corners[:, :, 2]).sum(2).sum(1) / 6
    return litres.to(widen(vertices).dtype)


def part_thickness(vertices: Tensor, parts: Sequence[Tensor]) -> Tensor:
    """How thick parts of bodies are: root mean square distance of their vertices from their long axis.

    The axis is that of the greatest spread. A cylinder that gets a tenth thinner has a tenth less, whatever
    becomes of its length, as long as it stays longer than thick. Compare it with the same part of the same
    mesh only: it hangs on where vertices lie.

    Args:
        vertices: ``(N, V, 3)`` metres, bodies at rest.
        parts: vertex ids of each part.

    Returns:
        ``(N, len(parts))`` metres; NaN where a coordinate is not finite, or for a part of fewer than 4
        vertices.
    """
    columns = [vertices.new_full((len(vertices),), torch.nan) for _ in parts]
    for number, ids in enumerate(parts):
        if len(ids) < 4:
            continue
        points = widen(vertices[:, ids]).double()
        known = points.isfinite().flatten(1).all(1)
        points = torch.where(known[:, None, None], points, 0.0)
        points = points - points.mean(1, keepdim=True)
        spread = torch.linalg.eigvalsh(points.transpose(1, 2) @ points / len(ids))
        across = spread[:, :2].sum(1).clamp(min=0).sqrt()  # all but the largest
        columns[number] = torch.where(known, across, torch.nan).to(vertices.dtype)
    return torch.stack(columns, 1) if columns else vertices.new_zeros(len(vertices), 0)
