"""Meshes and keypoints on the photograph that they were fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from apu_contacts.keypoints import SKELETONS
from apu_contacts.keypoints.seen import SEEN, is_seen
from apu_contacts.keypoints.types import Keypoints2D
from apu_losses.viz.mesh import FloatArray, Mesh, person_color
from apu_losses.viz.render import PAPER, render_meshes

if TYPE_CHECKING:
    from apu_losses.viz.camera import AnyCamera

_LIMBS: tuple[tuple[str, str], ...] = (
    ("nose", "neck"),
    ("neck", "mid_hip"),
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
    *(
        (f"{side}_{a}", f"{side}_{b}")
        for side in ("left", "right")
        for a, b in (
            ("shoulder", "elbow"),
            ("elbow", "wrist"),
            ("shoulder", "hip"),
            ("hip", "knee"),
            ("knee", "ankle"),
            ("ankle", "big_toe"),
            ("ankle", "heel"),
        )
    ),
)
# Lines and dots are drawn this much larger and scaled down, which smooths their edges.
_OVERSIZE = 3


def overlay(
    image: ArrayLike | None,
    meshes: Sequence[Mesh],
    camera: AnyCamera,
    *,
    size: tuple[int, int] | None = None,
    keypoints: Sequence[Keypoints2D] = (),
    projected: Sequence[Keypoints2D] = (),
    min_confidence: float = SEEN,
    alpha: float = 0.85,
) -> NDArray[np.uint8]:
    """Draw meshes on a photograph, and keypoints on top.

    Args:
        image: ``(H, W, 3)`` 8-bit photograph; without one the ground is plain and ``size`` is needed.
        meshes: in the camera's frame.
        camera: of the photograph.
        size: width and height where there is no photograph.
        keypoints: detected keypoints of each person, drawn as a skeleton.
        projected: the fitted body's keypoints of each person in the same skeleton, joined to the detected
            ones by a line: its length is the error.
        min_confidence: keypoints below are left out.
        alpha: opacity of the meshes.

    Returns:
        ``(H, W, 3)`` 8-bit picture.

    Raises:
        ValueError: neither photograph nor size, or what `render_meshes` raises.
    """
    if image is None and size is None:
        raise ValueError("give either image or size: the picture needs a width and a height")
    if image is not None:
        ground: NDArray[np.uint8] | None = np.asarray(image)
        size = (np.shape(image)[1], np.shape(image)[0])
    else:
        ground = None
    assert size is not None
    picture = render_meshes(meshes, camera, size, background=PAPER if ground is None else ground, alpha=alpha)
    return draw_keypoints(picture, keypoints, projected=projected, min_confidence=min_confidence)


def draw_keypoints(
    image: NDArray[np.uint8],
    keypoints: Sequence[Keypoints2D],
    *,
    projected: Sequence[Keypoints2D] = (),
    min_confidence: float = SEEN,
) -> NDArray[np.uint8]:
    """Return a copy of an 8-bit picture ``(H, W, 3)`` with the keypoints of each person as dots and limbs.

    Raises:
        ValueError: ``projected`` is given for another number of people or in another skeleton.
    """
    if not keypoints:
        return image.copy()
    if projected and (
        len(projected) != len(keypoints)
        or any(p.skeleton != k.skeleton for p, k in zip(projected, keypoints, strict=True))
    ):
        raise ValueError("projected must hold the same people in the same skeletons as keypoints")
    height, width = image.shape[:2]
    scale = _OVERSIZE
    layer = Image.new("RGBA", (width * scale, height * scale))
    draw = ImageDraw.Draw(layer)
    line = max(1.0, max(width, height) / 400) * scale
    for i, person in enumerate(keypoints):
        color = _darker(person_color(i))
        names = SKELETONS[person.skeleton].joint_names
        shown = is_seen(np.asarray(person.confidence), min_confidence)
        shown &= np.isfinite(person.xy).all(1)
        xy = {name: tuple(p * scale) for name, p, ok in zip(names, person.xy, shown, strict=True) if ok}
        for a, b in _LIMBS:
            if a in xy and b in xy:
                draw.line([xy[a], xy[b]], fill=(*color, 150), width=round(line))
        if projected:
            for name, p in zip(names, projected[i].xy, strict=True):
                if name in xy and np.isfinite(p).all():
                    draw.line([xy[name], tuple(p * scale)], fill=(200, 20, 40, 255), width=round(line))
        # faces and hands have a hundred points between them: small dots, or they hide the picture
        for name, (x, y) in xy.items():
            small = name.startswith(("face_", "left_hand_", "right_hand_"))
            r = line * (0.7 if small else 1.8)
            draw.ellipse([x - r, y - r, x + r, y + r], fill=(*color, 255), outline=(255, 255, 255, 255))
    layer = layer.resize((width, height), Image.Resampling.BOX)
    return np.asarray(Image.alpha_composite(Image.fromarray(image).convert("RGBA"), layer).convert("RGB"))


def _darker(color: tuple[float, float, float]) -> tuple[int, int, int]:
    dark: FloatArray = np.array(color) * 0.62 * 255
    return int(dark[0]), int(dark[1]), int(dark[2])
