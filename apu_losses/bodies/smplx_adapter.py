"""Take a model object of the smplx package as it is."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from apu_losses.bodies.skinning import POSE_LAYOUT, BodyData, HandSpace, LinearBlendBody
from apu_losses.bodies.smplx_format import JOINT_NAMES, check_height, smplx_landmarks


def is_smplx_object(candidate: object) -> bool:
    """True for ``SMPLX`` and ``SMPLXLayer`` objects of the smplx package, without importing it."""
    return any(
        kind.__name__ == "SMPLX" and kind.__module__.split(".")[0] == "smplx"
        for kind in type(candidate).__mro__
    )


def from_smplx(
    model: Any,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    backend: str = "auto",
) -> LinearBlendBody:
    """Build a body that gives the same vertices and joints as an smplx object.

    The object's buffers are copied, so later changes to it do not show. Its joints beyond the 55 of the
    kinematic tree, and a joint mapper, are not taken over: use ``keypoints``. With ``age="kid"`` its last
    beta is the parameter ``age`` here. An ``SMPLXLayer`` takes rotation matrices; the body made of it takes
    axis-angle vectors, hands too, without a mean hand pose (the layer has none).

    Args:
        model: an ``SMPLX`` or ``SMPLXLayer`` object.
        dtype: floating-point type of the body.
        device: where it computes.
        backend: see ``LinearBlendBody``.

    Raises:
        TypeError: if the object is something else.
    """
    if not is_smplx_object(model):
        raise TypeError(
            f"model must be an SMPLX or SMPLXLayer object of the smplx package, got {type(model).__name__}"
        )
    layer = any(kind.__name__ == "SMPLXLayer" for kind in type(model).__mro__)
    template = _array(model.v_template)
    check_height(template, "the smplx object")
    shape = _array(model.shapedirs)
    age = None
    if model.age == "kid":
        age, shape = shape[:, :, -1], shape[:, :, :-1]
    expression = _array(model.expr_dirs)
    joints = len(JOINT_NAMES)
    weights = _array(model.lbs_weights)
    faces = _array(model.faces_tensor)
    posedirs = _array(model.posedirs).reshape(9 * (joints - 1), len(template), 3).transpose(1, 2, 0)
    hands = []
    for side in ("left", "right"):
        mean = np.zeros(45) if layer else _array(getattr(model, f"{side}_hand_mean"))
        components = (
            _array(getattr(model, f"{side}_hand_components")) if model.use_pca and not layer else None
        )
        hands.append(HandSpace(mean, components))
    data = BodyData(
        name="smplx",
        v_template=template,
        faces=faces,
        joint_names=JOINT_NAMES,
        parents=tuple(_array(model.parents).tolist()),
        joint_regressor=_array(model.J_regressor),
        weights=weights,
        shapedirs=shape,
        age_direction=age,
        expressiondirs=expression if expression.shape[2] else None,
        posedirs=posedirs,
        left_hand=hands[0],
        right_hand=hands[1],
        landmarks=smplx_landmarks(faces, weights, _array(model.lmk_faces_idx), _array(model.lmk_bary_coords)),
        defaults=_defaults(model),
    )
    return LinearBlendBody(data, dtype=dtype, device=device, backend=backend)


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    return tensor.detach().cpu().numpy().copy()


def _defaults(model: Any) -> dict[str, tuple[float, ...]]:
    """What the object would use for parameters that a call leaves out: its own, as they are now."""
    defaults: dict[str, tuple[float, ...]] = {}
    for name in [name for name, _ in POSE_LAYOUT] + ["betas", "expression", "transl"]:
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
