"""Fields of a contact beside its parts: whether they take it back, told from their words and not from their
type.
"""

from __future__ import annotations

import re
from functools import lru_cache

from apu_contacts.answers.keys import is_remark, says_whether, tidy_key
from apu_contacts.answers.lenient import Node
from apu_contacts.answers.stance import (
    KEEPS,
    Stance,
    heading_stance,
    is_another_moment,
    remark_stance,
)

# Where in the picture something is, how well it is seen, what it is called: none of it denies a contact.
_PLACE = re.compile(
    r"(?:^|_)(?:bbox|box|boxes|bounding|point|points|coordinates?|coords?|xy|xyxy|xywh|pixels?|px|mask"
    r"|polygon|keypoints?"
    r"|label|id|index|name|number|rank|color|colour|visible|visibility|occluded|occlusion|hidden|depth"
    r"|area|size|image|frame"
    r"|uncertain|ambiguous|pressure|strength|intensity|duration|timestamp|time|source|model)(?:_|$)"
)
_MOMENT = re.compile(r"(?:^|_)(?:image|picture|photo|frame|time|when|moment|source)(?:_|$)")
_DISTANCE = re.compile(r"(?:^|_)(?:distance|dist|gap|separation|clearance|spacing)(?:_|$)")
_VERDICT = re.compile(
    r"(?:^|_)(?:verdict|status|state|decision|holds?|present|exists?|confirmed|valid|true|real|is_real"
    r"|outcome|judg(?:e)?ment"
    r"|contact|contacts|touch|touches|touching|type|kind|category|class|relation|relationship|proximity"
    r"|answer|result)(?:_|$)"
)
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)")
_MOST_LEAVES = 200


@lru_cache(maxsize=4096)
def denying_key(key: str) -> bool:
    """Whether the key itself denies ("no_contact", "separated", "negated")."""
    return heading_stance(tidy_key(key).replace("_", " ")) is Stance.DENIES


def field_stance(key: str, value: Node) -> Stance:
    """Return what a field beside the parts says about its contact.

    `Stance.UNKNOWN` if the field is not understood; `Stance.NEUTRAL` if it says nothing.
    """
    tidy = tidy_key(key)
    if _DISTANCE.search(tidy):
        return _distance(value)
    if denying_key(key):
        said = _truth(value)
        if said is None:
            return Stance.DENIES if value.kind in ("string", "word", "number") else Stance.UNKNOWN
        return Stance.DENIES if said else Stance.NEUTRAL
    if _MOMENT.search(tidy) and value.kind in ("string", "word") and is_another_moment(str(value.value)):
        return Stance.UNKNOWN
    if _PLACE.search(tidy) and not says_whether(key):
        return Stance.DENIES if _words_deny(value) else Stance.NEUTRAL
    if says_whether(key) or _VERDICT.search(tidy):
        return _verdict(key, value)
    if value.kind in ("string", "word"):
        stance = remark_stance(str(value.value))
        if stance in (Stance.DENIES, Stance.UNKNOWN):
            return stance
        return Stance.NEUTRAL if is_remark(key) else Stance.UNKNOWN
    if value.kind in ("object", "array"):
        if _words_deny(value):
            return Stance.DENIES
        return Stance.NEUTRAL if is_remark(key) and _no_flags(value) else Stance.UNKNOWN
    return Stance.NEUTRAL if is_remark(key) and value.kind == "number" else Stance.UNKNOWN


def says_when(key: str) -> bool:
    """Whether the key's words say of which moment, or which picture, the contact is."""
    return _MOMENT.search(tidy_key(key)) is not None


def speaks_of_contact(key: str) -> bool:
    """Whether the key's words may say that the contact is none: a remark, or a verdict."""
    return is_remark(key) or says_whether(key) or _VERDICT.search(tidy_key(key)) is not None


def _verdict(key: str, value: Node) -> Stance:
    if value.kind == "literal" or says_whether(key):
        said = _truth(value)
        if said is not None:
            return Stance.AFFIRMS if said else Stance.DENIES
        if value.kind == "literal":
            return Stance.DENIES if says_whether(key) else Stance.NEUTRAL
    if value.kind in ("string", "word"):
        stance = remark_stance(str(value.value))
        return Stance.NEUTRAL if stance in KEEPS else stance
    if value.kind == "number":
        return Stance.DENIES if value.value == 0 and not is_remark(key) else Stance.NEUTRAL
    if _words_deny(value):
        return Stance.DENIES
    return Stance.UNKNOWN if value.kind in ("object", "array") else Stance.NEUTRAL


def _truth(value: Node) -> bool | None:
    """Return a yes or a no in any type; None for anything else."""
    if value.kind == "literal":
        return None if value.value is None else bool(value.value)
    if value.kind == "number":
        return bool(value.value) if value.value in (0, 1) else None
    if value.kind in ("string", "word"):
        words = str(value.value).strip().lower()
        if words in ("yes", "true", "y", "1", "ja", "sí", "si", "oui", "是", "有"):
            return True
        if words in ("no", "false", "n", "0", "none", "nein", "non", "否", "无", "null"):
            return False
    return None


def _distance(value: Node) -> Stance:
    if value.kind == "number":
        return Stance.DENIES if value.value > 0 else Stance.NEUTRAL
    if value.kind in ("string", "word"):
        words = str(value.value)
        number = _NUMBER.search(words)
        if number is not None:
            return Stance.DENIES if float(number.group()) > 0 else Stance.NEUTRAL
        if words.strip().lower() in (
            "none",
            "zero",
            "no",
            "no gap",
            "no distance",
            "touching",
            "contact",
            "",
        ):
            return Stance.NEUTRAL
        return Stance.DENIES
    if value.kind == "literal":
        return Stance.DENIES if value.value is True else Stance.NEUTRAL
    return Stance.UNKNOWN if value.kind in ("object", "array") else Stance.NEUTRAL


def _leaves(value: Node) -> list[tuple[str, Node]]:
    found: list[tuple[str, Node]] = []
    waiting = [("", value)]
    while waiting and len(found) < _MOST_LEAVES:
        key, node = waiting.pop()
        if node.kind == "object":
            waiting.extend(node.value)
        elif node.kind == "array":
            waiting.extend((key, element) for element in node.value)
        else:
            found.append((key, node))
    return found


def _words_deny(value: Node) -> bool:
    """Whether any words inside the value deny."""
    return any(
        (node.kind in ("string", "word") and remark_stance(str(node.value)) is Stance.DENIES)
        or (key and says_whether(key) and _truth(node) is False)
        for key, node in _leaves(value)
    )


def _no_flags(value: Node) -> bool:
    return all(node.kind in ("string", "word", "number", "missing") for _, node in _leaves(value))
