"""Batches of a mixture of data sets, as its shares say; a batch hangs on the seed and its number alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from apu_losses.prior.layout import PriorLayout


@dataclass(frozen=True)
class CodedSet:
    """A data set as codes.

    Args:
        pairs: ``(N, 2, D)``.
        estimates: ``(N, 2, D)`` or None.
        share: of each batch.
    """

    pairs: Tensor
    estimates: Tensor | None
    share: float = 1.0


@dataclass(frozen=True)
class Batch:
    """B pairs of a step, with all that is drawn for them.

    Attributes:
        pairs: ``(B, 2, D)``.
        estimates: ``(B, 2, D)``, zeros where there are none.
        known: ``(B, 2, K)`` bool, which tokens of the estimates are told.
        t: ``(B,)`` times.
        noise: ``(B, 2, D)``.
    """

    pairs: Tensor
    estimates: Tensor
    known: Tensor
    t: Tensor
    noise: Tensor

    def part(self, rank: int, world: int) -> Batch:
        """Return every ``world``-th pair, from ``rank`` on: what one of several processes works on."""
        mine = slice(rank, None, world)
        return Batch(self.pairs[mine], self.estimates[mine], self.known[mine], self.t[mine], self.noise[mine])

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        each = (self.pairs, self.estimates, self.known, self.t, self.noise)
        return Batch(*(x.to(device) for x in each))


def counts_of(shares: Sequence[float], batch: int) -> list[int]:
    """Return how many of a batch each share gets: whole numbers whose sum is the batch.

    Example:
        >>> counts_of([0.4, 0.2, 0.2, 0.2], 512)
        [205, 103, 102, 102]
    """
    exact = [share / sum(shares) * batch for share in shares]
    counts = [int(x) for x in exact]
    by_rest = sorted(range(len(exact)), key=lambda i: (counts[i] - exact[i], i))
    for i in by_rest[: batch - sum(counts)]:
        counts[i] += 1
    return counts


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the generator of one step: a training that goes on later draws the same."""
    return torch.Generator(device="cpu").manual_seed((seed * 1_000_003 + step) % (1 << 63))


def draw_batch(
    sets: Sequence[CodedSet],
    layout: PriorLayout,
    batch: int,
    steps: int,
    nothing: float,
    some: float,
    generator: torch.Generator,
    *,
    mirror: bool = True,
) -> Batch:
    """Draw a batch.

    Args:
        sets: the mixture.
        layout: the numbers of a person.
        batch: B.
        steps: of the noise.
        nothing, some: shares of pairs whose estimates are dropped as a whole, and each token with 0.5.
        generator: of all that is drawn.
        mirror: turn half of the pairs into their mirror images.
    """

    def random(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float32, device="cpu")

    pairs, estimates, told = [], [], []
    for own, count in zip(sets, counts_of([s.share for s in sets], batch), strict=True):
        chosen = torch.randint(len(own.pairs), (count,), generator=generator, dtype=torch.int64, device="cpu")
        pairs.append(own.pairs[chosen])
        without = own.estimates is None
        estimates.append(torch.zeros_like(pairs[-1]) if own.estimates is None else own.estimates[chosen])
        told.append(torch.full((count,), not without, dtype=torch.bool, device="cpu"))
    x, c, has = torch.cat(pairs), torch.cat(estimates), torch.cat(told)
    turned = (random(batch) < 0.5)[:, None, None]
    if mirror and layout.mirrors:
        x, c = (torch.where(turned, layout.mirror(v), v) for v in (x, c))
    lot, each = random(batch)[:, None, None], random(batch, 2, len(layout.sizes)) < 0.5
    known = torch.where(lot < nothing, False, torch.where(lot < nothing + some, each, True))
    return Batch(
        x,
        c,
        known & has[:, None, None],
        torch.randint(steps, (batch,), generator=generator, dtype=torch.int64, device="cpu"),
        torch.randn(x.shape, generator=generator, dtype=torch.float32, device="cpu"),
    )
