"""PyTorch3D's cameras and meshes, in and out.

PyTorch3D's camera looks along +Z with +X to the *left* and +Y *up*; ours (OpenCV's) has +X right and +Y down.
The two differ by half a turn about Z, which goes into the camera's rotation: world points stay as they are.
Only cameras in pixels (``in_ndc=False``) with square pixels are meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from apu_losses.camera import PinholeCamera

_HALF_TURN = (-1.0, -1.0, 1.0)


def camera_arguments(camera: PinholeCamera, image_size: Tensor) -> dict[str, Any]:
    """Return the arguments with which ``PerspectiveCameras`` is our camera.

    Args:
        camera: N cameras in the frame of the points.
        image_size: ``(N, 2)`` or ``(1, 2)`` height and width in pixels, in this order, as PyTorch3D wants it.

    Returns:
        ``focal_length (N, 1)``, ``principal_point (N, 2)``, ``R (N, 3, 3)`` (for row vectors), ``T (N, 3)``,
        ``image_size (N, 2)``, ``in_ndc=False``. With it a point at ``(x, y, z)`` is seen at
        ``center - focal * (R x + T)[:2] / z``, which is our ``center + focal * (x, y) / z``.

    Raises:
        ValueError: on an image size of another shape.
    """
    count = len(camera)
    if image_size.ndim != 2 or image_size.shape[1] != 2 or len(image_size) not in (1, count):
        raise ValueError(
            f"image_size must have shape ({count}, 2), height and width, got {tuple(image_size.shape)}"
        )
    rotation = torch.diag(camera.focal.new_tensor(_HALF_TURN)).expand(count, 3, 3)
    return {
        "focal_length": camera.focal[:, None],
        "principal_point": camera.center,
        "R": rotation.clone(),
        "T": camera.focal.new_zeros(count, 3),
        "image_size": image_size.expand(count, 2),
        "in_ndc": False,
        "device": camera.focal.device,
    }


def to_perspective_cameras(camera: PinholeCamera, image_size: Tensor) -> Any:
    """Our cameras as a ``pytorch3d.renderer.PerspectiveCameras``; arguments as `camera_arguments`.

    Raises:
        ModuleNotFoundError: if PyTorch3D is not installed.
    """
    return _module("pytorch3d.renderer").PerspectiveCameras(**camera_arguments(camera, image_size))


def from_perspective_cameras(cameras: Any) -> tuple[PinholeCamera, Tensor, Tensor]:
    """Return a ``PerspectiveCameras`` as our camera, with the way from its world to our camera frame.

    Args:
        cameras: with ``in_ndc=False``, or in NDC with a known ``image_size``.

    Returns:
        The cameras; ``rotation (N, 3, 3)`` and ``translation (N, 3)`` with which a world point x (a column)
        becomes ``rotation x + translation`` in our camera frame.

    Raises:
        ValueError: if pixels are not square, or NDC comes without an image size.
    """
    focal, center = cameras.focal_length, cameras.principal_point
    count = len(cameras.R)
    focal = focal.reshape(len(focal), -1) if focal.ndim else focal.reshape(1, 1)
    focal = focal.expand(count, 2) if focal.shape[1] == 1 else focal.expand(count, -1)
    center = center.expand(count, 2)
    if bool(_in_ndc(cameras)):
        size = getattr(cameras, "image_size", None)
        if size is None or bool((size <= 0).any()):
            raise ValueError("cameras are in NDC without an image_size; pixels cannot be known")
        size = size.to(focal).expand(count, 2)
        # NDC: the shorter side spans -1 to 1, +X left and +Y up
        half = size.amin(1, keepdim=True) / 2
        focal = focal * half
        center = size.flip(1) / 2 - center * half
    if bool(((focal[:, 0] - focal[:, 1]).abs() > 1e-4 * focal[:, 0]).any()):
        raise ValueError(f"pixels must be square, got focal lengths {focal[0].tolist()}")
    flip = focal.new_tensor(_HALF_TURN)
    rotation = flip[:, None] * cameras.R.to(focal).transpose(1, 2)
    return PinholeCamera(focal[:, 0], center), rotation, flip * cameras.T.to(focal)


def to_meshes(vertices: Tensor, faces: Tensor) -> Any:
    """``(N, V, 3)`` vertices with shared ``(F, 3)`` faces as ``pytorch3d.structures.Meshes``.

    Raises:
        ModuleNotFoundError: if PyTorch3D is not installed.
    """
    _check_mesh(vertices, faces)
    return _module("pytorch3d.structures").Meshes(list(vertices), [faces] * len(vertices))


def from_meshes(meshes: Any) -> tuple[Tensor, Tensor]:
    """Meshes of one topology as ``(N, V, 3)`` vertices and ``(F, 3)`` faces; gradients pass through.

    Raises:
        ValueError: if the meshes do not share their triangles.
    """
    vertices: Sequence[Tensor] = meshes.verts_list()
    faces: Sequence[Tensor] = meshes.faces_list()
    if len({len(each) for each in vertices}) != 1 or any(not torch.equal(f, faces[0]) for f in faces[1:]):
        raise ValueError(
            "meshes must share one topology to become bodies, got vertex counts "
            f"{[len(each) for each in vertices][:8]}"
        )
    return torch.stack(list(vertices)), faces[0].to(torch.int64)


def _in_ndc(cameras: Any) -> bool:
    inside = getattr(cameras, "in_ndc", None)
    return bool(inside() if callable(inside) else getattr(cameras, "_in_ndc", inside))


def _check_mesh(vertices: Tensor, faces: Tensor) -> None:
    if vertices.ndim != 3 or vertices.shape[2] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(
            "vertices must have shape (N, V, 3) and faces (F, 3), "
            f"got {tuple(vertices.shape)} and {tuple(faces.shape)}"
        )


def _module(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "PyTorch3D is not installed; it has no wheel for most machines, see "
            "https://github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md"
        ) from error
