"""Which image is worked on in which shard: decided once, kept in files, the same for whoever works on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apu_contacts.files import OutputError, write_text
from apu_contacts.reading import read_json
from apu_losses.fitting.propose.scenes import ImageFiles
from apu_losses.generate.inputs import RunInputs, find_inputs

FOLDER = "plan"
KIND = "apu generate plan"


@dataclass(frozen=True)
class ShardPlan:
    """The images of one shard.

    Attributes:
        number: of the shard.
        images: with what lies beside them; by name.
        sources: name of an image -> where it comes from.
        to_detect: names of those whose keypoints are still to be found.
    """

    number: int
    images: tuple[ImageFiles, ...]
    sources: dict[str, str]


def make_plan(
    paths: Sequence[str | Path], out: str | Path, *, images_per_shard: int, estimates: bool = True
) -> int:
    """Lay images out in shards and keep it in ``OUT/plan``; return how many shards there are.

    Images are sorted by name. Those that a plan has already stay where they are, new ones are put into new
    shards, so that a folder may grow. The source of an image is the name of the path it was found through.

    Args:
        paths: folders, pictures, lists; see `apu_losses.generate.find_inputs`.
        out: the data set.
        images_per_shard: at most; what one worker holds at a time.
        estimates: False leaves files of estimators alone.

    Raises:
        FileNotFoundError: a path that is not there, or without pictures.
        ValueError: two images of one name, or ``images_per_shard`` below 1.
        OutputError: an image that the plan has is gone or lies elsewhere.
    """
    if images_per_shard < 1:
        raise ValueError(f"images_per_shard must be at least 1, got {images_per_shard}")
    found: dict[str, tuple[ImageFiles, str]] = {}
    for source, given in _by_source(paths).items():
        inputs: RunInputs = find_inputs(given, estimates=estimates)
        for files in (*inputs.ready, *inputs.to_detect):
            if files.name in found:
                raise ValueError(
                    f"two images are called {files.name!r}: {found[files.name][0].image} and "
                    f"{files.image}; the "
                    "name is that of all results, rename one"
                )
            found[files.name] = files, source
    place = Path(out) / FOLDER
    known = planned(out)
    for number in range(known):
        before = read_plan(out, number)
        for files in before.images:
            now = found.pop(files.name, None)
            if now is None or _entry(now[0], "") != _entry(files, ""):
                raise OutputError(
                    f"{place / _name(number)}: {files.name!r} was planned as {files.image} and "
                    f"{'is not among the images' if now is None else 'has other files beside it'} "
                    f"now; give the "
                    "same images and more, or name another output"
                )
    rest = sorted(found)
    for start in range(0, len(rest), images_per_shard):
        chosen = [found[name] for name in rest[start : start + images_per_shard]]
        entries = [_entry(files, source) for files, source in chosen]
        text = json.dumps({"kind": KIND, "images": entries}, indent=1)
        write_text(place / _name(known), text + "\n")
        known += 1
    return known


def _by_source(paths: Sequence[str | Path]) -> dict[str, list[Path]]:
    """Return paths by their source: the name of a folder, or of the folder that a file lies in."""
    found: dict[str, list[Path]] = {}
    for path in map(Path, paths):
        source = path.resolve().name if path.is_dir() else path.resolve().parent.name
        found.setdefault(source, []).append(path)
    return found


def planned(out: str | Path) -> int:
    """Return how many shards are planned."""
    place = Path(out) / FOLDER
    numbers = sorted(int(path.stem) for path in place.glob("*.json") if path.stem.isdigit())
    if numbers != list(range(len(numbers))):
        missing = min(set(range(len(numbers) + 1)) - set(numbers))
        raise OutputError(f"{place / _name(missing)} is missing: the plan is not whole, name another output")
    return len(numbers)


def read_plan(out: str | Path, number: int) -> ShardPlan:
    """Return the images of a shard.

    Raises:
        OutputError: the file is no plan.
    """
    path = Path(out) / FOLDER / _name(number)
    try:
        data = read_json(path)
        if data["kind"] != KIND:
            raise KeyError("kind")
        images = tuple(_files(entry) for entry in data["images"])
        return ShardPlan(number, images, {e["name"]: e["source"] for e in data["images"]})
    except (KeyError, TypeError, ValueError):
        raise OutputError(f"{path} is not a plan of `apu generate`: name another output") from None


def _name(number: int) -> str:
    return f"{number:06d}.json"


def _entry(files: ImageFiles, source: str) -> dict[str, Any]:
    return {
        "name": files.name,
        "source": source,
        "image": None if files.image is None else str(files.image.resolve()),
        "files": {kind: str(path.resolve()) for kind, path in sorted(files.files.items())},
        "size": None if files.size is None else list(files.size),
        "score_scale": dict(sorted(files.score_scale.items())),
    }


def _files(entry: dict[str, Any]) -> ImageFiles:
    return ImageFiles(
        entry["name"],
        {kind: Path(path) for kind, path in entry["files"].items()},
        None if entry["image"] is None else Path(entry["image"]),
        None if entry["size"] is None else (entry["size"][0], entry["size"][1]),
        entry["score_scale"],
    )
