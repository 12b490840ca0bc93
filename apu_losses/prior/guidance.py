"""Where a prior would have two people who are being fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from apu_losses.bodies.protocol import BodyModel
from apu_losses.numerics.ordered import ordered_matmul
from apu_losses.numerics.rotations import rotation_matrix
from apu_losses.prior.model import ContactPrior
from apu_losses.prior.representation import decode, encode, parameters_of, root_offset


@dataclass(frozen=True)
class Guidance:
    """Where P pairs should be, without gradient.

    Attributes:
        rows_a, rows_b: ``(P,)`` the people.
        pose: ``(P, 2, 3 J)`` axis-angle, as ``body_pose`` would be.
        shape: ``(P, 2, size)`` by the names of the body's parameters.
        turn: ``(P, 3, 3)`` the second person's root seen from the first's.
        apart: ``(P, 3)`` from the first person's ``transl`` to the second's, metres, as they are turned now.
        params: ``(P, 2, size)`` of bodies that would be there: both moved and turned half way each.
    """

    rows_a: Tensor
    rows_b: Tensor
    pose: Tensor
    shape: dict[str, Tensor]
    turn: Tensor
    apart: Tensor
    params: dict[str, Tensor]


def drawn_noise(prior: ContactPrior, seed: int) -> Tensor:
    """``(D,)`` the noise of a fit: of its own generator, so that nothing else that draws changes it."""
    generator = torch.Generator(device="cpu").manual_seed(seed)
    return torch.randn(prior.layout.size, generator=generator, dtype=torch.float32, device="cpu")


@torch.no_grad()
def guide(
    prior: ContactPrior,
    body: BodyModel,
    params: Mapping[str, Tensor],
    start: Mapping[str, Tensor] | None,
    rows_a: Tensor,
    rows_b: Tensor,
    noise: Tensor,
    t: int,
    *,
    scale: float = 1.0,
) -> Guidance:
    """Add noise to pairs, take it away again, and say where that leads.

    Args:
        prior: of this body.
        params: ``(N, size)`` of all people, as they are.
        start: the same, of their initial estimates, which the prior is told; None: it is told nothing.
        rows_a, rows_b: ``(P,)`` who belongs together.
        noise: ``(D,)``, see `drawn_noise`.
        t: how much noise: at 10 of 1000 it is 2.7 cm and 1.5 degrees.
        scale: of classifier-free guidance.
    """
    layout = prior.layout
    dtype = params["transl"].dtype
    offset = root_offset(body, params, layout)
    code = _code(prior, params, rows_a, rows_b, offset)
    known = None
    if start is not None:
        known = _code(prior, start, rows_a, rows_b, root_offset(body, start, layout)).to(
            prior.device, torch.float32
        )
    wanted = prior.target(code.to(prior.device, torch.float32), known, t, noise.to(prior.device), scale=scale)
    pair = decode(layout, wanted.to(code.device, dtype))
    turn_a, turn_b = (rotation_matrix(params["global_orient"][rows]) for rows in (rows_a, rows_b))
    root_a, root_b = (params["transl"][rows] + offset[rows] for rows in (rows_a, rows_b))
    way = ordered_matmul(turn_a, pair.way_a[..., None]) - ordered_matmul(turn_b, pair.way_b[..., None])
    found, places = parameters_of(layout, pair, turn_a, turn_b, 0.5 * (root_a + root_b))
    flat = {name: value.flatten(0, 1) for name, value in found.items()}
    moved = places.flatten(0, 1) - root_offset(body, {**flat, "transl": places.flatten(0, 1)}, layout)
    return Guidance(
        rows_a,
        rows_b,
        found["body_pose"],
        pair.shape,
        pair.turn,
        0.5 * way[..., 0] - (offset[rows_b] - offset[rows_a]),
        {**found, "transl": moved.unflatten(0, (-1, 2))},
    )


def _code(
    prior: ContactPrior, params: Mapping[str, Tensor], rows_a: Tensor, rows_b: Tensor, offset: Tensor
) -> Tensor:
    a, b = ({name: value.detach()[rows] for name, value in params.items()} for rows in (rows_a, rows_b))
    return encode(prior.layout, a, b, offset[rows_a], offset[rows_b])
