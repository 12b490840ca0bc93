"""A film of a fit: the people as they move, from the first iteration to the last."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, features
from torch import Tensor

from apu_contacts.files import write_bytes
from apu_losses.viz.film_frame import FrameArtist, Moment

if TYPE_CHECKING:
    from apu_losses.bodies.protocol import BodyModel
    from apu_losses.fitting.scene.types import Scene
    from apu_losses.fitting.solve.progress import FitProgress
    from apu_losses.geometry.topology import RegionIndex

SUFFIXES = (".webp", ".gif")
"""Kinds of files that a film is written as."""

_SOFTWARE = 0x0131  # EXIF's tag
_MARK = "apu-losses"

_KEPT = 4096
"""Iterations kept in memory, some kilobytes each; of a longer fit every second one, then every fourth."""
_STILL = 1 / 3
"""An iteration in which nobody moves takes this share of an average one's time in the film."""
_VIEW_POINTS = 600
"""Vertices of a body that decide, in every frame, what the views must show."""


class FitFilm:
    """A callback of `SceneFitter.fit` that films one scene: an animated WebP or GIF.

    Each frame shows the people on the photograph (on plain ground where there is none) with their detected
    keypoints, joined by red lines to where the bodies have them; the people from the left, with a line for
    each contact between the nearest points that should touch; stage, iteration, loss, its course, and the
    largest terms. The views are the same in all frames and hold everybody in each. Of a sequence the first
    picture's people are shown.

    While the fit runs, only parameters are kept, and it ends with the very bits that it has without a film.
    `close` draws the frames: the first iteration, the last, and those between at equal lengths of the way
    that joints move, so that most frames show where most happens. A step that was not taken is left out. A
    scene that is fitted again, because another of its batch broke, is filmed anew. A fit that ends with an
    error leaves the film of what came before.

    ::

        with FitFilm("fit.webp") as film:
            fitter.fit(scenes, callback=film)

    Args:
        path: the file; its suffix, ``.webp`` or ``.gif``, decides what it is.
        number: the place of the scene in the list that is fitted.
        frames: at most this many, at least 2.
        height: of the pictures of people, pixels.
        seconds: how long each frame is shown; the first one longer.
        hold: how long the last one is shown, seconds.

    Raises:
        ValueError: another suffix, or a number that cannot be.
        FileNotFoundError: the folder of ``path`` does not exist.
    """

    _moments: list[Moment]  # each that is kept, in order
    _latest: Moment | None  # the newest, whether or not it is one of them
    _count: int  # steps taken
    _stride: int  # each this many steps one is kept

    def __init__(
        self,
        path: str | Path,
        *,
        number: int = 0,
        frames: int = 48,
        height: int = 360,
        seconds: float = 0.1,
        hold: float = 2.5,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"path must end in {' or '.join(SUFFIXES)}, the kinds of film, got {path}")
        if self.path.suffix.lower() == ".webp" and not features.check("webp"):
            raise ValueError(f"path: this build of Pillow cannot write WebP; name a .gif instead of {path}")
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"path: the folder {self.path.parent} of the film does not exist")
        if number < 0:
            raise ValueError(f"number must be the place of a scene in the list, from 0, got {number}")
        if frames < 2:
            raise ValueError(f"frames must be at least 2, the first and the last, got {frames}")
        if height < 32:
            raise ValueError(f"height must be at least 32 pixels, got {height}")
        for name, value in (("seconds", seconds), ("hold", hold)):
            if not 0.02 <= value <= 60:
                raise ValueError(f"{name} must lie between 0.02 and 60 s, got {value}")
        self.number = number
        self.frames = frames
        self.height = height
        self.seconds = seconds
        self.hold = hold
        self._source: tuple[Scene, BodyModel, RegionIndex] | None = None
        self._restart()

    def __call__(self, event: FitProgress) -> None:
        """Take what a step reports, if the scene of the film is among its scenes."""
        places = torch.nonzero(event.scenes == self.number)[:, 0].tolist()
        if not places:
            return
        place = places[0]
        if event.evaluation == 0:  # of a new attempt
            self._restart()
        if not bool(event.taken[place]):
            return
        state = event.state
        rows = torch.nonzero(state.batch.row_scene == place)[:, 0]
        terms = {name: float(values[place]) for name, values in event.terms.items()}
        params = {name: value.detach()[rows] for name, value in state.params.items()}
        self._source = state.batch.scenes[place], state.body, state.regions
        self._latest = Moment(event.stage, event.iteration, float(event.loss[place]), terms, params)
        if self._count % self._stride == 0:
            self._moments.append(self._latest)
        self._count += 1
        if len(self._moments) > _KEPT:
            self._moments, self._stride = self._moments[::2], 2 * self._stride

    @property
    def seen(self) -> int:
        """Iterations of the scene that could be shown so far; 0 before the fit, and after `close`."""
        return self._count

    def close(self, progress: Callable[[float], None] | None = None) -> None:
        """Draw the frames and write the file; warn, and write none, if no iteration of the scene was seen.

        Args:
            progress: called with the share of the frames that is drawn, 0 to 1.

        Raises:
            OSError: the file cannot be written.
            ValueError: the scene's photograph cannot be read.
        """
        if self._source is None or self._latest is None:
            warnings.warn(
                f"{self.path} was not written: the fit showed no iteration of scene number {self.number}. "
                "Is it in the list that was fitted, with a start that can be used?",
                stacklevel=2,
            )
            return
        moments = [*self._moments]
        if moments[-1] is not self._latest:
            moments.append(self._latest)
        scene, body, regions = self._source
        chosen = _spread(moments, body, self.frames)
        artist = FrameArtist(scene, body, regions, moments, _points(moments, chosen, body), self.height)
        pictures = []
        for done, index in enumerate(chosen):
            pictures.append(Image.fromarray(artist.draw(index)))
            if progress is not None:
                progress((done + 1) / len(chosen))
        encoded = _encoded(pictures, self.path.suffix.lower(), self._milliseconds(len(pictures)))
        write_bytes(self.path, encoded)
        self._restart()
        self._source = None

    def _milliseconds(self, count: int) -> list[int]:
        """How long each frame is shown; the start long enough to be seen."""
        shown = [self.seconds] * count
        shown[0] = max(self.seconds, min(1.0, self.hold))
        shown[-1] = self.hold
        return [round(1000 * seconds) for seconds in shown]

    def _restart(self) -> None:
        self._moments, self._latest = [], None
        self._count, self._stride = 0, 1

    def __enter__(self) -> FitFilm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # who interrupts a fit does not want to wait for pictures
        if error is None or (isinstance(error, Exception) and self.seen):
            self.close()


def is_film(path: str | Path) -> bool:
    """Whether a file is a film that `FitFilm` made."""
    with Image.open(path) as picture:
        if picture.format == "GIF":
            return picture.info.get("comment") == _MARK.encode()
        return str(picture.getexif().get(_SOFTWARE)) == _MARK


def _spread(moments: Sequence[Moment], body: BodyModel, frames: int) -> list[int]:
    """Rising indices of at most ``frames`` moments, at equal lengths of the way that joints move."""
    if len(moments) <= frames:
        return list(range(len(moments)))
    steps = []
    with torch.no_grad():
        previous: Tensor | None = None
        for moment in moments:
            joints = body.pose(moment.params).joints
            if previous is not None:
                steps.append(float((joints - previous).norm(dim=-1).max()))
            previous = joints
    moved = np.nan_to_num(np.array(steps), posinf=0.0)
    way = np.concatenate([[0.0], np.cumsum(moved + _STILL * moved.mean() + 1e-12)])
    return np.unique(np.searchsorted(way, np.linspace(0, way[-1], frames))).tolist()


def _points(moments: Sequence[Moment], chosen: Sequence[int], body: BodyModel) -> Iterator[np.ndarray]:
    """Vertices ``(P, M, 3)`` in each chosen moment: a sample, by which views are placed."""
    step = max(1, body.num_vertices // _VIEW_POINTS)
    ids = torch.arange(0, body.num_vertices, step, device=body.faces.device)
    with torch.no_grad():
        for index in chosen:
            yield body.pose(moments[index].params).vertices(ids).double().cpu().numpy()


def _encoded(pictures: Sequence[Image.Image], suffix: str, milliseconds: list[int]) -> bytes:
    exif = Image.Exif()
    exif[_SOFTWARE] = _MARK
    options: dict[str, object] = {"quality": 70, "method": 4, "exif": exif.tobytes()}
    if suffix == ".gif":
        # one palette for all frames: with one each, colours would flicker
        some = [np.asarray(pictures[i]) for i in (0, len(pictures) // 2, -1)]
        palette = Image.fromarray(np.concatenate(some)).quantize(256)
        pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
        options = {"comment": _MARK.encode()}
    stream = io.BytesIO()
    pictures[0].save(
        stream,
        suffix[1:].upper(),
        save_all=True,
        append_images=pictures[1:],
        duration=milliseconds if len(milliseconds) > 1 else milliseconds[0],
        loop=0,
        **options,
    )
    return stream.getvalue()
