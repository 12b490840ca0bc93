"""BEV's own files as fits: SMPL's mesh, with the joints that published errors of BEV are of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from apu_contacts.people import match_boxes
from apu_contacts.reading import ArrayFile
from apu_contacts.sources import BevPerson, SourceFormatError, read_bev
from apu_contacts.sources.names import SMPL_JOINTS
from apu_losses.evaluation.frames import FittedPair, TruthFrame
from apu_losses.evaluation.joint_sets import LSP14, misplaced
from apu_losses.evaluation.smpl_mesh import SMPL_HEAD_TOP, SmplToBody

BEV_ENDINGS = (".npz", "_0.08.npz", "__2_0.08.npz")
"""What follows a picture's name: BEV alone, and as BUDDI calls the files."""
_NAMED = SMPL_JOINTS[:22]  # the last two of SMPL, a hand each, exist in no other body


def is_bev(path: str | Path) -> bool:
    """Whether an ``.npz`` is of BEV: one entry, ``results``."""
    with ArrayFile(path) as file:
        return "results" in file


def bev_pair(
    path: str | Path, frame: TruthFrame | None = None, to_body: SmplToBody | None = None
) -> FittedPair | None:
    """Return the two people of a frame among all whom BEV found in the picture, in the camera's axes.

    Where the frame has boxes, each person is the one whose keypoints' box overlaps it best, at least by 0.3;
    elsewhere the file must hold just two.

    Args:
        path: the ``.npz`` as BEV writes it.
        frame: whose people they are.
        to_body: gives them the mesh of other fits; without it they keep SMPL's.

    Returns:
        The pair with SMPL's first 22 joints by name, the top of the head and LSP's joints; None where BEV did
        not find both.

    Raises:
        SourceFormatError: it is no file of BEV, its LSP joints lie elsewhere than SMPL's of their names, or
            it holds more than two people and the frame has no boxes.
    """
    people = _people(path)
    chosen = _chosen(people, frame, path)
    if chosen is None:
        return None
    points = {name: np.stack([p.named_joints([name])[0] for p in chosen]) for name in _NAMED}
    vertices = None
    meshes = [p.vertices + p.cam_trans for p in chosen if p.vertices is not None]
    if len(meshes) == 2:
        vertices = np.stack(meshes)
        points["head_top"] = vertices[:, SMPL_HEAD_TOP]
        vertices = vertices if to_body is None else to_body(vertices)
    lsp = np.stack([person.lsp_joints for person in chosen])
    pair = FittedPair(points, vertices, lsp)
    if pair.finite:
        _check(points, lsp, path)
    return pair


def _people(path: str | Path) -> list[BevPerson]:
    try:
        return read_bev(path, vertices=True, allow_empty=True)
    except SourceFormatError as error:
        if "'verts'" not in str(error):
            raise
    return read_bev(path, allow_empty=True)  # saved without meshes: joints alone


def _chosen(
    people: Sequence[BevPerson], frame: TruthFrame | None, path: str | Path
) -> Sequence[BevPerson] | None:
    if len(people) < 2:
        return None
    if frame is not None and frame.boxes is not None:
        found = match_boxes(frame.boxes, [person.keypoints() for person in people]).matches
        return [people[match.index_b] for match in found] if len(found) == 2 else None
    if len(people) > 2:
        raise SourceFormatError(
            f"{path}: BEV found {len(people)} people, and where the two of the frame stand in the picture is "
            "not known; expected a file of these two"
        )
    return people


def _check(points: dict[str, np.ndarray], lsp: np.ndarray, path: str | Path) -> None:
    for person in (0, 1):
        own = {name: points[name][person] for name in LSP14 if name in points}
        fault = misplaced(lsp[person], LSP14, own)
        if fault is not None:
            raise SourceFormatError(
                f"{path}: BEV's joint {54 + fault.row} should be LSP's {LSP14[fault.row]}, but lies "
                f"{100 * fault.far:.0f} cm from SMPL's, nearest to {fault.nearest}: is it another version's?"
            )
