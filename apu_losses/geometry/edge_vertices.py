"""Every vertex of both groups of every edge, listed flat: what `region_nearest_vertex` answers.

How many answers there are depends on the groups that the edges name and on nothing else. So the list is made
once for a set of edges, outside of the operator: an iteration of a fitter does not make it again, and
``torch.compile`` sees a size that it knows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apu_losses.geometry.topology import RegionIndex, to_be_kept
from apu_losses.geometry.types import RegionPairs


@dataclass(frozen=True)
class EdgeVertices:
    """Where the vertices of each edge stand in the flat list of S answers.

    Edge k owns ``offsets[2k]:offsets[2k + 2]``: first the vertices of its group a, then, from
    ``offsets[2k + 1]``, those of its group b, each ascending.

    Attributes:
        groups_a, groups_b: the groups of either side, each as one region.
        offsets: ``(2K + 1,)``.
        first: ``(K,)`` where the answers of each edge begin.
        edge: ``(S,)`` the edge of each answer.
        of_a: ``(S,)`` whether an answer is about a vertex of group a, not of group b.
        vertex: ``(S,)`` the vertex that it is about.
    """

    groups_a: RegionIndex
    groups_b: RegionIndex
    offsets: Tensor
    first: Tensor
    edge: Tensor
    of_a: Tensor
    vertex: Tensor

    def __len__(self) -> int:
        return int(self.edge.shape[0])

    @classmethod
    def build(cls, pairs: RegionPairs, regions_a: RegionIndex, regions_b: RegionIndex) -> EdgeVertices:
        """List the vertices of ``pairs`` between meshes with these regions.

        Raises:
            ValueError: an edge that names a group that does not exist.
        """
        groups_a, groups_b = regions_a, regions_b
        if pairs.unions is not None:
            groups_a = regions_a.unions(*pairs.unions)
            groups_b = groups_a if regions_b is regions_a else regions_b.unions(*pairs.unions)
        first_a, size_a = _runs("a", groups_a, pairs.group_a)
        first_b, size_b = _runs("b", groups_b, pairs.group_b)
        ids = np.concatenate([x.vertex_ids.numpy(force=True) for x in (groups_a, groups_b)])
        firsts = np.stack([first_a, first_b + len(groups_a.vertex_ids)], axis=1).reshape(-1)
        sizes = np.stack([size_a, size_b], axis=1).reshape(-1)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        # By NumPy, for the reason that `RegionPairs.from_offsets` gives.
        side = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
        vertex = ids[firsts[side] + np.arange(len(side)) - offsets[side]]
        listed = (offsets, offsets[:-1:2].copy(), side // 2, side % 2 == 0, vertex)
        return cls(groups_a, groups_b, *(torch.from_numpy(x).to(pairs.row_a.device) for x in listed))


def vertices_of_edges(pairs: RegionPairs, regions_a: RegionIndex, regions_b: RegionIndex) -> EdgeVertices:
    """`EdgeVertices.build`, remembered by the pairs.

    Raises:
        RuntimeError: in compiled code, which cannot make a list of a length that it does not know.
    """
    for known_a, known_b, layout in pairs.laid_out:
        if known_a is regions_a and known_b is regions_b:
            return layout
    if torch.compiler.is_compiling():
        raise RuntimeError(
            "compiled code cannot list the vertices of region pairs: run the function once before it is "
            "compiled, with the same RegionPairs and RegionIndex"
        )
    with to_be_kept():
        layout = EdgeVertices.build(pairs, regions_a, regions_b)
    pairs.laid_out.append((regions_a, regions_b, layout))
    del pairs.laid_out[:-_KEPT]
    return layout


_KEPT = 4  # layouts that a set of pairs remembers


def _runs(name: str, groups: RegionIndex, group: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the list of the group of each edge begins, and its length."""
    wanted, offsets = group.numpy(force=True), groups.offsets.numpy(force=True)
    if len(wanted) and not 0 <= wanted.min() <= wanted.max() < len(groups):
        raise ValueError(
            f"pairs.group_{name} must be groups in [0, {len(groups)}), got {wanted.min()}..{wanted.max()}"
        )
    return offsets[wanted], np.diff(offsets)[wanted]
