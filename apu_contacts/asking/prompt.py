"""The question that a vision language model is asked, versioned and hashed.

The structure is the paper's (supplement A, Figures S7, S9, S10): an in-context picture with its complete
answer, the frame "person on the left / person on the right", the type of interaction and the orientation
before the contacts, and the closed list of parts; the wording is this project's own.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any

from apu_contacts.answers.attributes import PairAttributes
from apu_contacts.answers.parse import parse_answer
from apu_contacts.regions.table import PARTS

PROMPT_VERSION = "apu-ask/2"
"""Changes with every change of the wording, so that answers can be told apart by what was asked."""

_TASK = """\
You annotate physical contact between two people in photographs, for research on human pose.

Work in this order:
1. Name the type of interaction.
2. Describe the person who appears further left in the picture (person_left) and the one who appears further
   right (person_right), so that nobody could mistake one for the other. If more people are visible, only
   these two count: {subject}.
3. Say how the two bodies are turned to each other: "front to front", "back to front" (the left person's back
   to the right person's front), "front to back", "back to back", "side to side", "front to side" or
   "side to front". Where none fits, because one person lies, is carried, is thrown or hangs upside down, say
   so in a few words of your own: "left person lies on the right person's back".
4. List every place where the two bodies touch, light and partly hidden touches included. For each, give
   - the body part of person_left and its side,
   - the body part of person_right and its side,
   - how sure you are that they touch there, from 0.0 to 1.0.

Rules:
- Sides are anatomical. "left" is the side that the person would call left, whichever side of the picture it
  is on: a person who faces the camera has the left hand on the right of the picture. Use "both" if both sides
  touch, and "none" if you cannot tell the side.
- Body parts come from this list and no other: {parts}.
- State a contact once. Leave out what you only suspect because it would be usual. If nothing touches, the
  list is empty."""

_ATTRIBUTES = """\
Say as well, before the contacts, what you see of the two people themselves. For each
- age_group: "infant" (under 2 years), "child" (2 to 12), "teenager" (13 to 17) or "adult",
- sex: "female" or "male",
- build: "slim", "average" or "heavy";
and of the two
- taller: who would be taller if both stood upright, "person_left", "person_right" or "same",
- in_front: who is nearer to the camera, "person_left", "person_right" or "same".
Give each with how sure you are, from 0.0 to 1.0. Say "unknown" where you cannot tell; do not guess."""

_FORMAT = """\
Answer with one JSON object and nothing else, in this form:
{"interaction": "...",
 "people": {"person_left": "...", "person_right": "..."},
 "orientation": "...",
 "contacts": [
  {"body_part_person_left": {"part_name": "...", "body_side": "..."},
   "body_part_person_right": {"part_name": "...", "body_side": "..."},
   "confidence": 0.0}]}"""

_ATTRIBUTES_FORMAT = """\
 "attributes": {
  "person_left": {
   "age_group": {"value": "...", "confidence": 0.0},
   "sex": {"value": "...", "confidence": 0.0},
   "build": {"value": "...", "confidence": 0.0}},
  "person_right": {
   "age_group": {"value": "...", "confidence": 0.0},
   "sex": {"value": "...", "confidence": 0.0},
   "build": {"value": "...", "confidence": 0.0}},
  "taller": {"value": "...", "confidence": 0.0},
  "in_front": {"value": "...", "confidence": 0.0}},
 "contacts": ["""

_SUBJECT = "the two that the picture is centred on"
_EXAMPLE = "Here is an example. The complete answer for this first picture is:"
_QUESTION = "Now annotate {which} picture."
_REPAIR = """\
An earlier answer to this question could not be read whole ({why}). It was:
{text}
Answer the question again, from the picture, and keep strictly to the form."""
_ACTION = """\
Its label says that the two people are doing this: {action}. Let it guide you, but state only what you see."""


@dataclass(frozen=True)
class Example:
    """An in-context picture with its complete answer.

    Args:
        picture: PNG or JPEG bytes.
        answer: JSON text in the form of `apu_contacts.answers.ANSWER_SCHEMA`.
    """

    picture: bytes = field(repr=False)
    answer: str


@dataclass(frozen=True)
class EarlierAnswer:
    """An answer that could not be read whole, to be asked for once more.

    Args:
        text: the model's words.
        why: what could not be read, for the model.
    """

    text: str
    why: str


@dataclass(frozen=True)
class Prompt:
    """Texts and pictures in the order in which the model gets them.

    Args:
        pieces: a ``str`` for words, ``bytes`` for a picture.
        version: of the wording.
        attributes: it asks for the attributes of the people, too, and the answer has another schema.
    """

    pieces: tuple[str | bytes, ...] = field(repr=False)
    version: str = PROMPT_VERSION
    attributes: bool = False

    @property
    def wording_hash(self) -> str:
        """Twelve digits that change with the words and the example, and not with the picture that is asked
        about.
        """
        return _digest(self.version, self.pieces[:-1])[:12]

    @property
    def content_hash(self) -> str:
        """64 hex digits over all words and pictures: the same question about the same pixels."""
        return _digest(self.version, self.pieces)

    def messages(self) -> list[dict[str, Any]]:
        """Return the prompt as the messages of an OpenAI-compatible chat completion; pictures as data
        URLs.
        """
        content: list[dict[str, Any]] = []
        for piece in self.pieces:
            if isinstance(piece, str):
                content.append({"type": "text", "text": piece})
            else:
                data = base64.b64encode(piece).decode("ascii")
                url = f"data:{picture_type(piece)};base64,{data}"
                content.append({"type": "image_url", "image_url": {"url": url}})
        return [{"role": "user", "content": content}]


def _digest(version: str, pieces: tuple[str | bytes, ...]) -> str:
    digest = hashlib.sha256(version.encode())
    for piece in pieces:
        data = piece.encode() if isinstance(piece, str) else hashlib.sha256(piece).digest()
        digest.update(f"|{type(piece).__name__}:{len(data)}|".encode() + data)
    return digest.hexdigest()


def picture_type(picture: bytes) -> str:
    """``"image/png"`` or ``"image/jpeg"``, by the first bytes.

    Raises:
        ValueError: on any other file.
    """
    if picture.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if picture.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    raise ValueError(f"a picture must be PNG or JPEG bytes, got a file that begins with {picture[:8]!r}")


def build_prompt(
    picture: bytes,
    *,
    action: str | None = None,
    example: Example | None = None,
    subject: str = _SUBJECT,
    repair: EarlierAnswer | None = None,
    attributes: bool = False,
) -> Prompt:
    """Return the question about one picture.

    Args:
        picture: PNG or JPEG bytes, cropped to the pair (`apu_contacts.asking.crop_pair`).
        action: a known label of the interaction, "hugging" (Figure S10).
        example: an in-context example (Figure S7), as `load_example` gives it; None asks without one, which
            costs fewer tokens and needs a server that takes only one picture.
        subject: who is meant where more than two people can be seen, as words that complete "only these two
            count".
        repair: an earlier answer that could not be read whole; None for the first time.
        attributes: ask for age group, sex and build of each, who is taller and who is in front, too. False
            is the question of the paper.

    Raises:
        ValueError: if a picture is neither PNG nor JPEG.
    """
    picture_type(picture)
    words = _words(action, example, subject, repair, attributes)
    return Prompt((*words, picture), attributes=attributes)


def words_digest(
    action: str | None = None,
    example: Example | None = None,
    subject: str = _SUBJECT,
    repair: EarlierAnswer | None = None,
    attributes: bool = False,
) -> str:
    """64 hex digits over all that `build_prompt` puts before the picture, the example included: what is
    asked, without what it is asked about.
    """
    return _digest(PROMPT_VERSION, _words(action, example, subject, repair, attributes))


def _words(
    action: str | None, example: Example | None, subject: str, repair: EarlierAnswer | None, attributes: bool
) -> tuple[str | bytes, ...]:
    task, form = _TASK.format(parts=", ".join(PARTS), subject=subject), _FORMAT
    if attributes:
        task, form = f"{task}\n\n{_ATTRIBUTES}", form.replace(' "contacts": [', _ATTRIBUTES_FORMAT)
    pieces: list[str | bytes] = [f"{task}\n\n{form}"]
    if example is not None:
        picture_type(example.picture)
        pieces += [_EXAMPLE, example.picture, _example_answer(example) if attributes else example.answer]
    question = _QUESTION.format(which="the" if example is None else "the second")
    if action:
        question += " " + _ACTION.format(action=" ".join(action.split()))
    if repair is not None:
        question += "\n\n" + _REPAIR.format(why=repair.why, text=repair.text)
    return (*pieces, question)


def _example_answer(example: Example) -> str:
    """Return the example's answer with the attributes that a question for them is answered with.

    The figures of the example have neither age nor sex; one that says nothing of them teaches no guess.
    """
    answer = parse_answer(example.answer)
    if answer.attributes is None:
        answer = replace(answer, attributes=PairAttributes())
    return json.dumps(answer.to_document(), indent=1)


def load_example() -> Example | None:
    """Return the example that comes with the package: a rendered hug of the free body and the answer that its
    geometry implies. None if this copy of the package has none.
    """
    folder = resources.files("apu_contacts.asking").joinpath("data")
    picture, answer = folder.joinpath("example.png"), folder.joinpath("example.json")
    if not (picture.is_file() and answer.is_file()):
        return None
    text = json.dumps(json.loads(answer.read_text(encoding="utf-8")), indent=1)
    return Example(picture.read_bytes(), text)
