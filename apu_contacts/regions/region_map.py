"""Which vertices of one mesh topology belong to which of the 75 regions."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apu_contacts.files import staged_file, write_text
from apu_contacts.reading import ArrayFile, parse_json, read_json
from apu_contacts.regions.official import read_contact_regions
from apu_contacts.regions.segment import segment_template
from apu_contacts.regions.table import NUM_REGIONS, explain_region, region
from apu_contacts.regions.transfer import carry_regions

FORMAT = "apu-region-map/1"
KINDS = ("official", "transferred", "derived")
_BUNDLED = ("free",)


@dataclass(frozen=True, eq=False)
class RegionMap:
    """The 75 regions as vertex ids of one mesh topology, in compressed rows.

    The vertices of region r are ``vertex_ids[offsets[r]:offsets[r + 1]]``, ascending. A vertex may belong to
    several
    regions: in the official map, which labels faces, the vertices on a border do.

    Args:
        topology: name of the mesh topology, ``"free"``, ``"smplx"``; maps and bodies are matched by it in
            messages.
        vertex_count: number of vertices of that topology.
        offsets: ``(76,)`` starts of the regions in ``vertex_ids``, ascending from 0.
        vertex_ids: ``(offsets[-1],)`` ids, 0 to ``vertex_count - 1``.
        provenance: in words, where the map comes from.
        approximate: True unless the map is the official one.
        kind: ``"official"``, ``"transferred"`` from another topology, or ``"derived"`` by geometric rules;
            by default official or derived, as ``approximate`` says.

    Raises:
        ValueError: on shapes that do not agree, vertex ids out of range, a vertex twice in one region.

    Example:
        >>> from apu_contacts import RegionMap
        >>> regions = RegionMap.load("free")
        >>> regions
        RegionMap('free', 12242 vertices, derived)
        >>> regions.sizes.shape, bool((regions.labels() >= 0).all())
        ((75,), True)
    """

    topology: str
    vertex_count: int
    offsets: NDArray[np.int64]
    vertex_ids: NDArray[np.int64]
    provenance: str
    approximate: bool
    kind: str = ""

    def __post_init__(self) -> None:
        kind = self.kind or ("derived" if self.approximate else "official")
        if kind not in KINDS or (kind == "official") == self.approximate:
            raise ValueError(
                f"kind must be one of {', '.join(KINDS)}, and official only if not approximate, got {kind!r}"
            )
        object.__setattr__(self, "kind", kind)
        offsets = np.array(self.offsets, dtype=np.int64)
        ids = np.array(self.vertex_ids, dtype=np.int64)
        if offsets.shape != (NUM_REGIONS + 1,) or ids.ndim != 1:
            raise ValueError(
                f"offsets must have shape ({NUM_REGIONS + 1},) and vertex_ids (M,), "
                f"got {offsets.shape} and {ids.shape}"
            )
        if offsets[0] != 0 or offsets[-1] != len(ids) or (np.diff(offsets) < 0).any():
            raise ValueError(f"offsets must ascend from 0 to {len(ids)}, the number of vertex_ids")
        bad = ids[(ids < 0) | (ids >= self.vertex_count)]
        if bad.size:
            raise ValueError(
                f"vertex_ids must lie in 0 to {self.vertex_count - 1}, got {np.unique(bad)[:5].tolist()}; "
                "is the map of another topology?"
            )
        inner = np.ones(len(ids), dtype=bool)
        inner[offsets[:-1][offsets[:-1] < len(ids)]] = False
        if (np.diff(ids, prepend=0)[inner] <= 0).any():
            raise ValueError("vertex_ids must ascend within each region, without repetition")
        for name, array in (("offsets", offsets), ("vertex_ids", ids)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __eq__(self, other: object) -> bool:
        """Return same topology and the same vertices in each region; provenance is not compared."""
        if not isinstance(other, RegionMap):
            return NotImplemented
        return (self.topology, self.vertex_count, self.approximate) == (
            other.topology,
            other.vertex_count,
            other.approximate,
        ) and all(np.array_equal(self.vertices(r), other.vertices(r)) for r in range(NUM_REGIONS))

    def __repr__(self) -> str:
        return f"RegionMap({self.topology!r}, {self.vertex_count} vertices, {self.kind})"

    @property
    def sizes(self) -> NDArray[np.int64]:
        """``(75,)`` number of vertices of each region."""
        return np.diff(self.offsets)

    def vertices(self, region_id: int | str) -> NDArray[np.int64]:
        """Ascending vertex ids of one region, by its number or its name (``"left palm"``).

        Raises:
            ValueError: if there is no such region.
        """
        if isinstance(region_id, str):
            try:
                region_id = region(region_id).id
            except KeyError as error:
                raise ValueError(
                    f"region_id: {error.args[0]}; of a body part take union(part_regions('hand', 'left'))"
                ) from None
        if not 0 <= region_id < NUM_REGIONS:
            raise ValueError(f"region_id must lie in 0 to {NUM_REGIONS - 1}, got {region_id}")
        return self.vertex_ids[self.offsets[region_id] : self.offsets[region_id + 1]]

    def union(self, region_ids: Iterable[int]) -> NDArray[np.int64]:
        """Ascending vertex ids of several regions, each once."""
        parts = [self.vertices(rid) for rid in region_ids]
        return np.unique(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.int64)

    def labels(self) -> NDArray[np.int64]:
        """``(vertex_count,)`` one region id per vertex: the lowest if it has several, -1 if it has none."""
        labels = np.full(self.vertex_count, -1, dtype=np.int64)
        for rid in range(NUM_REGIONS - 1, -1, -1):
            labels[self.vertices(rid)] = rid
        return labels

    def explain(self, key: int | str) -> str:
        """Says in words what a region is, and how many vertices of this topology it has.

        Raises:
            KeyError: if there is no such region.
        """
        size = self.sizes[region(key).id]
        return f"{explain_region(key)}\n  On {self.topology!r}: {size} of {self.vertex_count} vertices"

    @classmethod
    def from_lists(
        cls,
        vertices: Sequence[ArrayLike],
        vertex_count: int,
        *,
        topology: str,
        provenance: str,
        approximate: bool = True,
        kind: str = "",
    ) -> RegionMap:
        """Build a map from 75 lists of vertex ids, in any order.

        Raises:
            ValueError: unless there are 75 lists of valid ids.
        """
        if len(vertices) != NUM_REGIONS:
            raise ValueError(f"vertices must hold {NUM_REGIONS} lists, one per region, got {len(vertices)}")
        rows = [np.unique(np.asarray(each, dtype=np.int64)) for each in vertices]
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
        return cls(topology, vertex_count, offsets, np.concatenate(rows), provenance, approximate, kind)

    @classmethod
    def from_labels(
        cls, labels: ArrayLike, *, topology: str, provenance: str, approximate: bool = True
    ) -> RegionMap:
        """Build a map from one region id per vertex ``(V,)``; -1 for vertices of no region."""
        ids = np.asarray(labels, dtype=np.int64)
        if ids.ndim != 1 or (ids < -1).any() or (ids >= NUM_REGIONS).any():
            raise ValueError(
                f"labels must have shape (V,) and hold -1 to {NUM_REGIONS - 1}, got shape {ids.shape}"
            )
        rows = [np.flatnonzero(ids == rid) for rid in range(NUM_REGIONS)]
        return cls.from_lists(
            rows, len(ids), topology=topology, provenance=provenance, approximate=approximate
        )

    @classmethod
    def from_contact_regions_json(
        cls,
        path: str | Path,
        faces: ArrayLike,
        vertex_count: int | None = None,
        *,
        body: str = "smplx",
        allow_modified: bool = False,
    ) -> RegionMap:
        """Read the official map; arguments as `apu_contacts.regions.official.read_contact_regions`.

        A modified file that is allowed makes an approximate map.
        """
        found = read_contact_regions(path, faces, vertex_count, body=body, allow_modified=allow_modified)
        return cls.from_lists(
            found.rows,
            found.vertex_count,
            topology=body,
            provenance=found.provenance,
            approximate=not found.official,
        )

    @classmethod
    def from_template(
        cls,
        vertices: ArrayLike,
        faces: ArrayLike,
        weights: ArrayLike,
        joints: ArrayLike,
        joint_names: Sequence[str] | None = None,
        *,
        topology: str = "template",
        provenance: str | None = None,
    ) -> RegionMap:
        """Derive an approximate map from a T-posed template; arguments as
        `apu_contacts.regions.segment.segment_template`.

        Warns:
            UserWarning: that the map is approximate.
        """
        left, right = segment_template(vertices, faces, weights, joints, joint_names)
        warnings.warn(
            f"the region map of {topology!r} is approximate: its borders come from geometric rules, not from "
            "the official contact_regions.json; do not compare figures with published ones",
            stacklevel=2,
        )
        return cls.from_lists(
            [np.flatnonzero((left == rid) | (right == rid)) for rid in range(NUM_REGIONS)],
            len(left),
            topology=topology,
            provenance=provenance
            or "approximate: geometric rules of apu_contacts.regions.segment on a T-posed template",
        )

    def transfer(
        self, correspondence: Any, *, topology: str, lend: ArrayLike | None = None
    ) -> RegionTransfer:
        """Carry the map to another mesh topology; see `apu_contacts.regions.transfer.carry_regions`.

        Args:
            correspondence: where the vertices of the new mesh lie on this one: vertex ids ``(V,)`` (-1:
                nowhere), a matrix ``(V, vertex_count)``, or what `regions.transfer.correspond` finds
                between two surfaces in a common pose.
            topology: name of the new topology.
            lend: ``(vertex_count, 3)`` vertices of this mesh, for meshes so coarse that regions would have no
                vertex: each such region gets the nearest one.

        Returns:
            The map, the vertices that are unsure, and how many for which reason.

        Raises:
            ValueError: if the correspondence is of another mesh, or a region would have no vertex left.
        """
        rows = [self.vertices(rid) for rid in range(NUM_REGIONS)]
        found = carry_regions(
            rows, self.vertex_count, correspondence, source=self.topology, topology=topology, lend=lend
        )
        unsure = f"{int(found.unsure.sum())} of {len(found.unsure)} vertices unsure"
        regions = RegionMap.from_lists(
            found.rows,
            len(found.unsure),
            topology=topology,
            provenance=f"transferred from {self.topology!r} ({self.provenance}) by {found.note}; {unsure}",
            kind="transferred",
        )
        return RegionTransfer(regions, found.unsure, found.counts)

    def save(self, path: str | Path) -> None:
        """Write the map as ``.npz`` (numbers and text only, no pickle) or, with that suffix, ``.json``.

        Raises:
            ValueError: on another suffix.
        """
        path = Path(path)
        header: dict[str, Any] = {
            "format": FORMAT,
            "topology": self.topology,
            "vertex_count": self.vertex_count,
            "provenance": self.provenance,
            "approximate": self.approximate,
            "kind": self.kind,
        }
        if path.suffix == ".json":
            regions = [self.vertices(rid).tolist() for rid in range(NUM_REGIONS)]
            write_text(path, json.dumps({**header, "regions": regions}) + "\n")
        elif path.suffix == ".npz":
            with staged_file(path) as part:
                np.savez_compressed(
                    part,
                    header=np.array(json.dumps(header)),
                    offsets=self.offsets.astype(np.int32),
                    vertex_ids=self.vertex_ids.astype(np.int32),
                )
        else:
            raise ValueError(f"path must end in .npz or .json, got {str(path)!r}")

    @classmethod
    def load(cls, name_or_path: str | Path = "free") -> RegionMap:
        """Load a bundled map (``"free"``: the map of the free body) or a file that `save` wrote.

        Raises:
            FileNotFoundError: if there is neither a bundled map nor a file of that name.
            ValueError: if the file is not a region map.
        """
        if str(name_or_path) in _BUNDLED:
            packaged = resources.files("apu_contacts.regions").joinpath(f"data/{name_or_path}.npz")
            with resources.as_file(packaged) as path:
                return cls._read(path)
        path = Path(name_or_path)
        if not path.is_file():
            raise FileNotFoundError(
                f"region map {str(path)!r} is neither a bundled map ({', '.join(_BUNDLED)}) nor a file"
            )
        return cls._read(path)

    @classmethod
    def _read(cls, path: Path) -> RegionMap:
        wrong = f"{path.name} is not a region map that RegionMap.save wrote"
        try:
            if path.suffix == ".json":
                header = read_json(path)
                rows = [np.asarray(row, dtype=np.int64) for row in header["regions"]]
                offsets, ids = np.concatenate([[0], np.cumsum([len(r) for r in rows])]), np.concatenate(rows)
            else:
                with ArrayFile(path) as archive:
                    header = parse_json(str(archive["header"]), "header")
                    offsets, ids = archive["offsets"], archive["vertex_ids"]
            if header["format"] != FORMAT:
                raise ValueError(f"format must be {FORMAT!r}, got {header['format']!r}")
            return cls(
                str(header["topology"]),
                int(header["vertex_count"]),
                offsets,
                ids,
                str(header["provenance"]),
                bool(header["approximate"]),
                str(header.get("kind", "")),
            )
        except KeyError as error:
            raise ValueError(f"{wrong}: {error} is missing") from None
        except (TypeError, ValueError, OverflowError, IndexError) as error:
            raise ValueError(f"{wrong}: {error}") from None


@dataclass(frozen=True)
class RegionTransfer:
    """A transferred map with what is unsure about it.

    Args:
        regions: the map on the new topology.
        unsure: ``(V,)`` bool, vertices whose region is a guess.
        counts: how many are unsure for which reason: ``"far"`` from the other surface, ``"turned"`` away from
            it, ``"unmatched"``, or on a ``"border"``, where no region has two thirds of the weight.
    """

    regions: RegionMap
    unsure: NDArray[np.bool_]
    counts: Mapping[str, int]
