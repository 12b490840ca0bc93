"""The fits of a method: a folder with one file a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apu_contacts.reading import read_arrays
from apu_contacts.sources import SourceFormatError, read_buddi
from apu_contacts.sources.names import SMPL_OUTPUT_JOINTS, SMPLX_OUTPUT_JOINTS
from apu_losses.bodies import LinearBlendBody
from apu_losses.bodies.identity import body_identity
from apu_losses.bodies.keypoints import SMPL_VERTEX_COUNT
from apu_losses.evaluation.bev_fits import BEV_ENDINGS, bev_pair, is_bev
from apu_losses.evaluation.frames import FittedPair, FloatArray, TruthFrame
from apu_losses.evaluation.joint_sets import LSP14, body_points
from apu_losses.evaluation.smpl_mesh import SmplToBody
from apu_losses.fitting.result.record import load_parameters, parameters_body

ENDINGS = (".npz", ".pkl", "0.pkl", "_0.pkl")
"""What may follow the name of a frame. BUDDI adds a number to it."""
FOLDERS = (".", "results")
"""Where files are looked for; BUDDI leaves them in ``results``."""


class FitFolder:
    """Fits of two people by frame.

    ===============  =================================================================================
    ``FRAME.npz``    of ``apu fit``: parameters of the body, or
                     ``vertices (2, V, 3)`` in metres, of any method, or
                     ``joints (2, J, 3)``, with ``joint_names`` or in the order of LSP (14), SMPL (24) or
                     SMPL-X (55 or more)
    ``FRAME.pkl``    of BUDDI: ``humans`` and ``cam``; also in ``results/``, a number behind FRAME
    ``PICTURE.npz``  of BEV: everybody in the picture, see `bev_pair`; also ``PICTURE_0.08.npz``
    ===============  =================================================================================

    Args:
        folder: the folder.
        body: whose parameters they are, and whose joints a mesh of its own size has.
        to_body: gives SMPL's meshes the vertices of ``body``.

    Raises:
        FileNotFoundError: there is no such folder, or it holds no file of these kinds.
    """

    def __init__(
        self, folder: str | Path, body: LinearBlendBody | None = None, to_body: SmplToBody | None = None
    ) -> None:
        self.folder, self.body, self.to_body = Path(folder), body, to_body
        if not self.folder.is_dir():
            what = "is a file" if self.folder.exists() else "no such folder"
            raise FileNotFoundError(f"{folder}: {what}; --fits names a folder with one file a frame")
        self.names = {
            path.relative_to(self.folder).as_posix()
            for path in self.folder.rglob("*")
            if path.suffix in (".npz", ".pkl")
        }
        if not self.names:
            raise FileNotFoundError(
                f"{folder}: holds no fits; expected FRAME.npz (of apu fit, or with vertices or joints) or "
                "FRAME.pkl (of BUDDI), or PICTURE.npz (of BEV)"
            )
        self.used: set[str] = set()
        self.lacking: set[str] = set()

    def path(self, frame: TruthFrame) -> Path | None:
        """Where the fit of a frame is; None where there is none."""
        for name in (frame.key, *frame.aliases):
            for place in FOLDERS:
                for ending in ENDINGS:
                    found = f"{name}{ending}" if place == "." else f"{place}/{name}{ending}"
                    if found in self.names:
                        self.used.add(found)
                        return self.folder / found
        return self._bev_path(frame)

    def _bev_path(self, frame: TruthFrame) -> Path | None:
        """Where BEV's file of the frame's picture is; of another method, it would be of one pair alone."""
        for name in (frame.picture, frame.key, *frame.aliases):
            for ending in BEV_ENDINGS if name else ():
                found = f"{name}{ending}"
                if found in self.names and is_bev(self.folder / found):
                    self.used.add(found)
                    return self.folder / found
        return None

    def find(self, frame: TruthFrame) -> FittedPair | None:
        """Return the fit of a frame; None where there is none, or BEV did not find both people.

        Raises:
            ValueError: the file is something else, or of another body.
        """
        path = self.path(frame)
        if path is None:
            return None
        fit = read_fit(path, self.body, self.to_body, frame)
        if fit is None:
            self.lacking.add(frame.key)
        return fit

    def unused(self) -> list[str]:
        """Files that no frame asked for, which often means another way to call frames."""
        return sorted(self.names - self.used)


def read_fit(
    path: str | Path,
    body: LinearBlendBody | None = None,
    to_body: SmplToBody | None = None,
    frame: TruthFrame | None = None,
) -> FittedPair | None:
    """Return the two people of one file, see `FitFolder`; None where BEV did not find both.

    Args:
        path: the file.
        body: whose parameters they are.
        to_body: gives SMPL's meshes the vertices of ``body``.
        frame: whose people they are, where the file holds others, too (BEV's).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is something else, of another body, or of another number of people.
    """
    path = Path(path)
    if path.suffix == ".pkl":
        return _posed(_buddi_parameters(path), _needed(body, path), path)
    if is_bev(path):
        return bev_pair(path, frame, to_body)
    arrays = read_arrays(path)
    if "vertices" in arrays:
        return _from_vertices(arrays, body, to_body, path)
    if "joints" in arrays:
        return FittedPair(_named_joints(arrays, path))
    return _posed(_own_parameters(path, _needed(body, path)), _needed(body, path), path)


def _needed(body: LinearBlendBody | None, path: Path) -> LinearBlendBody:
    if body is None:
        raise ValueError(f"{path}: holds parameters; name the body that they are of")
    return body


def _from_vertices(
    arrays: Mapping[str, Any], body: LinearBlendBody | None, to_body: SmplToBody | None, path: Path
) -> FittedPair:
    vertices = _two(arrays["vertices"], "vertices", path)
    own = None if body is None else body.num_vertices
    if to_body is not None and vertices.shape[1] == SMPL_VERTEX_COUNT != own:
        vertices = to_body(vertices)
    points: dict[str, FloatArray] = {}
    if "joints" in arrays:
        points = _named_joints(arrays, path)
    elif body is not None and vertices.shape[1] == body.num_vertices:
        # of a posed mesh this is near its joints, not at them: the regressor is for the rest pose
        points = body_points(body, vertices)
    return FittedPair(points, vertices)


def _named_joints(arrays: Mapping[str, Any], path: Path) -> dict[str, FloatArray]:
    joints = _two(arrays["joints"], "joints", path)
    count = joints.shape[1]
    names: Sequence[str | None]
    if "joint_names" in arrays:
        names = [str(name) for name in np.asarray(arrays["joint_names"]).ravel()]
    elif count == len(LSP14):
        names = LSP14
    elif count in (22, 24, 45):
        names = SMPL_OUTPUT_JOINTS[:count]
    elif count >= 55:
        names = SMPLX_OUTPUT_JOINTS[:count]
    else:
        raise ValueError(
            f"{path}: {count} joints without joint_names; expected 14 (LSP), 24 (SMPL) or more (SMPL-X: 55)"
        )
    if len(names) < count and "joint_names" in arrays:
        raise ValueError(f"{path}: {count} joints have {len(names)} joint_names")
    return {name: joints[:, index] for index, name in enumerate(names[:count]) if name is not None}


def _two(value: Any, name: str, path: Path) -> FloatArray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or array.ndim != 3 or array.shape[::2] != (2, 3):
        raise ValueError(
            f"{path}: {name} must be numbers of shape (2, N, 3): two people, metres; got {array.shape}"
        )
    result: FloatArray = array.astype(np.float64)
    return result


def _own_parameters(path: Path, body: LinearBlendBody) -> dict[str, FloatArray]:
    fitted, _ = load_parameters(path)
    known = {name: value for name, value in fitted.items() if name in body.parameter_specs}
    if "transl" not in known or "body_pose" not in known:
        raise ValueError(
            f"{path}: expected vertices, joints, or parameters of the body {body.name!r} "
            f"(body_pose, transl, ...), found {', '.join(sorted(fitted)) or 'nothing'}"
        )
    name, identity = parameters_body(path)
    if identity and identity != body_identity(body):
        raise ValueError(f"{path}: the parameters are of the body {name!r}, not of {body.name!r}: see --body")
    return known


def _buddi_parameters(path: Path) -> dict[str, FloatArray]:
    people = read_buddi(path)
    if len(people) != 2:
        raise SourceFormatError(f"{path}: expected two people, got {len(people)}")
    rows = [
        {**person.parameters, "transl": person.own["transl"], "betas": person.own["betas"]}
        for person in people
    ]
    shared = [name for name in rows[0] if name in rows[1]]
    return {
        name: np.stack([np.atleast_1d(np.asarray(row[name], dtype=np.float64)).ravel() for row in rows])
        for name in shared
    }


@torch.no_grad()
def _posed(params: Mapping[str, FloatArray], body: LinearBlendBody, path: Path) -> FittedPair:
    tensors = {}
    for name, value in params.items():
        spec = body.parameter_specs.get(name)
        if spec is None:
            if name == "age" and np.abs(value).max() > 1e-6:
                raise ValueError(f"{path}: the people have an age, for which the body needs its kid template")
            continue
        if value.shape[0] != 2 or value.shape[1:] != (spec.size,):
            raise ValueError(f"{path}: {name} must have shape (2, {spec.size}), got {value.shape}")
        tensors[name] = torch.as_tensor(value, dtype=body.dtype, device=body.device)
    posed = body.pose(tensors)
    vertices = posed.vertices().double().cpu().numpy()
    joints = posed.joints.double().cpu().numpy()
    return FittedPair(body_points(body, vertices, joints), vertices)
