"""What lies near a place of a body along its skin, and what lies far: the ground of the test for
self-penetration.

Distances run along the edges of the mesh at rest, so they are a little longer than on the surface, and do not
change with the pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree
from torch import Tensor

from apu_losses.geometry.constants import BLOCK, FACE_BLOCK
from apu_losses.geometry.topology import MeshTopology, is_closed

_WIDTH = 0.08  # metres along the skin from the middle of a patch to its border; a patch shares what is near


class ClosedPart(NamedTuple):
    """A piece of a mesh, closed by a lid over each of its cuts.

    A cut is a loop of edges; its lid is a fan of triangles from the loop to the mean of its vertices.

    Attributes:
        topology: of the piece and its lids; the vertices of the body, and one more for each lid.
        rim: ``(L,)`` vertices of all loops.
        lid: ``(L,)`` which lid each belongs to.
        lids: their number.
    """

    topology: MeshTopology
    rim: Tensor
    lid: Tensor
    lids: int

    def vertices(self, body: Tensor) -> Tensor:
        """``(N, V, 3)`` of bodies to ``(N, V + lids, 3)``."""
        count = torch.bincount(self.lid, minlength=self.lids).clamp(min=1)[:, None]
        total = body.new_zeros(len(body), self.lids, 3).index_add(1, self.lid, body[:, self.rim])
        return torch.cat([body, total / count], 1)


@dataclass(frozen=True)
class Surroundings:
    """What surrounds one patch of the skin: what is near, closed, and what is far, as it is."""

    near: ClosedPart
    far: MeshTopology


class SkinPatches:
    """The skin of a mesh in patches of some centimetres, each of which knows what is near to it.

    Build it once for a mesh and keep it: the surroundings of a patch are made when first asked for.

    Args:
        topology: of the mesh.
        template: ``(V, 3)`` the body at rest, metres.
        apart: metres along the skin, on a body of the template's size, from which on two places are far from
            each other. Half a metre is farther than the two sides of any fold (calf and thigh of a knee that
            is bent all the way: 0.4 m) and nearer than a hand and any trunk.

    Raises:
        ValueError: a template of another mesh, or ``apart`` not longer than a patch.

    Example:
        >>> import trimesh
        >>> from apu_losses.functional import SkinPatches
        >>> from apu_losses.geometry import MeshTopology
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> skin = SkinPatches(MeshTopology.build(ball.faces, len(ball.vertices)), ball.vertices, apart=0.5)
        >>> skin.apart
        0.5
    """

    def __init__(self, topology: MeshTopology, template: ArrayLike | Tensor, apart: float = 0.5) -> None:
        points = np.asarray(
            torch.as_tensor(template, dtype=torch.float64, device="cpu").detach().cpu(), dtype=np.float64
        )
        if points.shape != (topology.vertex_count, 3):
            raise ValueError(
                f"template must have shape ({topology.vertex_count}, 3), as the mesh, got {points.shape}"
            )
        if not apart > _WIDTH:
            raise ValueError(f"apart must be more than {_WIDTH} (metres along the skin), got {apart}")
        self.topology = topology
        self.apart = apart
        self._faces = topology.faces.cpu().numpy()
        # faces in the order of blocks that lie together, which parts keep
        slots = topology.face_slots.cpu().numpy()
        self._order = slots[np.sort(np.unique(slots, return_index=True)[1])]
        self._graph = _edge_lengths(self._faces, points)
        self.centres, patch = _cover(self._graph, _WIDTH)
        self.patch = torch.from_numpy(patch)
        self._made: dict[tuple[int, torch.device], Surroundings] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without what was made for a device, which the reader of a pickle may not have."""
        return {**self.__dict__, "_made": {}}

    def around(self, patch: int, device: torch.device) -> Surroundings:
        """Return what is near to a patch and what is far, on a device."""
        if (patch, device) not in self._made:
            reached = dijkstra(self._graph, indices=self.centres[patch], limit=self.apart) <= self.apart
            near = reached[self._faces[self._order]].all(1)
            count = self.topology.vertex_count
            self._made[patch, device] = Surroundings(
                _closed(self._faces[self._order[near]], count, device),
                _part(self._faces[self._order[~near]], count, device),
            )
        return self._made[patch, device]


def _edge_lengths(faces: NDArray[np.int64], points: NDArray[np.float64]) -> csr_array:
    """Return the edges of a mesh with their lengths; loose pieces (eyes) hang on the vertex nearest to
    them."""
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ends = np.unique(np.sort(ends, axis=1), axis=0)

    def graph() -> csr_array:
        length = np.linalg.norm(points[ends[:, 0]] - points[ends[:, 1]], axis=1)
        # an edge without length would read as no edge
        return csr_array((length.clip(min=1e-9), tuple(ends.T)), shape=(len(points), len(points)))

    used = np.unique(faces)
    _, piece = connected_components(graph(), directed=False)
    sizes = np.bincount(piece[used])
    largest = used[piece[used] == sizes.argmax()]
    bridges = []
    for other in np.flatnonzero(sizes):
        if other != sizes.argmax():
            own = used[piece[used] == other]
            apart, nearest = cKDTree(points[largest]).query(points[own])
            bridges.append((own[apart.argmin()], largest[nearest[apart.argmin()]]))
    ends = np.concatenate([ends, np.array(bridges, dtype=np.int64).reshape(-1, 2)])
    whole = graph()
    return whole + whole.T


def _cover(graph: csr_array, width: float) -> tuple[list[int], NDArray[np.int64]]:
    """Centres no nearer to each other than ``width``, and the centre next to each vertex, as its patch."""
    count = graph.shape[0]
    distance = np.full(count, np.inf)
    patch = np.zeros(count, dtype=np.int64)
    centres: list[int] = []
    for vertex in range(count):
        if distance[vertex] > width:
            found = dijkstra(graph, indices=vertex, limit=width)
            nearer = found < distance
            distance[nearer], patch[nearer] = found[nearer], len(centres)
            centres.append(vertex)
    return centres, patch


def _closed(faces: NDArray[np.int64], count: int, device: torch.device) -> ClosedPart:
    start, end = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    # an edge that is walked one way only is a border; the lid walks it the other way
    open_ = ~np.isin(start * count + end, end * count + start)
    a, b = start[open_], end[open_]
    rim = np.unique(np.concatenate([a, b]))
    links = csr_array((np.ones(len(a)), (np.searchsorted(rim, a), np.searchsorted(rim, b))), (len(rim),) * 2)
    lids, lid = connected_components(links, directed=False) if len(rim) else (0, np.zeros(0, np.int64))
    fan = np.stack([b, a, count + lid[np.searchsorted(rim, a)]], 1)
    return ClosedPart(
        _part(np.concatenate([faces, fan]), count + lids, device),
        torch.from_numpy(rim).to(device),
        torch.from_numpy(lid.astype(np.int64)).to(device),
        int(lids),
    )


def _part(faces: NDArray[np.int64], vertex_count: int, device: torch.device) -> MeshTopology:
    """Return a mesh of faces that already stand in block order; its tree is one leaf, for exact sums."""
    count = len(faces)
    part = MeshTopology(
        vertex_count=vertex_count,
        faces=torch.from_numpy(faces),
        slots=torch.arange(-(-vertex_count // BLOCK) * BLOCK, device="cpu").clamp(max=vertex_count - 1),
        face_slots=torch.arange(-(-count // FACE_BLOCK) * FACE_BLOCK, device="cpu").clamp(max=count - 1),
        face_order=torch.arange(count, device="cpu"),
        node_start=torch.tensor([0], dtype=torch.int64, device="cpu"),
        node_end=torch.tensor([count], dtype=torch.int64, device="cpu"),
        node_skip=torch.tensor([1], dtype=torch.int64, device="cpu"),
        closed=is_closed(faces, vertex_count),
    )
    return part.to(device)
