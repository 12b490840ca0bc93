"""What a run came to: a table for the terminal, and one page to look at."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from apu_contacts.resolve import in_words
from apu_losses.fitting.scene.types import Scene, SceneContact

COLUMNS = (
    "image",
    "people",
    "pairs",
    "contacts",
    "part contacts within 2 cm",
    "keypoint error, px",
    "verdict",
)

NEAR = 0.02
"""Metres within which a part contact is held."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
section { border-top: 1px solid #ccc; margin-top: 2rem; padding-top: 1rem; }
img { max-width: 100%; max-height: 40rem; } .kept { color: #14703a; } .rejected, .note { color: #a33; }
""".strip()


def summary_rows(scenes: Sequence[Scene], records: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """One row an image, in the columns `COLUMNS`; what is not known says so in a word."""
    rows: list[tuple[str, ...]] = []
    for scene in scenes:
        record = records.get(scene.name)
        rows.append(
            (
                scene.name,
                str(len(scene.people)),
                str(len(scene.contacts)),
                contacts_known(scene),
                before_and_after(record, "part_distance", share_near),
                before_and_after(record, "keypoint_error", largest),
                verdict(record),
            )
        )
    return rows


def contacts_known(scene: Scene) -> str:
    """How many contacts a scene has, or why none."""
    count = sum(len(contact.contacts.groups()) for contact in scene.contacts)
    if count:
        return str(count)
    known = {c.evidence.status for c in scene.contacts if c.evidence is not None}
    return f"none: {', '.join(sorted(known)) or 'nobody was asked'}"


def share_near(distances: Sequence[float | None]) -> str:
    """How many of some distances are at most 2 cm: ``"3 of 4"``; ``"-"`` where there is none to measure."""
    if not distances:
        return "-"
    return f"{sum(d is not None and d <= NEAR for d in distances)} of {len(distances)}"


def largest(errors: Sequence[float | None]) -> str:
    """Return the largest of some errors; ``"-"`` where none is known."""
    known = [error for error in errors if error is not None and math.isfinite(error)]
    return f"{max(known):.1f}" if known else "-"


def before_and_after(record: Mapping[str, Any] | None, measure: str, show: Any) -> str:
    """Return a measurement at the start and at the end, or one ``"-"``."""
    if record is None:
        return "-"
    start, end = (show(record[when].get(measure, [])) for when in ("before", "after"))
    return end if start == end == "-" else f"{start} to {end}"


def verdict(record: Mapping[str, Any] | None) -> str:
    """Kept or rejected, with the reason."""
    if record is None:
        return "not fitted"
    word = "kept" if record["verdict"]["kept"] else "rejected"
    return f"{word}: {record['verdict']['reason']}"


def page(
    scenes: Sequence[Scene], records: Mapping[str, Mapping[str, Any]], folder: Path, notes: Sequence[str]
) -> str:
    """Return the page ``index.html``: a table, then each image with the answers, the fit and the verdict.

    Args:
        scenes: with contacts and evidence.
        records: of the fits, by name.
        folder: that the page will lie in; pictures are named from there.
        notes: what could not be done.
    """
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{_cell(i, cell)}</td>" for i, cell in enumerate(row)) + "</tr>"
        for row in summary_rows(scenes, records)
    )
    head = "".join(f"<th>{html.escape(name)}</th>" for name in COLUMNS)
    told = "\n".join(f'<p class="note">{html.escape(note)}</p>' for note in notes)
    sections = "\n".join(_section(scene, records.get(scene.name), folder) for scene in scenes)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>apu run</title>\n'
        f"<style>{_STYLE}</style></head><body>\n<h1>{len(scenes)} photographs</h1>\n"
        f"<table><tr>{head}</tr>\n{rows}\n</table>\n{told}\n{sections}\n</body></html>\n"
    )


def _cell(column: int, text: str) -> str:
    return f'<a href="#{_anchor(text)}">{html.escape(text)}</a>' if column == 0 else html.escape(text)


def _anchor(name: str) -> str:
    return html.escape(quote(name), quote=True)


def _section(scene: Scene, record: Mapping[str, Any] | None, folder: Path) -> str:
    pairs = "\n".join(f"<li>{_pair(contact)}</li>" for contact in scene.contacts)
    result = verdict(record)
    kind = "kept" if result.startswith("kept") else "rejected"
    fitted = folder / "fits" / f"{scene.name}.png"
    pictures = [path for path in (None if scene.image is None else Path(scene.image),) if path is not None]
    pictures += [fitted] if fitted.is_file() else []
    shown = "\n".join(f'<p><img src="{_link(path, folder)}" alt="" loading="lazy"></p>' for path in pictures)
    files = [f"{scene.name}{ending}" for ending in (".glb", ".npz", ".json")]
    links = ", ".join(
        f'<a href="fits/{_anchor(name)}">{html.escape(name)}</a>'
        for name in files
        if (folder / "fits" / name).is_file()
    )
    return (
        f'<section id="{_anchor(scene.name)}"><h2>{html.escape(scene.name)}</h2>\n'
        f'<p class="{kind}">{html.escape(result)}</p>\n<ul>{pairs}</ul>\n{shown}\n<p>{links}</p></section>'
    )


def _pair(contact: SceneContact) -> str:
    a, b = contact.person_a, contact.person_b
    who = f"people {a} and {b}"
    if contact.evidence is None:
        known = (
            f"{len(contact.contacts.groups())} contacts of unknown origin"
            if len(contact.contacts)
            else "not asked"
        )
        return html.escape(f"{who}: {known}")
    evidence = contact.evidence
    said = f" ({evidence.interaction})" if evidence.interaction else ""
    order = "; it stayed open which of the two is meant" if evidence.order == "either" else ""
    turned = "; the answer had the two the other way round" if evidence.exchanged else ""
    return html.escape(f"{who}{said}: {in_words(evidence, str(a), str(b))}{order}{turned}")


def _link(path: Path, folder: Path) -> str:
    try:
        text = Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return html.escape(path.resolve().as_uri(), quote=True)
    return html.escape(quote(text), quote=True)
