"""What a model sees of two people and keypoints do not show: age, sex, build, who is taller, who in front.

Each is optional and has a confidence. Nothing is made up: a word that is not known is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

AGE_GROUPS = ("adult", "teenager", "child", "infant")
"""Thirteen to seventeen years is a teenager, two to twelve a child."""
SEXES = ("female", "male")
BUILDS = ("slim", "average", "heavy")
WHICH = ("a", "b", "same")
"""Of the two: person a, person b, or no difference that can be told."""
UNKNOWN = "unknown"

OF_ONE = ("age_group", "sex", "build")
"""What is said of each person."""


class Judgement(NamedTuple):
    """A word of a closed list, and how sure the model is of it, 0 to 1."""

    value: str
    confidence: float


@dataclass(frozen=True)
class PersonAttributes:
    """What is said of one person; None: nothing.

    Args:
        age_group: one of `AGE_GROUPS`.
        sex: one of `SEXES`.
        build: one of `BUILDS`.

    Raises:
        ValueError: another word, or a confidence outside [0, 1].
    """

    age_group: Judgement | None = None
    sex: Judgement | None = None
    build: Judgement | None = None

    def __post_init__(self) -> None:
        for name, known in (("age_group", AGE_GROUPS), ("sex", SEXES), ("build", BUILDS)):
            _check(name, getattr(self, name), known)


@dataclass(frozen=True)
class PairAttributes:
    """What is said of two people.

    Args:
        a, b: of each; in an answer a is the person on the left of the picture.
        taller: who would be if both stood upright: ``"a"``, ``"b"`` or ``"same"``.
        in_front: who is nearer to the camera, likewise.

    Example:
        >>> told = PairAttributes(a=PersonAttributes(age_group=Judgement("child", 0.9)))
        >>> told.transposed().b.age_group
        Judgement(value='child', confidence=0.9)
    """

    a: PersonAttributes = field(default_factory=PersonAttributes)
    b: PersonAttributes = field(default_factory=PersonAttributes)
    taller: Judgement | None = None
    in_front: Judgement | None = None

    def __post_init__(self) -> None:
        for name in ("taller", "in_front"):
            _check(name, getattr(self, name), WHICH)

    def transposed(self) -> PairAttributes:
        """Return the same with the two people exchanged."""
        return PairAttributes(self.b, self.a, _exchanged(self.taller), _exchanged(self.in_front))

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; what nobody said is absent."""
        found: dict[str, Any] = {}
        for person in ("a", "b"):
            told = {name: _to_dict(getattr(getattr(self, person), name)) for name in OF_ONE}
            found[person] = {name: value for name, value in told.items() if value}
        found |= {name: _to_dict(getattr(self, name)) for name in ("taller", "in_front")}
        return {name: value for name, value in found.items() if value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PairAttributes:
        """Return the inverse of `to_dict`.

        Raises:
            ValueError: an unknown key or word.
        """
        try:
            first, second = (
                PersonAttributes(**{name: Judgement(**told) for name, told in data.get(person, {}).items()})
                for person in ("a", "b")
            )
            pair = {name: Judgement(**told) for name, told in data.items() if name not in ("a", "b")}
            return cls(first, second, **pair)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"attributes: {error}; known are {', '.join((*OF_ONE, 'taller'))}") from None


def _check(name: str, told: Judgement | None, known: Sequence[str]) -> None:
    if told is None:
        return
    if told.value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {told.value!r}")
    if not 0 <= told.confidence <= 1:
        raise ValueError(f"the confidence of {name} must lie in [0, 1], got {told.confidence}")


def _exchanged(told: Judgement | None) -> Judgement | None:
    other = {"a": "b", "b": "a"}
    return None if told is None else told._replace(value=other.get(told.value, told.value))


def _to_dict(told: Judgement | None) -> dict[str, Any]:
    return {} if told is None else {"value": told.value, "confidence": round(told.confidence, 6)}


def attributes_of_document(document: Mapping[str, Any]) -> PairAttributes | None:
    """Return the attributes of a document that conforms to the schema; None where it has no such key."""
    if "attributes" not in document:
        return None
    said = document["attributes"]

    def judged(entry: Mapping[str, Any]) -> Judgement | None:
        who = {"person_left": "a", "person_right": "b"}
        value = entry["value"]
        return None if value == UNKNOWN else Judgement(who.get(value, value), float(entry["confidence"]))

    left, right = (
        PersonAttributes(*(judged(said[person][name]) for name in OF_ONE))
        for person in ("person_left", "person_right")
    )
    return PairAttributes(left, right, judged(said["taller"]), judged(said["in_front"]))


def document_of(told: PairAttributes) -> dict[str, Any]:
    """Return attributes in the form of the schema; what nobody said is unknown."""

    def judged(one: Judgement | None) -> dict[str, Any]:
        if one is None:
            return {"value": UNKNOWN, "confidence": 0.0}
        who = {"a": "person_left", "b": "person_right"}
        return {"value": who.get(one.value, one.value), "confidence": one.confidence}

    found: dict[str, Any] = {
        key: {name: judged(getattr(person, name)) for name in OF_ONE}
        for key, person in (("person_left", told.a), ("person_right", told.b))
    }
    return {**found, "taller": judged(told.taller), "in_front": judged(told.in_front)}


def fuse_attributes(told: Sequence[PairAttributes]) -> PairAttributes | None:
    """Return what several answers say together: of each attribute the value with the most confidence.

    Its confidence is the sum of those who say so over the number of answers that say anything of it.
    """
    if not told:
        return None

    def fused(given: Sequence[Judgement | None]) -> Judgement | None:
        said = [one for one in given if one is not None]
        if not said:
            return None
        values = dict.fromkeys(one.value for one in said)
        weight = {v: sum(one.confidence for one in said if one.value == v) for v in values}
        best = max(values, key=lambda v: weight[v])  # the first of equals
        return Judgement(best, weight[best] / len(said))

    first, second = (
        PersonAttributes(
            *(fused([getattr(getattr(t, person), f.name) for t in told]) for f in fields(PersonAttributes))
        )
        for person in ("a", "b")
    )
    return PairAttributes(first, second, fused([t.taller for t in told]), fused([t.in_front for t in told]))
