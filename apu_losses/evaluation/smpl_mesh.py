"""SMPL's mesh of 6,890 vertices: where it is another mesh than that of the fits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from apu_contacts.reading import read_arrays
from apu_contacts.sources import SourceFormatError, read_model_pickle
from apu_losses.bodies import LinearBlendBody
from apu_losses.bodies.keypoints import SMPL_VERTEX_COUNT
from apu_losses.evaluation.frames import FloatArray
from apu_losses.evaluation.joint_sets import LIMBS

_FAR = 0.1
"""Metres, the mean over limb joints: those regressed from a posed mesh lie some centimetres from the joints
that posed it (hips of a bent leg 15 cm), those of a mesh in another order anywhere."""
SMPL_HEAD_TOP = 411
"""The vertex of SMPL's mesh that SMPLify takes for the top of the head."""


class SmplToBody:
    """SMPL's vertices as the vertices of another mesh: from the SMPL truth to the mesh of the fits.

    Args:
        path: ``smpl2smplx_deftrafo_setup.pkl`` of smplx's model transfer (its matrix ``mtx``, of which the
            half for vertices is used), or an ``.npz`` of ``scipy.sparse.save_npz``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no matrix from SMPL's 6890 vertices.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        matrix = self._read()
        if matrix.ndim == 2 and matrix.shape[1] == 2 * SMPL_VERTEX_COUNT:
            matrix = matrix[:, :SMPL_VERTEX_COUNT]  # the other half is for vertices plus normals
        if matrix.ndim != 2 or matrix.shape[1] != SMPL_VERTEX_COUNT:
            raise ValueError(
                f"{self.path}: expected a matrix with {SMPL_VERTEX_COUNT} or {2 * SMPL_VERTEX_COUNT} "
                f"columns, got shape {matrix.shape}"
            )
        sums = np.asarray(matrix.sum(1)).ravel()
        if not (np.abs(sums - 1) < 1e-2).all():
            raise ValueError(f"{self.path}: the rows must sum to 1, got {sums.min():.3f} to {sums.max():.3f}")
        self.matrix = matrix

    def _read(self) -> Any:
        if self.path.suffix == ".npz":
            from scipy import sparse

            parts = read_arrays(self.path)
            if {"data", "indices", "indptr", "shape"} - parts.keys():
                raise ValueError(
                    f"{self.path}: expected what scipy.sparse.save_npz writes, found {sorted(parts)}"
                )
            kind = parts.get("format", b"csr")
            make = sparse.csc_matrix if b"csc" in bytes(np.asarray(kind).ravel()[0]) else sparse.csr_matrix
            made = make((parts["data"], parts["indices"], parts["indptr"]), shape=tuple(parts["shape"]))
            made.check_format()
            return made.tocsr()
        content = read_model_pickle(self.path, sparse=True)
        for key in ("mtx", "matrix"):
            if key in content:
                return content[key]
        raise SourceFormatError(f"{self.path}: the key 'mtx' is missing, found {', '.join(sorted(content))}")

    def __call__(self, vertices: FloatArray) -> FloatArray:
        """``(2, 6890, 3)`` -> ``(2, V, 3)``."""
        return np.stack([np.asarray(self.matrix @ person) for person in vertices])

    def check(
        self, body: LinearBlendBody, vertices: FloatArray, points: Mapping[str, FloatArray], whose: str
    ) -> None:
        """Check a carried mesh: the body's limb joints, regressed from it, lie about where SMPL's are.

        Args:
            body: whose vertices the matrix should give.
            vertices: ``(2, V, 3)`` what it gave.
            points: ``(2, 3)`` SMPL's own joints by name.
            whose: for the message.

        Raises:
            ValueError: the matrix is for another mesh; the joint that is farthest off is named.
        """
        if vertices.shape[1] != body.num_vertices:
            raise ValueError(
                f"{self.path}: leads to {vertices.shape[1]} vertices, but the body {body.name!r} has "
                f"{body.num_vertices}: name the body that it is for, --body"
            )
        names = [name for name in LIMBS if name in points and name in body.joint_names]
        rows = [body.joint_names.index(name) for name in names]
        joints = np.asarray(body.data.joint_regressor, dtype=np.float64)[rows] @ vertices
        away = np.linalg.norm(joints - np.stack([points[name] for name in names], 1), axis=2).mean(0)
        if away.mean() > _FAR:
            farthest = int(away.argmax())
            raise ValueError(
                f"{self.path}: {whose}: carried to the body {body.name!r}, limb joints lie "
                f"{100 * away.mean():.0f} cm from SMPL's own, {names[farthest]} "
                f"{100 * away[farthest]:.0f} cm: is the matrix for another mesh?"
            )
