"""What touches what between two given meshes: regions, parts in words, distances, what lies inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from apu_contacts.contacts import ContactMap, PartContact
from apu_contacts.regions.region_map import RegionMap
from apu_contacts.regions.table import NUM_REGIONS, REGIONS
from apu_losses.functional.contact import check_regions
from apu_losses.functional.first_look import FirstLook
from apu_losses.functional.options import check_number
from apu_losses.functional.separation import Vertices, near_origin, one_mesh
from apu_losses.geometry.checks import check_alike, check_vertices
from apu_losses.geometry.operators import (
    Faces,
    nearest_vertex,
    penetration,
    region_distance_matrix,
)
from apu_losses.geometry.topology import MeshTopology, RegionIndex, as_region_index, as_topology
from apu_losses.geometry.types import BackendName

SCHEMA = "apu-touches/1"
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ids = NDArray[np.int64]


class TouchingParts(NamedTuple):
    """Somewhere on one part touches somewhere on another.

    Attributes:
        part_a, side_a, part_b, side_b: as of `apu_contacts.PartContact`.
        distance: metres between the nearest two vertices of the regions that touch.
        pairs: how many region pairs of the parts touch.
        inside_a, inside_b: vertices of the one part that lie inside the other body there; 0 where that was
            not looked at.
        depth: of the deepest of them, metres.

    Example:
        >>> from apu_losses.functional import TouchingParts
        >>> print(TouchingParts("hand", "left", "back", "none", 0.004, 2, 0, 0, 0.0))
        left hand touches back (0.4 cm apart)
    """

    part_a: str
    side_a: str
    part_b: str
    side_b: str
    distance: float
    pairs: int
    inside_a: int
    inside_b: int
    depth: float

    def contact(self) -> PartContact:
        """Return the same as a stated contact, confidence 1."""
        return PartContact(self.part_a, self.side_a, self.part_b, self.side_b)

    def __str__(self) -> str:
        how = f"{100 * self.distance:.1f} cm apart"
        if self.inside_a or self.inside_b:
            count = self.inside_a + self.inside_b
            some = "1 vertex inside," if count == 1 else f"{count} vertices inside, up to"
            how = f"{some} {100 * self.depth:.1f} cm deep"
        return f"{_words(self.part_a, self.side_a)} touches {_words(self.part_b, self.side_b)} ({how})"


@dataclass(frozen=True, eq=False)
class Touches:
    """What `what_touches` found; ``print`` says it in words.

    Attributes:
        contacts: the region pairs that touch, K of them, grouped by parts. It goes into a loss as it is.
        distances: ``(K,)`` metres between the nearest two vertices of each pair.
        vertices: ``(K, 2)`` these vertices, of a and of b.
        inside: ``(K, 2)`` how many vertices of either region lie inside the other body at the other region;
            None where nobody looked, for want of faces.
        depths: ``(K,)`` how deep the deepest of these lies under the other's surface, metres, 0 for none;
            None likewise.
        parts: the same by parts, nearest (and deepest) first.
        touching_a, touching_b: ``(V,)`` whether each vertex touches: nearer than the threshold, or inside.
        inside_a, inside_b: ``(V,)`` whether each vertex lies inside the other body; None without faces.
        depth: of the deepest vertex inside, metres; None without faces.
        gap: metres between the nearest two vertices of the two bodies.
        threshold: metres.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import RegionMap
        >>> from apu_losses import what_touches
        >>> regions = RegionMap.from_labels(range(75), topology="row", provenance="a vertex a metre")
        >>> row = np.stack([np.arange(75.0), np.zeros(75), np.zeros(75)], 1)
        >>> found = what_touches(row * 0.02, row * 0.02 + [0.0, 0.005, 0.0], regions, threshold=0.01)
        >>> len(found), round(found.gap, 3), found.parts[0].part_a
        (75, 0.005, 'stomach')
    """

    contacts: ContactMap
    distances: Floats
    vertices: Ids
    inside: Ids | None
    depths: Floats | None
    parts: tuple[TouchingParts, ...]
    touching_a: Bools
    touching_b: Bools
    inside_a: Bools | None
    inside_b: Bools | None
    depth: float | None
    gap: float
    threshold: float

    def __len__(self) -> int:
        return len(self.contacts)

    def __str__(self) -> str:
        lines = [str(part) for part in self.parts]
        if not lines:
            lines = [f"nothing touches: the bodies are {100 * self.gap:.1f} cm apart"]
        if self.inside_a is None or self.inside_b is None:
            return "\n".join([*lines, "inside not looked at: no faces were given"])
        counts = int(self.inside_a.sum()), int(self.inside_b.sum())
        if any(counts):
            lines.append(
                f"inside the other body: {counts[0]} vertices of a, {counts[1]} of b, "
                f"up to {100 * (self.depth or 0):.1f} cm deep"
            )
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that ``json.dump`` writes; lengths in metres, vertices that touch by their
        ids."""
        ids = {
            name: None if mask is None else np.flatnonzero(mask).tolist()
            for name, mask in (
                ("touching_a", self.touching_a),
                ("touching_b", self.touching_b),
                ("inside_a", self.inside_a),
                ("inside_b", self.inside_b),
            )
        }
        return {
            "schema": SCHEMA,
            "threshold": self.threshold,
            "gap": self.gap,
            "depth": self.depth,
            "parts": [{**part._asdict(), "words": str(part)} for part in self.parts],
            "regions": [
                {
                    "a": REGIONS[a].name,
                    "b": REGIONS[b].name,
                    "distance": float(self.distances[k]),
                    "vertices": self.vertices[k].tolist(),
                    "inside": None if self.inside is None else self.inside[k].tolist(),
                    "depth": None if self.depths is None else float(self.depths[k]),
                }
                for k, (a, b) in enumerate(self.contacts.pairs.tolist())
            ],
            "contact_map": self.contacts.to_json(),
            **ids,
        }


@torch.no_grad()
def what_touches(
    verts_a: Vertices,
    verts_b: Vertices,
    regions: RegionMap | RegionIndex,
    regions_b: RegionMap | RegionIndex | None = None,
    *,
    faces: Faces | ArrayLike | None = None,
    faces_b: Faces | ArrayLike | None = None,
    threshold: float = 0.02,
    backend: BackendName = "auto",
) -> Touches:
    """Say what touches what between two given meshes: a contact map, distances, parts in words.

    Two regions touch if two of their vertices are nearer than the threshold. With ``faces``, what lies inside
    the other body touches too, however deep: the regions of the vertex nearest to where it would get out.
    `apu_losses.viz.touches_picture` draws it.

    Args:
        verts_a, verts_b: ``(V, 3)`` and ``(V', 3)`` metres, tensors or arrays.
        regions: the 75 regions of the first mesh.
        regions_b: of the second; the same topology if None.
        faces: ``(F, 3)`` of the first mesh, closed and outward; without them nobody looks inside.
        faces_b: of the second; the same if None.
        threshold: metres, above 0.
        backend: of the geometry search.

    Raises:
        TypeError, ValueError: what is no mesh of these topologies, coordinates that are not finite (False
            would read as "no contact"), faces of one mesh alone where there are two topologies, a mesh that
            is inside out.

    Example:
        >>> from apu_contacts import RegionMap
        >>> from apu_losses import load_body, what_touches
        >>> body = load_body()
        >>> one = body(transl=torch.zeros(1, 3)).vertices()[0]  # arms to the sides
        >>> width = one[:, 0].max() - one[:, 0].min()
        >>> two = one + torch.stack([width - 0.01, torch.tensor(0.0), torch.tensor(0.0)])
        >>> found = what_touches(one, two, RegionMap.load("free"), faces=body.faces)
        >>> print(found)
        left hand touches right hand (58 vertices inside, up to 0.5 cm deep)
        inside the other body: 29 vertices of a, 29 of b, up to 0.5 cm deep
        >>> found.contacts, len(found.to_json()["regions"])
        (ContactMap(4 region pairs, 1 groups), 4)
    """
    check_regions(regions)
    check_number("threshold", threshold, positive=True)
    if (regions_b is None) != (faces_b is None) and faces is not None:
        raise ValueError(
            "regions_b, faces_b must both be given or neither, as two topologies have both of their own, "
            f"got {'faces_b' if regions_b is None else 'regions_b'} alone"
        )
    given = one_mesh("verts_a", verts_a), one_mesh("verts_b", verts_b)
    FirstLook().at(verts_a=given[0][None], verts_b=given[1][None])
    check_alike("verts_a", given[0][None], "verts_b", given[1][None])
    a, b = (mesh[None] for mesh in near_origin(*given))
    for name, mesh, each in (("verts_a", a, regions), ("verts_b", b, regions_b or regions)):
        check_vertices(name, mesh, each.vertex_count, "the region map is of another topology")
    index_a = as_region_index(regions, a)
    index_b = index_a if regions_b is None else as_region_index(regions_b, b)
    for name, index in (("regions", index_a), ("regions_b", index_b)):
        if len(index) != NUM_REGIONS:
            raise ValueError(f"{name} must have the {NUM_REGIONS} regions of the paper, got {len(index)}")
    distance, ids = _distances(a, b, index_a, index_b, backend)
    near = distance < threshold
    count, depth = np.zeros((2, NUM_REGIONS, NUM_REGIONS), dtype=np.int64), np.zeros_like(distance)
    looked: list[_Inside] = []
    if faces is not None:
        topologies = [as_topology(_faces(faces), a)]
        topologies.append(topologies[0] if faces_b is None else as_topology(_faces(faces_b), b))
        looked = [
            _inside(a, b, topologies[1], index_a, index_b, backend),
            _inside(b, a, topologies[0], index_b, index_a, backend).transposed(),
        ]
        count = np.stack([found.counts() for found in looked])
        depth = np.maximum(*(found.depths() for found in looked))
        near |= count.any(0)
    order = np.argwhere(near)
    order = order[np.lexsort((distance[tuple(order.T)], -depth[tuple(order.T)]))]
    rows, columns = order[:, 0], order[:, 1]
    parts, contacts = _parts(order, distance, depth, looked)
    touching = [_near(a, b, threshold, backend), _near(b, a, threshold, backend)]
    for mask, found in zip(touching, looked, strict=False):
        mask |= found.inside
    return Touches(
        contacts=contacts,
        distances=distance[rows, columns],
        vertices=ids[rows, columns],
        inside=count[:, rows, columns].T.copy() if looked else None,
        depths=depth[rows, columns] if looked else None,
        parts=parts,
        touching_a=touching[0],
        touching_b=touching[1],
        inside_a=looked[0].inside if looked else None,
        inside_b=looked[1].inside if looked else None,
        depth=max(float(found.depth.max(initial=0.0)) for found in looked) if looked else None,
        gap=float(nearest_vertex(a, b, backend=backend).distance2.min().sqrt()),
        threshold=float(threshold),
    )


def _faces(faces: Any) -> Any:
    return faces if isinstance(faces, MeshTopology | Tensor) else np.asarray(faces)


def _distances(
    a: Tensor, b: Tensor, index_a: RegionIndex, index_b: RegionIndex, backend: BackendName
) -> tuple[Floats, Ids]:
    """``(75, 75)`` metres, infinite for a region without vertices, and the vertices ``(75, 75, 2)``."""
    found = region_distance_matrix(a, b, index_a, index_b, backend=backend)
    ids = torch.stack([found.index_a[0], found.index_b[0]], -1)
    return found.distance2[0].double().sqrt().cpu().numpy(), ids.cpu().numpy()


class _Inside(NamedTuple):
    """Which vertices ``(V,)`` lie inside the other mesh, and of these: how deep, and whether their own region
    or that of their exit is one of a's or of b's, ``(N, 75)``.
    """

    inside: Bools
    depth: Floats
    of_a: Bools
    of_b: Bools

    def transposed(self) -> _Inside:
        return self._replace(of_a=self.of_b, of_b=self.of_a)

    def counts(self) -> Ids:
        """``(75, 75)`` vertices of each region pair."""
        counts: Ids = self.of_a.astype(np.int64).T @ self.of_b.astype(np.int64)
        return counts

    def depths(self) -> Floats:
        """``(75, 75)`` of the deepest vertex of each region pair, 0 without one."""
        deepest = np.zeros((self.of_a.shape[1], self.of_b.shape[1]))
        for depth, a, b in zip(self.depth, self.of_a, self.of_b, strict=True):
            block = np.ix_(a, b)
            deepest[block] = np.maximum(deepest[block], depth)
        return deepest

    def count_of(self, rows: Ids, columns: Ids) -> int:
        """Vertices of any of some region pairs, each once."""
        return int((self.of_a[:, rows] & self.of_b[:, columns]).any(1).sum())


def _inside(
    points: Tensor,
    mesh: Tensor,
    topology: MeshTopology,
    own: RegionIndex,
    other: RegionIndex,
    backend: BackendName,
) -> _Inside:
    """Seen from the body whose vertices ``points`` are: its regions are ``of_a``."""
    topology = topology.to(mesh.device)
    found = penetration(points, mesh, topology, target="surface", backend=backend)
    assert found.barycentric is not None
    within = found.inside[0]
    nearest = found.barycentric[0, within].argmax(1, keepdim=True)
    exits = topology.faces[found.target[0, within]].gather(1, nearest)[:, 0]
    depth = found.distance2[0, within].double().sqrt().cpu().numpy()
    starts, ends = _regions_of(own, within.nonzero()[:, 0]), _regions_of(other, exits)
    return _Inside(within.cpu().numpy(), depth, starts, ends)


def _regions_of(index: RegionIndex, vertex_ids: Tensor) -> Bools:
    """``(K, 75)`` which regions each vertex belongs to."""
    member = np.zeros((index.vertex_count, len(index)), dtype=np.bool_)
    region = np.repeat(np.arange(len(index)), index.offsets.diff().cpu().numpy())
    member[index.vertex_ids.cpu().numpy(), region] = True
    chosen: Bools = member[vertex_ids.cpu().numpy()]
    return chosen


def _near(points: Tensor, mesh: Tensor, threshold: float, backend: BackendName) -> Bools:
    near: Bools = (
        (nearest_vertex(points, mesh, cutoff=threshold, backend=backend).vertex[0] >= 0).cpu().numpy()
    )
    return near


def _parts(
    order: Ids, distance: Floats, depth: Floats, looked: list[_Inside]
) -> tuple[tuple[TouchingParts, ...], ContactMap]:
    """Region pairs ``(K, 2)`` by the most specific part and side of either region, in order of the first."""
    members: dict[tuple[str, str, str, str], list[tuple[int, int]]] = {}
    for i, j in order.tolist():
        a, b = REGIONS[i], REGIONS[j]
        members.setdefault((a.part, _side(a.side), b.part, _side(b.side)), []).append((i, j))
    parts = []
    for names, pairs in members.items():
        rows, columns = np.array(pairs).T
        inside_a, inside_b = [found.count_of(rows, columns) for found in looked] or (0, 0)
        apart, deep = float(distance[rows, columns].min()), float(depth[rows, columns].max())
        parts.append(TouchingParts(*names, apart, len(pairs), inside_a, inside_b, deep))
    if not len(order):
        return (), ContactMap.empty()
    numbers = {names: number for number, names in enumerate(members)}
    group = np.empty(len(order), dtype=np.int64)
    place = {pair: numbers[names] for names, pairs in members.items() for pair in pairs}
    group[:] = [place[i, j] for i, j in order.tolist()]
    labels = [f"{_words(p.part_a, p.side_a)} - {_words(p.part_b, p.side_b)}" for p in parts]
    return tuple(parts), ContactMap(order, None, group, labels)


def _side(side: str) -> str:
    return "none" if side == "center" else side


def _words(part: str, side: str) -> str:
    return part if side == "none" else f"{side} {part}"
