"""Pictures of one pair of a data set: the photograph, the bodies on it, and the bodies from the left."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from apu_contacts.camera import Camera
from apu_contacts.images import PictureError, read_picture
from apu_contacts.keypoints.seen import is_seen
from apu_contacts.keypoints.types import Keypoints2D
from apu_losses.bodies.identity import body_identity
from apu_losses.bodies.protocol import BodyModel
from apu_losses.viz.mesh import Mesh
from apu_losses.viz.overlay import overlay
from apu_losses.viz.raster import NEAR
from apu_losses.viz.render import render_meshes
from apu_losses.viz.results import posed_meshes
from apu_losses.viz.views import orbit

QUALITY = 78
"""Of WebP: a picture of 300 pixels takes about 10 kB, and no block is seen."""
MARGIN = 0.1
"""Share of the larger side of the people's box that is shown around it."""
WIDEST, NARROWEST = 1.6, 0.5
"""Width over height of a picture: very long boxes are filled up with what lies beside them."""


class Shown(NamedTuple):
    """Pictures of a pair.

    Attributes:
        pictures: caption -> ``data:`` address.
        sizes: caption -> width and height in pixels.
        notes: why a photograph or the bodies are not shown.
    """

    pictures: dict[str, str]
    sizes: dict[str, tuple[int, int]]
    notes: tuple[str, ...]


class PairArtist:
    """Draws pairs.

    Args:
        body: that the pairs were fitted with, or None; pairs of another are shown without.
        height: of a picture, pixels.
        photographs: show them, too; else people stand on plain ground.
    """

    def __init__(self, body: BodyModel | None, height: int = 300, *, photographs: bool = True) -> None:
        self.body, self.height, self.photographs = body, height, photographs
        self.identity = "" if body is None else body_identity(body)

    def draw(self, record: Mapping[str, Any]) -> Shown:
        """Draw the pair of a record."""
        people = [record["person_a"], record["person_b"]]
        meshes, notes = self._meshes(record)
        photo, why = self._photograph(record)
        notes += why
        camera = Camera(record["camera"]["focal"], tuple(record["camera"]["center"]))
        left, top, right, bottom = _around(record, meshes, camera)
        scale = self.height / (bottom - top)
        size = max(1, round((right - left) * scale)), self.height
        near = Camera(
            camera.focal * scale, ((camera.center[0] - left) * scale, (camera.center[1] - top) * scale)
        )
        keypoints = [_moved(person["keypoints"], (left, top), scale) for person in people]
        ground = None
        drawn: dict[str, NDArray[np.uint8]] = {}
        if photo is not None:
            part = photo.crop((round(left), round(top), round(right), round(bottom)))
            ground = np.asarray(part.resize(size, Image.Resampling.LANCZOS))
            drawn["photograph"] = ground
        caption = "fitted, with detected keypoints" if meshes else "detected keypoints"
        drawn[caption] = overlay(ground, meshes, near, size=size, keypoints=keypoints, alpha=0.8)
        if meshes:
            room = round(0.75 * self.height), self.height
            drawn["from the left"] = render_meshes(*orbit(meshes, 90, 0, room), room)
        addresses = {name: _address(pixels) for name, pixels in drawn.items()}
        sizes = {name: (pixels.shape[1], pixels.shape[0]) for name, pixels in drawn.items()}
        return Shown(addresses, sizes, tuple(notes))

    def _meshes(self, record: Mapping[str, Any]) -> tuple[list[Mesh], list[str]]:
        people = [record["person_a"]["parameters"], record["person_b"]["parameters"]]
        if None in people:
            return [], ["not fitted"]
        made = record["provenance"]
        if self.body is None or made["body_identity"] != self.identity:
            return [], [
                f"without bodies: fitted with {made['body'] or 'an unknown body'}, which --body names"
            ]
        parameters = {name: np.array([person[name] for person in people]) for name in people[0]}
        meshes = posed_meshes(self.body, parameters)
        if not all(np.isfinite(mesh.vertices).all() for mesh in meshes):
            return [], ["without bodies: their vertices are not finite"]
        return meshes, []

    def _photograph(self, record: Mapping[str, Any]) -> tuple[Image.Image | None, list[str]]:
        image = record["image"]
        if not self.photographs or image["path"] is None:
            return None, []
        path = Path(image["path"])
        try:
            data = path.read_bytes() if image["digest"] else b""
            pixels = read_picture(path)
        except (PictureError, OSError):
            return None, [f"without the photograph: {path.name} is not there any more"]
        if image["digest"] and sha256(data).hexdigest() != image["digest"]:
            return None, [f"without the photograph: {path.name} is another picture now"]
        return Image.fromarray(pixels), []


def _moved(entry: Mapping[str, Any], corner: tuple[float, float], scale: float) -> Keypoints2D:
    xy = (np.asarray(entry["xy"], dtype=float) - corner) * scale
    return Keypoints2D(entry["skeleton"], xy, np.asarray(entry["confidence"], dtype=float))


def _around(
    record: Mapping[str, Any], meshes: list[Mesh], camera: Camera
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom, pixels, of the part of the photograph with the two people."""
    size = np.array([record["image"]["width"], record["image"]["height"]], dtype=float)
    points = []
    for name in ("person_a", "person_b"):
        entry = record[name]["keypoints"]
        xy = np.asarray(entry["xy"], dtype=float).reshape(-1, 2)
        seen = is_seen(np.asarray(entry["confidence"], dtype=float)) & np.isfinite(xy).all(1)
        points.append(xy[seen])
    for mesh in meshes:
        ahead = mesh.vertices[mesh.vertices[:, 2] > NEAR]
        if len(ahead):
            points.append(camera.project(ahead))
    xy = np.concatenate(points)
    low, high = (xy.min(0), xy.max(0)) if len(xy) else (np.zeros(2), size)
    low, high = low.clip(0, size), high.clip(0, size)
    room = MARGIN * (high - low).max() + 1
    low, high = low - room, high + room
    width, height = high - low
    wider = np.array([max(0.0, NARROWEST * height - width), max(0.0, width / WIDEST - height)]) / 2
    low, high = (low - wider).clip(0, size), (high + wider).clip(0, size)
    if (high - low).min() < 8:
        low, high = np.zeros(2), size
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _address(pixels: NDArray[np.uint8]) -> str:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + b64encode(data.getvalue()).decode("ascii")
