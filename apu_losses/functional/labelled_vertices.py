"""Vertices that are said to touch are pulled to those of the other person that are: contact without regions.

For heads that say of each vertex whether it touches (DECO, InteractVLM, HACO, heads on MHR). Which vertex
touches which is not said: each looks for the nearest labelled one of the other person, anew in each call.
"""

from __future__ import annotations

import torch
from torch import Tensor

from apu_losses.functional.options import check_number
from apu_losses.functional.robust import geman_mcclure
from apu_losses.geometry.checks import check_vertices
from apu_losses.geometry.operators import nearest_vertex
from apu_losses.geometry.types import BackendName
from apu_losses.numerics.precision import widen


def dense_contact(
    verts_a: Tensor,
    verts_b: Tensor,
    contacts_a: Tensor,
    contacts_b: Tensor,
    *,
    threshold: float = 0.5,
    robust: float | None = None,
    backend: BackendName = "auto",
) -> Tensor:
    """Mean squared distance from the labelled vertices of either person to the nearest of the other's.

    ``(sum_v p_v d_v^2 / sum_v p_v + sum_u q_u d_u^2 / sum_u q_u) / 2`` over the vertices v of a and u of b
    whose probabilities reach the threshold; ``d_v`` is the distance to the nearest such vertex of b. The two
    people may be of different topologies. Labels of a floor or a chair must not be among them:
    `apu_contacts.match_dense_contacts` says which have a partner (``matched_a``, ``matched_b``).

    Args:
        verts_a, verts_b: ``(B, V, 3)`` and ``(B, V', 3)`` metres.
        contacts_a, contacts_b: probabilities ``(V,)`` and ``(V',)`` for all pairs, or ``(B, V)`` and
            ``(B, V')``.
        threshold: probabilities from here on take part.
        robust: metres; vertices farther away than this let go (Geman-McClure), one by one. None: never.
        backend: of the geometry search.

    Returns:
        ``(B,)`` squared metres, differentiable in both bodies; 0 with zero gradient for a pair of which one
        has no label. NaN where a labelled vertex is not finite.

    Raises:
        ValueError: shapes that do not agree, or values that are no probabilities.

    Example:
        >>> import torch
        >>> from apu_losses.functional import dense_contact
        >>> verts_a = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [5.0, 0.0, 0.0]]])
        >>> verts_b = verts_a + torch.tensor([0.0, 0.2, 0.0])
        >>> labels = torch.tensor([1.0, 1.0, 0.0])
        >>> dense_contact(verts_a, verts_b, labels, labels)
        tensor([0.0400])
        >>> dense_contact(verts_a, verts_b, labels, torch.tensor([0.0, 0.9, 0.0]))  # 0 looks 1 m to the side
        tensor([0.2900])
    """
    check_number("threshold", threshold, positive=True)
    if robust is not None:
        check_number("robust", robust, positive=True)
    check_vertices("verts_a", verts_a)
    check_vertices("verts_b", verts_b)
    if len(verts_a) != len(verts_b):
        raise ValueError(
            f"verts_a, verts_b must have as many bodies of one as of the other, got {len(verts_a)} and "
            f"{len(verts_b)}"
        )
    a, b = widen(verts_a), widen(verts_b)
    chances = [
        _chances(name, values, mesh)
        for name, values, mesh in (("contacts_a", contacts_a, a), ("contacts_b", contacts_b, b))
    ]
    return (
        torch.stack(
            [
                _one_pair(a[k], b[k], chances[0][k], chances[1][k], threshold, robust, backend)
                for k in range(len(a))
            ]
        )
        if len(a)
        else a.new_zeros(0)
    )


def _one_pair(
    a: Tensor,
    b: Tensor,
    chance_a: Tensor,
    chance_b: Tensor,
    threshold: float,
    robust: float | None,
    backend: BackendName,
) -> Tensor:
    ids_a, ids_b = ((c >= threshold).nonzero()[:, 0] for c in (chance_a, chance_b))
    if not len(ids_a) or not len(ids_b):
        return (a.sum() + b.sum()) * 0 if bool(a.isfinite().all() & b.isfinite().all()) else a.new_zeros(())
    points_a, points_b = a.index_select(0, ids_a), b.index_select(0, ids_b)
    if not bool(points_a.isfinite().all() & points_b.isfinite().all()):
        return a.new_full((), torch.nan)
    sides = (points_a, points_b, chance_a[ids_a]), (points_b, points_a, chance_b[ids_b])
    means = []
    for points, others, chance in sides:
        squared = nearest_vertex(points[None], others[None], backend=backend).distance2[0]
        each = squared if robust is None else geman_mcclure(squared, robust)
        means.append((each * chance).sum() / chance.sum())
    return (means[0] + means[1]) / 2


def _chances(name: str, values: Tensor, mesh: Tensor) -> Tensor:
    """Return them as ``(B, V)``."""
    given = torch.as_tensor(values, dtype=mesh.dtype, device=mesh.device)
    wanted = (len(mesh), mesh.shape[1])
    if given.shape not in (wanted, wanted[1:]):
        raise ValueError(
            f"{name} must be one probability a vertex, of shape {wanted[1:]} or {wanted}, got "
            f"{tuple(given.shape)}; of another topology?"
        )
    if not bool(((given >= 0) & (given <= 1)).all()):
        raise ValueError(
            f"{name} must be probabilities from 0 to 1, got {float(given.min()):.4g} to "
            f"{float(given.max()):.4g}; are these logits, which a sigmoid makes probabilities of?"
        )
    return given.expand(wanted)
