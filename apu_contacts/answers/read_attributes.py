"""Attributes of people in any JSON near the form: other words and keys for the same."""

from __future__ import annotations

from collections.abc import Mapping

from apu_contacts.answers.attributes import (
    AGE_GROUPS,
    BUILDS,
    OF_ONE,
    SEXES,
    UNKNOWN,
    Judgement,
    PairAttributes,
    PersonAttributes,
)
from apu_contacts.answers.keys import contact_key, tidy_key
from apu_contacts.answers.lenient import Node

_WORDS: Mapping[str, Mapping[str, str]] = {
    "age_group": {
        **{word: word for word in AGE_GROUPS},
        **dict.fromkeys(("baby", "newborn"), "infant"),
        **dict.fromkeys(("toddler", "kid", "boy", "girl", "preschooler", "small child"), "child"),
        **dict.fromkeys(("teen", "adolescent", "youth"), "teenager"),
        **dict.fromkeys(("man", "woman", "elderly", "senior", "young adult", "grown up"), "adult"),
    },
    "sex": {
        **{word: word for word in SEXES},
        **dict.fromkeys(("woman", "girl", "f"), "female"),
        **dict.fromkeys(("man", "boy", "m"), "male"),
    },
    "build": {
        **{word: word for word in BUILDS},
        **dict.fromkeys(("thin", "lean", "slender", "skinny"), "slim"),
        **dict.fromkeys(("medium", "normal", "athletic", "fit"), "average"),
        **dict.fromkeys(("large", "stout", "overweight", "obese", "broad"), "heavy"),
    },
    "which": {
        **dict.fromkeys(("a", "left", "person left", "the person on the left"), "a"),
        **dict.fromkeys(("b", "right", "person right", "the person on the right"), "b"),
        **dict.fromkeys(("same", "neither", "equal", "both", "about the same", "side by side"), "same"),
    },
}
_SILENT = ("", UNKNOWN, "unclear", "not visible", "cannot be told", "none", "n a", "unsure")
_KEYS = {
    **dict.fromkeys(("age_group", "age", "age_class"), "age_group"),
    **dict.fromkeys(("sex", "gender"), "sex"),
    **dict.fromkeys(("build", "body_build", "physique"), "build"),
    **dict.fromkeys(("taller", "who_is_taller", "taller_person", "height_order"), "taller"),
    **dict.fromkeys(("in_front", "who_is_in_front", "nearer", "closer_to_camera", "depth_order"), "in_front"),
}
_DEFAULT = 0.5
"""Confidence of what is said without one."""


def read_attributes(value: Node) -> tuple[PairAttributes | None, list[tuple[Node, str]]]:
    """Read attributes from any JSON near the schema; and what could not be read, with the reason.

    Args:
        value: what stands under the key ``attributes``.
    """
    wrong: list[tuple[Node, str]] = []
    if value.kind in ("literal", "missing"):
        return None, wrong
    if value.kind != "object":
        return None, [(value, "attributes should be an object")]
    people: dict[str, dict[str, Judgement]] = {"a": {}, "b": {}}
    both: dict[str, Judgement] = {}
    for key, element in value.value:
        name, person = _KEYS.get(tidy_key(key), ""), contact_key(key)
        if name in ("taller", "in_front"):
            _judge(name, element, both, wrong)
        elif person is not None and person.person and not person.field and element.kind == "object":
            for inner, judged in element.value:
                known = _KEYS.get(tidy_key(inner), "")
                if known in OF_ONE:
                    _judge(known, judged, people[person.person], wrong)
                else:
                    wrong.append((judged, f"the key {inner[:40]!r} is no attribute of a person"))
        else:
            wrong.append((element, f"the key {key[:40]!r} is no attribute"))
    told = PairAttributes(PersonAttributes(**people["a"]), PersonAttributes(**people["b"]), **both)
    return told, wrong


def _judge(name: str, value: Node, into: dict[str, Judgement], wrong: list[tuple[Node, str]]) -> None:
    """Read one judgement, a word or ``{"value": word, "confidence": number}``."""
    word, confidence = value, _DEFAULT
    if value.kind == "object":
        entries = {tidy_key(key): element for key, element in value.value}
        extra = set(entries) - {"value", "confidence"}
        if extra or "value" not in entries:
            wrong.append((value, f"{name} should have a value and a confidence"))
            return
        word, stated = entries["value"], entries.get("confidence")
        if stated is not None and stated.kind == "number" and 0 <= stated.value <= 1:
            confidence = float(stated.value)
        elif stated is not None and stated.kind not in ("literal", "missing"):
            wrong.append((stated, f"the confidence of {name} should be a number from 0 to 1"))
            return
    if word.kind in ("literal", "missing") and word.value is None:
        return
    words = " ".join(tidy_key(str(word.value)).split("_")) if word.kind in ("string", "word") else ""
    if word.kind in ("string", "word") and words in _SILENT:
        return
    known = _WORDS["which" if name in ("taller", "in_front") else name].get(words)
    if known is None:
        wrong.append((word, f"the vocabulary does not know this word for {name}"))
    else:
        into[name] = Judgement(known, confidence)
