"""One frame of the film of a fit: two views of the people, and what the loss says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.spatial import cKDTree
from torch import Tensor

from apu_contacts.camera import Camera
from apu_contacts.keypoints.types import Keypoints2D
from apu_losses.fitting.objective.batch import SKELETON, body25
from apu_losses.fitting.scene.types import Scene
from apu_losses.viz.camera import camera_numbers
from apu_losses.viz.mesh import FloatArray, Mesh, people_meshes
from apu_losses.viz.montage import font_that_fits, montage
from apu_losses.viz.overlay import draw_keypoints
from apu_losses.viz.raster import NEAR
from apu_losses.viz.render import PAPER, render_meshes
from apu_losses.viz.results import around_people, photograph
from apu_losses.viz.views import View

if TYPE_CHECKING:
    from apu_losses.bodies.protocol import BodyModel
    from apu_losses.geometry.topology import RegionIndex

_INK, _PALE, _RULE = (40, 40, 45), (125, 125, 132), (222, 222, 226)
_CURVE, _NOW = (70, 110, 170), (200, 20, 40)
_CONTACT = (120, 20, 130)
_GAP = 8
_TERMS = 5
"""Terms that a frame names: those that were the largest shares of the loss."""
_LINES = 16
"""Contacts that a frame shows as lines: the heaviest."""
_WIDEST = 1.6
"""A photograph is shown at most this many times as wide as high frames are."""
_OVERSIZE = 3


@dataclass(frozen=True)
class Moment:
    """What is kept of one iteration: parameters ``(P, size)`` by name, and what the callback saw."""

    stage: str
    iteration: int
    loss: float
    terms: Mapping[str, float]
    params: Mapping[str, Tensor]


class _Contact(NamedTuple):
    """Vertices of two people that should touch; ``either``: of which of the two is not known."""

    people: tuple[int, int]
    ids: tuple[NDArray[np.int64], NDArray[np.int64]]
    either: bool
    weight: float


class FrameArtist:
    """Draws the moments of one fit, all with the same views.

    Args:
        scene: what is fitted.
        body: its body model.
        regions: the vertices of that body's regions.
        moments: all of the film, in order; the course of the loss is theirs.
        points: vertices ``(P, M, 3)`` of the people at the moments that will be drawn: all are in view.
        height: of the pictures in pixels.
    """

    def __init__(
        self,
        scene: Scene,
        body: BodyModel,
        regions: RegionIndex,
        moments: Sequence[Moment],
        points: Iterable[FloatArray],
        height: int,
    ) -> None:
        self.body = body
        self.moments = moments
        self.faces = body.faces.cpu().numpy()
        first = scene.people[0].frame
        self.people = [i for i, person in enumerate(scene.people) if person.frame == first]
        cloud = np.concatenate([shown[self.people].reshape(-1, 3) for shown in points])
        cloud = cloud[np.isfinite(cloud).all(1)]
        if not len(cloud):
            raise ValueError(f"{scene.name}: no vertex of anybody is at a finite place; nothing can be drawn")

        left, top, right, bottom = around_people(scene, cloud)
        scale = min(height / (bottom - top), _WIDEST * height / (right - left))
        self.size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
        photo = photograph(scene)
        self.ground: NDArray[np.uint8] | tuple[float, float, float] = PAPER
        if photo is not None:
            part = Image.fromarray(photo).crop((left, top, right, bottom))
            self.ground = np.asarray(part.resize(self.size, Image.Resampling.LANCZOS))
        focal, center = camera_numbers(scene.camera)
        self.corner, self.scale = np.array([left, top], dtype=np.float64), scale
        x, y = ((center - self.corner) * scale).tolist()
        self.camera = Camera(float(focal[0]) * scale, (x, y))
        self.detected = [self._placed(body25(scene.people[i].keypoints)) for i in self.people]
        self.known = body.keypoint_mask(SKELETON).cpu().numpy()

        self.side_size = (round(0.8 * height), height)
        self.side = View.around(cloud, 90, 0, self.side_size)
        self.contacts = _contacts(scene, regions, self.people)
        self.text = max(9, round(height / 27))
        self.terms = _largest_terms(moments)
        self.course = _course(moments)

    def draw(self, index: int) -> NDArray[np.uint8]:
        """Return the frame of one moment, ``(H, W, 3)`` 8-bit."""
        moment = self.moments[index]
        rows = torch.tensor(self.people, dtype=torch.int64, device="cpu")
        with torch.no_grad():
            posed = self.body.pose(moment.params)
            vertices = posed.vertices().double().cpu()[rows].numpy()
            keypoints = self.body.keypoints(posed, SKELETON).double().cpu()[rows].numpy()
        meshes = people_meshes(vertices, self.faces)
        photo = render_meshes(meshes, self.camera, self.size, background=self.ground, alpha=0.85)
        photo = draw_keypoints(photo, self.detected, projected=[self._projected(k) for k in keypoints])
        side = self._from_the_side(meshes)
        sheet = montage([photo, side], ["on the picture", "from the left"], gap=_GAP, text_height=self.text)
        return np.concatenate([sheet, self._words(index, sheet.shape[1])])

    def _placed(self, seen: Keypoints2D) -> Keypoints2D:
        """Keypoints of the scene's picture in the part of it that is shown."""
        return Keypoints2D(SKELETON, (seen.xy - self.corner) * self.scale, seen.confidence)

    def _projected(self, points: FloatArray) -> Keypoints2D:
        """Where the shown part of the picture has a body's keypoints ``(25, 3)``; NaN for what it lacks."""
        there = self.known & (points[:, 2] > NEAR)
        xy = points[:, :2] / np.where(there, points[:, 2], np.nan)[:, None] * self.camera.focal
        shown = np.where(there[:, None], xy + self.camera.center, np.nan)
        return Keypoints2D(SKELETON, shown.astype(np.float64), there.astype(np.float64))

    def _from_the_side(self, meshes: Sequence[Mesh]) -> NDArray[np.uint8]:
        turned = [mesh.moved(self.side.turned(mesh.vertices)) for mesh in meshes]
        picture = render_meshes(turned, self.side.camera, self.side_size)
        focal, center = camera_numbers(self.side.camera)
        lines = []
        for contact in self.contacts:
            ends = _nearest(contact, [mesh.vertices for mesh in turned])
            if ends is not None and (ends[:, 2] > NEAR).all():
                lines.append(ends[:, :2] / ends[:, 2:] * focal + center)
        return _with_lines(picture, lines)

    def _words(self, index: int, width: int) -> NDArray[np.uint8]:
        """Return the strip below: stage, iteration and loss on the left, the loss's course beside, terms
        below.
        """
        moment, size = self.moments[index], self.text
        line = round(1.45 * size)
        strip = Image.new("RGB", (width, 6 * line), (255, 255, 255))
        draw = ImageDraw.Draw(strip)
        words = (f"stage {moment.stage}", f"iteration {moment.iteration}", f"loss {_short(moment.loss)}")
        for row, text in enumerate(words):
            draw.text(
                (_GAP, row * line), text, fill=_INK, font=font_that_fits(text, size, round(0.38 * width))
            )
        box = (round(0.42 * width), round(0.2 * size), width - 2 * _GAP, round(2.8 * line))
        self._draw_course(draw, box, index)
        each = (width - 2 * _GAP) / max(1, len(self.terms))
        for column, name in enumerate(self.terms):
            x, label = _GAP + column * each, name.replace("_", " ")
            value = _short(moment.terms[name]) if name in moment.terms else "-"
            font = font_that_fits(label, size, round(each) - _GAP)
            draw.text((x, 3.5 * line), label, fill=_PALE, font=font)
            draw.text((x, 4.5 * line), value, fill=_INK, font=ImageFont.load_default(size))
        return np.asarray(strip)

    def _draw_course(self, draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], index: int) -> None:
        left, top, right, bottom = box
        last = max(1, len(self.moments) - 1)
        xy = [
            (left + (right - left) * i / last, bottom - (bottom - top) * height)
            for i, height in enumerate(self.course)
        ]
        draw.line([(left, bottom), (right, bottom)], fill=_RULE)
        for i in range(1, len(self.moments)):
            if self.moments[i].stage == self.moments[i - 1].stage:
                draw.line([xy[i - 1], xy[i]], fill=_CURVE, width=max(1, self.text // 8))
            else:
                draw.line([(xy[i][0], top), (xy[i][0], bottom)], fill=_RULE)
        x, y = xy[index]
        r = self.text / 4
        draw.ellipse([x - r, y - r, x + r, y + r], fill=_NOW)


def _short(value: float) -> str:
    """Three digits, or all before the point; no powers of ten where a person would write none."""
    if abs(value) < 1e-3:
        return "0"
    return f"{value:.0f}" if 100 <= abs(value) < 1e7 else f"{value:.3g}"


def _largest_terms(moments: Sequence[Moment]) -> list[str]:
    """Return the terms that were, at some moment, the largest shares of the loss, in the order of the
    preset.
    """
    share: dict[str, float] = {}
    for moment in moments:
        total = sum(abs(value) for value in moment.terms.values()) or 1.0
        for name, value in moment.terms.items():
            share[name] = max(share.get(name, 0.0), abs(value) / total)
    kept = sorted(share, key=lambda name: -share[name])[:_TERMS]
    return [name for name in share if name in kept]


def _course(moments: Sequence[Moment]) -> FloatArray:
    """Return the loss of each moment between 0 and 1, on a logarithmic scale where that can be."""
    loss = np.array([moment.loss for moment in moments])
    if loss.min() > 0:
        loss = np.log(loss)
    course: FloatArray = (loss - loss.min()) / (np.ptp(loss) or 1.0)
    return course


def _contacts(scene: Scene, regions: RegionIndex, people: Sequence[int]) -> list[_Contact]:
    """Return the heaviest contacts between the people who are shown, by the vertices that should touch."""
    offsets, ids = regions.offsets.cpu().numpy(), regions.vertex_ids.cpu().numpy()

    def vertices(of: Iterable[int]) -> NDArray[np.int64]:
        found: NDArray[np.int64] = np.unique(np.concatenate([ids[offsets[r] : offsets[r + 1]] for r in of]))
        return found

    place = {person: i for i, person in enumerate(people)}
    found = [
        _Contact(
            (place[contact.person_a], place[contact.person_b]),
            (vertices(group.regions_a), vertices(group.regions_b)),
            contact.order == "either",
            group.weight,
        )
        for contact in scene.contacts
        if contact.person_a in place
        for group in contact.contacts.groups()
        if group.weight > 0
    ]
    found = [contact for contact in found if len(contact.ids[0]) and len(contact.ids[1])]
    return sorted(found, key=lambda contact: -contact.weight)[:_LINES]


def _nearest(contact: _Contact, vertices: Sequence[FloatArray]) -> FloatArray | None:
    """``(2, 3)`` the two nearest points that should touch, in the nearer order where either may be meant."""
    a, b = contact.people
    best, ends = np.inf, None
    for ids_a, ids_b in [contact.ids, contact.ids[::-1]][: 1 + contact.either]:
        there, here = vertices[a][ids_a], vertices[b][ids_b]
        if not (np.isfinite(there).all() and np.isfinite(here).all()):
            continue
        distance, index = cKDTree(here).query(there)
        i = int(distance.argmin())
        if distance[i] < best:
            best, ends = float(distance[i]), np.stack([there[i], here[index[i]]])
    return ends


def _with_lines(picture: NDArray[np.uint8], lines: Sequence[FloatArray]) -> NDArray[np.uint8]:
    """Return a copy of the picture with lines ``(2, 2)``, pixels, that end in dots."""
    height, width = picture.shape[:2]
    scale = _OVERSIZE
    layer = Image.new("RGBA", (width * scale, height * scale))
    draw = ImageDraw.Draw(layer)
    thick = max(1.0, height / 240) * scale
    for line in lines:
        ends = [(float(x) * scale, float(y) * scale) for x, y in line]
        draw.line(ends, fill=(*_CONTACT, 255), width=round(thick))
        for x, y in ends:
            r = 1.7 * thick
            draw.ellipse([x - r, y - r, x + r, y + r], fill=(*_CONTACT, 255), outline=(255, 255, 255, 255))
    layer = layer.resize((width, height), Image.Resampling.BOX)
    return np.asarray(Image.alpha_composite(Image.fromarray(picture).convert("RGBA"), layer).convert("RGB"))
