"""From given meshes, such as SAM 3D Body's (MHR), to the parameters of a body, and back to such meshes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apu_contacts.files import refuse_inputs, staged_file
from apu_contacts.reading import read_array, read_arrays
from apu_contacts.regions import read_surface_mapping
from apu_contacts.regions.mapping import write_surface_mapping
from apu_contacts.regions.transfer import SurfaceCorrespondence, correspond
from apu_contacts.sources import InitialEstimate, inspect_file, read_sam3d_body
from apu_contacts.sources.sam3d import own_camera
from apu_losses.bodies.identity import body_identity
from apu_losses.bodies.posed_mesh import PosedMeshBody
from apu_losses.bodies.skinning import LinearBlendBody
from apu_losses.fitting.convert import Conversion, solve_vertices
from apu_losses.fitting.mesh_regions import best_correspondence, fit_to_meshes
from apu_losses.fitting.result.record import RESIDUAL, load_parameters, save_parameters
from apu_losses.interop.mesh_files import read_meshes

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MeshConversion:
    """Parameters of a body that lies on given meshes, and the way back.

    Args:
        conversion: the parameters, and how far the body's vertices lie from the meshes.
        back: where the meshes' vertices lie on the body's surface: ``back.apply(vertices)`` of any pose
            of the body is a mesh of the first topology.
        round_trip: ``(M,)`` metres, mean distance of the meshes' vertices from themselves after there and
            back.
    """

    conversion: Conversion
    back: SurfaceCorrespondence
    round_trip: Tensor


def convert_meshes(
    meshes: PosedMeshBody,
    target: LinearBlendBody,
    *,
    mapping: SurfaceCorrespondence | None = None,
    rounds: int = 3,
    vertices: int = 2000,
) -> MeshConversion:
    """Find the parameters with which a body lies on given meshes.

    The body is put on the meshes' named points, and its vertices then on the nearest surface, searched again
    each round. With a mapping, each vertex goes to its own place instead; that is more exact on a body whose
    shape the mapping was made for.

    Args:
        meshes: with named points: hips and shoulders at least, better all that SAM 3D Body gives.
        target: the body whose parameters are wanted.
        mapping: where the target's vertices lie on the meshes, as `read_surface_mapping` reads it
            (``mhr2smplx_mapping.npz`` for SMPL-X).
        rounds: how often the nearest surface is searched.
        vertices: of the target that are fitted, spread evenly by number; the residual is over all.

    Returns:
        Parameters, residual, and the way back. The residual is the distance to the place of the mapping, or
        to the nearest surface that faces the same way.

    Raises:
        ValueError: named points that do not place a body, or whose left and right are exchanged, or a mapping
            of other meshes.

    Example:
        >>> import numpy as np, torch, apu_losses as al
        >>> from apu_losses.bodies import PosedMeshBody
        >>> from apu_losses.fitting import convert_meshes
        >>> free = al.load_body()
        >>> posed = free.pose({"betas": torch.ones(1, 10)})
        >>> named = {"joints": posed.joints, "joint_names": free.joint_names}
        >>> mesh = PosedMeshBody(posed.vertices(), free.faces, **named)
        >>> found = convert_meshes(mesh, free, rounds=2)
        >>> bool(found.conversion.mean_mm < 2), bool(found.round_trip < 0.003)
        (True, True)
    """
    given = meshes.pose({})
    with torch.no_grad():
        surfaces = given.vertices().double().cpu().numpy()
    faces = meshes.faces.cpu().numpy()
    params, bent = fit_to_meshes(meshes, target, rounds=rounds, vertices=vertices)
    each = [correspond(mesh, faces, own, target.data.faces) for mesh, own in zip(surfaces, bent, strict=True)]
    back = best_correspondence(each, surfaces, bent)
    if mapping is None:
        own = _vertices(target, params)
        residual, unsure = _to_nearest(own, target.data.faces, surfaces, faces)
        iterations = torch.full((len(own),), rounds, dtype=torch.int64, device="cpu")
    else:
        if (len(mapping.weights), mapping.source_count) != (target.num_vertices, meshes.num_vertices):
            raise ValueError(
                f"mapping must lead from {target.num_vertices} vertices of the target to "
                f"{meshes.num_vertices} of the meshes, got {len(mapping.weights)} and "
                f"{mapping.source_count}; is it the one of the other direction?"
            )
        points = torch.tensor(
            np.stack([mapping.apply(mesh) for mesh in surfaces]), dtype=target.dtype, device=target.device
        )
        count = min(vertices, target.num_vertices)
        spread = torch.linspace(0, target.num_vertices - 1, count, dtype=torch.float64, device="cpu")
        ids = spread.round().long().to(target.device)
        params, iterations = solve_vertices(target, params, ids, points[:, ids], 25)
        own = _vertices(target, params)
        residual = torch.from_numpy(own).to(points).sub(points).norm(dim=-1)
        unsure = torch.zeros(target.num_vertices, dtype=torch.bool, device="cpu")
    apart = [
        float(np.linalg.norm(back.apply(body) - mesh, axis=1).mean())
        for body, mesh in zip(own, surfaces, strict=True)
    ]
    found = Conversion(params, residual, unsure, iterations)
    return MeshConversion(found, back, torch.tensor(apart, dtype=torch.float64, device="cpu"))


def _vertices(body: LinearBlendBody, params: dict[str, Tensor]) -> Floats:
    with torch.no_grad():
        found: Floats = body.pose(params).vertices().double().cpu().numpy()
    return found


def _to_nearest(
    own: Floats, triangles: NDArray[np.integer[Any]], surfaces: Floats, faces: NDArray[np.int64]
) -> tuple[Tensor, Tensor]:
    """``(M, S)`` distances of a body's vertices from the nearest surface that faces the same way, of those
    that have one on every mesh, and which ``(V,)`` have none.
    """
    found = [correspond(body, triangles, mesh, faces) for body, mesh in zip(own, surfaces, strict=True)]
    sure = np.logical_and.reduce([each.sure for each in found])
    off = [
        np.linalg.norm(each.apply(mesh) - body, axis=1)[sure]
        for each, mesh, body in zip(found, surfaces, own, strict=True)
    ]
    return torch.from_numpy(np.stack(off)), torch.from_numpy(~sure)


def is_mesh_source(path: str | Path) -> bool:
    """Whether a file or folder holds the meshes of an estimator's people: SAM 3D Body's, by content."""
    file = Path(path)
    if not file.exists():
        return False
    try:
        return inspect_file(file).kind == "sam3d"
    except ValueError:
        return False


def read_mesh_people(
    path: str | Path | Sequence[str | Path], size: Sequence[float] | None = None
) -> list[InitialEstimate]:
    """Return SAM 3D Body's people with meshes, of one file or of a folder or list of one person a file.

    Args:
        path: what `read_sam3d_body` reads.
        size: width and height of the picture; twice the principal point of the file's own
            camera where it is not given.

    Raises:
        ValueError: as `read_sam3d_body`, or if somebody has no mesh.
    """
    if size is None:
        size = _own_size(Path(path) if isinstance(path, str | Path) else Path(path[0]))
    people = read_sam3d_body(path if isinstance(path, str | Path) else list(path), size)
    bare = [k for k, person in enumerate(people) if person.vertices is None]
    if bare:
        raise ValueError(f"{path}: people {bare} have no mesh (pred_vertices): was it left out when saving?")
    return people


def _own_size(path: Path) -> tuple[float, float]:
    """Return an image size that holds the file's own principal point in its middle."""
    file = next(p for p in sorted(path.iterdir()) if is_mesh_source(p)) if path.is_dir() else path
    camera = own_camera(file)
    if camera is None:
        raise ValueError(f"{file}: the picture's width and height are needed: --size W H")
    return 2 * camera.center[0], 2 * camera.center[1]


def read_faces(path: str | Path) -> NDArray[np.int64]:
    """Return the triangles of a mesh file, or of an ``.npy`` of shape (F, 3).

    Raises:
        ValueError: if there are none.
    """
    file = Path(path)
    if file.suffix.lower() == ".npy":
        return np.asarray(read_array(file), dtype=np.int64)
    faces = read_meshes(file)[0].faces
    if faces is None:
        raise ValueError(f"{file}: expected a mesh with triangles, got vertices alone")
    return np.asarray(faces, dtype=np.int64)


def convert_mesh_file(
    path: str | Path,
    out: str | Path,
    target: LinearBlendBody,
    faces: str | Path,
    *,
    mapping: str | Path | None = None,
    back: str | Path | None = None,
    size: Sequence[float] | None = None,
) -> MeshConversion:
    """Convert the meshes of SAM 3D Body's people to the parameters of a body.

    Args:
        path: a file of one or more people, or a folder of one person a file.
        out: the ``.npz`` to write, as `convert_file` does.
        target: the body.
        faces: a file with the meshes' triangles: ``mhr_face_mask.ply``, or an ``.npy``.
        mapping: ``mhr2smplx_mapping.npz`` or ``mhr2smpl_mapping.npz`` for those bodies; the nearest surface
            is searched without it.
        back: an ``.npz`` to write, that leads from the body to such meshes; `convert_back_file` takes it.
        size: of the picture; see `read_mesh_people`.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: as `convert_meshes`, or ``out`` does not end in ``.npz``.
        OSError: ``out`` cannot be written, or is a file that is read.
    """
    if Path(out).suffix != ".npz":
        raise ValueError(f"out must end in .npz, got {str(out)!r}")
    refuse_inputs([Path(p) for p in (out, back) if p is not None], [path, faces])
    triangles = read_faces(faces)
    meshes = PosedMeshBody.from_estimates(read_mesh_people(path, size), triangles)
    placed = None if mapping is None else read_surface_mapping(mapping, triangles, meshes.num_vertices)
    found = convert_meshes(meshes, target, mapping=placed)
    each = found.conversion
    figures = torch.stack([each.mean_mm, each.p95_mm, each.max_mm], 1)
    written = {name: value.cpu().numpy() for name, value in each.parameters.items()}
    written[RESIDUAL] = figures.cpu().numpy().astype(np.float32)
    save_parameters(out, written, target.name, body_identity(target))
    if back is not None:
        write_surface_mapping(back, found.back, target.data.faces)
    return found


def convert_back_file(
    path: str | Path, out: str | Path, source: LinearBlendBody, mapping: str | Path
) -> NDArray[np.float32]:
    """Pose a body with fitted parameters and write meshes of another topology that lie on it.

    Args:
        path: the parameters, as `apu fit` and `convert_mesh_file` write them.
        out: the ``.npz`` to write: ``vertices (N, V, 3)``.
        source: the body of the parameters.
        mapping: where the other meshes' vertices lie on the body: ``smplx2mhr_mapping.npz`` for SMPL-X, what
            `convert_mesh_file` left as ``back`` for any body.

    Raises:
        ValueError: as `read_surface_mapping`, or parameters of another body.
    """
    refuse_inputs([out], [path, mapping])
    placed = read_surface_mapping(mapping, source.data.faces, source.num_vertices)
    arrays, _ = load_parameters(path)
    unknown = sorted(arrays.keys() - source.parameter_specs.keys() - {RESIDUAL})
    if unknown:
        raise ValueError(
            f"{path}: holds {unknown}, which the body {source.name!r} has not: name it with --from"
        )
    params = {
        name: torch.tensor(np.atleast_2d(value), dtype=source.dtype, device=source.device)
        for name, value in arrays.items()
        if name in source.parameter_specs
    }
    meshes = np.stack([placed.apply(own) for own in _vertices(source, params)]).astype(np.float32)
    with staged_file(Path(out)) as part:
        np.savez_compressed(part, vertices=meshes)
    return meshes


def is_mapping(path: str | Path) -> bool:
    """Whether a file leads from one mesh to another, as Meta's MHR repository writes it."""
    file = Path(path)
    if file.suffix != ".npz" or not file.is_file():
        return False
    return {"triangle_ids", "baryc_coords"} <= set(read_arrays(file))
