"""An evaluation from folders to figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from apu_contacts.contacts import Order
from apu_contacts.regions import RegionMap
from apu_losses.bodies import LinearBlendBody
from apu_losses.evaluation.fits import FitFolder
from apu_losses.evaluation.frames import FittedPair, TruthSet
from apu_losses.evaluation.joint_sets import Joints, RegressedJoints, common_joints, load_regressor
from apu_losses.evaluation.measures import Measuring, MethodRecords, measure_method
from apu_losses.evaluation.protocols import Choice, Progress, protocol_of
from apu_losses.evaluation.report import Evaluation
from apu_losses.evaluation.summary import Resampling
from apu_losses.geometry.topology import MeshTopology, RegionIndex


def evaluate_fits(
    protocol: str,
    data: str | Path,
    fits: Mapping[str, str | Path],
    *,
    choice: Choice | None = None,
    regions: RegionMap | None = None,
    regressor: str | Path | None = None,
    pseudo_truth: str | Path | None = None,
    order: Order | None = None,
    penetration: bool = True,
    resampling: Resampling | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure methods by a protocol.

    Args:
        protocol: a key of `PROTOCOLS`.
        data: the folder of the data set, in its own layout.
        fits: folders of fits by the methods' names, see `FitFolder`.
        choice: what the protocol leaves open, and the body of the fits.
        regions: the 75 regions of the fits' mesh, for contacts.
        regressor: ``SMPLX_to_J14.pkl``, for the published choice of joints; see `load_regressor`.
        pseudo_truth: folder of fits that stand in for true joints where there are none (FlickrCI3D).
        order: of the two people; None: the protocol's own.
        penetration: measure it, where the mesh is the body's.
        resampling: how intervals are drawn.
        progress: is told the share that is done, and what.

    Raises:
        FileNotFoundError: a folder or file is missing; the message says what was expected.
        ValueError: a file is something else; an unknown protocol; no method, or one without any fit.
    """
    if not fits:
        raise ValueError("fits must name at least one method")
    rules, own = protocol_of(protocol), choice or Choice()
    tell = progress or (lambda share, doing: None)
    folders = {name: FitFolder(folder, own.body) for name, folder in fits.items()}
    truth = rules.read(data, own, tell)
    if pseudo_truth is not None:
        truth = with_pseudo_truth(truth, FitFolder(pseudo_truth, own.body))
    caveats: list[str] = []
    joints = None
    if rules.joints or pseudo_truth is not None:
        joints = _joints(truth, folders, own.body, regressor, caveats)
    measuring = Measuring(
        joints,
        order or rules.order,
        _region_index(regions, truth, caveats),
        _topology(own.body, folders, truth) if penetration else None,
    )
    records = []
    for number, (name, folder) in enumerate(folders.items()):
        found = measure_method(
            name, truth, folder.find, measuring, progress=_part(tell, number, len(folders))
        )
        records.append(_noted(found, folder, truth))
    return Evaluation(
        protocol=protocol,
        dataset=truth.name,
        groups=truth.groups,
        methods=tuple(records),
        joints="" if joints is None else joints.provenance,
        region_map=""
        if measuring.regions is None or regions is None
        else f"{regions.topology}, {regions.kind}",
        notes=truth.notes,
        caveats=tuple(caveats),
        resampling=resampling or Resampling(),
    )


def with_pseudo_truth(truth: TruthSet, fits: FitFolder) -> TruthSet:
    """Return the frames for which a folder has a fit, which stands in for the truth of joints and meshes.

    Raises:
        ValueError: it has none.
    """
    frames = []
    for frame in truth.frames:
        fit = fits.find(frame)
        if fit is not None and fit.finite:
            frames.append(replace(frame, points=fit.points, vertices=fit.vertices))
    if not frames:
        raise ValueError(
            f"{fits.folder}: has no fit for any of the {len(truth.frames)} frames of {truth.name}"
        )
    note = f"joints are compared with pseudo truth: the fits in {fits.folder.name}, {len(frames)} frames"
    return TruthSet(truth.name, frames, (*truth.notes, note))


def _joints(
    truth: TruthSet,
    folders: Mapping[str, FitFolder],
    body: LinearBlendBody | None,
    regressor: str | Path | None,
    caveats: list[str],
) -> Joints:
    """By the regressor where there is one, else those that all sides have by name."""
    samples = [_sample(name, folder, truth) for name, folder in folders.items()]
    first = truth.frames[0]
    if regressor is not None:
        if body is None:
            raise ValueError("a regressor needs the body whose vertices it is for")
        found: RegressedJoints = load_regressor(regressor, body)
        if first.vertices is None:
            raise ValueError(
                f"the truth of {truth.name} has joints only here, so a regressor cannot be used: CHI3D needs "
                "your own SMPL-X as --body, Hi4D a --transfer file, NTU has no meshes"
            )
        return found
    points: dict[str, object] = dict(samples[0].points)
    for sample in samples[1:]:
        points = {name: value for name, value in points.items() if name in sample.points}
    joints = common_joints(points, first.points)
    published = "published figures are of 14 joints regressed by SMPLX_to_J14.pkl"
    if truth.name == "NTU RGB+D 120":
        published = "the paper does not say which it takes"
    caveats.append(f"the joints are {joints.provenance}; {published}")
    return joints


def _sample(name: str, folder: FitFolder, truth: TruthSet) -> FittedPair:
    for frame in truth.frames:
        found = folder.find(frame)
        if found is not None:
            return found
    first = truth.frames[0]
    names = ", ".join([first.key, *first.aliases])
    there = ", ".join(sorted(folder.names)[:3])
    raise ValueError(
        f"{folder.folder}: {name}: no fit for any of the {len(truth.frames)} frames of {truth.name}; "
        f"expected names such as {names} with .npz or .pkl, found {there}"
    )


def _region_index(regions: RegionMap | None, truth: TruthSet, caveats: list[str]) -> RegionIndex | None:
    if regions is None or not any(frame.contacts is not None for frame in truth.frames):
        return None
    if regions.kind != "official":
        caveats.append(f"the region map is {regions.kind}; published figures use the official one")
    return RegionIndex.build(regions, regions.vertex_count)


def _topology(
    body: LinearBlendBody | None, folders: Mapping[str, FitFolder], truth: TruthSet
) -> MeshTopology | None:
    """Return the body's mesh, where every method has it."""
    if body is None:
        return None
    for name, folder in folders.items():
        sample = _sample(name, folder, truth)
        if sample.vertices is None or sample.vertices.shape[1] != body.num_vertices:
            return None
    return MeshTopology.build(body.faces, body.num_vertices, np.asarray(body.data.v_template))


def _noted(found: MethodRecords, folder: FitFolder, truth: TruthSet) -> MethodRecords:
    unused = folder.unused()
    if not unused:
        return found
    note = f"{len(unused)} files of {folder.folder.name} belong to no frame, such as {unused[0]}"
    return replace(found, notes=(*found.notes, note))


def _part(tell: Progress, number: int, count: int) -> Progress:
    return lambda share, doing: tell((number + share) / count, doing)
