"""Questions about pairs of people: which picture, what is shown of it, and what tells questions apart."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from apu_contacts.asking.crop import MAX_SIDE, Box, crop_picture, pair_box
from apu_contacts.asking.prompt import EarlierAnswer, Example, Prompt, build_prompt, words_digest
from apu_contacts.images import (
    PICTURE_ENDINGS,
    PictureError,
    folder_pictures,
    left_out,
    left_out_words,
    picture_size,
)
from apu_contacts.keypoints.seen import is_seen
from apu_contacts.keypoints.types import Keypoints2D


@dataclass(frozen=True)
class PairQuery:
    """One pair to ask about.

    Args:
        id: names the question in the output; unique in a run.
        image: the picture's file.
        box: x0, y0, x1, y1 in pixels of what is shown of it; None for all.
        keep: boxes of the pair, which stay bright where ``dim`` reaches into them.
        dim: boxes of other people, to be dimmed.
        action: a known label of the interaction.
        person_left: which detection stands further left; carried to the output, not used.
        person_right: the other.
        about: what else the record of the answer says of the question, ready for JSON: scene and edge.
        repair: an earlier answer that could not be read whole.
        attributes: ask for what can be seen of the people themselves, too; see `build_prompt`.
    """

    id: str
    image: str
    box: Box | None = None
    keep: tuple[Box, ...] = ()
    dim: tuple[Box, ...] = ()
    action: str | None = None
    person_left: int | None = None
    person_right: int | None = None
    about: Mapping[str, Any] = field(default_factory=dict, hash=False)
    repair: EarlierAnswer | None = None
    attributes: bool = False

    def prompt(self, example: Example | None = None, picture_format: str = "jpeg") -> Prompt:
        """Return the question, with the picture cropped and encoded in ``picture_format``.

        Raises:
            ValueError: if the picture cannot be read, or the box lies outside of it.
        """
        picture = crop_picture(self.image, self.box, others=self.dim, keep=self.keep, format=picture_format)
        return build_prompt(
            picture, action=self.action, example=example, repair=self.repair, attributes=self.attributes
        )

    def record(self) -> dict[str, Any]:
        """Return what the record of an answer says of this question, apart from its words and its number.

        Raises:
            OSError: if the picture cannot be read.
        """
        return {
            "id": self.id,
            "image": self.image,
            "person_left": self.person_left,
            "person_right": self.person_right,
            "crop": None if self.box is None else list(self.box),
            "image_hash": _file_digest(self.image),
            **self.about,
        }

    def question(
        self, identity: str, sample: int = 0, example: Example | None = None, picture_format: str = "jpeg"
    ) -> str:
        """64 hex digits that name what is asked: of whom, in which words, about which bytes of a picture
        file, which part of it, and which of several answers. How the path is spelt is no part of it, and
        nothing is decoded.

        Args:
            identity: of the model, see `apu_contacts.asking.VisionLanguageModel`.
            sample: number of the answer.
            example: as of `prompt`.
            picture_format: as of `prompt`.

        Raises:
            OSError: if the file cannot be read.
        """
        dimmed = [self.dim, self.keep] if self.dim else []
        shown = [_file_digest(self.image), self.box, dimmed, MAX_SIDE, picture_format]
        words = words_digest(self.action, example, repair=self.repair, attributes=self.attributes)
        asked = json.dumps([identity, words, shown, sample])
        return hashlib.sha256(asked.encode()).hexdigest()


def _file_digest(path: str) -> str:
    status = Path(path).stat()
    return _digest_of(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4096)
def _digest_of(path: str, changed: int, size: int) -> str:
    """Of a file's bytes; read once for all pairs and samples of a picture, and again when it has changed."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def image_queries(
    paths: Iterable[str | Path], action: str | None = None, *, attributes: bool = False
) -> list[PairQuery]:
    """One question per picture, about all of it; folders stand for the pictures in them, by their endings
    (`apu_contacts.images.left_out` counts the other files). A picture that is named twice, in whatever
    spelling, is asked about once.

    Raises:
        ValueError: on a path that does not exist, a file that is no picture, or a folder without pictures.
    """
    files: dict[str, Path] = {}
    for path in map(Path, paths):
        if path.is_dir():
            found = folder_pictures(path)
            if not found:
                others = left_out_words(left_out([path]))
                raise ValueError(f"{path} has no pictures{f'; {others}' if others else ''}")
        elif not path.is_file():
            raise ValueError(f"{path} does not exist")
        else:
            if path.suffix.lower() not in PICTURE_ENDINGS:
                _refuse_other_files(path)
            found = [path]
        for file in found:
            files.setdefault(os.path.normcase(file.parent.resolve() / file.name), file)
    return [
        PairQuery(path.as_posix(), path.as_posix(), action=action, attributes=attributes)
        for path in files.values()
    ]


def _refuse_other_files(path: Path) -> None:
    try:
        picture_size(path)
    except PictureError as error:
        raise ValueError(f"{path} is no picture: {error}") from None


def pair_query(
    image: str | Path,
    people: Sequence[Keypoints2D],
    first: int,
    second: int,
    *,
    margin: float = 0.15,
    dim_others: bool = False,
    action: str | None = None,
    attributes: bool = False,
    id: str | None = None,
) -> PairQuery:
    """Return the question about two of the people detected in a picture, cropped to them.

    Args:
        image: the picture's file.
        people: everybody's keypoints in pixels of the picture.
        first: position of one of the two in ``people``.
        second: of the other.
        margin: as of `apu_contacts.asking.crop.pair_box`.
        dim_others: darken the others, so that the model takes the right two.
        action: a known label of the interaction.
        attributes: as of `PairQuery`.
        id: of the question; ``image:left-right`` if None.

    Raises:
        ValueError: if the two are the same, out of range, or without keypoints.
    """
    if first == second or not (0 <= first < len(people) and 0 <= second < len(people)):
        raise ValueError(f"first and second must be two of {len(people)} people, got {first} and {second}")
    left, right = sorted((first, second), key=lambda i: _middle(people[i]))
    name = Path(image).as_posix()
    boxes = {i: pair_box(k, k, 0.1) for i, k in enumerate(people) if is_seen(k.confidence).any()}
    return PairQuery(
        id or f"{name}:{left}-{right}",
        name,
        pair_box(people[first], people[second], margin),
        (boxes[left], boxes[right]),
        tuple(box for i, box in boxes.items() if i not in (left, right)) if dim_others else (),
        action,
        left,
        right,
        attributes=attributes,
    )


def _middle(keypoints: Keypoints2D) -> float:
    box = pair_box(keypoints, keypoints, 0.0)
    return (box[0] + box[2]) / 2
