"""What a fit did, as pictures: the people on the photograph and from the side, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from apu_contacts.images import read_picture
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.result.record import FitResult
from apu_losses.fitting.scene.types import Scene
from apu_losses.viz.camera import camera_numbers
from apu_losses.viz.heat import contact_heat
from apu_losses.viz.mesh import FloatArray, Mesh, people_meshes
from apu_losses.viz.montage import montage
from apu_losses.viz.overlay import overlay
from apu_losses.viz.raster import NEAR
from apu_losses.viz.render import render_meshes
from apu_losses.viz.views import orbit

Picture = NDArray[np.uint8]


def posed_meshes(body: BodyModel, parameters: Mapping[str, NDArray[np.floating]]) -> list[Mesh]:
    """Meshes of P people from their body parameters ``(P, size)`` by name, named ``person_0`` and so on."""
    tensors = {
        name: torch.tensor(np.asarray(value), dtype=torch.float32, device=body.faces.device)
        for name, value in parameters.items()
    }
    with torch.no_grad():
        vertices = body.pose(tensors).vertices()
    return people_meshes(vertices.cpu().numpy(), body.faces.cpu().numpy())


def photograph(scene: Scene) -> Picture | None:
    """Return the scene's picture as ``(H, W, 3)`` 8-bit, upright, or None where it names none.

    Raises:
        ValueError: the picture cannot be read, or is not of the size that the scene says.
    """
    if scene.image is None:
        return None
    path = Path(scene.image)
    try:
        picture = read_picture(path)
    except ValueError as error:
        raise ValueError(f"{scene.name}: image {error}") from None
    if picture.shape[:2] != (scene.height, scene.width):
        raise ValueError(
            f"{scene.name}: image {path} is {picture.shape[1]} x {picture.shape[0]} pixels, but the scene "
            f"says {scene.width} x {scene.height}: keypoints and camera would not fit it"
        )
    return picture


def scene_overlay(scene: Scene, meshes: list[Mesh]) -> Picture:
    """Meshes and detected keypoints on the scene's photograph, or on plain ground where it has none."""
    keypoints = [person.keypoints for person in scene.people]
    size = (scene.width, scene.height)
    return overlay(photograph(scene), meshes, scene.camera, size=size, keypoints=keypoints)


def before_and_after(scene: Scene, result: FitResult, body: BodyModel, *, height: int = 480) -> Picture:
    """Return a sheet of two rows, the start above the result: the part of the photograph with the people,
    from the left, from above, contact heat.

    Args:
        scene: what was fitted.
        result: what came out.
        body: the body model of the result.
        height: of each picture in pixels.
    """
    rows, captions = [], []
    posed = {
        "start": posed_meshes(body, result.start),
        "fitted": posed_meshes(body, result.parameters),
    }
    crop = around_people(scene, np.concatenate([m.vertices for meshes in posed.values() for m in meshes]))
    for name, meshes in posed.items():
        photo = Image.fromarray(scene_overlay(scene, meshes)).crop(crop)
        photo = photo.resize(
            (max(1, round(photo.width * height / photo.height)), height), Image.Resampling.LANCZOS
        )
        rows.append(np.asarray(photo))
        captions.append(name)
        size = (round(height * 0.8), height)
        for caption, yaw, pitch in (("from the left", 90, 0), ("from above", 0, 89)):
            rows.append(render_meshes(*orbit(meshes, yaw, pitch, size), size))
            captions.append(caption)
        rows.append(render_meshes(*orbit(contact_heat(meshes), 180, 15, size), size))
        captions.append("where they touch, from behind")
    return montage(rows, captions, columns=len(rows) // 2)


def around_people(scene: Scene, points: FloatArray, margin: float = 0.08) -> tuple[int, int, int, int]:
    """Left, top, right and bottom, pixels, of the part of the picture with these points ``(P, 3)`` of people.

    It is the whole picture where no point lies in it.
    """
    focal, center = camera_numbers(scene.camera)
    points = points[points[:, 2] > NEAR]
    xy = points[:, :2] / points[:, 2:] * focal + center
    size = np.array([scene.width, scene.height])
    if not len(xy):
        return 0, 0, scene.width, scene.height
    low, high = xy.min(0).clip(0, size), xy.max(0).clip(0, size)
    room = margin * (high - low).max()
    low, high = np.floor((low - room).clip(0, size)), np.ceil((high + room).clip(0, size))
    if (high - low).min() < 1:
        return 0, 0, scene.width, scene.height
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
