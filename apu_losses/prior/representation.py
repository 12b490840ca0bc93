"""Two people as numbers that do not change when both are moved or turned together.

Each person says where the other's root joint is and how it is turned, seen from their own root. So a pair has
no frame of its own: turned about the vertical, or seen from another camera, it has the same numbers.
Exchanging the people exchanges the two rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from apu_losses.bodies.protocol import BodyModel
from apu_losses.numerics.ordered import ordered_matmul
from apu_losses.numerics.rotations import rotation_matrix
from apu_losses.prior.layout import PriorLayout

Params = Mapping[str, Tensor]


def six_of(matrix: Tensor) -> Tensor:
    """``(..., 6)`` the first two columns of rotation matrices ``(..., 3, 3)``, one after the other."""
    return matrix[..., :2].transpose(-1, -2).flatten(-2)


def matrix_of(six: Tensor) -> Tensor:
    """``(..., 3, 3)`` the rotation nearest in Gram and Schmidt's sense, the first column first.

    Zhou et al., "On the continuity of rotation representations in neural networks", 2019.
    """
    first, second = six[..., :3], six[..., 3:]
    x = first / _length(first)
    y = second - (x * second).sum(-1, keepdim=True) * x
    y = y / _length(y)
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)


def _length(vector: Tensor) -> Tensor:
    return vector.square().sum(-1, keepdim=True).clamp(min=1e-12).sqrt()


def root_offset(body: BodyModel, params: Params, layout: PriorLayout) -> Tensor:
    """``(N, 3)`` from ``transl`` to the root joint: bodies of different size turn about different points."""
    shape = {name: params[name] for name, _ in layout.shape}
    rows = len(params["transl"])
    if not shape:
        shape = {"transl": torch.zeros_like(params["transl"])}
    with torch.no_grad():
        joints = body.pose({name: value.detach() for name, value in shape.items()}).joints[:, 0]
    return joints.expand(rows, 3)


def encode(layout: PriorLayout, a: Params, b: Params, root_a: Tensor, root_b: Tensor) -> Tensor:
    """Return codes of P pairs: ``(P, 2, D)``.

    Args:
        a, b: parameters ``(P, size)`` of the first and the second person.
        root_a, root_b: ``(P, 3)`` from ``transl`` to their root joints (`root_offset`).
    """
    turn_a, turn_b = rotation_matrix(a["global_orient"]), rotation_matrix(b["global_orient"])
    apart = (b["transl"] + root_b) - (a["transl"] + root_a)
    rows = []
    for own, turn, other, way in ((a, turn_a, turn_b, apart), (b, turn_b, turn_a, -apart)):
        back = turn.transpose(-1, -2)
        pose = six_of(rotation_matrix(own["body_pose"].unflatten(-1, (-1, 3)))).flatten(-2)
        shape = [own[name] for name, _ in layout.shape]
        there = ordered_matmul(back, way[..., None])[..., 0]
        parts = [pose, *shape, six_of(ordered_matmul(back, other)), there]
        rows.append(torch.cat(parts, -1))
    return torch.stack(rows, -2)


@dataclass(frozen=True)
class DecodedPair:
    """P pairs, as a prior's numbers have them.

    Attributes:
        pose: ``(P, 2, J, 3, 3)`` rotations of the joints.
        shape: parameters ``(P, 2, size)`` by name.
        turn: ``(P, 3, 3)`` the second person's root seen from the first's; what the two say of each other,
            made one.
        way_a, way_b: ``(P, 3)`` where the other's root is, seen by each, metres.
    """

    pose: Tensor
    shape: dict[str, Tensor]
    turn: Tensor
    way_a: Tensor
    way_b: Tensor


def decode(layout: PriorLayout, code: Tensor) -> DecodedPair:
    """Return the pairs of codes ``(P, 2, D)``."""
    parts = layout.slices
    pose = matrix_of(code[..., parts["pose"]].unflatten(-1, (-1, 6)))
    shape, first = {}, parts["shape"].start if "shape" in parts else 0
    for name, size in layout.shape:
        shape[name] = code[..., first : first + size]
        first += size
    six = code[..., parts["orient"]]
    said_a, said_b = matrix_of(six[:, 0]), matrix_of(six[:, 1]).transpose(-1, -2)
    # half way between the two, the same whoever is called first
    turn = matrix_of_middle(said_a, said_b)
    way = code[..., parts["transl"]]
    return DecodedPair(pose, shape, turn, way[:, 0], way[:, 1])


def matrix_of_middle(one: Tensor, other: Tensor) -> Tensor:
    """``(..., 3, 3)`` the rotation half way between two.

    Two that are half a turn apart have two such: one of them.
    """
    apart = roma.rotmat_to_rotvec(ordered_matmul(one.transpose(-1, -2), other))
    return ordered_matmul(one, rotation_matrix(0.5 * apart))


def parameters_of(
    layout: PriorLayout, pair: DecodedPair, turn_a: Tensor, turn_b: Tensor, middle: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """Return where the two would be: both moved and turned alike, so that nobody is called the first.

    Args:
        turn_a, turn_b: ``(P, 3, 3)`` how their roots are turned now.
        middle: ``(P, 3)`` half way between their root joints now.

    Returns:
        parameters ``(P, 2, size)`` without ``transl``, and the places of the root joints ``(P, 2, 3)``.
    """
    # the turn that leads b from where it is to where it is said to be, half for each
    wanted_b = ordered_matmul(turn_a, pair.turn)
    whole = roma.rotmat_to_rotvec(ordered_matmul(wanted_b, turn_b.transpose(-1, -2)))
    half = rotation_matrix(0.5 * whole)
    new_b = ordered_matmul(half, turn_b)
    new_a = ordered_matmul(half.transpose(-1, -2), turn_a)
    apart = 0.5 * (
        ordered_matmul(new_a, pair.way_a[..., None]) - ordered_matmul(new_b, pair.way_b[..., None])
    )
    apart = apart[..., 0]
    found = {
        "global_orient": roma.rotmat_to_rotvec(torch.stack([new_a, new_b], 1)),
        "body_pose": roma.rotmat_to_rotvec(pair.pose).flatten(-2),
        **pair.shape,
    }
    return found, torch.stack([middle - 0.5 * apart, middle + 0.5 * apart], 1)


def bodies_of(
    layout: PriorLayout, code: Tensor, body: BodyModel, turn: Tensor | None = None
) -> dict[str, Tensor]:
    """Return parameters ``(2 P, size)`` of pairs ``(P, 2, D)`` that stand about the origin.

    Args:
        turn: ``(P, 3, 3)`` how the first person's root is turned, as far as the pair lets it; not at all by
            default.

    Returns:
        differentiable in the code, by the names of the body; row 2 p is the first person of pair p.
    """
    pair = decode(layout, code)
    first = (
        torch.eye(3, dtype=code.dtype, device=code.device).expand(len(code), 3, 3) if turn is None else turn
    )
    second = ordered_matmul(first, pair.turn)
    found, places = parameters_of(layout, pair, first, second, code.new_zeros(len(code), 3))
    params = {name: value.flatten(0, 1) for name, value in found.items()}
    offset = _offset_with_gradient(body, params, layout)
    return {**params, "transl": places.flatten(0, 1) - offset}


def _offset_with_gradient(body: BodyModel, params: Params, layout: PriorLayout) -> Tensor:
    shape = {name: params[name] for name, _ in layout.shape}
    if not shape:
        return root_offset(body, {"transl": params["global_orient"].new_zeros(1, 3)}, layout)
    return body.pose(shape).joints[:, 0]
