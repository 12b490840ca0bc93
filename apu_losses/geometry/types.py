"""What the geometry operators take and give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

BackendName = Literal["auto", "reference", "torch", "cpu", "cuda"]
BACKENDS: tuple[str, ...] = ("reference", "torch", "cpu", "cuda")


class RegionMinimum(NamedTuple):
    """Nearest vertices of two regions.

    ``distance2``: squared distance (squared metres for metres in). ``index_a``, ``index_b``: vertex ids in
    the two meshes, int64. An empty region gives +inf and -1; a non-finite vertex in either region gives NaN
    and -1.
    """

    distance2: Tensor
    index_a: Tensor
    index_b: Tensor


class RegionNearest(NamedTuple):
    """For every vertex of either group of each edge, the nearest vertex of the other group; S answers.

    ``distance2 (S,)``: squared distance. ``index_a``, ``index_b`` ``(S,)``: vertex ids in the two meshes,
    int64. ``offsets (2K + 1,)``: the answers of edge k are first, from ``offsets[2k]`` on, those of the
    vertices ``index_a`` of its group a, ascending, then, from ``offsets[2k + 1]`` on, those of the vertices
    ``index_b`` of its group b. Where the other group is empty +inf and both ids -1; NaN and -1 for all
    answers of an edge with a vertex in either group that is not finite.
    """

    distance2: Tensor
    index_a: Tensor
    index_b: Tensor
    offsets: Tensor


class NearestVertex(NamedTuple):
    """The nearest vertex of each query: ``distance2 (B, Q)``, ``vertex (B, Q)`` int64 ids (-1: none)."""

    distance2: Tensor
    vertex: Tensor


class NearestSurface(NamedTuple):
    """For each query point, the closest point of a surface.

    ``distance2 (B, Q)``, ``face (B, Q)`` int64 (-1: none), ``barycentric (B, Q, 3)``: weights of the three
    corners of that face, a constant of the gradient.
    """

    distance2: Tensor
    face: Tensor
    barycentric: Tensor


class WindingNumber(NamedTuple):
    """Winding numbers ``value (B, Q)``, each within ``bound (B, Q)`` of the exact one but for rounding."""

    value: Tensor
    bound: Tensor


class Penetration(NamedTuple):
    """Which query points lie inside a mesh, how deep, and towards where.

    ``inside (B, Q)`` bool. ``distance2 (B, Q)``: squared depth, 0 outside. ``target (B, Q)``: nearest vertex,
    or face, -1 outside. ``barycentric (B, Q, 3)``: weights on that face, None for vertex targets.
    """

    inside: Tensor
    distance2: Tensor
    target: Tensor
    barycentric: Tensor | None


@dataclass(frozen=True)
class RegionPairs:
    """Contacts as edges of a graph whose nodes are bodies (rows of a vertex tensor).

    Edge k asks for the minimum between group ``group_a[k]`` of body ``row_a[k]`` and group ``group_b[k]`` of
    body ``row_b[k]``. A group is a region, or, with ``unions``, a union of regions: ``unions = (offsets
    (G+1,), regions (M,))`` lists the regions of each group (CSR). All tensors are int64.
    An edge from a row to itself is self-contact. ``laid_out``: what `region_nearest_vertex` remembers.

    Example:
        >>> pairs = RegionPairs.from_offsets([0, 2, 3], [17, 3, 5], [71, 40, 5])  # two of item 0, one of 1
        >>> len(pairs), pairs.row_a.tolist(), pairs.transposed().group_a.tolist()
        (3, [0, 0, 1], [71, 40, 5])
    """

    row_a: Tensor
    row_b: Tensor
    group_a: Tensor
    group_b: Tensor
    unions: tuple[Tensor, Tensor] | None = None
    laid_out: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        count = self.row_a.shape
        for name in ("row_a", "row_b", "group_a", "group_b"):
            value = getattr(self, name)
            if value.dim() != 1 or value.shape != count or value.dtype != torch.int64:
                raise ValueError(
                    f"RegionPairs.{name} must be an int64 tensor of shape {tuple(count)} like row_a, "
                    f"got {value.dtype} {tuple(value.shape)}; the four tensors list one edge per element"
                )

    def __len__(self) -> int:
        return int(self.row_a.shape[0])

    @classmethod
    def from_offsets(
        cls,
        offsets: Tensor | Sequence[int],
        region_a: Tensor | Sequence[int],
        region_b: Tensor | Sequence[int],
        unions: tuple[Tensor, Tensor] | None = None,
    ) -> RegionPairs:
        """Pairs as CSR over items: item b (row b of both vertex tensors) owns pairs
        offsets[b]:offsets[b+1].
        """
        offsets, region_a, region_b = (_indices(x) for x in (offsets, region_a, region_b))
        if (
            offsets.dim() != 1
            or len(offsets) < 1
            or int(offsets[0]) != 0
            or int(offsets[-1]) != len(region_a)
        ):
            raise ValueError(
                f"offsets must be B + 1 numbers from 0 to the number of pairs ({len(region_a)}), "
                f"got {offsets.tolist()[:8]}; the last offset must be the number of pairs"
            )
        sizes = offsets.diff()
        if bool((sizes < 0).any()):
            raise ValueError("offsets must never fall; item sizes would be negative")
        # By NumPy: torch starts OpenMP for this however short it is, and hangs there in a forked process.
        rows = torch.from_numpy(np.repeat(np.arange(len(sizes), dtype=np.int64), sizes.numpy(force=True))).to(
            offsets.device
        )
        return cls(rows, rows, region_a, region_b, unions)

    @classmethod
    def from_unions(
        cls,
        row_a: Tensor | Sequence[int],
        row_b: Tensor | Sequence[int],
        regions_a: Sequence[Sequence[int]],
        regions_b: Sequence[Sequence[int]],
    ) -> RegionPairs:
        """Edges between unions of regions: ``regions_a[k]`` lists the regions of the first side of edge k."""
        known: dict[tuple[int, ...], int] = {}
        sides = [
            torch.tensor(
                [known.setdefault(tuple(sorted(set(ids))), len(known)) for ids in side],
                dtype=torch.int64,
                device="cpu",
            )
            for side in (regions_a, regions_b)
        ]
        sizes = torch.tensor([0, *(len(ids) for ids in known)], dtype=torch.int64, device="cpu")
        flat = torch.tensor([i for ids in known for i in ids], dtype=torch.int64, device="cpu")
        rows = [_indices(r) for r in (row_a, row_b)]
        return cls(rows[0], rows[1], sides[0], sides[1], (sizes.cumsum(0), flat))

    def transposed(self) -> RegionPairs:
        """Return the same contacts with the two sides swapped in region, not in row: "the other way
        round"."""
        return replace(self, group_a=self.group_b, group_b=self.group_a)

    def to(self, device: torch.device | str) -> RegionPairs:
        """Return the same edges on another device."""
        unions = None if self.unions is None else (self.unions[0].to(device), self.unions[1].to(device))
        return RegionPairs(
            self.row_a.to(device),
            self.row_b.to(device),
            self.group_a.to(device),
            self.group_b.to(device),
            unions,
        )


def _indices(values: Tensor | Sequence[int]) -> Tensor:
    """As int64: a tensor stays where it is, a list goes to host memory."""
    if isinstance(values, Tensor):
        return values.to(torch.int64)
    return torch.tensor(values, dtype=torch.int64, device="cpu")
