"""Take a model object of the smplx package as it is."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from apu_losses.bodies.families import SMPL, SMPLH, SMPLX, Family
from apu_losses.bodies.skinning import BodyData, HandSpace, LinearBlendBody
from apu_losses.bodies.smplx_format import check_height, surface_landmarks

_CLASSES = {"SMPLX": SMPLX, "SMPLH": SMPLH, "SMPL": SMPL}


def smplx_object_family(candidate: object) -> Family | None:
    """Which body an object of the smplx package is, without importing it; None for any other object."""
    for kind in type(candidate).__mro__:
        # SMPLX derives from SMPLH and that from SMPL: the first of them counts
        if kind.__name__ in _CLASSES and kind.__module__.split(".")[0] == "smplx":
            return _CLASSES[kind.__name__]
    return None


def from_smplx(
    model: Any,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    backend: str = "auto",
) -> LinearBlendBody:
    """Build a body that gives the same vertices and joints as an smplx object.

    The object's buffers are copied, so later changes to it do not show. Its joints beyond those of the
    kinematic tree (55 of SMPL-X, 52 of SMPL-H, 24 of SMPL), and a joint mapper, are not taken over: use
    ``keypoints``. With ``age="kid"`` its last beta is the parameter ``age`` here. A layer (``SMPLXLayer``,
    ``SMPLHLayer``, ``SMPLLayer``) takes rotation matrices; the body made of it takes axis-angle vectors,
    hands too, without a mean hand pose (the layer has none).

    Args:
        model: an ``SMPLX``, ``SMPLH`` or ``SMPL`` object, or a layer.
        dtype: floating-point type of the body.
        device: where it computes.
        backend: see ``LinearBlendBody``.

    Raises:
        TypeError: if the object is something else.
    """
    family = smplx_object_family(model)
    if family is None:
        raise TypeError(
            "model must be an SMPLX, SMPLH or SMPL object of the smplx package, or a layer of these, "
            f"got {type(model).__name__}"
        )
    layer = any(kind.__name__ == f"{family.name.upper()}Layer" for kind in type(model).__mro__)
    template = _array(model.v_template)
    check_height(template, "the smplx object")
    shape = _array(model.shapedirs)
    age = None
    if model.age == "kid":
        age, shape = shape[:, :, -1], shape[:, :, :-1]
    expression = _array(model.expr_dirs) if family is SMPLX else None
    joints = len(family.joint_names)
    weights = _array(model.lbs_weights)
    faces = _array(model.faces_tensor)
    posedirs = _array(model.posedirs).reshape(9 * (joints - 1), len(template), 3).transpose(1, 2, 0)
    hands: list[HandSpace | None] = [None, None]
    for place, side in enumerate(("left", "right") if family is not SMPL else ()):
        mean = np.zeros(45) if layer else _array(getattr(model, f"{side}_hand_mean"))
        components = (
            _array(getattr(model, f"{side}_hand_components")) if model.use_pca and not layer else None
        )
        knows_mean = not layer and not model.flat_hand_mean
        hands[place] = HandSpace(mean, components, mean if knows_mean else None)
    face_points = (
        (_array(model.lmk_faces_idx), _array(model.lmk_bary_coords)) if family is SMPLX else (None, None)
    )
    data = BodyData(
        name=family.name,
        v_template=template,
        faces=faces,
        joint_names=family.joint_names,
        parents=tuple(_array(model.parents).tolist()),
        joint_regressor=_array(model.J_regressor),
        weights=weights,
        shapedirs=shape,
        age_direction=age,
        expressiondirs=expression if expression is not None and expression.shape[2] else None,
        posedirs=posedirs,
        left_hand=hands[0],
        right_hand=hands[1],
        landmarks=surface_landmarks(family, faces, weights, *face_points),
        defaults=_defaults(model, family),
        family=family,
    )
    return LinearBlendBody(data, dtype=dtype, device=device, backend=backend)


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    return tensor.detach().cpu().numpy().copy()


def _defaults(model: Any, family: Family) -> dict[str, tuple[float, ...]]:
    """Return what the object would use for parameters that a call leaves out: its own, as they are now."""
    defaults: dict[str, tuple[float, ...]] = {}
    for name in [name for name, _ in family.pose_layout] + ["betas", "expression", "transl"]:
        value = getattr(model, name, None)
        if value is None:
            continue
        rows = _array(value)
        if (rows != rows[:1]).any():
            warnings.warn(
                f"the smplx object's own {name} differs between its {len(rows)} rows; "
                "its default here is zero: pass it to pose()",
                stacklevel=4,
            )
            continue
        defaults[name] = tuple(rows[0].tolist())
    if model.age == "kid" and "betas" in defaults:
        defaults["age"] = defaults["betas"][-1:]
        defaults["betas"] = defaults["betas"][:-1]
    return defaults
