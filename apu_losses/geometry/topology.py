"""What is known about a mesh before it is posed: region lists, block order, face tree.

A body changes its pose at every iteration, its connectivity never. Everything that depends on the
connectivity and the template alone is computed here once, and refitted (boxes, spheres) per pose inside the
operators.

Blocks. The fast back ends work on blocks of 16 vertices that lie together on the template. A block has an
axis-aligned box; the distance of two boxes is a lower bound of every distance between their vertices, so a
block pair whose bound is not below the best distance so far is skipped. Which vertices share a block changes
the speed, never the answer.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from apu_losses.geometry.constants import BLOCK, FACE_BLOCK, LEAF_FACES
from apu_losses.geometry.requests import FaceTree, RegionLayout
from apu_losses.numerics.outside_graphs import outside_graphs


@runtime_checkable
class RegionLists(Protocol):
    """Anything that lists vertices per region: ``apu_contacts.RegionMap`` is one."""

    @property
    def offsets(self) -> Any: ...

    @property
    def vertex_ids(self) -> Any: ...


def _array(values: Any, dtype: Any) -> NDArray[Any]:
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        # NumPy has no bfloat16
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    return np.ascontiguousarray(values, dtype=dtype)


@contextmanager
def to_be_kept() -> Iterator[None]:
    """Return a context for what is made once and kept, whoever asks for it first.

    In a transform of `torch.func` NumPy cannot read a tensor, and a tensor that is made there belongs to the
    transform; one that is made in inference mode can never be saved for a backward.
    """
    with torch.inference_mode(False), torch._C._DisableFuncTorch():
        yield


def block_order(points: NDArray[np.float64], block: int = BLOCK) -> NDArray[np.int64]:
    """Return an order of ``points (n, 3)`` by median splits: each run of ``block`` points is compact.

    Every left part holds a multiple of ``block`` points, so only the last run may be short.
    """
    order = np.arange(len(points))
    todo = [(0, len(points))]
    while todo:
        start, end = todo.pop()
        count = end - start
        if count <= block:
            continue
        part = order[start:end]
        axis = int(np.ptp(points[part], axis=0).argmax())
        order[start:end] = part[np.argsort(points[part, axis], kind="stable")]
        left = ((count // 2 + block - 1) // block) * block
        left = min(left, ((count - 1) // block) * block)
        todo += [(start, start + left), (start + left, end)]
    return order


def _padded(ids: NDArray[np.int64], block: int = BLOCK) -> NDArray[np.int64]:
    """Repeat the last id until the length is a multiple of ``block``: harmless for a minimum.

    The ids of a block ascend, so that the first of equal distances has the lowest id.
    """
    padded = np.concatenate([ids, np.repeat(ids[-1:], -len(ids) % block)])
    return np.sort(padded.reshape(-1, block), axis=1).reshape(-1)


@dataclass(frozen=True)
class RegionIndex:
    """The regions of one mesh topology, laid out for the kernels. Build it once and keep it.

    ``offsets (R+1,)``, ``vertex_ids (N,)`` int64: vertices of each region, ascending, without repeats.
    ``slots (P,)``: the same vertices in block order, each region padded to whole blocks of 16 by repeating a
    vertex. ``block_offsets (R+1,)``: the blocks of each region.

    Example:
        >>> regions = RegionIndex.from_lists([[2, 0], [1]], vertex_count=3)
        >>> len(regions), regions.vertices(0).tolist(), len(regions.slots)
        (2, [0, 2], 32)
    """

    vertex_count: int
    offsets: Tensor
    vertex_ids: Tensor
    slots: Tensor
    block_offsets: Tensor

    def __len__(self) -> int:
        return int(self.offsets.shape[0]) - 1

    @property
    def layout(self) -> RegionLayout:
        """What a back end is told of the regions."""
        return RegionLayout(self.offsets, self.vertex_ids, self.slots, self.block_offsets)

    @classmethod
    def build(
        cls, regions: RegionLists, vertex_count: int, template: ArrayLike | Tensor | None = None
    ) -> RegionIndex:
        """Lay out ``regions`` (``offsets``, ``vertex_ids``) of a mesh of ``vertex_count`` vertices.

        ``template (V, 3)``: vertices in a rest pose (or any pose); they decide the block order and so the
        speed. Without it the vertex numbering is taken for spatial order.
        """
        offsets = _array(regions.offsets, np.int64)
        ids = _array(regions.vertex_ids, np.int64)
        if (
            offsets.ndim != 1
            or len(offsets) < 1
            or offsets[0] != 0
            or offsets[-1] != len(ids)
            or (np.diff(offsets) < 0).any()
        ):
            raise ValueError(
                f"regions.offsets must be R + 1 rising numbers from 0 to {len(ids)}, "
                f"the length of vertex_ids, got {offsets[:3].tolist()}..{offsets[-1:].tolist()}"
            )
        if len(ids) and (ids.min() < 0 or ids.max() >= vertex_count):
            raise ValueError(
                f"regions.vertex_ids must be ids in [0, {vertex_count}), got {ids.min()}..{ids.max()}; "
                "the region map belongs to another mesh topology"
            )
        lists = [np.unique(ids[a:b]) for a, b in itertools.pairwise(offsets)]
        return cls._from_lists(lists, vertex_count, template)

    @classmethod
    def from_lists(
        cls, lists: Sequence[ArrayLike], vertex_count: int, template: ArrayLike | Tensor | None = None
    ) -> RegionIndex:
        """Lay out regions given as one list of vertex ids each."""
        arrays = [np.asarray(x, dtype=np.int64).reshape(-1) for x in lists]
        flat = np.concatenate([*arrays, np.zeros(0, np.int64)])
        offsets = np.cumsum([0, *(len(x) for x in arrays)])
        return cls.build(_Lists(offsets, flat), vertex_count, template)

    @classmethod
    def _from_lists(
        cls, lists: list[NDArray[np.int64]], vertex_count: int, template: ArrayLike | Tensor | None
    ) -> RegionIndex:
        points = None if template is None else _array(template, np.float64)
        if points is not None and points.shape != (vertex_count, 3):
            raise ValueError(f"template must have shape ({vertex_count}, 3), got {points.shape}")
        if points is not None:
            lists = [ids[block_order(np.nan_to_num(points[ids]))] if len(ids) else ids for ids in lists]
        return cls._from_orders(lists, vertex_count)

    @classmethod
    def _from_orders(cls, orders: list[NDArray[np.int64]], vertex_count: int) -> RegionIndex:
        """Return the vertices of each region in block order, without repeats."""
        none = np.zeros(0, np.int64)
        slots = [_padded(ids) if len(ids) else ids for ids in orders]
        return cls(
            vertex_count,
            torch.from_numpy(np.cumsum([0, *(len(x) for x in orders)]).astype(np.int64)),
            torch.from_numpy(np.concatenate([none, *(np.sort(x) for x in orders)])),
            torch.from_numpy(np.concatenate([none, *slots])),
            torch.from_numpy(np.cumsum([0, *(len(x) // BLOCK for x in slots)]).astype(np.int64)),
        )

    def vertices(self, region: int) -> Tensor:
        """Vertex ids of one region, ascending."""
        return self.vertex_ids[int(self.offsets[region]) : int(self.offsets[region + 1])]

    def unions(self, offsets: Tensor, regions: Tensor) -> RegionIndex:
        """Unions of regions as the regions of a new index: union g is ``regions[offsets[g]:offsets[g + 1]]``.

        Each vertex once, in the block order of these regions.
        """
        slots, blocks = _array(self.slots, np.int64), _array(self.block_offsets, np.int64) * BLOCK
        listed, bounds = _array(regions, np.int64), _array(offsets, np.int64)
        if len(listed) and not 0 <= listed.min() <= listed.max() < len(self):
            raise ValueError(
                f"regions must be numbers in [0, {len(self)}), got {listed.min()}..{listed.max()}"
            )
        orders = []
        for start, end in itertools.pairwise(bounds):
            parts = [slots[blocks[r] : blocks[r + 1]] for r in listed[start:end]]
            together = np.concatenate([slots[:0], *parts])
            orders.append(together[np.sort(np.unique(together, return_index=True)[1])])
        return type(self)._from_orders(orders, self.vertex_count).to(self.offsets.device)

    def to(self, device: torch.device | str) -> RegionIndex:
        """Return the same layout on another device; copied once, then remembered."""
        if self.offsets.device == torch.device(device):
            return self
        return cast("RegionIndex", _recall(self, str(device), lambda: _moved(self, device)))


@dataclass(frozen=True)
class _Lists:
    offsets: NDArray[np.int64]
    vertex_ids: NDArray[np.int64]


@dataclass(frozen=True)
class MeshTopology:
    """Connectivity of a mesh, with a block order of its vertices and a tree over its faces. Build it once.

    ``faces (F, 3)`` int64, outward by the right-hand rule. ``slots (P,)``: all vertices in block order,
    padded. ``face_order (F,)``: faces in tree order. The tree is binary, its nodes in preorder: node n covers
    faces ``face_order[node_start[n]:node_end[n]]``; its left child is n + 1, and ``node_skip[n]`` is the next
    node when the subtree of n is skipped, so that no stack is needed. A leaf has ``node_skip[n] == n + 1``.
    ``closed``: every edge is met as often one way as the other, so that the winding number around any point
    off the surface is a whole number. ``looked_at``: what others found out once and remember, such as
    `apu_losses.geometry.orientation`.

    Example:
        >>> mesh = MeshTopology.build([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], vertex_count=4)
        >>> mesh.closed, len(mesh.faces), len(mesh.slots)
        (True, 4, 16)
    """

    vertex_count: int
    faces: Tensor
    slots: Tensor
    face_slots: Tensor
    face_order: Tensor
    node_start: Tensor
    node_end: Tensor
    node_skip: Tensor
    closed: bool
    looked_at: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def tree(self) -> FaceTree:
        """What a back end is told of the faces."""
        nodes = self.node_start, self.node_end, self.node_skip
        return FaceTree(self.faces, self.face_order, *nodes, self.closed)

    @classmethod
    def build(
        cls, faces: ArrayLike | Tensor, vertex_count: int, template: ArrayLike | Tensor | None = None
    ) -> MeshTopology:
        """Order vertices and faces by the rest pose ``template (V, 3)``; without it, by their numbering.

        Raises ``ValueError`` for faces that are not ``(F, 3)`` or name vertices that do not exist.
        """
        f = _array(faces, np.int64)
        if f.ndim != 2 or f.shape[1] != 3:
            raise ValueError(f"faces must have shape (F, 3), got {f.shape}")
        if len(f) and (f.min() < 0 or f.max() >= vertex_count):
            raise ValueError(
                f"faces must be vertex ids in [0, {vertex_count}), got {f.min()}..{f.max()}; "
                "the faces belong to another mesh"
            )
        if template is None:
            # Numbering is the only hint of nearness there is.
            points = np.repeat(np.arange(vertex_count, dtype=np.float64)[:, None], 3, axis=1)
        else:
            points = np.nan_to_num(_array(template, np.float64))
            if points.shape != (vertex_count, 3):
                raise ValueError(f"template must have shape ({vertex_count}, 3), got {points.shape}")
        slots = block_order(points)
        centroids = points[f].mean(1) if len(f) else np.zeros((0, 3))
        face_slots = block_order(centroids, FACE_BLOCK)
        order, start, end, skip = (torch.from_numpy(x) for x in face_tree(centroids))
        return cls(
            vertex_count,
            torch.from_numpy(f),
            torch.from_numpy(_padded(slots) if len(slots) else slots),
            torch.from_numpy(_padded(face_slots, FACE_BLOCK) if len(f) else face_slots),
            order,
            start,
            end,
            skip,
            is_closed(f, vertex_count),
        )

    def to(self, device: torch.device | str) -> MeshTopology:
        """Return the same topology on another device; copied once, then remembered."""
        if self.faces.device == torch.device(device):
            return self
        return cast("MeshTopology", _recall(self, str(device), lambda: _moved(self, device)))


def is_closed(faces: NDArray[np.int64], vertex_count: int) -> bool:
    """Whether ``faces (F, 3)`` have no boundary: each directed edge as often as its opposite."""
    start, end = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    there, back = start * vertex_count + end, end * vertex_count + start
    return bool(np.array_equal(np.sort(there), np.sort(back)))


def face_tree(centroids: NDArray[np.float64], leaf: int = LEAF_FACES) -> tuple[NDArray[np.int64], ...]:
    """Binary tree over points ``(F, 3)`` by median splits; ``(order, start, end, skip)`` as in
    `MeshTopology`.
    """
    order = np.arange(len(centroids))
    start: list[int] = []
    end: list[int] = []
    skip: list[int] = []
    # Preorder by an explicit stack; a "close" entry writes the skip link of a node when its subtree is
    # complete.
    todo: list[tuple[str, int, int]] = [("open", 0, len(centroids))] if len(centroids) else []
    while todo:
        kind, a, b = todo.pop()
        if kind == "close":
            skip[a] = len(start)
            continue
        node = len(start)
        start.append(a)
        end.append(b)
        skip.append(node + 1)
        if b - a <= leaf:
            continue
        part = order[a:b]
        axis = int(np.ptp(centroids[part], axis=0).argmax())
        order[a:b] = part[np.argsort(centroids[part, axis], kind="stable")]
        middle = a + (b - a) // 2
        todo += [("close", node, 0), ("open", middle, b), ("open", a, middle)]
    return order, *(np.asarray(x, dtype=np.int64) for x in (start, end, skip))


def _moved(layout: Any, device: torch.device | str) -> Any:
    values = {f.name: getattr(layout, f.name) for f in fields(layout) if f.init}
    return type(layout)(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()})


_RECENT: OrderedDict[tuple[int, int | str], tuple[object, Any]] = OrderedDict()
_RECENT_LIMIT = 16


def _recall(source: object, purpose: int | str, make: Any) -> Any:
    """Layouts of recently used sources; the source is kept alive, so its id cannot be reused."""
    key = (id(source), purpose)
    held = _RECENT.get(key)
    if held is None:
        held = _RECENT[key] = (source, make())
        while len(_RECENT) > _RECENT_LIMIT:
            _RECENT.popitem(last=False)
    return held[1]


def sound_body(vertices: Tensor) -> Tensor | None:
    """Return the first body ``(V, 3)`` that can serve as a template: finite, of some size, readable."""
    # inside torch.func a tensor stands for others and has no values of its own
    if torch._C._functorch.is_functorch_wrapped_tensor(vertices) or not vertices.numel():
        return None
    bodies = vertices.detach().reshape(-1, *vertices.shape[-2:])
    extent = (bodies.amax(1) - bodies.amin(1)).amax(1)
    sound = torch.nonzero(extent.isfinite() & (extent > 0))[:1, 0]
    return bodies[int(sound)].double() if len(sound) else None  # NumPy knows no bfloat16


def _laid_out(source: object, vertices: Tensor, build: Callable[[int, Tensor | None], Any]) -> Any:
    """Return what ``build(V, template)`` makes of the first body that can serve as a template; then
    remembered.

    Until there is one, it is made of the numbering, and remembered beside.
    """
    count = int(vertices.shape[-2])
    held = _RECENT.get((id(source), count))
    return held[1] if held is not None else _lay_out(source, vertices, build)


@outside_graphs
def _lay_out(source: object, vertices: Tensor, build: Callable[[int, Tensor | None], Any]) -> Any:
    count = int(vertices.shape[-2])
    with to_be_kept():
        template = sound_body(vertices)
        purpose = count if template is not None else f"{count} by number"
        return _recall(source, purpose, lambda: build(count, template))


def as_region_index(regions: RegionIndex | RegionLists, vertices: Tensor) -> RegionIndex:
    """Return a `RegionIndex` as it is; anything else is laid out (and remembered) from the first sound body
    in ``vertices``.
    """
    if isinstance(regions, RegionIndex):
        return regions
    return cast("RegionIndex", _laid_out(regions, vertices, partial(RegionIndex.build, regions)))


def known_region_index(regions: RegionIndex | RegionLists, vertex_count: int) -> RegionIndex | None:
    """Return what `as_region_index` gives, if it is there already."""
    if isinstance(regions, RegionIndex):
        return regions
    return cast("RegionIndex | None", _known(regions, vertex_count))


def known_topology(faces: MeshTopology | Tensor | NDArray[Any], vertex_count: int) -> MeshTopology | None:
    """Return what `as_topology` gives, if it is there already."""
    if isinstance(faces, MeshTopology):
        return faces
    return cast("MeshTopology | None", _known(faces, vertex_count))


def _known(source: object, vertex_count: int) -> Any:
    held = _RECENT.get((id(source), vertex_count))
    return None if held is None else held[1]


def as_topology(faces: MeshTopology | Tensor | NDArray[Any], vertices: Tensor) -> MeshTopology:
    """Return a `MeshTopology` as it is; faces are laid out (and remembered) from the first sound body in
    ``vertices``.

    Faces must not be written to after their first use: the tree would be that of the old faces.
    """
    if isinstance(faces, MeshTopology):
        return faces
    return cast("MeshTopology", _laid_out(faces, vertices, partial(MeshTopology.build, faces)))
