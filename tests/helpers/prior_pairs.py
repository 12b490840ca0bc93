"""Pairs of people for tests of the prior: drawn, so that every number differs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from apu_losses.prior import PriorLayout, encode, root_offset
from apu_losses.prior.pairs import PairSet


def drawn_people(count: int, seed: int = 0, size: float = 0.3) -> list[dict[str, Tensor]]:
    """Two people of each of ``count`` pairs, of different build and age, some 60 cm apart, float64."""
    generator = torch.Generator().manual_seed(seed)

    def normal(width: int, spread: float) -> Tensor:
        return spread * torch.randn(count, width, generator=generator, dtype=torch.float64)

    people = []
    for x in (0.0, 0.6):
        people.append(
            {
                "global_orient": normal(3, 0.8),
                "body_pose": normal(63, size),
                "betas": normal(10, 1.0),
                "age": torch.rand(count, 1, generator=generator, dtype=torch.float64),
                "transl": normal(3, 0.2) + torch.tensor([x, 0.1, 3.0], dtype=torch.float64),
            }
        )
    return people


def code_of(body, layout: PriorLayout, a, b) -> Tensor:
    """``(P, 2, D)`` in the precision of what is given."""
    offsets = [root_offset(body, p, layout) for p in (a, b)]
    return encode(layout, a, b, *offsets)


def turned(person, body, layout, turn: Tensor, shift: Tensor):
    """The same person, moved as a rigid body: turned about the origin of the frame, then shifted."""
    import roma

    offset = root_offset(body, person, layout)
    root = (person["transl"] + offset) @ turn.T + shift
    orient = roma.rotmat_to_rotvec(turn @ roma.rotvec_to_rotmat(person["global_orient"]))
    return {**person, "global_orient": orient, "transl": root - offset}


def pair_set(count: int, seed: int = 0, told: bool = True) -> PairSet:
    """Pairs with estimates that are off by some noise."""
    a, b = drawn_people(count, seed)
    params = {n: np.stack([a[n].numpy(), b[n].numpy()], 1) for n in a}
    rng = np.random.default_rng(seed)
    estimates = {n: v + 0.05 * rng.normal(size=v.shape) for n, v in params.items()}
    return PairSet(params, estimates if told else None, [f"kind {i % 2}" for i in range(count)])
