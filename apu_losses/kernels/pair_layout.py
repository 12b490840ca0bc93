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

from apu_losses.kernels.topology import RegionIndex, to_be_kept
from apu_losses.kernels.types import RegionPairs


@dataclass(frozen=True)
class PairLayout:
    """Where the vertices of each edge stand in the flat list of S answers.

    Edge k owns ``offsets[2k]:offsets[2k + 2]``: first the vertices of its group a, then, from
    ``offsets[2k + 1]``, those of its group b, each ascending.

    Attributes:
        groups_a, groups_b: the groups of either side, each as one region.
        offsets: ``(2K + 1,)``.
        first: ``(K,)`` where the answers of each edge begin.
        edge: ``(S,)`` the edge of each answer.
    """

    groups_a: RegionIndex
    groups_b: RegionIndex
    offsets: Tensor
    first: Tensor
    edge: Tensor

    def __len__(self) -> int:
        return int(self.edge.shape[0])

    @classmethod
    def build(cls, pairs: RegionPairs, regions_a: RegionIndex, regions_b: RegionIndex) -> PairLayout:
        """List the vertices of ``pairs`` between meshes with these regions.

        Raises:
            ValueError: an edge that names a group that does not exist.
        """
        groups_a, groups_b = regions_a, regions_b
        if pairs.unions is not None:
            groups_a = regions_a.unions(*pairs.unions)
            groups_b = groups_a if regions_b is regions_a else regions_b.unions(*pairs.unions)
        sizes = [
            _sizes(name, groups, group)
            for name, groups, group in (("a", groups_a, pairs.group_a), ("b", groups_b, pairs.group_b))
        ]
        each = np.stack(sizes, axis=1).reshape(-1)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(each)])
        # By NumPy, for the reason that `RegionPairs.from_offsets` gives.
        edge = np.repeat(np.arange(len(pairs), dtype=np.int64), sizes[0] + sizes[1])
        device = pairs.row_a.device
        return cls(
            groups_a,
            groups_b,
            torch.from_numpy(offsets).to(device),
            torch.from_numpy(offsets[:-1:2].copy()).to(device),
            torch.from_numpy(edge).to(device),
        )


def layout_of(pairs: RegionPairs, regions_a: RegionIndex, regions_b: RegionIndex) -> PairLayout:
    """`PairLayout.build`, remembered by the pairs.

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
        layout = PairLayout.build(pairs, regions_a, regions_b)
    pairs.laid_out.append((regions_a, regions_b, layout))
    del pairs.laid_out[:-_KEPT]
    return layout


_KEPT = 4  # layouts that a set of pairs remembers


def _sizes(name: str, groups: RegionIndex, group: Tensor) -> NDArray[np.int64]:
    """The number of vertices of the group of each edge."""
    wanted = group.numpy(force=True)
    if len(wanted) and not 0 <= wanted.min() <= wanted.max() < len(groups):
        raise ValueError(
            f"pairs.group_{name}: expected groups in [0, {len(groups)}), got {wanted.min()}..{wanted.max()}"
        )
    found: NDArray[np.int64] = np.diff(groups.offsets.numpy(force=True))[wanted]
    return found
