"""What `apu unite` does: two of SAM 3D Body's people, what touches, and where they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apu_contacts.contacts import ContactMap, PartContact
from apu_contacts.files import staged_file
from apu_contacts.regions import PARTS, RegionMap
from apu_losses.bodies.posed_mesh import PosedMeshBody
from apu_losses.bodies.region_map import region_map_for
from apu_losses.fitting.convert_mesh import read_faces, read_mesh_people
from apu_losses.fitting.fitter import SceneFitter
from apu_losses.fitting.mesh_regions import posed_mesh_regions
from apu_losses.fitting.result.record import FitResult
from apu_losses.fitting.scene.types import InitialBody, Scene, SceneContact, ScenePerson

_SIDES = ("left", "right")


@dataclass(frozen=True)
class United:
    """The fit of a pair, and its meshes.

    Args:
        result: of the fit.
        regions: the region map that was used.
        vertices: ``(2, V, 3)`` the meshes where they went, in the picture's camera, metres.
        faces: ``(F, 3)``.
    """

    result: FitResult
    regions: RegionMap
    vertices: NDArray[np.float32]
    faces: NDArray[np.int64]

    def rows(self) -> list[tuple[str, str, str]]:
        """Return the table of what was measured before and after."""
        a, b = self.result.before, self.result.after
        near = [f"{100 * min(m.contact_distance):.1f}" for m in (a, b)]
        off = [f"{max(m.keypoint_error):.1f}" for m in (a, b)]
        moved = np.linalg.norm(self.result.parameters["transl"], axis=1)
        return [
            ("nearest contact, cm", near[0], near[1]),
            ("keypoint error, px of 512", off[0], off[1]),
            ("vertices inside the other", str(a.inside_vertices), str(b.inside_vertices)),
            ("moved, cm", "", ", ".join(f"{100 * each:.1f}" for each in moved)),
        ]

    def save(self, folder: Path) -> list[Path]:
        """Write the result, the two meshes and the region map; return the files."""
        folder.mkdir(parents=True, exist_ok=True)
        files = list(self.result.save(folder / "united"))
        meshes = folder / "meshes.npz"
        with staged_file(meshes) as part:
            np.savez_compressed(part, vertices=self.vertices, faces=self.faces.astype(np.int32))
        regions = folder / "regions.npz"
        self.regions.save(regions)
        return [*files, meshes, regions]


def part_contact(words: str) -> PartContact:
    """Return the contact of words such as ``"left hand: right shoulder"``.

    Raises:
        ValueError: on other words.
    """
    halves = [half.strip() for half in words.split(":")]
    if len(halves) != 2 or not all(halves):
        raise ValueError(
            f"--contact {words!r}: expected 'A part: B part', such as 'left hand: right shoulder'"
        )
    named = [_part(half, words) for half in halves]
    return PartContact(named[0][0], named[0][1], named[1][0], named[1][1])


def _part(half: str, words: str) -> tuple[str, str]:
    side, _, part = half.partition(" ")
    if side not in _SIDES:
        side, part = "none", half
    if part not in PARTS:
        raise ValueError(f"--contact {words!r}: {half!r} is no part; parts are {', '.join(PARTS)}")
    return part, side


def unite(
    people: Sequence[Path],
    pair: tuple[int, int],
    touching: Sequence[PartContact],
    faces: Path,
    regions: Path | None = None,
    *,
    size: Sequence[float] | None = None,
    preset: str = "best",
) -> United:
    """Bring two people into contact.

    Args:
        people: a file of all, a folder, or files of one person each.
        pair: positions of the two.
        touching: what touches, the first one's part first.
        faces: triangles of the meshes.
        regions: their region map; transferred from the free body without one.
        size: of the picture.
        preset: of the fit.

    Raises:
        ValueError: a position that is not there, or whatever the readers and the fit raise.
    """
    found = read_mesh_people(people[0] if len(people) == 1 else list(people), size)
    if pair[0] == pair[1] or not all(0 <= k < len(found) for k in pair):
        raise ValueError(f"--pair {pair[0]} {pair[1]}: expected two of the {len(found)} people, from 0")
    chosen = [found[k] for k in pair]
    triangles = read_faces(faces)
    meshes = PosedMeshBody.from_estimates(chosen, triangles)
    if regions is None:
        every = PosedMeshBody.from_estimates(found, triangles)
        mapped = posed_mesh_regions(every).regions
    else:
        mapped = region_map_for(meshes, regions)
    camera = chosen[0].camera
    assert camera is not None  # SAM 3D Body's reader always gives one
    width, height = (round(2 * c) for c in camera.center) if size is None else (int(n) for n in size)
    seen = [estimate.projected for estimate in chosen if estimate.projected is not None]
    scene = Scene(
        width,
        height,
        [ScenePerson(points, InitialBody({"mesh": np.array([float(k)])})) for k, points in enumerate(seen)],
        [SceneContact(0, 1, ContactMap.from_parts(list(touching)))],
        camera,
        "united",
    )
    (result,) = SceneFitter(meshes, regions=mapped, preset=preset).fit([scene])
    import torch

    params = {
        name: torch.as_tensor(np.asarray(value), dtype=torch.float32, device="cpu")
        for name, value in result.parameters.items()
    }
    with torch.no_grad():
        moved = meshes.pose(params).vertices().float().cpu().numpy()
    return United(result, mapped, moved, triangles)
