"""What lies beside photographs: keypoints and estimates that need not be made again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from apu_contacts.images import PICTURE_ENDINGS
from apu_losses.fitting.propose.cues import CUE_KINDS
from apu_losses.fitting.propose.scenes import (
    ESTIMATE_KINDS,
    KEYPOINT_KINDS,
    KINDS,
    ImageFiles,
    find_images,
)

Beside = Callable[[Path], Mapping[tuple[str, str], Sequence[Path]]]
"""A folder -> its files by the name of their picture and their kind."""


@dataclass
class RunInputs:
    """The photographs of a run.

    Attributes:
        ready: those whose keypoints lie beside them.
        to_detect: pictures, by name, of whom keypoints are still to be found, and what else lies there.
    """

    ready: list[ImageFiles] = field(default_factory=list)
    to_detect: list[ImageFiles] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Of all, in their order."""
        return sorted(files.name for files in (*self.ready, *self.to_detect))


def find_inputs(paths: Sequence[str | Path], *, estimates: bool = True) -> RunInputs:
    """Return the photographs that paths name, each with what lies beside it.

    - a picture, or a folder of pictures: ``NAME.jpg``, with ``NAME.vitpose.json``, ``NAME.bev.npz`` and so on
      beside it: the name of the picture, the kind (`KINDS`), the ending;
    - a folder of folders, one an image, whose files are called by their kinds: ``photos/hug/image.jpg``,
      ``photos/hug/openpose.json``, ``photos/hug/bev.npz``;
    - a ``.jsonl`` that lists them, as `apu detect` writes it.

    An image with a file of keypoints is taken by it; all others are given to the detector.

    Args:
        paths: files and folders.
        estimates: False leaves files of estimators alone.

    Raises:
        FileNotFoundError: a path that is not there, or in which there is no picture.
        ValueError: two images of one name.
    """
    found: list[ImageFiles] = []
    beside = cache(_by_picture)
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
        here = _of_path(path, beside)
        if not here:
            raise FileNotFoundError(
                f"{path}: no pictures, neither here nor one folder below; their names end in "
                f"{', '.join(sorted(PICTURE_ENDINGS))}"
            )
        found += here
    inputs, places = RunInputs(), dict[str, Path | None]()
    for files in found:
        if files.name in places:
            raise ValueError(
                f"two images are called {files.name!r}: {places[files.name]} and {files.image}; the name is "
                "that of all results, rename one"
            )
        places[files.name] = files.image
        if not estimates:
            kept = {kind: path for kind, path in files.files.items() if kind not in ESTIMATE_KINDS}
            files = replace(files, files=kept)
        known = any(kind in files.files for kind in KEYPOINT_KINDS)
        (inputs.ready if known else inputs.to_detect).append(files)
    return inputs


def _of_path(path: Path, beside: Beside) -> list[ImageFiles]:
    if path.is_file():
        if path.suffix == ".jsonl":
            return find_images(path)
        return [_with_neighbours(path, beside)] if path.suffix.lower() in PICTURE_ENDINGS else []
    named = [item for item in sorted(path.iterdir()) if item.is_file()]
    if any(item.stem in KINDS and item.suffix.lower() not in PICTURE_ENDINGS for item in named):
        return find_images(path)
    images = [_with_neighbours(item, beside) for item in named if _is_photograph(item)]
    for folder in sorted(item for item in path.iterdir() if item.is_dir() and item.name[0] != "."):
        images += _of_folder(folder)
    return images


def _is_photograph(path: Path) -> bool:
    """Whether a file is a picture, and not what a picture says of another: ``NAME.depth.png``."""
    words = path.name.split(".")
    beside = len(words) > 2 and words[-2] in CUE_KINDS
    return path.suffix.lower() in PICTURE_ENDINGS and not beside


def _of_folder(folder: Path) -> list[ImageFiles]:
    """Return a folder below: one image with files called by their kinds, or nothing."""
    pictures = [item for item in sorted(folder.iterdir()) if item.suffix.lower() in PICTURE_ENDINGS]
    try:
        return find_images(folder)
    except FileNotFoundError:
        one = [p for p in pictures if p.stem == "image"] or (pictures if len(pictures) == 1 else [])
        return [ImageFiles(folder.name, {}, one[0])] if one else []


def _with_neighbours(picture: Path, beside: Beside) -> ImageFiles:
    files: dict[str, Path] = {}
    for kind in KINDS:
        found = beside(picture.parent).get((picture.stem, kind), [])
        if len(found) > 1:
            raise ValueError(f"{picture}: both {found[0].name} and {found[1].name}: keep one")
        if found:
            files[kind] = found[0]
    return ImageFiles(picture.stem, files, picture)


def _by_picture(folder: Path) -> dict[tuple[str, str], list[Path]]:
    """Return the files ``NAME.KIND.ENDING`` of a folder by name and kind, in the order of their names.

    One look at the folder for all its pictures: a look for each would take hours for a hundred thousand.
    """
    found: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(folder.iterdir()):
        words = path.name.split(".")
        for place in range(1, len(words) - 1):
            if words[place] in KINDS:
                found.setdefault((".".join(words[:place]), words[place]), []).append(path)
    return found


def manifest(images: Sequence[ImageFiles], detected: Mapping[str, Mapping[str, Path]]) -> str:
    """Return the lines that `find_images` reads: everything by absolute path.

    Args:
        images: in the order of the lines.
        detected: files of what was found, by the name of their image and their kind.
    """
    lines = []
    for files in images:
        entry: dict[str, object] = {"name": files.name}
        if files.image is not None:
            entry["image"] = str(files.image.resolve())
        if files.size is not None:
            entry["width"], entry["height"] = files.size
        entry |= {kind: str(path.resolve()) for kind, path in sorted(files.files.items())}
        entry |= {kind: str(path.resolve()) for kind, path in detected.get(files.name, {}).items()}
        if files.score_scale:
            entry["score_scale"] = dict(files.score_scale)
        lines.append(json.dumps(entry))
    return "".join(f"{line}\n" for line in lines)
