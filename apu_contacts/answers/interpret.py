"""From values to contacts: what the parts of an answer mean, whole contacts or none."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from apu_contacts.answers.blocks import read_text
from apu_contacts.answers.collected import Collected, add_contact, join_sides
from apu_contacts.answers.fields import denying_key, field_stance, says_when, speaks_of_contact
from apu_contacts.answers.keys import (
    ContactKey,
    contact_key,
    document_key,
    is_remark,
    names_people,
    says_whether,
    tidy_key,
)
from apu_contacts.answers.lenient import Node
from apu_contacts.answers.read_attributes import read_attributes
from apu_contacts.answers.refusal import is_refusal_status, says_nothing_touches
from apu_contacts.answers.sentences import read_sentence
from apu_contacts.answers.stance import KEEPS, Stance, heading_stance, remark_stance, says_yes_or_no
from apu_contacts.answers.vocabulary import (
    PartPhrase,
    Stated,
    UnknownWordError,
    read_confidence,
    read_part,
    read_side,
)
from apu_contacts.regions.table import PART_SIDES, PARTS

_CONTACT_KEYS = ("body_part_person_left", "body_part_person_right", "confidence")
_WRAPPING = 4
"""Levels of ``{"answer": {"result": ...}}`` that are looked through."""


def read_value(node: Node, into: Collected, depth: int = 0) -> bool:
    """Read a value as an answer, a list of contacts, or one contact; return whether it was any."""
    if node.kind == "array":
        return _read_list(node, into, depth)
    if node.kind != "object":
        return False
    keys = [document_key(key) for key, _ in node.value]
    if is_contact(node):
        read_contact(node, into)
        into.has_contacts_key = True
        return True
    if any(keys.count(key) for key in ("contacts", "interaction", "people", "orientation", "refusal")):
        _read_document(node, keys, into)
        return True
    for name, value in node.value:
        if is_refusal_status(name, value.value):
            into.refusal = str(value.value)
            return True
    if depth < _WRAPPING and len(node.value) <= 3 and "wrapper" in keys:
        into.repair("wrapper", node.start, node.end, "the answer stands inside another object")
        read = False
        for key, (_, value) in zip(keys, node.value, strict=True):
            if key == "wrapper" and read_value(value, into, depth + 1):
                read = True
        return read
    return False


def is_contact(node: Node) -> bool:
    """Whether an object names a body part for each of two people, whole or not."""
    if _ends(node):
        return True
    people = set()
    for key, value in node.value:
        if (found := contact_key(key)) is not None:
            people.add(found.person)
            if found.person and value.kind == "object":
                people |= {inner.person for k, _ in value.value if (inner := contact_key(k)) is not None}
    if not {"a", "b"} <= people:
        return False
    # Descriptions of two people have the same keys; a contact has parts, sides or a confidence somewhere.
    for key, value in node.value:
        found = contact_key(key)
        if found is None:
            continue
        if found.field in ("side", "confidence") or (found.person and found.field == "part"):
            return True
        if value.kind == "object" and any(
            (inner := contact_key(k)) is not None and inner.field for k, _ in value.value
        ):
            return True
    return False


_END_KEYS = frozenset({"from", "to", "source", "target", "part", "other_part", "with"})


def _ends(node: Node) -> dict[str, str]:
    """``{"from": "a", "to": "b"}``: keys without a person whose values name one, ``"left hand of A"``.

    Empty unless there are two, one of each person.
    """
    found = {}
    for key, value in node.value:
        if tidy_key(key) not in _END_KEYS or value.kind != "string":
            continue
        try:
            people = {phrase.person for phrase in read_part(str(value.value))}
        except UnknownWordError:
            continue
        if people <= {"a", "b"} and len(people) == 1:
            found[key] = people.pop()
    return found if sorted(found.values()) == ["a", "b"] else {}


def _read_list(node: Node, into: Collected, depth: int) -> bool:
    if not node.value:
        if node.closed:
            into.has_contacts_key = True
        return node.closed
    objects = [element for element in node.value if element.kind == "object"]
    if not objects:
        return False
    read = False
    for element in node.value:
        if element.kind == "object" and read_value(element, into, depth + 1):
            read = True
        elif element.kind == "object" and not element.value:
            into.repair("empty object", element.start, element.end, "left out")
        else:
            into.reject(element.start, element.end, "no contact")
    if read and into.documents == 0:
        into.repair("bare list", node.start, node.end, "contacts without the answer around them")
    return read


def _read_document(node: Node, keys: list[str], into: Collected) -> None:
    into.documents += 1
    before = len(into.drafts)
    denied: Node | None = None
    unclear: Node | None = None
    for key, (name, value) in zip(keys, node.value, strict=True):
        if says_whether(name) and (value.kind in ("literal", "number") or _is_yes_no(value)):
            # Whether they touch at all, for the whole answer.
            if field_stance(name, value) is Stance.DENIES:
                denied = value
            into.repair("remark", value.start, value.end, f"the key {name[:40]!r} says whether they touch")
        elif key == "contacts":
            into.has_contacts_key = True
            _renamed(name, "contacts", value, into)
            _read_contacts(value, into)
        elif key in ("interaction", "orientation"):
            _renamed(name, key, value, into)
            _read_text(key, value, into)
        elif key == "people":
            _renamed(name, key, value, into)
            _read_people(value, into)
        elif key == "attributes":
            _renamed(name, key, value, into)
            into.attributes, wrong = read_attributes(value)
            for each, reason in wrong:
                # no word about contacts: the answer counts as read whole
                into.repair("attribute", each.start, each.end, f"left out: {reason}")
        elif key == "refusal":
            if value.kind in ("string", "word") and str(value.value).strip():
                into.refusal = str(value.value)
            elif value.kind not in ("literal", "missing"):
                into.reject(value.start, value.end, f"the key {name!r} does not hold words")
        elif key == "wrapper" and value.kind in ("object", "array"):
            if not read_value(value, into, 1):
                into.reject(value.start, value.end, "no part of an answer")
        elif (
            key != "wrapper"
            and value.kind in ("array", "object")
            and heading_stance(_spoken(name)) in _LEFT_OUT
        ):
            _leave_out(name, value, into)
        elif key in ("remark", "wrapper") or _is_person_text(name, value, into):
            if key:
                into.repair("remark", value.start, value.end, f"the key {name[:40]!r} was left out")
                into.words.extend(
                    (leaf.start, leaf.end, str(leaf.value))
                    for leaf in _strings(value)
                    if str(leaf.value).strip()
                )
        elif is_refusal_status(name, value.value):
            into.refusal = str(value.value)
        elif denying_key(name) and value.kind == "literal":
            denied = value if value.value else denied
            into.repair("remark", value.start, value.end, f"the key {name[:40]!r} says whether they touch")
        elif says_whether(name) and value.kind in ("array", "object"):
            unclear = value
            into.reject(value.start, value.end, f"the key {name[:40]!r} says of which contacts they hold")
        else:
            into.reject(value.start, value.end, f"the key {name[:40]!r} is no part of an answer")
    if unclear is not None:
        del into.drafts[before:]
    if denied is not None:
        if len(into.drafts) > before:
            into.reject(denied.start, denied.end, "the answer says that nothing touches, and lists contacts")
            del into.drafts[before:]
        else:
            into.has_contacts_key = True
            into.repair("no contacts", denied.start, denied.end, "the answer says that nothing touches")


_LEFT_OUT = frozenset({Stance.DENIES, Stance.DOUBTS, Stance.SAMPLE, Stance.DRAFT})


def _spoken(key: str) -> str:
    return tidy_key(key).replace("_", " ")


def _leave_out(name: str, value: Node, into: Collected) -> None:
    """Return a list under a key that denies or doubts it."""
    if heading_stance(_spoken(name)) is Stance.DENIES or not value.value:
        into.repair("not in contact", value.start, value.end, f"left out: the key is {name[:40]!r}")
    else:
        into.reject(value.start, value.end, f"left out: the key {name[:40]!r} does not say that they touch")


def _strings(value: Node) -> list[Node]:
    found: list[Node] = []
    waiting = [value]
    while waiting and len(found) < 200:
        node = waiting.pop()
        if node.kind == "object":
            waiting.extend(inner for _, inner in node.value)
        elif node.kind == "array":
            waiting.extend(node.value)
        elif node.kind in ("string", "word"):
            found.append(node)
    return found


def _renamed(name: str, meaning: str, value: Node, into: Collected) -> None:
    if name != meaning:
        into.repair("renamed key", value.start, value.end, f"{name[:40]!r} read as {meaning!r}")


def _read_text(key: str, value: Node, into: Collected) -> None:
    if value.kind in ("string", "word"):
        words = str(value.value)
        if getattr(into, key) and getattr(into, key) != words:
            into.reject(value.start, value.end, f"a second {key}")
        else:
            setattr(into, key, words)
    elif value.kind not in ("missing", "literal"):
        into.reject(value.start, value.end, f"{key} should be words")


def _is_person_text(name: str, value: Node, into: Collected) -> bool:
    """Return a description of one person outside of ``people``."""
    found = contact_key(name)
    if found is None or not found.person or found.field or value.kind not in ("string", "word"):
        return False
    into.people[_person_key(found.person)] = str(value.value)
    into.repair("renamed key", value.start, value.end, f"{name[:40]!r} read as a description of a person")
    return True


def _person_key(person: str) -> str:
    return "person_left" if person == "a" else "person_right"


def _read_people(value: Node, into: Collected) -> None:
    if value.kind == "array" and len(value.value) == 2:
        for person, element in zip(("a", "b"), value.value, strict=True):
            _describe(person, element, into)
    elif value.kind == "object":
        for name, element in value.value:
            found = contact_key(name)
            if (meaning := document_key(name)) in ("contacts", "interaction", "orientation"):
                into.repair("missing bracket", element.start, element.start, "a closing brace was missing")
                if meaning == "contacts":
                    into.has_contacts_key = True
                    _read_contacts(element, into)
                else:
                    _read_text(meaning, element, into)
            elif found is None or not found.person or found.field not in ("", "part"):
                into.reject(element.start, element.end, f"the key {name[:40]!r} names no person")
            else:
                _describe(found.person, element, into)
    elif value.kind not in ("literal", "missing"):
        into.reject(value.start, value.end, "people should be described one by one")


def _describe(person: str, element: Node, into: Collected) -> None:
    if element.kind in ("string", "word"):
        into.people[_person_key(person)] = str(element.value)
    elif element.kind == "object" and all(value.kind in ("string", "word") for _, value in element.value):
        into.people[_person_key(person)] = "; ".join(str(value.value) for _, value in element.value)
        into.repair("renamed key", element.start, element.end, "a description in several fields")
    else:
        into.reject(element.start, element.end, "a person should be described in words")


def _read_contacts(value: Node, into: Collected) -> None:
    if value.kind == "array":
        for element in value.value:
            if element.kind == "object":
                _read_element(element, into)
            elif element.kind in ("string", "word"):
                _read_sentence(element, into)
            elif element.kind != "literal":
                into.reject(element.start, element.end, "no contact")
    elif value.kind == "object":
        elements = [element for _, element in value.value]
        if elements and all(element.kind == "object" and is_contact(element) for element in elements):
            into.repair("contacts by name", value.start, value.end, "an object of contacts read as a list")
            for element in elements:
                read_contact(element, into)
        elif elements and all(element.kind == "array" for element in elements):
            for name, element in value.value:
                if heading_stance(_spoken(name)) in KEEPS:
                    into.repair(
                        "contacts by name", element.start, element.end, f"the list under {name[:40]!r}"
                    )
                    _read_contacts(element, into)
                else:
                    _leave_out(name, element, into)
        elif is_contact(value):
            into.repair("single contact", value.start, value.end, "one contact without a list around it")
            read_contact(value, into)
        elif value.value:
            into.reject(value.start, value.end, "no contact")
    elif value.kind in ("string", "word"):
        _read_contacts_text(value, into)
    elif value.kind == "number":
        into.reject(value.start, value.end, "contacts should be a list")
    elif value.kind in ("literal", "missing"):
        into.repair("no contacts", value.start, value.end, "read as an empty list")


def _read_element(element: Node, into: Collected) -> None:
    if is_contact(element):
        read_contact(element, into)
    elif not element.value and element.closed:
        into.repair("empty object", element.start, element.end, "left out")
    else:
        into.reject(element.start, element.end, "cut off" if not element.closed else "no contact")


def _read_contacts_text(value: Node, into: Collected) -> None:
    words = str(value.value)
    if says_nothing_touches(words) or not words.strip():
        into.repair("no contacts", value.start, value.end, "read as an empty list")
        return
    if words.lstrip()[:1] in "[{" and value.closed:
        inner = Collected(words)
        unread = [node for node in read_text(words).values if not read_value(node, inner)]
        if not unread and not inner.unexplained:
            into.repair("JSON in a string", value.start, value.end, "read as JSON")
            for draft in inner.drafts:
                draft.start, draft.end = value.start, value.end
            into.drafts.extend(inner.drafts)
            return
    _read_sentence(value, into)


def _read_sentence(element: Node, into: Collected) -> None:

    if not element.closed:
        into.reject(element.start, element.end, "cut off")
    elif says_nothing_touches(str(element.value)):
        into.repair("no contacts", element.start, element.end, "left out")
    else:
        read_sentence(str(element.value), element.start, element.end, into)


@dataclass(slots=True)
class _Fields:
    """The fields of one contact; a slot holds the node and is filled once."""

    slots: dict[tuple[str, str], Node] = field(default_factory=dict)
    confidences: dict[str, Node] = field(default_factory=dict)
    conflict: str = ""

    def put_confidence(self, key: str, node: Node) -> None:
        """Add a confidence under its name; several names may give several."""
        name = tidy_key(key)
        if name in self.confidences and self.confidences[name].value != node.value:
            self.conflict = f"{name} is given twice, with different values"
        self.confidences[name] = node

    def put(self, person: str, name: str, node: Node) -> None:
        """Fill a slot; another value for a filled one is a conflict."""
        old = self.slots.get((person, name))
        if old is not None and (old.value != node.value or old.kind in ("object", "array")):
            self.conflict = f"{name} is given twice, with different values"
        self.slots[person, name] = node


def read_contact(node: Node, into: Collected) -> None:
    """Read one contact, or leave it out as a whole and say why."""
    if not node.closed:
        into.reject(node.start, node.end, "cut off before the contact ends")
        return
    fields, ends = _Fields(), _ends(node)
    for key, value in node.value:
        if key in ends:
            fields.put(ends[key], "part", value)
        else:
            _take_field(key, value, fields, into)
    renamed = [key for key, _ in node.value if key not in _CONTACT_KEYS and contact_key(key) is not None]
    if renamed:
        meaning = ", ".join(key[:40] for key in renamed[:6])
        into.repair("renamed key", node.start, node.end, f"keys of other names: {meaning}")
    if fields.conflict:
        into.reject(node.start, node.end, fields.conflict)
        return
    if ("", "no") in fields.slots:
        into.repair("not in contact", node.start, node.end, "the contact says of itself that it is none")
        return
    try:
        found_a, found_b = _person_part(fields, "a", into), _person_part(fields, "b", into)
    except UnknownWordError as error:
        into.unknown(str(error), node.start, node.end)
        return
    except _NotWholeError as error:
        into.reject(node.start, node.end, str(error))
        return
    if not found_a or not found_b:
        into.repair("no part", node.start, node.end, "a contact that names no body part was left out")
        return
    said = list(fields.confidences.values())
    if any(one.kind in ("string", "word") and _denied(str(one.value)) for one in said):
        into.reject(node.start, node.end, "the confidence says that they do not touch")
        return
    stated = min(
        filter(None, (_confidence(one, into) for one in said)), key=lambda one: one.value, default=None
    )
    if len(said) > 1:
        into.repair("several confidences", node.start, node.end, "the lowest was taken")
    if not said:
        into.repair("no confidence", node.start, node.end, "the default was taken")
    add_contact(found_a, found_b, stated, node.start, node.end, into)


_CONTACT_ITSELF = ContactKey("", "")
_SHORT = 24
"""Characters of a value that is a word for the contact ("near only"), not a sentence about it."""


class _NotWholeError(ValueError):
    """A contact lacks something; the message says what."""


def _take_field(key: str, value: Node, fields: _Fields, into: Collected) -> None:
    found = contact_key(key)
    whether = says_whether(key) and (value.kind in ("literal", "number") or _is_yes_no(value))
    if found is None or whether or found == _CONTACT_ITSELF:
        _take_remark(key, value, fields, into)
        return
    person, name = found
    if not person:
        if name != "confidence":
            fields.conflict = f"the key {key[:40]!r} does not say whose part it is"
        else:
            fields.put_confidence(key, value)
    elif value.kind == "object":
        _take_part_object(person, value, fields, into)
    elif name == "confidence":
        fields.conflict = f"the key {key[:40]!r} gives a person a confidence of its own"
    else:
        fields.put(person, "side" if name == "side" else "part", value)


def _take_remark(key: str, value: Node, fields: _Fields, into: Collected) -> None:
    """Return a field beside the parts: it may take the contact back, say nothing about it, or not be
    understood.
    """
    stance = field_stance(key, value)
    if stance is Stance.DENIES:
        if is_remark(key) and len(str(value.value)) > _SHORT:
            fields.conflict = f"the contact's own {key[:40]!r} says that they do not touch"
        else:
            fields.put("", "no", value)
    elif stance in KEEPS:
        if not says_whether(key):
            into.repair("remark", value.start, value.end, f"the key {key[:40]!r} was left out")
    elif _not_understood(key, value):
        fields.conflict = f"the words of {key[:40]!r} are not understood and may take the contact back"
    elif stance is Stance.UNKNOWN and value.kind in ("string", "word", "number") and not names_people(key):
        into.reject(value.start, value.end, f"the key {key[:40]!r} is not known")
    else:
        fields.conflict = f"the key {key[:40]!r} is not known and may change what the contact says"


def _not_understood(key: str, value: Node) -> bool:
    if value.kind not in ("string", "word"):
        return False
    return says_when(key) or (speaks_of_contact(key) and remark_stance(str(value.value)) is Stance.UNKNOWN)


def _is_yes_no(value: Node) -> bool:
    return value.kind in ("string", "word") and says_yes_or_no(str(value.value)) is not None


def _take_part_object(person: str, node: Node, fields: _Fields, into: Collected) -> None:
    """``{"part_name": ..., "body_side": ...}`` in whatever names and order."""
    if not node.closed:
        fields.conflict = "cut off"
    for key, value in node.value:
        found = contact_key(key)
        if found is not None and found.person in ("", person) and found.field in ("part", "side", ""):
            meaning = "body_side" if found.field == "side" else "part_name"
            if key != meaning:
                into.repair("renamed key", value.start, value.end, f"{key[:40]!r} read as {meaning!r}")
            fields.put(person, found.field or "part", value)
        elif found is not None and found.field == "confidence" and not found.person:
            fields.put_confidence(key, value)
        elif found is not None and found.person and value.kind == "object" and found.field in ("", "part"):
            into.repair(
                "missing bracket", value.start, value.start, "one person's part stood inside the other's"
            )
            _take_part_object(found.person, value, fields, into)
        elif found is None or found == _CONTACT_ITSELF:
            stance = field_stance(key, value)
            if stance in KEEPS:
                into.repair("remark", value.start, value.end, f"the key {key[:40]!r} was left out")
            else:
                fields.conflict = f"the key {key[:40]!r} inside a body part is not known"
        else:
            fields.conflict = f"the key {key[:40]!r} inside a body part is not known"


def _person_part(fields: _Fields, person: str, into: Collected) -> list[tuple[PartPhrase, str]]:
    """Part and side of one person; several where the text says "and"; none where it says that there is
    none.
    """
    part, side = fields.slots.get((person, "part")), fields.slots.get((person, "side"))
    if part is None or part.kind in ("missing", "number"):
        raise _NotWholeError("a person's body part is missing")
    if not part.closed or (side is not None and not side.closed):
        raise _NotWholeError("cut off")
    phrases = _phrases(part)
    stated = _side_words(side)
    if part.value not in PARTS:
        meaning = " and ".join("/".join(phrase.parts) for phrase in phrases) or "no part"
        into.repair("free words", part.start, part.end, f"{str(part.value)[:60]!r} read as {meaning}")
    if side is not None and side.value not in PART_SIDES and stated:
        into.repair("free words", side.start, side.end, f"{str(side.value)[:60]!r} read as {stated}")
    found = [(phrase, join_sides(phrase, stated)) for phrase in phrases]
    for phrase, joined in found:
        if joined == "none" and stated != "none" and (stated or phrase.side != "none"):
            meaning = "two sides that contradict each other" if stated else "no side was stated"
            into.repair("side", part.start, part.end, f"{meaning}: read as not known")
    return found


def _phrases(part: Node) -> tuple[PartPhrase, ...]:
    if part.kind == "literal":
        if part.value is None:
            return ()
        raise _NotWholeError("a body part should be words")
    if part.kind in ("string", "word"):
        return read_part(str(part.value))
    if part.kind != "array":
        raise _NotWholeError("a body part should be words")
    words = [str(element.value) for element in part.value if element.kind in ("string", "word")]
    if len(words) != len(part.value) or not words:
        raise _NotWholeError("a body part should be words")
    if len(words) == 2 and _is_side(words[1]):
        words = [f"{words[1]} {words[0]}"]
    # A list does not say whether all of it touches: the weaker reading is that some of it does.
    return read_part(" / ".join(words))


def _is_side(words: str) -> bool:
    try:
        return read_side(words) != ""
    except UnknownWordError:
        return False


def _side_words(side: Node | None) -> str:
    if side is None or side.kind == "missing" or (side.kind == "literal" and side.value is None):
        return ""
    if side.kind == "array":
        words = [str(element.value) for element in side.value if element.kind in ("string", "word")]
        if len(words) != len(side.value):
            raise _NotWholeError("a side should be a word")
        return read_side(" and ".join(words))
    if side.kind not in ("string", "word"):
        raise _NotWholeError("a side should be a word")
    return read_side(str(side.value))


def _denied(words: str) -> bool:
    """Whether "none", "unlikely" or "no contact" stands in place of a confidence."""
    return (
        read_confidence(words) is None
        and field_stance("contact_status", Node("string", 0, 0, words)) is Stance.DENIES
    )


def _confidence(node: Node | None, into: Collected) -> Stated | None:
    if node is None:
        return None
    stated: Stated | None = None
    if node.kind == "number":
        stated = Stated(float(node.value), False)
    elif node.kind in ("string", "word"):
        stated = read_confidence(str(node.value))
        if stated is not None:
            into.repair("confidence in words", node.start, node.end, f"read as {stated.value:g}")
    if stated is not None and math.isfinite(stated.value) and stated.value >= 0:
        return stated
    into.repair("confidence not readable", node.start, node.end, "the default was taken")
    if node.kind not in ("literal", "missing") and not (stated is not None and math.isnan(stated.value)):
        into.reject(node.start, node.end, "a confidence that was not understood")
    return None
