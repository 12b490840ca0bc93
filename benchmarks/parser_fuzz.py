"""Feeds mutated answers to the parser and checks that it never invents a contact, never fails, and stays
fast.

    python benchmarks/parser_fuzz.py --mutants 200000 --seed 0 --write

Each mutant starts from a random valid answer whose contacts are known and is then changed by operations that
know what
they do to the statement: some change only the form (the contacts must all come back), some damage it (a
contact may be lost, but what comes back must be one that was stated), some take a contact back or add a decoy
that must not be read. Texts of ``../shared/lvlm``, where they exist, are mixed in as noise that states no
contact.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import random
import string
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from short_form import add_check

from apu_contacts.answers.answer import AnswerParseError
from apu_contacts.answers.parse import parse_answer
from apu_contacts.answers.vocabulary import UnknownWordError, read_part
from apu_contacts.regions.table import PARTS

ROOT = Path(__file__).resolve().parents[1]
NOISE_FILE = ROOT.parent / "shared" / "lvlm" / "malformed_model_output.jsonl"
RESULT = ROOT / "benchmarks" / "results" / "parser.md"

SLOW = 1.0
"""Seconds for one text that count as a hang."""

# Decoys are made of these; real contacts are not.
DECOY_PART = "foot"
REAL_PARTS = tuple(part for part in PARTS if part != DECOY_PART)
SIDES = ("left", "right", "both")
WORDS = [
    "woman",
    "man",
    "in",
    "red",
    "holding",
    "a",
    "camera",
    "beside",
    "the",
    "other",
    "one",
    "while",
    "sitting",
    "on",
    "grass",
    "near",
    "water",
]

Statement = tuple[str, str, str, str]


@dataclass
class Token:
    """A piece of text and the contact that it belongs to; -1 for none."""

    text: str
    owner: int = -1
    kind: str = "mark"


@dataclass
class Mutant:
    """A text in pieces and what it states.

    ``stated`` are the contacts; ``gone`` those of them that the text takes back or makes unreadable;
    ``damaged`` that the form was hurt, so that contacts may be lost and sides may become unknown.
    """

    stated: list[Statement]
    confidences: list[float]
    tokens: list[Token]
    gone: set[int] = field(default_factory=set)
    damaged: bool = False
    prefix: str = ""
    suffix: str = ""
    cut: float | None = None
    operations: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the whole text."""
        text = self.prefix + "".join(token.text for token in self.tokens) + self.suffix
        return text if self.cut is None else text[: int(self.cut * len(text))]


def _contact_tokens(
    rng: random.Random, owner: int, row: Statement, confidence: float, pad: str
) -> list[Token]:
    def part(key: str, name: str, side: str) -> list[Token]:
        pairs = [("part_name", name, "part"), ("body_side", side, "side")]
        if rng.random() < 0.2:
            pairs.reverse()
        found = [Token(f'"{key}"', owner, "key"), Token(": ", owner), Token("{", owner)]
        for i, (inner, value, kind) in enumerate(pairs):
            found += [Token(f'"{inner}"', owner, "key"), Token(": ", owner), Token(f'"{value}"', owner, kind)]
            found += [Token(", ", owner)] if i == 0 else []
        return [*found, Token("}", owner)]

    groups = [
        part("body_part_person_left", row[0], row[1]),
        part("body_part_person_right", row[2], row[3]),
        [Token('"confidence"', owner, "key"), Token(": ", owner), Token(f"{confidence:g}", owner, "number")],
    ]
    if rng.random() < 0.2:
        rng.shuffle(groups)
    tokens = [Token("{", owner)]
    for i, group in enumerate(groups):
        tokens += ([Token("," + pad, owner)] if i else []) + group
    return [*tokens, Token("}", owner)]


def valid_answer(rng: random.Random) -> Mutant:
    """Return a valid answer with one to six contacts, no two alike."""
    rows: list[Statement] = []
    for _ in range(rng.randint(1, 6)):
        row = (rng.choice(REAL_PARTS), rng.choice(SIDES), rng.choice(REAL_PARTS), rng.choice(SIDES))
        if row not in rows:
            rows.append(row)
    confidences = [round(rng.uniform(0.11, 0.99), 2) for _ in rows]
    pad = rng.choice([" ", "\n  ", ""])

    def words() -> str:
        return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 8)))

    tokens = [
        Token("{"),
        Token('"interaction"', kind="key"),
        Token(": "),
        Token(f'"{words()}"', kind="words"),
    ]
    tokens += [Token("," + pad), Token('"people"', kind="key"), Token(": "), Token("{")]
    tokens += [
        Token('"person_left"', kind="key"),
        Token(": "),
        Token(f'"{words()}"', kind="words"),
        Token(", "),
    ]
    tokens += [
        Token('"person_right"', kind="key"),
        Token(": "),
        Token(f'"{words()}"', kind="words"),
        Token("}"),
    ]
    tokens += [
        Token("," + pad),
        Token('"orientation"', kind="key"),
        Token(": "),
        Token('"front to back"', kind="words"),
    ]
    tokens += [Token("," + pad), Token('"contacts"', kind="key"), Token(": "), Token("[")]
    for i, (row, confidence) in enumerate(zip(rows, confidences, strict=True)):
        tokens += ([Token("," + pad)] if i else []) + _contact_tokens(rng, i, row, confidence, pad)
    return Mutant(rows, confidences, [*tokens, Token("]"), Token("}")])


# Operations that change the form only.


def fence(rng: random.Random, m: Mutant) -> None:
    m.prefix = rng.choice(["```json\n", "```\n", "```JSON5\n", "", "~~~\n"]) + m.prefix
    m.suffix += rng.choice(["\n```", "\n```\n", ""])


def prose(rng: random.Random, m: Mutant) -> None:
    m.prefix = (
        rng.choice(["Sure! Here is the annotation:\n", "Let me look at the picture (the second one).\n"])
        + m.prefix
    )
    m.suffix += rng.choice(["\nHope this helps!", "\n\nNote: some contacts are hidden.", ""])


THOUGHTS = (
    "<think>{}</think>",
    "<thought>{}</thought>",
    "<reasoning>{}</reasoning>",
    "[THINK]{}[/THINK]",
    "◁think▷{}◁/think▷",
    "<seed:think>{}</seed:think>",
    "<|begin_of_thought|>{}<|end_of_thought|>",
    "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>",
    "{}</think>",
)


def thinking(rng: random.Random, m: Mutant) -> None:
    thought = rng.choice(THOUGHTS).replace("{}", f"Perhaps {_decoy(rng)} or not?")
    m.prefix = thought + "\n" + m.prefix


def python_literals(rng: random.Random, m: Mutant) -> None:
    for token in m.tokens:
        if token.text.startswith('"') and "'" not in token.text:
            token.text = "'" + token.text[1:-1] + "'"


def comment(rng: random.Random, m: Mutant) -> None:
    at = rng.choice([i for i, token in enumerate(m.tokens) if token.text.startswith((",", "["))])
    body = _decoy(rng)
    m.tokens.insert(at + 1, Token(rng.choice([f" // {body}\n", f" /* {body} */ ", f" # {body}\n"])))


def trailing_commas(rng: random.Random, m: Mutant) -> None:
    for i in range(len(m.tokens) - 1, 0, -1):
        if m.tokens[i].text in "}]" and rng.random() < 0.3:
            m.tokens.insert(i, Token(",", m.tokens[i].owner))


def confidence_words(rng: random.Random, m: Mutant) -> None:
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    for token in m.tokens:
        if token.kind == "number":
            digits = token.text.split(".")[1]
            spoken = "zero point " + " ".join(names[int(d)] for d in digits)
            token.text = rng.choice(
                [f'"{spoken}"', f'"{float(token.text) * 100:.0f}%"', f"{float(token.text) * 100:.0f}%"]
            )
            token.kind = "spoken"


def side_in_part(rng: random.Random, m: Mutant) -> None:
    """Put "left hand" into the part field, and leave the side field empty."""
    for owner in range(len(m.stated)):
        if rng.random() < 0.7:
            for first in ("body_part_person_left", "body_part_person_right"):
                _merge_side(m, owner, first)


def _merge_side(m: Mutant, owner: int, key: str) -> None:
    at = next((i for i, t in enumerate(m.tokens) if t.owner == owner and t.text.strip("\"'") == key), -1)
    if at < 0:
        return
    inner = m.tokens[at : at + 12]
    part = next((t for t in inner if t.kind == "part"), None)
    side = next((t for t in inner if t.kind == "side"), None)
    if part is None or side is None or side.text[1:-1] not in SIDES:
        return
    quote = part.text[0]
    part.text = f"{quote}{side.text[1:-1]} {part.text[1:-1]}{quote}"
    side.text = quote * 2


def renamed_keys(rng: random.Random, m: Mutant) -> None:
    names = rng.choice(
        [
            {
                "body_part_person_left": "person_left",
                "body_part_person_right": "person_right",
                "part_name": "part",
            },
            {
                "body_part_person_left": "person1BodyPart",
                "body_part_person_right": "person2BodyPart",
                "body_side": "side",
            },
            {"confidence": "score", "contacts": "contact_points", "interaction": "type_of_interaction"},
        ]
    )
    for token in m.tokens:
        if token.kind == "key" and token.text[1:-1] in names:
            token.text = f"{token.text[0]}{names[token.text[1:-1]]}{token.text[-1]}"


def bare_keys(rng: random.Random, m: Mutant) -> None:
    for token in m.tokens:
        if token.kind == "key" and rng.random() < 0.5:
            token.text = token.text.strip("\"'")


def cases(rng: random.Random, m: Mutant) -> None:
    for token in m.tokens:
        if token.kind in ("part", "side"):
            token.text = rng.choice([token.text.upper(), token.text.title(), token.text.replace(" ", "_")])


def blanks(rng: random.Random, m: Mutant) -> None:
    for token in m.tokens:
        if token.kind == "mark" and rng.random() < 0.2:
            token.text += rng.choice([" ", "\n", "\t", "\r\n", "    "])


def json_lines(rng: random.Random, m: Mutant) -> None:
    groups: dict[int, list[Token]] = {}
    for token in m.tokens:
        if token.owner >= 0:
            groups.setdefault(token.owner, []).append(token)
    m.tokens = []
    glue = rng.choice(["\n", ",\n", ", "])
    for group in groups.values():
        m.tokens += [*group, Token(glue)]


def list_only(rng: random.Random, m: Mutant) -> None:
    first = next(i for i, token in enumerate(m.tokens) if token.text.startswith("[") and token.kind == "mark")
    last = max(i for i, token in enumerate(m.tokens) if token.text.startswith("]"))
    m.tokens = m.tokens[first : last + 1]


def no_outer_brackets(rng: random.Random, m: Mutant) -> None:
    m.tokens = m.tokens[1:-1]


def escaped_decoy(rng: random.Random, m: Mutant) -> None:
    at = rng.choice([t for t in m.tokens if t.kind == "words"] or [Token("")])
    if at.text.startswith('"'):
        at.text = json.dumps(at.text[1:-1] + _decoy(rng))


def duplicate_contact(rng: random.Random, m: Mutant) -> None:
    owner = rng.randrange(len(m.stated))
    at = [i for i, token in enumerate(m.tokens) if token.owner == owner]
    if at:
        copy = [Token(t.text, t.owner, t.kind) for t in m.tokens[at[0] : at[-1] + 1]]
        m.tokens[at[-1] + 1 : at[-1] + 1] = [Token(", "), *copy]


FORM: list[Callable[[random.Random, Mutant], None]] = [
    fence,
    prose,
    thinking,
    python_literals,
    comment,
    trailing_commas,
    confidence_words,
    side_in_part,
    renamed_keys,
    bare_keys,
    cases,
    blanks,
    escaped_decoy,
    duplicate_contact,
]
SHAPE: list[Callable[[random.Random, Mutant], None]] = [json_lines, list_only, no_outer_brackets]


# Operations that take contacts back, or hurt the form.


def misspelt(rng: random.Random, m: Mutant) -> None:
    """One letter of one body part becomes another, so that the word is none any more: the contact must be
    gone.
    """
    token = rng.choice([token for token in m.tokens if token.kind == "part"])
    if sum(twin.kind == "part" and twin.owner == token.owner for twin in m.tokens) > 2:
        return  # stated twice: the other copy still holds
    letters = [i for i, char in enumerate(token.text) if char.isalpha()]
    i = rng.choice(letters)
    changed = token.text[:i] + rng.choice(string.ascii_lowercase) + token.text[i + 1 :]
    try:
        read_part(changed.strip("\"'"))
    except UnknownWordError:
        token.text = changed
        m.gone.add(token.owner)


def not_in_contact(rng: random.Random, m: Mutant) -> None:
    owner = rng.randrange(len(m.stated))
    for i in range(len(m.tokens) - 1, -1, -1):
        token = m.tokens[i]
        if (
            token.kind == "key"
            and token.owner == owner
            and token.text.strip("\"'") in ("confidence", "score")
        ):
            value = rng.choice(["false", "False", '"no"'])
            m.tokens.insert(i, Token(f'"in_contact": {value}, ', owner))
    m.gone.add(owner)


DENYING = (
    "Not touching:",
    "No contact between the following:",
    "**Not in contact**",
    "## Ruled out",
    "Close, but apart:",
    "Rejected candidates:",
    "Kein Kontakt:",
    "没有接触\uff1a",
    "Pairs that only overlap in the image, not in space:",
)
AFFIRMING = ("In contact:", "**Touching**", "## Contacts", "Kontakt:", "Confirmed contacts:")
REMARKS = (
    "near, not touching",
    "a gap of a few centimetres is visible",
    "hovers above it",
    "they are clearly apart here",
    "none",
    "proximity only",
)


def denying_heading(rng: random.Random, m: Mutant) -> None:
    """Return the whole answer stands under a heading that denies it."""
    m.tokens.insert(0, Token(rng.choice(DENYING) + "\n"))
    m.gone |= set(range(len(m.stated)))


def denied_section(rng: random.Random, m: Mutant) -> None:
    """Write a list that must not be read under a heading that denies it."""
    m.suffix = f"\n\n{rng.choice(DENYING)}\n[{_decoy_row(rng)}]" + m.suffix


def denying_remark(rng: random.Random, m: Mutant) -> None:
    owner = rng.randrange(len(m.stated))
    for i in range(len(m.tokens) - 1, -1, -1):
        token = m.tokens[i]
        if (
            token.kind == "key"
            and token.owner == owner
            and token.text.strip("\"'") in ("confidence", "score")
        ):
            key = rng.choice(["note", "contact_type", "explanation", "contact_status"])
            m.tokens.insert(i, Token(f'"{key}": "{rng.choice(REMARKS)}", ', owner))
    m.gone.add(owner)


def correction(rng: random.Random, m: Mutant) -> None:
    """Words after the answer take one contact back, and with it those of the same parts."""
    part_a, _, part_b, _ = rng.choice(m.stated)
    form = rng.choice(["Wait - the {} is not touching the {}.", "Correction: ignore the {} to {} contact."])
    m.suffix = "\n\n" + form.format(part_a, part_b) + m.suffix
    m.gone |= {i for i, row in enumerate(m.stated) if {row[0], row[2]} <= {part_a, part_b}}


def in_words(rng: random.Random, m: Mutant) -> None:
    """Return the contacts as bullets, boxes or a table, some of them in sections or with marks that deny
    them.
    """
    denied = {i for i in range(len(m.stated)) if rng.random() < 0.4}
    shape = rng.choice(["sections", "boxes", "table", "tails"])
    lines = []
    for i, (part_a, side_a, part_b, side_b) in enumerate(m.stated):
        a, b = f"Person 1's {side_a} {part_a}", f"Person 2's {side_b} {part_b}"
        line = f"{a} - {b}"
        if shape == "boxes":
            line = f"- [{' ' if i in denied else 'x'}] {line} ({m.confidences[i]:g})"
        elif shape == "table":
            said = rng.choice(REMARKS) if i in denied else rng.choice(["firm", "", "direct"])
            line = f"| {side_a} {part_a} | {side_b} {part_b} | {said} | {m.confidences[i]:g} |"
        elif shape == "tails":
            line = f"- {line}" + (f" ({rng.choice(REMARKS)})" if i in denied else f" ({m.confidences[i]:g})")
        else:
            line = f"- {line} ({m.confidences[i]:g})"
        lines.append(line)
    if shape == "table":
        head = "| Person 1 part | Person 2 part | Notes | Confidence |\n|---|---|---|---|\n"
        text = head + "\n".join(lines)
    elif shape == "sections":
        kept = [line for i, line in enumerate(lines) if i not in denied]
        gone = [line for i, line in enumerate(lines) if i in denied]
        parts = [
            "\n".join([rng.choice(AFFIRMING), *kept]),
            "\n".join([rng.choice(DENYING), *gone]),
        ]
        rng.shuffle(parts)
        text = "\n\n".join(parts)
    else:
        text = "\n".join(lines)
    m.tokens = [Token(text)]
    m.gone |= denied


def truncated(rng: random.Random, m: Mutant) -> None:
    m.cut = rng.uniform(0.2, 1.0)


def delete_tokens(rng: random.Random, m: Mutant) -> None:
    for _ in range(rng.randint(1, 3)):
        del m.tokens[rng.randrange(len(m.tokens))]


def repeat_tokens(rng: random.Random, m: Mutant) -> None:
    for _ in range(rng.randint(1, 2)):
        i = rng.randrange(len(m.tokens))
        m.tokens.insert(i, m.tokens[i])


def swap_tokens(rng: random.Random, m: Mutant) -> None:
    i = rng.randrange(len(m.tokens) - 1)
    m.tokens[i], m.tokens[i + 1] = m.tokens[i + 1], m.tokens[i]


GARBAGE = (
    "}",
    "{",
    "]",
    "[",
    '"',
    "'",
    ",",
    ":",
    "\\",
    "```",
    "...",
    "null",
    "0",
    "-",
    "//",
    "/*",
    "*/",
    "#",
    "\x00",
    "😀",
    "“",
    "”",
    "zzqx",
    '"zzqx"',
    "<|im_end|>",
    "<think>",
    "</think>",
    "{}",
    "[]",
    "NaN",
    "1e999",
    "\\u12",
    "\ud800",
    "|",
)


def insert_garbage(rng: random.Random, m: Mutant) -> None:
    for _ in range(rng.randint(1, 3)):
        mark = rng.choice(GARBAGE)
        partner = {"/*": "*/", "*/": "/*"}.get(mark)
        if partner is not None and any(partner in token.text for token in m.tokens):
            continue  # a comment over parts of two contacts leaves one that is then really stated
        at = rng.randrange(len(m.tokens) + 1)
        if mark in ("//", "#") and _owners_in_line(m, at) > 1:
            continue  # the same of a comment up to the end of the line
        m.tokens.insert(at, Token(mark))


def _owners_in_line(m: Mutant, at: int) -> int:
    """How many contacts a comment at ``at`` would cut into; 0 if the text has no further line."""
    owners = set()
    for token in m.tokens[at:]:
        owners.add(token.owner)
        if "\n" in token.text:
            return len(owners - {-1})
    return 0


def drop_characters(rng: random.Random, m: Mutant) -> None:
    """Loses marks of structure; never letters or digits, which might turn one word into another."""
    for _ in range(rng.randint(1, 4)):
        token = rng.choice(m.tokens)
        marks = [i for i, char in enumerate(token.text) if char in "\"'{}[]:,"]
        if marks:
            i = rng.choice(marks)
            token.text = token.text[:i] + token.text[i + 1 :]


DAMAGE: list[Callable[[random.Random, Mutant], None]] = [
    truncated,
    delete_tokens,
    repeat_tokens,
    swap_tokens,
    insert_garbage,
    drop_characters,
]
TAKE_BACK: list[Callable[[random.Random, Mutant], None]] = [
    misspelt,
    not_in_contact,
    denying_heading,
    denied_section,
    denying_remark,
    correction,
]


def _decoy_row(rng: random.Random) -> str:
    part = {"part_name": DECOY_PART, "body_side": rng.choice(SIDES)}
    return json.dumps({"body_part_person_left": part, "body_part_person_right": part, "confidence": 0.5})


def _decoy(rng: random.Random) -> str:
    """Return a contact that the text does not state: it stands in a comment, in reasoning or inside of a
    description.
    """
    part = {"part_name": DECOY_PART, "body_side": rng.choice(SIDES)}
    row = {"body_part_person_left": part, "body_part_person_right": part, "confidence": 0.5}
    return json.dumps({"contacts": [row]} if rng.random() < 0.5 else row)


def mutate(rng: random.Random, noise: list[str]) -> Mutant:
    """One mutant."""
    m = valid_answer(rng)
    kind = rng.random()
    chosen = rng.sample(FORM, rng.randint(0, 3))
    if kind < 0.15:
        chosen.append(rng.choice(SHAPE))
    if 0.15 <= kind < 0.35:
        chosen.append(rng.choice(TAKE_BACK))
    if kind >= 0.35:
        m.damaged = True
        chosen += rng.choices(DAMAGE, k=rng.randint(1, 3))
    if 0.3 <= kind < 0.35:
        chosen = [in_words]
    for operation in chosen:
        operation(rng, m)
        m.operations.append(operation.__name__)
    if kind >= 0.9 and noise:
        piece = rng.choice(noise)
        m.operations.append("noise")
        if rng.random() < 0.5:
            m.prefix = piece + "\n" + m.prefix
        else:
            m.suffix += "\n" + piece
    return m


def invented(m: Mutant, found: set[Statement]) -> set[Statement]:
    """Return the contacts that were read and are not stated."""
    allowed: set[Statement] = set()
    for owner, (part_a, side_a, part_b, side_b) in enumerate(m.stated):
        if owner in m.gone:
            continue
        unknown = ("none",) if m.damaged else ()
        allowed |= {(part_a, a, part_b, b) for a in (side_a, *unknown) for b in (side_b, *unknown)}
    return found - allowed


@dataclass
class Tally:
    """What came of the mutants."""

    texts: Counter[str] = field(default_factory=Counter)
    whole: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    stated: Counter[str] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    seconds: float = 0.0
    characters: int = 0


def check(m: Mutant, tally: Tally) -> None:
    """Parse one mutant and note what came of it."""
    group = "damaged" if m.damaged else ("taken back" if m.gone else "form only")
    text = m.text()
    begin = time.process_time()
    try:
        contacts = parse_answer(text).contacts
        alternatives = any(c.alternatives_a or c.alternatives_b for c in contacts)
        found = {(c.part_a, c.side_a, c.part_b, c.side_b) for c in contacts}
        if bad := invented(m, found):
            tally.failures.append(f"invented {sorted(bad)} by {m.operations}: {text!r}")
        if alternatives:
            tally.failures.append(f"alternatives that were not stated by {m.operations}: {text!r}")
        confidences = dict(zip(m.stated, m.confidences, strict=True))
        if group == "form only" and any(
            abs(c.confidence - confidences.get((c.part_a, c.side_a, c.part_b, c.side_b), 9)) > 0.006
            for c in contacts
        ):
            tally.failures.append(f"another confidence by {m.operations}: {text!r}")
    except AnswerParseError:
        found = set()
        tally.rejected[group] += 1
    except Exception as error:  # any other exception is what this program looks for
        tally.failures.append(f"{type(error).__name__}: {error} by {m.operations}: {text!r}")
        found = set()
    elapsed = time.process_time() - begin
    if elapsed > SLOW:
        tally.failures.append(f"{elapsed:.1f} s by {m.operations}: {text[:500]!r}")
    tally.slowest = max(tally.slowest, elapsed)
    tally.seconds += elapsed
    tally.characters += len(text)
    wanted = {row for i, row in enumerate(m.stated) if i not in m.gone}
    tally.texts[group] += 1
    tally.whole[group] += wanted <= found
    tally.stated[group] += len(wanted)
    tally.read[group] += len(wanted & found)
    if group == "form only" and not wanted <= found:
        tally.failures.append(f"lost {sorted(wanted - found)} by {m.operations}: {text!r}")


def run(count: int, seed: int, noise: list[str]) -> Tally:
    """Check ``count`` mutants."""
    rng, tally = random.Random(seed), Tally()
    for _ in range(count):
        check(mutate(rng, noise), tally)
    return tally


def load_noise() -> list[str]:
    """Texts of ``../shared/lvlm``; none where the folder is absent."""
    if not NOISE_FILE.is_file():
        return []
    return [json.loads(line)["raw"] for line in NOISE_FILE.read_text(encoding="utf-8").splitlines()]


def throughput() -> dict[str, float]:
    """Answers of five contacts a second on one core, schema check included, for four shapes of the text."""
    rng = random.Random(1)
    m = valid_answer(rng)
    while len(m.stated) != 5:
        m = valid_answer(rng)
    document = json.loads(m.text())
    shapes = {
        "conforming, one line": json.dumps(document),
        "conforming, indented": json.dumps(document, indent=1),
        "in a fence, with prose": "Here it is:\n```json\n" + json.dumps(document, indent=1) + "\n```\nDone.",
        "Python literals": str(document),
    }
    rates = {}
    for name, text in shapes.items():
        parse_answer(text)
        begin = time.process_time()
        for _ in range(1000):
            parse_answer(text)
        rates[name] = 1000 / (time.process_time() - begin)
    return rates


def growth() -> list[tuple[int, float, float]]:
    """Length of an answer and seconds to read it: conforming, and with Python literals."""
    rng = random.Random(1)
    document = json.loads(valid_answer(rng).text())
    rows = document["contacts"]
    found = []
    for target in (10_000, 100_000, 1_000_000):
        document["contacts"] = rows * max(1, target // len(json.dumps(rows)))
        texts = (json.dumps(document), str(document))
        seconds = []
        for text in texts:
            begin = time.process_time()
            parse_answer(text)
            seconds.append(time.process_time() - begin)
        found.append((len(texts[0]), seconds[0], seconds[1]))
    return found


def report(arguments: argparse.Namespace, tally: Tally, noise: list[str]) -> str:
    """Return the table that is kept in ``benchmarks/results``."""
    kinds = Counter(failure.split()[0] for failure in tally.failures)
    lines = [
        "# The answer parser",
        "",
        f"Measured {datetime.date.today().isoformat()} by `benchmarks/parser_fuzz.py --mutants "
        f"{arguments.mutants} --seed "
        f"{arguments.seed}`, Python {platform.python_version()}, one core of {cpu_name()}.",
        "",
        f"{arguments.mutants} mutants of random valid answers"
        + (f", a tenth of them mixed with one of {len(noise)} malformed texts." if noise else "."),
        f"Exceptions other than the documented one, hangs, invented or lost contacts: "
        f"**{len(tally.failures)}**" + (f" ({dict(kinds)})." if kinds else "."),
        f"Slowest text {tally.slowest * 1e3:.0f} ms, {tally.seconds / arguments.mutants * 1e6:.0f} us on "
        f"average"
        f" ({tally.characters / arguments.mutants:.0f} characters).",
        "",
        "| what was done to the answer | texts | contacts stated | read | texts read whole | no answer "
        "found |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for group in ("form only", "taken back", "damaged"):
        count = tally.texts[group]
        lines.append(
            f"| {group} | {count} | {tally.stated[group]} | {tally.read[group]} "
            f"({100 * tally.read[group] / max(tally.stated[group], 1):.1f} %) "
            f"| {100 * tally.whole[group] / max(count, 1):.1f} % | {tally.rejected[group]} |"
        )
    lines += [
        "",
        "`form only`: fences, prose, reasoning with decoys, comments with decoys, other quotes, keys, "
        "cases, number words,",
        "JSON lines, missing outer brackets. Every contact has to come back with its confidence. `taken "
        "back`: one contact is",
        "misspelt, says of itself that it is none, stands under a heading or beside words or marks that "
        "deny it, and must not come back. `damaged`: cut off, or tokens "
        "and marks deleted,",
        "repeated, swapped or inserted; contacts may be lost, and what comes back must have been stated.",
        "",
        "| five contacts, schema check included | answers a second |",
        "| --- | --- |",
        *(f"| {name} | {rate:.0f} |" for name, rate in throughput().items()),
        "",
        "| characters | conforming, s | Python literals, s |",
        "| --- | --- | --- |",
        *(f"| {length} | {a:.3f} | {b:.3f} |" for length, a, b in growth()),
    ]
    return "\n".join(lines) + "\n"


def cpu_name() -> str:
    """Return the processor's name as the system gives it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=5, help="failures to print")
    parser.add_argument("--write", action="store_true", help=f"write the table to {RESULT.name}")
    add_check(parser)
    arguments = parser.parse_args()
    if arguments.check:
        arguments.mutants, arguments.write = 300, False
    noise = load_noise()
    tally = run(arguments.mutants, arguments.seed, noise)
    for failure in tally.failures[: arguments.show]:
        print(failure, file=sys.stderr)
    text = report(arguments, tally, noise)
    print(text)
    if arguments.write:
        RESULT.write_text(text, encoding="utf-8")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
