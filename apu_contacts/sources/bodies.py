"""Which body model made these parameters, as far as joints and vertices tell."""

from __future__ import annotations

import numpy as np

from apu_contacts.sources.conventions import MEAN_PELVIS
from apu_contacts.sources.detection import InitialEstimate

_VERTICES = {
    6890: "SMPL and SMPL-H",
    10475: "SMPL-X",
    18439: "MHR at level of detail 1",
    10661: "MHR at level of detail 2",
    4899: "MHR at level of detail 3",
    2461: "MHR at level of detail 4",
    971: "MHR at level of detail 5",
    595: "MHR at level of detail 6",
    73639: "MHR at level of detail 0",
    13718: "Anny",
    13348: "the free body",
    778: "MANO",
}
_MODELS = {6890: ("smpl", "smplh"), 10475: ("smplx",), 18439: ("mhr",), 13718: ("anny",), 13348: ("free",)}
_NEAR = 0.045
"""Metres by which a person's own pelvis may lie off the mean shape's: thrice what ten betas of one standard
deviation do; SMPL's and SMPL-X's lie 0.12 apart."""


def body_of_vertices(count: int) -> str:
    """Return which bodies have so many vertices, in words; empty where none is known.

    Example:
        >>> from apu_contacts.sources import body_of_vertices
        >>> body_of_vertices(10475)
        'SMPL-X'
    """
    return _VERTICES.get(int(count), "")


def which_body(estimate: InitialEstimate) -> str:
    """Say whether an estimate's joints and mesh fit the body that its parameters are said to be of.

    The mesh tells by its number of vertices. Joints tell by the pelvis: with smplx's translation it lies at
    ``transl + J0``, and J0 of SMPL and of SMPL-X are 12 cm apart, of the free body 17 and 29.

    Returns:
        What contradicts, or what was confirmed, in words; empty where nothing tells.

    Example:
        >>> import numpy as np
        >>> from apu_contacts.sources import InitialEstimate, which_body
        >>> own = {"transl": np.array([0, 0, 3.0])}
        >>> joints = np.array([[0, -0.23, 3.03], [0.1, -0.3, 3.0]])
        >>> which_body(InitialEstimate("mine", {}, ("pelvis", "left_hip"), joints, model="smplx", own=own))
        "its pelvis is that of smpl or smplh, not of smplx: another body's parameters?"
    """
    said = estimate.model
    if estimate.vertices is not None:
        models = _MODELS.get(len(estimate.vertices))
        if models and said not in models:
            mesh = body_of_vertices(len(estimate.vertices))
            return f"its mesh is that of {mesh}, not of {said}: another body's parameters?"
    alone = len(estimate.joint_names) < 2 or "pelvis" not in estimate.joint_names
    if "transl" not in estimate.own or alone:
        return ""
    pelvis = estimate.joints[estimate.joint_names.index("pelvis")]
    rest = pelvis - np.asarray(estimate.own["transl"], dtype=np.float64)
    off = {model: float(np.linalg.norm(rest - mean)) for model, mean in MEAN_PELVIS.items()}
    near = [model for model, distance in off.items() if distance < _NEAR]
    if said in near:
        return f"its pelvis confirms {said}"
    if near:
        return f"its pelvis is that of {' or '.join(near)}, not of {said}: another body's parameters?"
    return ""
