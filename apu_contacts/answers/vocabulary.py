"""Free words for body parts, sides, people and confidence, and what each is taken to mean.

The rule: a phrase is read only if every word of it is known. It is looked up whole; then without articles and
owners ("the", "his"); then with its qualifiers taken off from the left ("front of", "inner") until an entry
fits.
Nothing is matched by likeness: "hamd" is unknown, not "hand". A word that the paper's 17 parts do not name
goes to the part that contains it; one that lies across a border goes to each of the parts, as alternatives.
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from apu_contacts.answers.part_words import PAIRED_PLURALS, SIDE_WORDS, phrases

VOCABULARY: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(phrases())
"""Phrase -> the parts it may mean, the likeliest first; the data is in `part_words`."""

_ARTICLES = frozenset(
    [
        "the",
        "a",
        "an",
        "his",
        "her",
        "their",
        "its",
        "one",
        "own",
        "one's",
        "of",
        "der",
        "die",
        "das",
        "den",
        "dem",
        "des",
        "sein",
        "seine",
        "ihr",
        "ihre",
        "el",
        "la",
        "los",
        "las",
        "su",
        "sus",
        "le",
        "les",
        "l'",
        "sa",
        "son",
        "ses",
        "du",
        "de",
        "del",
    ]
)
_QUALIFIERS = frozenset(
    [
        "upper",
        "lower",
        "front",
        "back",
        "rear",
        "inner",
        "outer",
        "inside",
        "outside",
        "mid",
        "middle",
        "central",
        "center",
        "top",
        "bottom",
        "underside",
        "side",
        "bare",
        "near",
        "nearer",
        "far",
        "farther",
        "free",
        "other",
        "outstretched",
        "extended",
        "raised",
        "region",
        "area",
        "part",
        "whole",
        "entire",
        "of",
        "the",
    ]
)
_TRAILING = frozenset(["region", "area", "part", "side"])

NO_PART = frozenset(
    {"none", "no contact", "nothing", "n/a", "na", "null", "-", "no body part", "not applicable"}
)
"""Entries that say that there is nothing here."""

# People, as prompts and models call them; the first is the person on the left. Chinese has no spaces.
_PERSON = re.compile(
    r"(?:(?:\b(?:of|von|de|del|da|di)\s+)?(?:\b(?:the|der|la|el|les?)\s+)?\b(?:"
    r"(?:persona|personne|pessoa|person|individual|subject|human|people|figure)[\s_]*(?:on\s+the\s+|#\s*)?"
    r"(?P<after>left|right|1|2|a(?<!persona)|b|one|two)"
    r"|(?P<before>left|right|first|second)[\s_-]+(?:person|individual|subject|human|figure)"
    r"|p(?P<short>1|2)"
    r")\b(?:\s+(?:side\s+)?of\s+the\s+(?:image|picture|photo(?:graph)?|frame)\b)?(?:['’]s?(?=\W|$))?"
    r"|(?:人物|人)\s*(?P<han>[12ab])(?![0-9a-z])\s*的?|(?P<han_side>左|右)(?:边|侧|邊|側)的?(?:人物|人)的?)",
    re.IGNORECASE,
)
# "left hand (A)", "left hand of A", "A's left hand": capitals alone, since "a" is an article.
_LETTER = re.compile(
    r"[(\[]\s*(?P<bracketed>[AB])\s*[)\]]|\bof\s+(?P<of>[AB])(?![\w'’-])(?=\s*(?:$|[(\[,;:]))|\b(?P<own>[AB])['’]s\b"
)
_PERSON_OF = {
    **dict.fromkeys(("left", "1", "a", "one", "first", "左"), "a"),
    **dict.fromkeys(("right", "2", "b", "two", "second", "右"), "b"),
}
_OWNER = re.compile(
    r"\b(?:man|woman|boy|girl|child|kid|baby|mother|father|player|dancer|his|her|their)['’]s\b", re.I
)

# "Person A faces left": nobody has several faces, heads or backs; it is a verb, and says where one looks.
_VERB = re.compile(
    r"\b(?:faces|heads|backs)\s+(?:(?:to|towards?|the|his|her|their|slightly)\s+)*(?:left|right)\b"
)

_PARENTHESES = re.compile(r"\(([^()]*)\)|\[([^\[\]]*)\]")
_PLURAL_IN_PARENTHESES = re.compile(r"(?<=\w)\(e?s\)")
_LEFT_AND_RIGHT = re.compile(r"\b(?:left\s*(?:and|&|\+)\s*right|right\s*(?:and|&|\+)\s*left)\b")
_LEFT_OR_RIGHT = re.compile(r"\b(?:left\s*(?:or|/|,)\s*right|right\s*(?:or|/|,)\s*left)\b")
_AND = re.compile(r"\s*(?:\band\b|&|\+)\s*")
_OR = re.compile(r"\s*(?:/|\||,|;|\band/or\b|\bor\b)\s*")
_AND_OR = re.compile(r"\band\s*/\s*or\b")
_TIDY = re.compile(r"[\s_\-–]+")
# "leftUpLeg", "RWrist", "spine2", "leftHandIndex1".
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=\b[LR])(?=[A-Z][a-z])")
_INDEX = re.compile(r"(?<![a-z])(spine|index|middle|pinky|ring|thumb)[1-4](?![^\W_])")
_PLACE = (
    r"(?:image|picture|photo(?:graph)?|frame|screen|scene|view|camera|viewer|observer|stage|audience"
    r"|bild|imagen)"
)
_IN_PICTURE = re.compile(
    rf"\b(?:the\s+)?{_PLACE}(?:['’]?s)?[\s_-]+(?P<first>left|right)\b(?:[\s-]+hand\s+side|\s+side)?"
    rf"|\b(?:on|at|to|in|from)\s+(?:the\s+|our\s+)?(?P<second>left"
    rf"|right)\b(?:[\s-]+hand)?(?:\s+side)?\s+(?:of|in|on)\s+the\s+{_PLACE}\b"
    rf"|\b(?P<third>left|right)\b(?:[\s-]+hand\s+side|\s+side)?\s+(?:(?:of|in|on|from"
    rf"|for)\s+(?:the\s+)?{_PLACE}\b"
    rf"|(?:as\s+)?seen\s+(?:by|from|in)\s+(?:the\s+)?{_PLACE}\b)(?:['’]s?\s+(?:perspective|view"
    rf"|point\s+of\s+view|side))?"
    rf"|\b(?:as\s+)?(?:(?:seen|viewed)\s+)?(?:from|by|in)\s+(?:the\s+)?{_PLACE}(?:['’]s?)?\s*(?:perspective|view|point\s+of\s+view"
    rf"|side)?(?P<own>)(?=\W*$)"
    rf"|\b(?:our|your)\s+(?P<fourth>left|right)\b",
    re.IGNORECASE,
)
# Words that say that a side is the person's own.
_OWN_SIDE = re.compile(
    r"\b(?:anatomical(?:ly)?|proper|true|(?:their|his|her|its|one['’]s)\s+own|own|(?:person|subject|wearer"
    r"|individual)['’]?s?)\b",
    re.I,
)
_OWN_WORD = re.compile(
    r"\b(?:anatomical(?:ly)?|(?:from|in) (?:their|his|her) own (?:perspective|view)|own)\b", re.I
)
_SIDED = re.compile(r"\b(?:left|right|both)\b")
_HAN = re.compile(
    r"(?:(?P<side>左侧|右侧|左边|右边|左|右|双侧|双|雙|两|兩)(?:的)?)?(?P<part>[\u4e00-\u9fff]{1,5})"
)
_EDGES = " \t\r\n.,;:*\"'`“”‘’"

MAX_PHRASE = 200
"""Characters; a body part takes no more."""


class UnknownWordError(ValueError):
    """A phrase that the vocabulary does not cover; the message is the phrase."""


class PartPhrase(NamedTuple):
    """What a phrase names.

    Args:
        parts: the part, then the alternatives to it ("hand/forearm").
        side: ``"left"``, ``"right"``, ``"both"``, ``"none"``; "" if the phrase does not say.
        soft: ``side`` is only implied by a plural.
        person: ``"a"`` (left) or ``"b"`` (right) if the phrase says whose part it is, else "".
    """

    parts: tuple[str, ...]
    side: str = ""
    soft: bool = False
    person: str = ""


@lru_cache(maxsize=4096)
def read_side(text: str) -> str:
    """Return a side in free words as ``"left"``, ``"right"``, ``"both"`` or ``"none"`` (not known); "" for no
    words.

    Raises:
        UnknownWordError: on any other word.
    """
    phrase = " ".join(text.lower().split()).strip(" .,;:*\"'`")
    if not phrase:
        return ""
    if phrase in SIDE_WORDS:
        return SIDE_WORDS[phrase]
    pictured, phrase = _take_pictured(phrase)
    phrase = re.sub(r"\b(?:their|his|her|its)\b", " ", _OWN_SIDE.sub(" ", phrase))
    inner = [group.strip() for match in _PARENTHESES.findall(phrase) for group in match if group.strip()]
    phrase = " ".join(_PARENTHESES.sub(" ", phrase).split()).strip(" .,;:-*\"'`")
    stated = _side_alone(phrase, text) if phrase else ""
    for words in inner:
        stated = _common_side([stated, _side_alone(words, text)])
    return _not_pictured(stated, pictured) if pictured else stated


def _take_pictured(phrase: str) -> tuple[list[str], str]:
    """Sides of the picture ("viewer's right") that a phrase names, and the phrase without them."""
    found = [
        next((side for side in match.group("first", "second", "third", "fourth") if side), "?").lower()
        for match in _IN_PICTURE.finditer(phrase)
    ]
    return found, _IN_PICTURE.sub(" ", phrase) if found else phrase


def _not_pictured(stated: str, pictured: list[str]) -> str:
    """Return the person's own side; ``"none"`` where the words may mean the side of the picture.

    "left (viewer's right)" tells the two apart and says left; "viewer's left" says nothing about the person.
    """
    other = {"left": "right", "right": "left"}
    return stated if stated in other and set(pictured) == {other[stated]} else "none"


def _side_alone(phrase: str, text: str) -> str:
    if phrase in SIDE_WORDS:
        return SIDE_WORDS[phrase]
    spaced = _TIDY.sub(" ", phrase).strip()
    if spaced in SIDE_WORDS:
        return SIDE_WORDS[spaced]
    pieces = {SIDE_WORDS.get(piece) for piece in _AND.split(spaced)}
    if pieces == {"left", "right"}:
        return "both"
    pieces = {SIDE_WORDS.get(piece) for piece in _OR.split(spaced)}
    if pieces == {"left", "right"}:
        return "none"
    raise UnknownWordError(text[:MAX_PHRASE])


@lru_cache(maxsize=4096)
def read_part(text: str) -> tuple[PartPhrase, ...]:
    """Return a body part in free words.

    "and" gives several phrases, each of them said to touch; a slash, a comma or "or" gives one phrase with
    alternatives. A side said once holds for all. Words for "nothing" give ``()``.

    Raises:
        UnknownWordError: if any word is not known.
    """
    if len(text) > MAX_PHRASE:
        raise UnknownWordError(text[:MAX_PHRASE])
    named = text if _PERSON.search(text) else _LETTER.sub(_letter_as_person, text)
    phrase = _INDEX.sub(r"\1", _CAMEL.sub(" ", named).lower()).strip(_EDGES)
    if phrase in NO_PART:
        return ()
    if _VERB.search(phrase):
        raise UnknownWordError(text[:MAX_PHRASE])
    person, phrase = _take_person(phrase)
    pictured, phrase = _take_pictured(phrase)
    phrase = _OWN_WORD.sub(" ", phrase)
    phrase = _PLURAL_IN_PARENTHESES.sub("", _OWNER.sub(" ", phrase))
    side, phrase = _take_parentheses(phrase)
    phrase = _LEFT_AND_RIGHT.sub("both", _LEFT_OR_RIGHT.sub("either", _AND_OR.sub("/", phrase)))
    whole = _lookup(phrase)
    joined = [phrase] if whole is not None else _AND.split(phrase)
    if not all(piece.strip(_EDGES) for piece in joined):
        raise UnknownWordError(text[:MAX_PHRASE])  # "head and", cut off before the other part
    groups = [[phrase]] if whole is not None else [_OR.split(piece) for piece in joined]
    readings = [[_read_one(piece) for piece in group if piece.strip(_EDGES)] for group in groups]
    readings = [group for group in readings if group]
    if not readings:
        raise UnknownWordError(text[:MAX_PHRASE])
    own = [_common_side([one.side for one in group if not one.soft]) for group in readings]
    said = [bool({one.side for one in group if not one.soft} - {""}) for group in readings]
    if not any(said[1:]) or not all(said):
        # "left hand and forearm": a side said once holds for all; "hand and right forearm" leaves the first
        # open.
        common = _common_side([side, *(one for one, is_said in zip(own, said, strict=True) if is_said)])
        if not said[0] and any(said):
            own = [_common_side([side, one]) for one in own]
        else:
            own = [common for _ in own]
    else:
        own = [_common_side([side, one]) for one in own]
    found = []
    for group, stated in zip(readings, own, strict=True):
        parts = tuple(dict.fromkeys(part for one in group for part in one.parts))
        soft = not stated and all(one.soft for one in group)
        if pictured:
            found.append(
                PartPhrase(parts, _not_pictured("both" if soft else stated, pictured), False, person)
            )
        else:
            found.append(PartPhrase(parts, "both" if soft else stated, soft, person))
    return tuple(dict.fromkeys(found))


def _letter_as_person(match: re.Match[str]) -> str:
    return f" person {match.group('bracketed') or match.group('of') or match.group('own')} "


def _take_person(phrase: str) -> tuple[str, str]:
    """Return whose part it is, and the phrase without that; said twice over it is still one person's."""
    people, rest = set(), phrase
    while (match := _PERSON.search(rest)) is not None:
        people.add(_PERSON_OF[next(name for name in match.groups() if name).lower()])
        rest = f"{rest[: match.start()]} {rest[match.end() :]}"
    if len(people) > 1:
        raise UnknownWordError(phrase[:MAX_PHRASE])
    return (people.pop() if people else ""), rest


def _take_parentheses(phrase: str) -> tuple[str, str]:
    """Return a side in parentheses; any other word there has to be known as a qualifier or as a part."""
    side = ""
    for match in _PARENTHESES.finditer(phrase):
        inner = (match.group(1) or match.group(2) or "").strip(_EDGES)
        if not inner or all(word in _QUALIFIERS for word in inner.split()):
            continue
        if inner in NO_PART and _SIDED.search(phrase):
            raise UnknownWordError(phrase[:MAX_PHRASE])  # "left hand (none)" denies the hand, not the side
        try:
            side = _common_side([side, read_side(inner)])
        except UnknownWordError:
            if any(one.side for one in read_part(inner)):
                raise
    return side, _PARENTHESES.sub(" ", phrase)


def _common_side(sides: list[str]) -> str:
    """Return the side that all agree on; ``"none"`` where they contradict each other, "" where none is
    said.
    """
    said = {side for side in sides if side}
    if len(said) > 1:
        return "none"
    return said.pop() if said else ""


# Words for sides that may stand beside a part; "back" or "two" are sides only in a field of their own.
_SIDE_IN_PHRASE = frozenset(
    word
    for word, side in SIDE_WORDS.items()
    if side in ("left", "right", "both") and " " not in word and word not in ("two", "each", "deux")
) | {"either"}


def _read_one(piece: str) -> PartPhrase:
    """One part with its side."""
    words = _TIDY.sub(" ", piece).strip(_EDGES).replace("'s", "").replace("’s", "").split()
    if len(words) == 1 and (han := _HAN.fullmatch(words[0])) is not None and words[0] not in VOCABULARY:
        words = [word for word in han.group("side", "part") if word]
    words = [word.strip(".") if word in ("l.", "r.") else word for word in words]
    sides = [SIDE_WORDS[word] for word in words if word in _SIDE_IN_PHRASE]
    rest = [word for word in words if word not in _SIDE_IN_PHRASE]
    side = _common_side(sides)
    phrase = " ".join(rest)
    parts = _lookup(phrase) or _lookup_two(rest)
    if parts is None:
        raise UnknownWordError(piece.strip()[:MAX_PHRASE])
    if not side and phrase.split(" of ")[-1] in PAIRED_PLURALS:
        return PartPhrase(parts, "both", True)
    return PartPhrase(parts, side)


def _lookup(phrase: str) -> tuple[str, ...] | None:
    words = _TIDY.sub(" ", phrase).strip(_EDGES).split()
    if " ".join(words) in VOCABULARY:
        return VOCABULARY[" ".join(words)]
    words = [word for word in words if word not in _ARTICLES or word == "of"]
    while words:
        if " ".join(words) in VOCABULARY:
            return VOCABULARY[" ".join(words)]
        if len(words) > 1 and words[-1] in _TRAILING:
            words = words[:-1]
        elif len(words) > 1 and words[0] in _QUALIFIERS:
            words = words[1:]
        else:
            return None
    return None


def _lookup_two(words: list[str]) -> tuple[str, ...] | None:
    """Two names for one part side by side: "palm of the hand", "hand fingers"."""
    for i in range(1, min(len(words), 8)):
        first, second = _lookup(" ".join(words[:i])), _lookup(" ".join(words[i:]).removeprefix("of "))
        if first is not None and first == second:
            return first
    return None


_DIGIT_WORDS = {
    word: value
    for value, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    )
}
_TEN_WORDS = "ten twenty thirty forty fifty sixty seventy eighty ninety hundred"
_TENS = {word: 10 * value for value, word in enumerate(_TEN_WORDS.split(), 1)}
_LEVELS = {
    "certain": 1.0,
    "definite": 1.0,
    "very high": 0.9,
    "high": 0.8,
    "medium": 0.5,
    "moderate": 0.5,
    "low": 0.2,
    "very low": 0.1,
}
_NUMBER = re.compile(
    r"(?:~|about |approximately |around |approx\.? )?([+-]?(?:\d+(?:[.,]\d*)?|\.\d+))\s*(%|percent"
    r"|/\s*(\d+)|out of (\d+))?"
)


class Stated(NamedTuple):
    """A confidence as stated: the number, and whether its unit was said ("80 %", "8/10") so that it is a
    fraction.
    """

    value: float
    fraction: bool


@lru_cache(maxsize=1024)
def read_confidence(text: str) -> Stated | None:
    """Return a confidence in digits or words ("0.8", "80 %", "8/10", "zero point eight", "eighty percent",
    "high").

    The levels are: certain 1, very high 0.9, high 0.8, medium or moderate 0.5, low 0.2, very low 0.1.

    Returns:
        None if it cannot be read.
    """
    phrase = " ".join(text.lower().split()).strip("*\"'`:;()").rstrip(".")
    if len(phrase) > MAX_PHRASE:
        return None
    match = _NUMBER.fullmatch(phrase)
    if match is not None:
        value = float(match.group(1).replace(",", "."))
        if match.group(2) is None:
            return Stated(value, False)
        whole = 100.0 if match.group(2)[0] in "%p" else float(match.group(3) or match.group(4))
        return Stated(value / whole, True) if whole > 0 else None
    if phrase in _LEVELS:
        return Stated(_LEVELS[phrase], True)
    percent = phrase.removesuffix("percent").removesuffix("per cent").strip()
    words = percent.replace("-", " ").split()
    if percent != phrase:
        number = _small_number(words)
        return None if number is None else Stated(number / 100, True)
    if "point" in words:
        at = words.index("point")
        digits = [_DIGIT_WORDS.get(word, 10) for word in words[at + 1 :]]
        if words[:at] not in ([], ["zero"], ["one"]) or not digits or max(digits) > 9:
            return None
        return Stated(float(f"{int(words[:at] == ['one'])}.{''.join(map(str, digits))}"), True)
    number = _small_number(words)
    return None if number is None else Stated(float(number), number <= 1)


def _small_number(words: list[str]) -> int | None:
    """Return a number from zero to one hundred in words."""
    if words in (["one", "hundred"], ["a", "hundred"]):
        return 100
    if len(words) == 1:
        return _DIGIT_WORDS.get(words[0], _TENS.get(words[0]))
    if (
        len(words) == 2
        and words[0] in _TENS
        and 0 < _DIGIT_WORDS.get(words[1], 0) < 10
        and _TENS[words[0]] >= 20
    ):
        return _TENS[words[0]] + _DIGIT_WORDS[words[1]]
    return None
