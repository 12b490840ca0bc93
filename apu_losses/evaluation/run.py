"""An evaluation from folders to figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from apu_contacts.contacts import Order
from apu_contacts.regions import RegionMap
from apu_losses.bodies import LinearBlendBody
from apu_losses.bodies.keypoints import SMPL_VERTEX_COUNT
from apu_losses.evaluation.fits import FitFolder
from apu_losses.evaluation.frames import FittedPair, TruthFrame, TruthSet
from apu_losses.evaluation.joint_sets import Joints, RegressedJoints, common_joints, load_regressor
from apu_losses.evaluation.measures import Measuring, MethodRecords, measure_method
from apu_losses.evaluation.mesh_contacts import with_mesh_contacts
from apu_losses.evaluation.protocols import Choice, Progress, protocol_of
from apu_losses.evaluation.report import Evaluation
from apu_losses.evaluation.smpl_mesh import SmplToBody
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
    to_body = own.to_body()
    folders = {name: FitFolder(folder, own.body, to_body) for name, folder in fits.items()}
    truth = rules.read(data, own, tell)
    if pseudo_truth is not None:
        truth = with_pseudo_truth(truth, FitFolder(pseudo_truth, own.body, to_body))
    samples = {name: _sample(name, folder, truth) for name, folder in folders.items()}
    _check_carried(own.body, to_body, truth, samples)
    caveats: list[str] = []
    joints = None
    if rules.joints or pseudo_truth is not None:
        joints = _joints(truth, samples, own.body, regressor, caveats)
    index = _region_index(regions, truth, rules.mesh_contacts, caveats)
    if index is not None and rules.mesh_contacts:
        truth = with_mesh_contacts(truth, index)
    measuring = Measuring(
        joints,
        order or rules.order,
        index,
        _topology(own.body, samples) if penetration else None,
    )
    records = []
    for number, (name, folder) in enumerate(folders.items()):
        found = measure_method(
            name, truth, folder.find, measuring, progress=_part(tell, number, len(folders))
        )
        regressed = isinstance(joints, RegressedJoints)
        records.append(_noted(found, folder, samples[name], regressed, to_body is not None))
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


def _check_carried(
    body: LinearBlendBody | None,
    to_body: SmplToBody | None,
    truth: TruthSet,
    samples: Mapping[str, FittedPair],
) -> None:
    """Look at the first true mesh, and the first of BEV's, that was carried to the body's."""
    if to_body is None:
        return
    if body is None:
        raise ValueError("a transfer file needs the body whose vertices it gives")
    first = truth.frames[0]
    if truth.name == "Hi4D" and first.vertices is not None:
        to_body.check(body, first.vertices, first.points, f"the truth of {first.key}")
    for name, sample in samples.items():
        if sample.lsp_joints is not None and sample.vertices is not None and sample.finite:
            to_body.check(body, sample.vertices, sample.points, name)


def _joints(
    truth: TruthSet,
    samples: Mapping[str, FittedPair],
    body: LinearBlendBody | None,
    regressor: str | Path | None,
    caveats: list[str],
) -> Joints:
    """By the regressor where there is one, else those that all sides have by name."""
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
    points: dict[str, object] | None = None
    for method, sample in samples.items():
        if not sample.points and sample.vertices is not None:
            raise ValueError(_nameless(method, sample.vertices.shape[1], body))
        points = {name: value for name, value in sample.points.items() if points is None or name in points}
    joints = common_joints(points or {}, first.points)
    published = "published figures are of 14 joints regressed by SMPLX_to_J14.pkl"
    if truth.name == "NTU RGB+D 120":
        published = "the paper does not say which it takes"
    caveats.append(f"the joints are {joints.provenance}; {published}")
    return joints


def _nameless(method: str, vertices: int, body: LinearBlendBody | None) -> str:
    """Why a mesh has no joints, and what would give it some."""
    has = "no --body is named" if body is None else f"the body {body.name!r} has {body.num_vertices}"
    if vertices == SMPL_VERTEX_COUNT:
        way = (
            "this is SMPL's mesh: name the file that leads from it to the body's, --transfer, or your SMPL "
            "as --body"
        )
    else:
        way = "name the body of this mesh as --body, or put joints and joint_names into the files"
    return f"{method}: the fits are meshes of {vertices} vertices, and {has}; {way}"


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
        f"expected names such as {names} with .npz or .pkl, found {there}{_bev_hint(folder, first)}"
    )


def _bev_hint(folder: FitFolder, first: TruthFrame) -> str:
    if not folder.lacking:
        return ""
    return (
        f"; BEV's files hold the two people of none, not in {len(folder.lacking)} frames such as {first.key}"
    )


def _region_index(
    regions: RegionMap | None, truth: TruthSet, of_meshes: bool, caveats: list[str]
) -> RegionIndex | None:
    if regions is None:
        return None
    meshes = of_meshes and any(
        frame.vertices is not None and frame.vertices.shape[1] == regions.vertex_count
        for frame in truth.frames
    )
    if not meshes and not any(frame.contacts is not None for frame in truth.frames):
        return None
    if regions.kind != "official":
        caveats.append(f"the region map is {regions.kind}; published figures use the official one")
    return RegionIndex.build(regions, regions.vertex_count)


def _topology(body: LinearBlendBody | None, samples: Mapping[str, FittedPair]) -> MeshTopology | None:
    """Return the body's mesh, if a method has it; others' penetration is not measured."""
    meshes = [sample.vertices for sample in samples.values() if sample.vertices is not None]
    if body is None or all(mesh.shape[1] != body.num_vertices for mesh in meshes):
        return None
    return MeshTopology.build(body.faces, body.num_vertices, np.asarray(body.data.v_template))


def _noted(
    found: MethodRecords, folder: FitFolder, sample: FittedPair, regressed: bool, carried: bool
) -> MethodRecords:
    """Add what was found in the files of a method."""
    notes = list(found.notes)
    unused = folder.unused()
    if unused:
        notes.append(f"{len(unused)} files of {folder.folder.name} belong to no frame, such as {unused[0]}")
    if folder.lacking:
        notes.append(
            f"in {len(folder.lacking)} frames BEV's file does not hold both people, such as "
            f"{min(folder.lacking)}: they count as without a fit"
        )
    if sample.lsp_joints is not None and regressed:
        notes.append(
            "joints of BEV: LSP's 14 of its own file, regressed from SMPL's mesh by Human3.6M's regressor, "
            "as in its published rows"
        )
    if sample.lsp_joints is not None and carried:
        notes.append("meshes of BEV are carried to the body's by the transfer file, for contacts and depth")
    return replace(found, notes=tuple(notes))


def _part(tell: Progress, number: int, count: int) -> Progress:
    return lambda share, doing: tell((number + share) / count, doing)
