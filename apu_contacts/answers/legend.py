"""Who A and B, or 1 and 2, are: a text may say that its first person stands on the right of the picture.

The keys ``person_left`` and ``person_right`` say it themselves. Letters and numbers are taken for left and
right
only where the text does not define them otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from apu_contacts.answers.collected import Collected, Draft
from apu_contacts.answers.vocabulary import VOCABULARY, UnknownWordError, read_part

_LABEL = re.compile(
    r"(?<![\w'’])(?:(?:person|individual|subject|human|figure|people|personne|persona|人物)[\s_#\"'*]{0,4}"
    r"|[Pp](?=[12]))"
    r"(?P<named>[AaBb12]|one|two)(?![\w'’])|(?<![\w'’.])[\"'*(]{0,3}(?P<bare>(?-i:[AB])(?=[\"'*]{0,3}(?:\s*[:=(]|\s+is\b))"
    r"|[12](?=\s*=|\"\s*:))[\"'*]{0,3}",
    re.IGNORECASE,
)
_CONNECTOR = re.compile(
    r"[\"'*\s)]{0,6}(?:[(:=,–—-]|is\b|are\b|was\b|stands?\b|sits?\b|refers\b|denotes\b|means\b|the\b|ist\b"
    r"|steht\b|est\b|está\b|es\b|是|在)"
)
_SIDE = "(?P<{0}>left|right|links?|rechts?|izquierda|derecha|gauche|droite|左|右)"
_WHERE = re.compile(
    r"\b(?:on|at|to|in) the (?:(?:far|very|extreme|image|picture|photo)[ -]?)?"
    + _SIDE.format("on")
    + r"(?:[ -]?hand(?=[ -]side))?(?:[ -]side)?(?![\w-])"
    r"|(?<![\w-])"
    + _SIDE.format("one")
    + r"(?:[ -]?most)?(?:[ -]hand(?= side))?(?: side| person| man| woman| boy| girl| child| one| figure"
    r"| individual| player| dancer)?(?=\W*$|[)\]:;,.]| (?:of|in) the (?:image|picture|photo|frame))"
    r"|\b"
    + _SIDE.format("kind")
    + r"(?:[ -]?most)? (?:person|man|woman|boy|girl|child|one|figure|individual|player|dancer)\b"
    r"|\b(?:links|rechts|(?:a|à|de) (?:la )?"
    + _SIDE.format("abroad")
    + r")\b|"
    + "(?P<han>左|右)(?:边|侧|邊|側)",
    re.IGNORECASE,
)
_EXPLICIT = re.compile(
    r"(?:person|individual|subject|people|figure|human)[\s_]*(?:on[\s_]+the[\s_]+)?(?:left|right)"
    r"|(?:left|right)[\s_-]*(?:person|individual|subject|human|figure)|[左右][边侧邊側]的?(?:人物|人)",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    r"(?:person|individual|subject|people|figure|human|persona|personne|pessoa|人物?|(?<![a-z])p)[\s_#]*"
    r"(?:a|b|1|2|one|two)(?![a-z0-9])"
    r"|(?<![a-z0-9])(?:a|b)(?=['’]s\b)|(?-i:[(\[]\s*[AB]\s*[)\]]|\bof\s+[AB]\b)"
    r"|(?:first|second)[\s_-]+(?:person|individual|subject|human|figure)",
    re.IGNORECASE,
)
# "left hand (A)", "left hand of A"; and letters that the text gives to points, options and the like.
_BARE_LETTER = re.compile(r"[(\[]\s*[AB]\s*[)\]]|\bof\s+[AB]\b")
_LETTERS_OF_THINGS = re.compile(
    r"\b(?i:points?|spots?|zones?|areas?|regions?|options?|choices?|locations?|markers?|labels?|contacts?|grades?"
    r"|ends?|groups?|images?|panels?|views?|pictures?|class|type)\s+[(\"']?[AB]\b(?!['’])"
)
# A row of a table, "| A | the man on the right |", and an object, {"id": "A", "position": "right"}, or
# "person_a": {"description": "the woman on the right"}.
_ROW = re.compile(
    r"^[ \t]*\|[ \t*]*(?:(?:person|individual|subject)\s*)?(?P<named>[AB12])[ \t*]*\|(?P<tail>[^\n]{1,140})$",
    re.IGNORECASE | re.MULTILINE,
)
_OBJECT = re.compile(
    r"[\"'](?:(?:person|individual|subject)[\s_]?)?(?P<named>[AB12])[\"']\s*(?::\s*\{|,)(?P<tail>[^{}]{1,300})",
    re.IGNORECASE,
)
_PLACE_FIELD = re.compile(
    r"[\"'](?:description|appearance|position|location|place|where|who)[\"']\s*:\s*[\"'](?P<words>[^\"'\n]{1,140})",
    re.IGNORECASE,
)
# What is said of all sides, not of where one person stands.
_SIDES = r"(?:\bsides\b(?! of)|\bleft\s*(?:and|or|/|&)\s*right\b|[\"'“]left[\"'”]|\blaterality\b)"
_VIEWER = (
    r"(?:\b(?:viewer|camera|observer|spectator|image|picture|photo|screen)(?:['’]?s)?['’]? (?:own )?"
    r"(?:perspective|point of view|viewpoint|left)\b|\b(?:seen|given|named|labell?ed) (?:by|from) the "
    r"(?:viewer|camera|observer)\b)"
)
_VIEWER_SIDES = re.compile(
    rf"{_SIDES}(?P<between>[^.;\n{{}}]{{0,80}}?){_VIEWER}"
    r"|[\"'](?:\w+_)?(?:sides?|laterality|left_right)_(?:convention|reference|frame|perspective|system)[\"']\s*:"
    r"\s*[\"'][^\"'\n]{0,40}?\b(?:viewer|camera|observer|image|picture|photo|screen)",
    re.IGNORECASE,
)
_NO_VIEWER = re.compile(r"\b(?:not|never|than|instead of|no)\b(?: \w+){0,3} ?$", re.IGNORECASE)
_STOP = re.compile(r"[{\[\n;]|(?<=[a-z])\. ")
_MOST_TAIL = 140
_MOST_LABELS = 2000


@dataclass
class Legend:
    """What a text says about where its labelled people stand.

    Args:
        places: ``"a"`` and ``"b"`` (the first and the second label) to the sides that are stated.
        spans: where it is stated.
    """

    places: dict[str, set[str]] = field(default_factory=dict)
    spans: list[tuple[int, int]] = field(default_factory=list)

    @property
    def exchanged(self) -> bool:
        """The first label is the person on the right."""
        return "right" in self.places.get("a", ()) or "left" in self.places.get("b", ())

    @property
    def contradictory(self) -> bool:
        """The text puts a label on both sides, or both labels on one."""
        a, b = self.places.get("a", set()), self.places.get("b", set())
        return len(a) > 1 or len(b) > 1 or bool(a & b)


def read_legend(text: str) -> Legend:
    """Find where a text says which of its labelled people stands on which side."""
    legend = Legend()
    labels = []
    for match in _LABEL.finditer(text):
        labels.append(match)
        if len(labels) > _MOST_LABELS:
            break
    for i, label in enumerate(labels):
        end = min(label.end() + _MOST_TAIL, labels[i + 1].start() if i + 1 < len(labels) else len(text))
        stop = _STOP.search(text, label.end(), end)
        tail = text[label.end() : stop.start() if stop else end]
        side = _side_of(tail)
        if side:
            name = (label.group("named") or label.group("bare")).lower()
            legend.places.setdefault("a" if name in ("a", "1", "one") else "b", set()).add(side)
            legend.spans.append((label.start(), label.end() + len(tail)))
    _read_structured(text, legend)
    return legend


def _read_structured(text: str, legend: Legend) -> None:
    """Legends in rows of tables and in fields of objects."""
    found = [(match, match.group("tail")) for match in _ROW.finditer(text)]
    for match in _OBJECT.finditer(text):
        place = _PLACE_FIELD.search(match.group("tail"))
        if place is not None:
            found.append((match, place.group("words")))
    for match, words in found[:_MOST_LABELS]:
        sides = {_side_of(f": {cell.strip()}") for cell in words.split("|")} - {""}
        named_parts = any(word.lower() in VOCABULARY for word in re.findall(r"[^\W\d_]+", words))
        if len(sides) == 1 and not named_parts:
            name = match.group("named").lower()
            legend.places.setdefault("a" if name in ("a", "1") else "b", set()).update(sides)
            legend.spans.append((match.start(), match.end()))


def settle_sides(text: str, into: Collected) -> None:
    """Leaves sides open where the text says that they are the picture's; whose they are cannot be told."""
    said = next(
        (m for m in _VIEWER_SIDES.finditer(text) if not _NO_VIEWER.search(m.group("between") or "")), None
    )
    if said is None:
        return
    for draft in into.drafts:
        draft.side_a = "none" if draft.side_a in ("left", "right") else draft.side_a
        draft.side_b = "none" if draft.side_b in ("left", "right") else draft.side_b
    into.reject(said.start(), said.end(), "sides as the picture shows them, not the people's own: left open")


def _side_of(tail: str) -> str:
    """Return the side of the picture in the words after a label; "" if they say none, or name a body part."""
    if _CONNECTOR.match(tail) is None:
        return ""
    plain = tail.strip(" \t\"'*:=,()–—-")
    try:
        if plain and read_part(plain):
            return ""
    except UnknownWordError:
        pass
    for match in _WHERE.finditer(tail):
        after = re.match(r"[\s-]*([^\W\d_]+)", tail[match.end() :])
        if after is not None and after.group(1).lower() in VOCABULARY:
            continue
        word = next((word for word in match.groups() if word), match.group()).lower()
        return "left" if word[:2] in ("le", "li", "iz", "ga") or word == "左" else "right"
    return ""


def settle_people(text: str, into: Collected) -> None:
    """Put the people of the contacts in the order that the text's own legend states.

    Contacts whose people cannot be told are left out.
    """
    _leave_out_letters_of_things(text, into)
    legend = read_legend(text)
    if legend.contradictory:
        for draft in into.drafts:
            if not _explicit(text, draft):
                into.reject(draft.start, draft.end, "the text says both of who is on the left")
        into.drafts[:] = [draft for draft in into.drafts if _explicit(text, draft)]
        return
    if not legend.exchanged:
        return
    start, end = legend.spans[0]
    outside = _without(text, legend.spans)
    kept = []
    for draft in into.drafts:
        explicit, labelled = (
            _explicit(text, draft),
            _LABELLED.search(text, draft.start, draft.end) is not None,
        )
        if not explicit and not labelled:
            explicit, labelled = _EXPLICIT.search(outside) is not None, _LABELLED.search(outside) is not None
            labelled = labelled or not explicit
        if explicit and labelled:
            into.reject(draft.start, draft.end, "people named by letters and by sides, which differ here")
            continue
        if labelled:
            draft.part_a, draft.part_b = draft.part_b, draft.part_a
            draft.side_a, draft.side_b = draft.side_b, draft.side_a
        kept.append(draft)
    into.drafts[:] = kept
    if _EXPLICIT.search(outside) is None:
        other = {"person_left": "person_right", "person_right": "person_left"}
        into.people = {other.get(key, key): words for key, words in into.people.items()}
    into.repair("legend", start, end, "the first of the people is the one on the right: exchanged")


def _leave_out_letters_of_things(text: str, into: Collected) -> None:
    """Leave out contacts whose people are bare letters that the text gives to something else ("point A")."""
    if _LETTERS_OF_THINGS.search(text) is None:
        return
    for draft in list(into.drafts):
        if _BARE_LETTER.search(text, draft.start, draft.end) is not None:
            into.reject(draft.start, draft.end, "letters that the text does not give to people alone")
            into.drafts.remove(draft)


def _explicit(text: str, draft: Draft) -> bool:
    return _EXPLICIT.search(text, draft.start, draft.end) is not None


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    pieces, end = [], 0
    for start, stop in spans:
        pieces.append(text[end:start])
        end = max(end, stop)
    return " ".join([*pieces, text[end:]])
