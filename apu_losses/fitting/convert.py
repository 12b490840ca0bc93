"""From the parameters of one body to those of another, by fitting vertices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from apu_contacts.files import refuse_inputs
from apu_contacts.regions.transfer import SurfaceCorrespondence
from apu_losses.bodies.correspondence import body_correspondence
from apu_losses.bodies.identity import body_identity
from apu_losses.bodies.skinning import LinearBlendBody
from apu_losses.fitting.result.record import RESIDUAL, load_parameters, parameters_body, save_parameters
from apu_losses.numerics.least_squares import levenberg_marquardt

_METRES = 0.003  # standard deviation of a vertex: what different meshes leave at best
# standard deviations of the parameters around their start; wide, for what vertices do not tell
_SPREAD = {"transl": 10.0, "global_orient": 10.0, "betas": 3.0, "age": 1.0}
_POSE_SPREAD = 0.7
_LEFT_ALONE = ("jaw_pose", "leye_pose", "reye_pose", "expression")


@dataclass(frozen=True)
class Conversion:
    """Parameters of another body, and how well its surface lies on the first one's.

    Args:
        parameters: ``(N, size)`` per parameter of the target body.
        residual: ``(N, M)`` metres, distance of the vertices with a sure counterpart from it.
        unsure: ``(V,)`` bool, vertices of the target without a sure counterpart; they were not fitted.
        iterations: ``(N,)`` steps of the solver.
    """

    parameters: dict[str, Tensor]
    residual: Tensor
    unsure: Tensor
    iterations: Tensor

    @property
    def mean_mm(self) -> Tensor:
        """``(N,)`` mean residual in millimetres."""
        return 1000 * self.residual.mean(1)

    @property
    def p95_mm(self) -> Tensor:
        """``(N,)`` the residual that 95 % of the vertices stay below, in millimetres."""
        return 1000 * self.residual.quantile(0.95, dim=1)

    @property
    def max_mm(self) -> Tensor:
        """``(N,)`` largest residual in millimetres."""
        return 1000 * self.residual.amax(1)


def convert_parameters(
    params: Mapping[str, Tensor],
    source: LinearBlendBody,
    target: LinearBlendBody,
    *,
    correspondence: SurfaceCorrespondence | None = None,
    vertices: int = 1000,
    max_iterations: int = 25,
) -> Conversion:
    """Find the parameters with which ``target`` lies on the posed ``source``.

    Pose, shape, age, hands and translation are solved together by Levenberg-Marquardt from the source's own
    rotations. Jaw, eyes and expression stay as the source has them where both bodies have the parameter.

    Args:
        params: ``(N, size)`` per parameter of the source.
        source: the body that the parameters are of.
        target: the body that parameters are wanted for; of the same floating-point type and device.
        correspondence: where the target's vertices lie on the source's mesh; found by `body_correspondence`
            if None.
        vertices: how many vertices are fitted, spread evenly by number; the residual is taken over all.
        max_iterations: steps of the solver at most.

    Raises:
        ValueError: if the correspondence is of other meshes, too few vertices are sure, or the two bodies
            differ in type or device.
    """
    if (source.dtype, source.device) != (target.dtype, target.device):
        raise ValueError(
            f"source computes in {source.dtype} on {source.device}, target in {target.dtype} on "
            f"{target.device}; use target.to(...)"
        )
    found = body_correspondence(target, source) if correspondence is None else correspondence
    if (len(found.weights), found.source_count) != (target.num_vertices, source.num_vertices):
        raise ValueError(
            f"correspondence must lead from {target.num_vertices} vertices of the target to "
            f"{source.num_vertices} of the source, got {len(found.weights)} and {found.source_count}; "
            "is it the other way round?"
        )
    sure = np.flatnonzero(found.sure)
    if len(sure) < 100:
        raise ValueError(
            f"only {len(sure)} of {target.num_vertices} vertices have a sure counterpart: are the two "
            "unposed bodies in T-pose, upright, in metres?"
        )
    with torch.no_grad():
        mesh = source.pose(params).vertices()
    corners, weights = (
        torch.tensor(found.corners[sure], dtype=torch.int64, device=source.device),
        torch.tensor(found.weights[sure], dtype=mesh.dtype, device=source.device),
    )
    points = (mesh[:, corners] * weights[..., None]).sum(2)
    start = _start(params, source, target, len(mesh))
    every = torch.tensor(sure, dtype=torch.int64, device=target.device)
    with torch.no_grad():
        start["transl"] = start["transl"] + (points - target.pose(start).vertices(every)).mean(1)
    chosen = (
        torch.linspace(0, len(sure) - 1, min(vertices, len(sure)), device=target.device, dtype=torch.float32)
        .round()
        .long()
    )
    solved, iterations = solve_vertices(target, start, every[chosen], points[:, chosen], max_iterations)
    with torch.no_grad():
        residual = (target.pose(solved).vertices(every) - points).norm(dim=-1)
    return Conversion(solved, residual, torch.tensor(~found.sure, dtype=torch.bool, device="cpu"), iterations)


def _start(
    params: Mapping[str, Tensor], source: LinearBlendBody, target: LinearBlendBody, rows: int
) -> dict[str, Tensor]:
    """Return the target's defaults with the source's rotations where both have the same joints."""
    start = {}
    for name, spec in target.parameter_specs.items():
        value = torch.tensor([spec.default], dtype=target.dtype, device=target.device).repeat(rows, 1)
        given, other = params.get(name), source.parameter_specs.get(name)
        if given is not None and other is not None and (spec.rotation == other.rotation):
            if spec.rotation and name == "body_pose":
                shared = min(spec.size, other.size)  # SMPL's two hands come last
                value[:, :shared] = given[:, :shared]
            elif spec.size == other.size and name != "betas":
                value[:] = given
        start[name] = value.detach()
    return start


def solve_vertices(
    target: LinearBlendBody,
    start: Mapping[str, Tensor],
    ids: Tensor,
    points: Tensor,
    max_iterations: int,
) -> tuple[dict[str, Tensor], Tensor]:
    """Return the parameters, and the steps, with which a body's vertices lie on given points.

    Args:
        target: the body.
        start: ``(N, size)`` per parameter, near the solution.
        ids: ``(M,)`` vertices of the body.
        points: ``(N, M, 3)`` where they should lie.
        max_iterations: steps at most.
    """
    names = [name for name in start if name not in _LEFT_ALONE]
    sizes = [start[name].shape[1] for name in names]
    spread = torch.cat(
        [
            torch.full((size,), _SPREAD.get(name, _POSE_SPREAD), dtype=points.dtype, device=points.device)
            for name, size in zip(names, sizes, strict=True)
        ]
    )
    origin = torch.cat([start[name] for name in names], 1)

    def unpack(x: Tensor) -> dict[str, Tensor]:
        return {**start, **dict(zip(names, x.split(sizes, 1), strict=True))}

    def residuals(x: Tensor) -> Tensor:
        off = (target.pose(unpack(x)).vertices(ids) - points).flatten(1) / _METRES
        return torch.cat([off, (x - origin) / spread], 1)

    result = levenberg_marquardt(residuals, origin, max_iterations=max_iterations, tolerance=1e-5)
    solved = unpack(result.x)
    if "age" in solved:
        solved["age"] = solved["age"].clamp(0, 1)
    return {name: value.clone() for name, value in solved.items()}, result.iterations


def convert_file(
    path: str | Path, out: str | Path, source: LinearBlendBody, target: LinearBlendBody
) -> Conversion:
    """Convert the parameters in an ``.npz`` of ``(N, size)`` arrays by parameter, as ``apu fit`` writes it.

    Args:
        path: the file; arrays named ``start_...`` (the fit's start) are left out.
        out: the ``.npz`` to write: the target's parameters, ``residual_mm (N, 3)``: mean, 95 %, largest, and
            which body they are of.
        source: the body of the parameters in the file.
        target: the body that parameters are wanted for.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds no parameters of the source body, or ``out`` does not end in ``.npz``.
        OSError: ``out`` cannot be written, or is the file that is read.
    """
    if Path(out).suffix != ".npz":
        raise ValueError(f"out must end in .npz, got {str(out)!r}")
    refuse_inputs([out], [path])
    arrays, _ = load_parameters(path)
    _check_owner(path, source)
    unknown = sorted(arrays.keys() - source.parameter_specs.keys())
    if unknown or not arrays:
        raise ValueError(
            f"{path}: holds {unknown or 'nothing'}, expected parameters of the body {source.name!r}: "
            f"{sorted(source.parameter_specs)}; are they of another body?"
        )
    params = {}
    for name, value in arrays.items():
        rows, size = np.atleast_2d(value), source.parameter_specs[name].size
        if rows.ndim != 2 or rows.shape[1] != size or rows.dtype.kind not in "fiu":
            raise ValueError(
                f"{path}: {name} must be numbers of shape (N, {size}), got {rows.dtype} {value.shape}; are "
                f"they of another body than {source.name!r}?"
            )
        if not np.isfinite(rows).all():
            raise ValueError(f"{path}: {name} is not finite; did the fit of this scene fail?")
        params[name] = torch.tensor(rows, dtype=source.dtype, device=source.device)
    counts = {name: len(value) for name, value in params.items()}
    if len(set(counts.values()) - {1}) > 1 or 0 in counts.values():
        raise ValueError(f"{path}: the parameters are of different numbers of people: {counts}")
    result = convert_parameters(params, source, target)
    figures = torch.stack([result.mean_mm, result.p95_mm, result.max_mm], 1)
    written = {name: value.cpu().numpy() for name, value in result.parameters.items()}
    written[RESIDUAL] = figures.cpu().numpy()
    save_parameters(out, written, target.name, body_identity(target))
    return result


def is_converted(path: Path) -> bool:
    """Whether a file is one that `convert_file` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return RESIDUAL in file.files


def _check_owner(path: str | Path, source: LinearBlendBody) -> None:
    """Raise where a file says that its parameters are another body's."""
    name, identity = parameters_body(path)
    other = identity != body_identity(source) if identity else bool(name) and name != source.name
    if other:
        same = " of another shape" if name == source.name else ""
        raise ValueError(
            f"{path}: these are parameters of the body {name!r}{same}, not of {source.name!r}: posed by "
            f"another body they mean other people; name theirs with --from (source)"
        )
