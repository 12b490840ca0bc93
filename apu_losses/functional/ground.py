"""The floor: feet stand on it and nothing is below it.

A plane is four numbers ``(n_x, n_y, n_z, d)``: the unit normal ``n`` points up, and a point x is
``n . x - d`` metres above it. In the camera frame (+Y down) a level floor 1.5 m under the camera is
``(0, -1, 0, -1.5)``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from apu_losses.functional.robust import geman_mcclure

UP = (0.0, -1.0, 0.0)
"""Up in the camera frame of a camera that is held level."""


def ground_height(points: Tensor, plane: Tensor) -> Tensor:
    """Metres above the floor: ``(K, 3)`` and ``(4,)`` or ``(K, 4)`` to ``(K,)``; negative below it.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> import torch
        >>> from apu_losses.functional import ground_height
        >>> floor = torch.tensor([0.0, -1.0, 0.0, 1.5])  # y is down, the floor 1.5 m below the camera
        >>> ground_height(torch.tensor([[0.2, 1.4, 3.0], [0.0, 1.6, 3.0]]), floor)
        tensor([-2.9000, -3.1000])
    """
    if points.dim() != 2 or points.shape[1] != 3 or plane.shape not in ((4,), (len(points), 4)):
        raise ValueError(
            "points must have shape (K, 3) and plane (4,) or (K, 4), "
            f"got {tuple(points.shape)} and {tuple(plane.shape)}"
        )
    return (points * plane[..., :3]).sum(1) - plane[..., 3]


def feet_on_ground(height: Tensor, *, robust: float | None = 0.1) -> Tensor:
    """``rho^2 h^2 / (rho^2 + h^2)``: what a foot pays for not touching the floor.

    Args:
        height: ``(K,)`` of the lowest point of each foot, metres.
        robust: rho, metres: a foot that is higher than this is lifted, and let go. ``None``: ``h^2``.

    Returns:
        ``(K,)`` square metres.

    Example:
        >>> import torch
        >>> from apu_losses.functional import feet_on_ground
        >>> feet_on_ground(torch.tensor([0.0, 0.1, 1.0]))
        tensor([0.0000, 0.0050, 0.0099])
    """
    squared = height.square()
    return squared if robust is None else geman_mcclure(squared, robust)


def below_ground(height: Tensor) -> Tensor:
    """Squared depth under the floor, 0 above it: ``(K,)`` to ``(K,)``, square metres.

    Example:
        >>> import torch
        >>> from apu_losses.functional import below_ground
        >>> below_ground(torch.tensor([0.2, -0.1]))
        tensor([0.0000, 0.0100])
    """
    return torch.relu(-height).square()


def fit_ground(soles: Tensor, *, up: Tensor | None = None, reach: float = 0.3, tilt: float = 0.1) -> Tensor:
    """Return a floor through the lowest points of people: least squares, held near level.

    With ``y`` a sole's height along ``up`` and ``p, q`` its place on the level, ``sum (y - a - b p - c q)^2 +
    (0.05 / tilt)^2 (b^2 + c^2)`` is made small over a, b and c, so that one person gives a level floor and
    people who stand apart tilt it.

    Args:
        soles: ``(K, 3)`` the lowest point of each person, metres.
        up: ``(3,)`` unit vector; `UP` by default.
        reach: soles that are more than this above the lowest one do not stand (a child who is carried).
        tilt: how far from level the floor may well be, as a slope, if soles are known to 5 cm.

    Returns:
        ``(4,)`` the plane. No gradient.

    Raises:
        ValueError: no soles.

    Example:
        >>> import torch
        >>> from apu_losses.functional import fit_ground
        >>> soles = torch.tensor([[0.0, 1.5, 3.0], [1.0, 1.5, 4.0], [-1.0, 1.5, 2.5], [0.5, 1.5, 3.5]])
        >>> print([round(value, 3) + 0.0 for value in fit_ground(soles).tolist()])
        [0.0, -1.0, 0.0, -1.5]
    """
    if soles.dim() != 2 or soles.shape[1] != 3 or not len(soles):
        raise ValueError(f"soles must have shape (K, 3) with K >= 1, got {tuple(soles.shape)}")
    points = soles.detach().double()
    up = points.new_tensor(UP) if up is None else up.to(points)
    height = points @ up
    points = points[height <= height.min() + reach]
    # two level directions: the axis least along up, made orthogonal, and their cross product
    axis = torch.eye(3, dtype=points.dtype, device=points.device)[up.abs().argmin()]
    first = torch.nn.functional.normalize(axis - (axis @ up) * up, dim=0)
    level = torch.stack([first, torch.linalg.cross(up, first)])
    middle = points.mean(0)
    places, rise = (points - middle) @ level.T, (points - middle) @ up
    ridge = (0.05 / tilt) ** 2 * torch.eye(2, dtype=points.dtype, device=points.device)
    slope = torch.linalg.solve(places.T @ places + ridge, places.T @ rise)
    normal = torch.nn.functional.normalize(up - slope @ level, dim=0)
    return torch.cat([normal, (normal @ middle)[None]]).to(soles.dtype)
