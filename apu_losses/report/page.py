"""Writes the page of a data set."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from apu_contacts import __version__
from apu_contacts.files import write_text
from apu_contacts.regions.table import PARTS
from apu_contacts.resolve import in_words
from apu_losses.bodies.protocol import BodyModel
from apu_losses.dataset.folder import count, records, shards
from apu_losses.dataset.record import evidence_of
from apu_losses.report.choose import choose_pairs
from apu_losses.report.numbers import MEASURES, Histogram, Measure, Numbers, effective_kinds
from apu_losses.report.pictures import PairArtist, Shown

GENERATOR = "apu report"
ROWS = 20
"""Bars of a list; what is rarer is summed up in one line."""


@dataclass(frozen=True)
class ReportOptions:
    """What a page shows.

    Args:
        title: of the page; the folder's name where there is none.
        pairs: shown as pictures at most; a picture of a pair takes about 30 kB.
        height: of pictures, pixels.
        photographs: show the photographs; else people stand on plain ground.
    """

    title: str = ""
    pairs: int = 120
    height: int = 300
    photographs: bool = True

    def __post_init__(self) -> None:
        if self.pairs < 0:
            raise ValueError(f"pairs must be 0 or more, got {self.pairs}")
        if not 64 <= self.height <= 2000:
            raise ValueError(f"height must lie between 64 and 2000 pixels, got {self.height}")


@dataclass(frozen=True)
class Written:
    """What came of a page.

    Attributes:
        pairs: of the data set.
        shown: of them, as pictures.
        notes: note -> pairs that it is about.
    """

    pairs: int
    shown: int
    notes: Mapping[str, int]


def is_report(path: Path) -> bool:
    """Whether a file is a page that `write_report` wrote."""
    with path.open("rb") as file:
        return f'<meta name="generator" content="{GENERATOR}'.encode() in file.read(2000)


def write_report(
    folder: str | Path,
    out: str | Path,
    body: BodyModel | None = None,
    options: ReportOptions | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Written:
    """Write one self-contained page about a data set; it asks no server for anything.

    Args:
        folder: the data set, as `apu generate` writes it.
        out: the page, ``.html``.
        body: that the pairs were fitted with; without it pictures have no bodies.
        options: what is shown.
        progress: called with the share that is done and what is being done.

    Raises:
        DatasetError: not a data set, or a shard is damaged.
        OSError: the page cannot be written.
    """
    options, tell = options or ReportOptions(), progress or (lambda share, doing: None)
    tell(0.0, "counting")
    found, numbers = count(folder), Numbers()
    for record in records(folder, check=False):
        numbers.add(record)
    chosen = choose_pairs(numbers.pairs, options.pairs)
    places = {name: place for place, name in enumerate(chosen)}
    artist = PairArtist(body, options.height, photographs=options.photographs)
    cards: list[dict[str, Any]] = []
    for record in records(folder, check=False) if chosen else ():
        if record["id"] in places:
            tell(0.05 + 0.95 * len(cards) / len(chosen), f"drawing {record['id']}")
            cards.append(_card(record, places[record["id"]], artist.draw(record)))
    cards.sort(key=lambda card: card["place"])
    notes: dict[str, int] = {}
    for note in (note.partition(":")[0] for card in cards for note in card["notes"]):
        notes[note] = notes.get(note, 0) + 1
    problems = [line for index in shards(folder) for line in _problems(index)]
    text = _page(
        title=options.title or Path(folder).resolve().name,
        found=found,
        numbers=numbers,
        charts=[_chart(MEASURES[name], h) for name, h in numbers.histograms().items()],
        cards=cards,
        problems=problems,
        kinds=effective_kinds(found.interactions),
        matrix=_matrix(numbers),
        rules=sorted({reason for card in cards for reason in card["reasons"]}),
        sources=sorted({card["source"] for card in cards}),
        interactions=sorted({card["interaction"] for card in cards}),
    )
    write_text(out, text)
    return Written(found.pairs, len(cards), notes)


def _page(**values: Any) -> str:
    here = files("apu_losses.report")
    style, script = (here.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    template = environment.from_string(here.joinpath("page.html").read_text(encoding="utf-8"))
    return template.render(
        generator=GENERATOR,
        version=__version__,
        style=Markup(style),  # noqa: S704  # our own files, and no words of a data set
        script=Markup(script),  # noqa: S704
        style_hash=_content_hash(style),
        script_hash=_content_hash(script),
        bars=_bars,
        **values,
    )


def _content_hash(text: str) -> str:
    """Return what the page's security policy lets run: this text, and no other."""
    return "sha256-" + b64encode(sha256(text.encode("utf-8")).digest()).decode("ascii")


def _number(value: float | None, digits: int = 1) -> str:
    """``1234567`` as ``1 234 567``, ``0.5`` as it is, nothing as a dash."""
    if value is None:
        return "-"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"
    return text.replace(",", "\u202f")


def _bars(counts: Mapping[str, int], extra: Mapping[str, int] | None = None) -> list[dict[str, Any]]:
    """Return the rows of a list of bars: the frequent ones first, what is rarer in one row."""
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    most = rows[0][1] if rows else 1
    found = [
        {
            "name": name,
            "count": n,
            "width": 100 * n / most,
            "extra": (extra or {}).get(name, 0),
            "rest": False,
        }
        for name, n in rows[:ROWS]
    ]
    if rest := rows[ROWS:]:
        total = sum(n for _, n in rest)
        found.append({"name": f"{len(rest)} others", "count": total, "width": 0, "extra": 0, "rest": True})
    return found


WIDE, HIGH, FOOT = 340, 130, 24
"""Units of a histogram's drawing: its width, the height of its bars, and of the words below."""


def _chart(measure: Measure, h: Histogram) -> dict[str, Any]:
    most = max([*h.before, *h.after, 1])
    slot = WIDE / len(h.after)
    bars = []
    for place, n in enumerate(h.after):
        low, high = h.edges[place], h.edges[place + 1]
        last = h.above and place == len(h.after) - 1
        name = f"{low:g} and more" if last else f"{low:g} to {high:g}"
        before = h.before[place] if h.before else None
        told = f"{name} {measure.unit}".strip()
        told += f": {n} pairs" if before is None else f": {n} pairs after, {before} before"
        bars.append(
            {
                "x": round(place * slot, 2),
                "width": round(slot, 2),
                "after": round(HIGH * n / most, 2),
                "before": None if before is None else round(HIGH * before / most, 2),
                "told": told,
            }
        )
    labels = [
        {"x": round(place * slot, 2), "text": f"{h.edges[place]:g}"} for place in range(0, len(h.after), 3)
    ]
    end = f"{h.edges[-1]:g}{'+' if h.above else ''}"
    return {
        "measure": measure,
        "h": h,
        "bars": bars,
        "labels": [*labels, {"x": WIDE, "text": end}],
        "most": most,
        "box": (WIDE, HIGH, FOOT),
    }


def _matrix(numbers: Numbers) -> dict[str, Any]:
    """Return who touches what: a triangle of the parts, the darker the more often."""
    most = max(numbers.partners.values(), default=0)
    cells = [
        {
            "row": PARTS.index(high),
            "column": PARTS.index(low),
            "share": round(0.12 + 0.88 * n / most, 3),
            "told": f"{low} and {high}: {n} contacts",
            "count": n,
        }
        for (low, high), n in numbers.partners.items()
        if low in PARTS and high in PARTS
    ]
    top = sorted(numbers.partners.items(), key=lambda item: (-item[1], item[0]))[:3]
    words = "; ".join(f"{low} and {high}: {n}" for (low, high), n in top)
    return {"parts": list(PARTS), "cells": cells, "most": most, "words": words}


def _card(record: Mapping[str, Any], place: int, shown: Shown) -> dict[str, Any]:
    verdict = record["verdict"]
    measured = []
    for name, measure in MEASURES.items():
        before, after = measure.of(record, "before"), measure.of(record, "after")
        measured.append({"key": name, "measure": measure, "before": before, "after": after})
    broken = [f for f in verdict["findings"] if f["decides"] and not f["right"]]
    return {
        "place": place,
        "id": record["id"],
        "source": record["source"] or "-",
        "interaction": record["interaction"] or "not named",
        "kept": verdict["kept"],
        "reasons": list(verdict["reasons"]),
        "broken": broken,
        "said": in_words(evidence_of(record), "a", "b"),
        "measured": measured,
        "shown": shown,
        "notes": shown.notes,
    }


def _problems(index: Any) -> Sequence[str]:
    images = [f"{image['name']}: {image['problem']}" for image in index.images if image.get("problem")]
    return [*images, *index.problems]
