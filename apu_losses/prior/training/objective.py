"""What is wrong with a guess: numbers, joints, vertices, distances between the two, and overlap."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from apu_losses.bodies.protocol import BodyModel
from apu_losses.functional.penetration import penetration_loss
from apu_losses.prior.layout import PriorLayout
from apu_losses.prior.representation import bodies_of, matrix_of
from apu_losses.prior.training.config import LossWeights

_NEAR = 0.1
"""Metres: distances count by how near they are in truth, by this fall-off: touching is what matters."""


class Points(NamedTuple):
    """Joints ``(P, 2, J, 3)`` and chosen vertices ``(P, 2, M, 3)`` of pairs, metres."""

    joints: Tensor
    vertices: Tensor | None


def guess_loss(
    guess: Tensor, truth: Tensor, layout: PriorLayout, weights: LossWeights, body: BodyModel | None = None
) -> dict[str, Tensor]:
    """Return the weighted losses of a batch by name, each a mean over its pairs: nothing hangs on its size.

    Args:
        guess, truth: ``(B, 2, D)``.
        body: needed by all weights but those of ``pose``, ``orient``, ``shape`` and ``transl``.

    Raises:
        ValueError: a weight that needs a body, and none.
    """
    square = (guess - truth).square()
    found = {}
    for name, part in layout.slices.items():
        weight = getattr(weights, name)
        if weight > 0:
            found[name] = weight * square[..., part].sum((1, 2)).mean()
    through = ("joints", "vertices", "distances", "penetration")
    wanted = [name for name in through if getattr(weights, name) > 0]
    if not wanted:
        return found
    if body is None:
        raise ValueError(f"the losses {wanted} need a body")
    with_vertices = weights.vertices > 0 or weights.distances > 0
    ids = _spread(body, weights.points) if with_vertices else None
    ours = points_of(guess, layout, body, ids)
    with torch.no_grad():
        theirs = points_of(truth, layout, body, ids)
    if weights.joints > 0:
        found["joints"] = weights.joints * _mean_square(ours.joints, theirs.joints)
    if ours.vertices is not None and theirs.vertices is not None:
        if weights.vertices > 0:
            found["vertices"] = weights.vertices * _mean_square(ours.vertices, theirs.vertices)
        if weights.distances > 0:
            found["distances"] = (
                weights.distances * distance_field_loss(ours.vertices, theirs.vertices).mean()
            )
    if weights.penetration > 0:
        few = guess[: weights.penetration_pairs]
        vertices = body.pose(_in_body_kind(bodies_of(layout, few, body), body)).vertices()
        deep = penetration_loss(vertices[0::2], vertices[1::2], body.faces)
        found["penetration"] = weights.penetration * deep.nan_to_num().mean().to(guess.dtype)
    return found


def points_of(code: Tensor, layout: PriorLayout, body: BodyModel, ids: Tensor | None = None) -> Points:
    """Pose pairs of codes ``(P, 2, D)`` about the origin, with gradient."""
    posed = body.pose(_in_body_kind(bodies_of(layout, code, body), body))
    vertices = None if ids is None else posed.vertices(ids).unflatten(0, (-1, 2))
    return Points(posed.joints.unflatten(0, (-1, 2)), vertices)


def distance_field_loss(guess: Tensor, truth: Tensor) -> Tensor:
    """Return how wrong the distances between the points of two people are, nearer ones counting for more.

    Args:
        guess, truth: ``(B, 2, M, 3)`` metres.

    Returns:
        ``(B,)`` square metres: mean over the M x M distances, weighted by ``exp(-d / 10 cm)`` of the truth.

    Example:
        >>> import torch
        >>> truth = torch.tensor([[[[0.0, 0.0, 0.0]], [[0.1, 0.0, 0.0]]]])
        >>> guess = torch.tensor([[[[0.0, 0.0, 0.0]], [[0.3, 0.0, 0.0]]]])
        >>> distance_field_loss(guess, truth)
        tensor([0.0400])
    """
    now = (guess[:, 0, :, None] - guess[:, 1, None]).square().sum(-1).clamp(min=1e-10).sqrt()
    then = (truth[:, 0, :, None] - truth[:, 1, None]).square().sum(-1).sqrt()
    # of the nearest, so that people far apart are weighed by one and not by nothing
    weight = torch.exp(-(then - then.amin((1, 2), keepdim=True)) / _NEAR)
    return (weight * (now - then).square()).sum((1, 2)) / weight.sum((1, 2))


def _mean_square(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).square().sum(-1).mean()


def _spread(body: BodyModel, count: int) -> Tensor:
    count = min(count, body.num_vertices)
    return torch.arange(count, device=body.faces.device) * body.num_vertices // count


def _in_body_kind(params: dict[str, Tensor], body: BodyModel) -> dict[str, Tensor]:
    dtype = getattr(body, "dtype", torch.float32)
    return {name: value.to(dtype) for name, value in params.items()}


def rotation_error(guess: Tensor, truth: Tensor, layout: PriorLayout) -> Tensor:
    """``(B,)`` mean angle between the joints' rotations of codes ``(B, 2, D)``, radians."""
    part = layout.slices["pose"]
    one, other = (matrix_of(c[..., part].unflatten(-1, (-1, 6))) for c in (guess, truth))
    cosine = 0.5 * ((one * other).sum((-1, -2)) - 1)
    return cosine.clamp(-1, 1).arccos().flatten(1).mean(1)
