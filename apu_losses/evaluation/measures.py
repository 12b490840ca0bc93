"""What is measured of one method on one frame, and on all frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from apu_contacts.contacts import ContactMap, Order
from apu_losses.bodies.keypoints import SMPL_VERTEX_COUNT
from apu_losses.evaluation.frames import FittedPair, FloatArray, TruthFrame, TruthSet
from apu_losses.evaluation.joint_sets import Joints
from apu_losses.functional.contact_edges import ContactEdges
from apu_losses.functional.metrics import (
    PCC_RADII,
    POINT_ALIGNS,
    aligned_mpjpe,
    contact_distances,
    contact_scores,
    joint_pa_mpjpe_orders,
    mpjpe,
    pcc,
    penetration_depth,
)
from apu_losses.geometry.operators import contact_map_from_meshes
from apu_losses.geometry.topology import MeshTopology, RegionIndex

TOUCHING = 0.013
"""Metres: below this two regions touch in the binary scores, as in BUDDI's evaluation."""

_TURNED = 60.0
"""Degrees; a fit in the camera's axes is turned by less even where it is bad, one with y up by 180."""
_SMALL, _LARGE = 0.3, 4.0
"""Metres: the larger of two people is neither smaller, an infant, nor larger, whatever they do."""

Metrics = dict[str, float]


@dataclass(frozen=True)
class Measuring:
    """What to measure with.

    Args:
        joints: which joints; None: none are measured.
        order: ``"either"`` takes the order of the two people with the smaller joint error (without joints,
            the smaller distance of the annotated contacts), as the published evaluations on CHI3D and Hi4D
            do; ``"given"`` takes them as they come.
        regions: the 75 regions of the fits' mesh; None: no contacts.
        topology: of the fits' mesh, for penetration; None: none is measured.
        scores: also count binary contact at 13 mm. About 0.01 for every published method: no headline.
    """

    joints: Joints | None
    order: Order = "either"
    regions: RegionIndex | None = None
    topology: MeshTopology | None = None
    scores: bool = True


@dataclass(frozen=True)
class FrameRecord:
    """One method on one frame.

    Args:
        key, group, cluster: of the frame.
        metrics: by name, see `METRICS`; what cannot be measured is not there.
        exchanged: whether the two people were taken in the other order.
    """

    key: str
    group: str
    cluster: str
    metrics: Metrics
    exchanged: bool = False


@dataclass(frozen=True)
class MethodRecords:
    """One method on all frames.

    Args:
        name: of the method.
        records: of the frames that it solved.
        missing: keys of frames without a fit.
        broken: keys of frames whose fit holds something that is not finite.
        notes: what was found in the fits.
    """

    name: str
    records: tuple[FrameRecord, ...]
    missing: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def measure_method(
    name: str,
    truth: TruthSet,
    find: Callable[[TruthFrame], FittedPair | None],
    measuring: Measuring,
    *,
    progress: Callable[[float, str], None] | None = None,
) -> MethodRecords:
    """Measure a method on every frame that it solved.

    Args:
        name: of the method.
        truth: the frames.
        find: gives the fit of a frame, None where there is none.
        measuring: what to measure.
        progress: is told the share that is done, and what.

    Raises:
        ValueError: a fit does not have what is to be measured; the frame is named.
    """
    records, missing, broken = [], [], []
    for number, frame in enumerate(truth.frames):
        if progress is not None:
            progress(number / len(truth.frames), f"{name}: {frame.key}")
        fit = find(frame)
        if fit is None:
            missing.append(frame.key)
        elif not fit.finite:
            broken.append(frame.key)
        else:
            try:
                records.append(measure_frame(frame, fit, measuring))
            except ValueError as error:
                raise ValueError(f"{name}, frame {frame.key}: {error}") from error
    notes = _notes_on_axes(records)
    if missing:
        notes.append(f"without a fit: {_some(missing)}")
    if broken:
        notes.append(f"with a fit that is not finite: {_some(broken)}")
    without = sum("contact_mm" not in record.metrics for record in records)
    if measuring.regions is not None and without:
        notes.append(
            f"contacts are not measured in {without} frames: none is annotated, or the fit is no mesh of the "
            "region map's vertices"
        )
    return MethodRecords(name, tuple(records), tuple(missing), tuple(broken), tuple(notes))


def measure_frame(frame: TruthFrame, fit: FittedPair, measuring: Measuring) -> FrameRecord:
    """Measure one fit; arguments as of `measure_method`.

    Raises:
        ValueError: the fit does not have what is to be measured.
    """
    metrics: Metrics = {"height": height_of(fit)}
    exchanged = False
    if measuring.joints is not None:
        found, true = measuring.joints.of_fit(fit), measuring.joints.of_truth(frame)
        if not np.isfinite(true).all():
            raise ValueError("the truth holds a joint that is not finite")
        orders = joint_pa_mpjpe_orders(_batch(found), _batch(true))
        exchanged = measuring.order == "either" and bool(orders.exchanged < orders.given)
        if exchanged:
            fit, found = fit.exchanged(), found[::-1].copy()
        metrics.update(joint_metrics(found, true, measuring.joints.names))
        turn, size = turn_and_size(found, true)
        if np.isfinite(size):
            metrics.update(turn=turn, size=size)
        metrics["joint_pa_other_order"] = 1000 * float(orders.given if exchanged else orders.exchanged)
    regions, contacts = measuring.regions, frame.contacts
    if regions is not None and contacts is not None and len(contacts):
        if _is_mesh_of(fit, regions):
            fit, own, turned = _contacts(fit, contacts, regions, measuring)
            metrics.update(own)
            exchanged = exchanged or turned
        elif measuring.joints is None:
            has = "joints only" if fit.vertices is None else f"{fit.vertices.shape[1]} vertices"
            smpl = fit.vertices is not None and fit.vertices.shape[1] == SMPL_VERTEX_COUNT
            way = (
                "name the file from SMPL's mesh to the body's: --transfer"
                if smpl
                else "give meshes of --body"
            )
            raise ValueError(
                f"contacts need a mesh of the region map's {regions.vertex_count} vertices, "
                f"and the fit has {has}; {way}"
            )
    if measuring.topology is not None and _is_mesh_of(fit, measuring.topology):
        metrics.update(penetration_metrics(_mesh(fit), measuring.topology))
    return FrameRecord(frame.key, frame.group, frame.cluster, metrics, exchanged)


def joint_metrics(found: FloatArray, true: FloatArray, names: Sequence[str]) -> Metrics:
    """Errors in millimetres of the joints of two people, under every alignment.

    ``joint_X``: both people under one alignment X; ``person_X``: each under their own, the mean of the two;
    ``person_pa_a`` and ``person_pa_b`` apart, as published tables have them. X: ``none``, ``translation``,
    ``scale``, ``pa`` (similarity). ``person_hips``: hips on hips.

    Args:
        found, true: ``(2, J, 3)`` metres.
        names: J joints.
    """
    x, y = torch.from_numpy(np.ascontiguousarray(found)), torch.from_numpy(np.ascontiguousarray(true))
    metrics = {}
    for align in POINT_ALIGNS:
        short = "pa" if align == "similarity" else align
        metrics[f"joint_{short}"] = float(aligned_mpjpe(x.flatten(0, 1)[None], y.flatten(0, 1)[None], align))
        each = aligned_mpjpe(x, y, align)
        metrics[f"person_{short}"] = float(each.mean())
        if short == "pa":
            metrics["person_pa_a"], metrics["person_pa_b"] = each.tolist()
    hips = tuple(names.index(name) for name in ("left_hip", "right_hip") if name in names)
    if len(hips) == 2:
        metrics["person_hips"] = float(mpjpe(x, y, roots=hips).mean())
    return {name: 1000 * value for name, value in metrics.items()}


def turn_and_size(found: FloatArray, true: FloatArray) -> tuple[float, float]:
    """By how many degrees the best similarity turns the estimate, and by what factor it scales it.

    Args:
        found, true: ``(2, J, 3)``.

    Example:
        >>> true = np.random.default_rng(0).normal(size=(2, 14, 3))
        >>> turn, size = turn_and_size(2 * true * [1, -1, -1], true)  # y up instead of down
        >>> round(turn, 3), round(size, 3)
        (180.0, 0.5)
    """
    p, q = found.reshape(-1, 3), true.reshape(-1, 3)
    p, q = p - p.mean(0), q - q.mean(0)
    u, s, vh = np.linalg.svd(p.T @ q)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vh))])
    turn = np.degrees(np.arccos(np.clip((np.trace((u * sign) @ vh) - 1) / 2, -1, 1)))
    spread = float((p * p).sum())
    return float(turn), float((s * sign).sum()) / spread if spread > 0 else float("nan")


def height_of(fit: FittedPair) -> float:
    """How far the points of the larger of two people reach from each other along one axis, in metres."""
    points = fit.vertices if fit.vertices is not None else np.stack(list(fit.points.values()), 1)
    return float(np.ptp(points, axis=1).max())


def _notes_on_axes(records: Sequence[FrameRecord]) -> list[str]:
    """Say whether fits lie in other axes than the truth, or are in another unit."""
    notes = []
    turns = [record.metrics["turn"] for record in records if "turn" in record.metrics]
    if turns and np.median(turns) > _TURNED:
        notes.append(
            f"the best similarity turns the fits by {np.median(turns):.0f} degrees in the median: they are "
            "not in the camera's axes (x right, y down, z forward), so only the figures of a similarity hold"
        )
    heights = [record.metrics["height"] for record in records if "height" in record.metrics]
    if heights and not _SMALL < np.median(heights) < _LARGE:
        notes.append(
            f"the larger of the two people reaches over {np.median(heights):.3g} m in the median, which "
            "nobody does: are the fits in metres?"
        )
    return notes


def _some(keys: Sequence[str]) -> str:
    rest = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(keys[:3]) + rest


def contact_metrics(
    vertices: Tensor, contacts: ContactMap, regions: RegionIndex, *, scores: bool = True
) -> Metrics:
    """How near annotated contacts are on two meshes ``(2, V, 3)``.

    ``contact_mm``: mean distance of the annotated region pairs, over all their vertices; ``pcc_R``: per cent
    of them within R centimetres, R = 5, 10, 15, 20; ``pcc``: mean over the radii 0, 5, ..., 95 cm;
    ``precision``, ``recall``, ``f1`` of region pairs within 13 mm.
    """
    pairs = ContactMap(np.unique(contacts.pairs, axis=0))
    edges = ContactEdges.from_maps([pairs], [0], [1], dtype=vertices.dtype)
    distances, _ = contact_distances(vertices, edges, regions)
    shares = pcc(distances, torch.zeros(len(distances), dtype=torch.int64, device=distances.device), 1)[0]
    metrics = {"contact_mm": 1000 * float(distances.mean()), "pcc": 100 * float(shares.mean())}
    for radius, share in zip(PCC_RADII, shares.tolist(), strict=True):
        if radius in (0.05, 0.1, 0.15, 0.2):
            metrics[f"pcc_{round(100 * radius)}"] = 100 * share
    if scores:
        touching = contact_map_from_meshes(vertices[:1], vertices[1:], regions, threshold=TOUCHING)
        true = torch.zeros_like(touching)
        for a, b in pairs.pairs.tolist():
            true[0, a, b] = True
        found = contact_scores(touching, true)
        metrics["precision"], metrics["recall"] = float(found.precision), float(found.recall)
        metrics["f1"] = float(found.f1)
    return {name: value for name, value in metrics.items() if np.isfinite(value)}


def _contacts(
    fit: FittedPair, contacts: ContactMap, regions: RegionIndex, measuring: Measuring
) -> tuple[FittedPair, Metrics, bool]:
    """Return the fit in the order that counts, its contacts, and whether they decided that it is the other
    order.
    """
    own = contact_metrics(_mesh(fit), contacts, regions, scores=measuring.scores)
    if measuring.joints is not None:
        return fit, own, False
    other = contact_metrics(_mesh(fit.exchanged()), contacts, regions, scores=measuring.scores)
    exchanged = measuring.order == "either" and other["contact_mm"] < own["contact_mm"]
    if exchanged:
        fit, own, other = fit.exchanged(), other, own
    own["contact_mm_other_order"] = other["contact_mm"]
    return fit, own, exchanged


def penetration_metrics(vertices: Tensor, topology: MeshTopology) -> Metrics:
    """``depth_mm``: how deep the deepest vertex of two meshes ``(2, V, 3)`` lies inside the other, to its
    surface; ``inside``: how many vertices of both do.
    """
    row = torch.zeros(1, dtype=torch.int64, device=vertices.device)
    depth = penetration_depth(vertices, topology, row, row + 1)
    return {"depth_mm": 1000 * float(depth.largest), "inside": float(depth.inside)}


def _is_mesh_of(fit: FittedPair, mesh: RegionIndex | MeshTopology) -> bool:
    return fit.vertices is not None and fit.vertices.shape[1] == mesh.vertex_count


def _mesh(fit: FittedPair) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(fit.vertices, dtype=np.float32))


def _batch(points: FloatArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(points))[None]


def record_to_dict(record: FrameRecord) -> Mapping[str, Any]:
    """Ready for JSON."""
    return {
        "key": record.key,
        "class": record.group,
        "cluster": record.cluster,
        "exchanged": record.exchanged,
        "metrics": {name: round(value, 4) for name, value in record.metrics.items()},
    }
