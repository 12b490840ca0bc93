"""A data set's card in Hugging Face's form, and the paper's datasheet (supplement D), from what is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from apu_contacts import __version__
from apu_contacts.files import write_text
from apu_losses.dataset.folder import DatasetCounts, count, shards
from apu_losses.dataset.picture_hash import duplicates
from apu_losses.dataset.record import SCHEMA_VERSION
from apu_losses.dataset.shard import read_records, shard_path

CARD, DATASHEET, DUPLICATES = "README.md", "datasheet.md", "duplicates.json"
FOR_A_PERSON = "**to be filled in by a person**"
_BEGIN = "<!-- written by apu: changes below are lost when it is written again -->"
_SIZES: tuple[tuple[int, str], ...] = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
)
_SIZES = (*_SIZES, (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"))


def write_cards(folder: str | Path) -> DatasetCounts:
    """Write ``README.md``, ``datasheet.md`` and ``duplicates.json`` of a data set; return the counts.

    What a person wrote above the tool's line in the first two stays.

    Raises:
        DatasetError: not a data set.
        OSError: a file cannot be written.
    """
    place = Path(folder)
    found, copies = count(folder), image_duplicates(folder)
    write_text(place / DUPLICATES, json.dumps(copies, indent=1) + "\n")
    for name, text in ((CARD, card(found, len(copies))), (DATASHEET, datasheet(found, len(copies)))):
        _write_below(place / name, text)
    return found


def image_duplicates(folder: str | Path) -> dict[str, str]:
    """Return image -> the first image by name that it is a copy of, over all shards."""
    hashes: dict[str, str] = {}
    for index in shards(folder):
        for record in read_records(shard_path(folder, index.number, "parquet"), check=False):
            if record["image"]["phash"] is not None:
                hashes[record["image"]["name"]] = record["image"]["phash"]
    return duplicates(hashes)


def _write_below(path: Path, text: str) -> None:
    """Write the tool's part of a page; what stands above its line is a person's."""
    above = ""
    if path.is_file():
        before = path.read_text(encoding="utf-8")
        head, mark, _ = before.partition(_BEGIN)
        own = text.partition(_BEGIN)[0]
        above = head if mark and head != own and not head.startswith("---\n") else ""
    write_text(path, above + text if not above else above + _BEGIN + text.partition(_BEGIN)[2])


def card(found: DatasetCounts, copies: int) -> str:
    """Return the page of a data set, with the metadata block that Hugging Face reads."""
    size = next((name for limit, name in _SIZES if found.kept < limit), "n>100M")
    head = "\n".join(
        [
            "---",
            "pretty_name: Pairs of people in contact",
            "task_categories: [image-to-3d, keypoint-detection]",
            "tags: [smpl-x, contact, human-mesh-estimation, pseudo-ground-truth]",
            f"size_categories: ['{size}']",
            "configs:",
            "- config_name: pairs",
            "  data_files: '*.parquet'",
            "---",
        ]
    )
    return "\n".join(
        [
            head,
            _BEGIN,
            "",
            "# Pairs of people in contact",
            "",
            f"{found.kept} pairs that were kept of {found.pairs} candidates in {found.images} "
            f"images. Meshes are "
            f"pseudo-ground truth, fitted by apu-losses {__version__} (*Ask, Pose, Unite*) to 2D "
            f"keypoints and to "
            "contacts that a vision language model stated.",
            "",
            f"Licence: {FOR_A_PERSON} (images keep those of their sources). Contact: {FOR_A_PERSON}.",
            "",
            "## Read it",
            "",
            "```python",
            "from apu_losses.dataset import PairDataset",
            'pairs = PairDataset("path/to/this/folder")          # kept pairs; tensors by smplx names',
            "```",
            "",
            f"Records have `schema_version` {SCHEMA_VERSION}; `person_a.parameters.body_pose` and "
            f"the like are "
            "fixed-size lists, so DuckDB, pandas, Polars and `datasets` read the Parquet files as they are:",
            "",
            "```sql",
            "select source, count(*) from '*.parquet' where verdict.kept group by source",
            "```",
            "",
            "## Sources",
            "",
            source_table(found),
            "",
            "## Why pairs were rejected",
            "",
            "A pair may be rejected by several rules; the record has each rule with its value and threshold.",
            "",
            _table(("rule", "pairs"), found.reasons, 30),
            "",
            "## Interactions of the pairs that were kept",
            "",
            "In the words of the model.",
            "",
            _table(("interaction", "pairs"), found.interactions, 30),
            "",
            "## Body parts in contact",
            "",
            _table(("part", "contacts"), found.parts, 20),
            "",
            "## Known biases and limits",
            "",
            *_limits(found, copies),
            "",
        ]
    )


def _limits(found: DatasetCounts, copies: int) -> list[str]:
    asked = sum(n for status, n in found.statuses.items() if status != "not asked")
    lines = [
        "- Contacts are a model's answers: its habits are in them. Models: "
        f"{', '.join(sorted(found.models)) or 'none'}.",
        "- Sides are repaired by keypoints where that was clear; `contacts[].stated_a` keeps what was said.",
        f"- {found.statuses['refused']} of {asked} pairs that were asked about were refused, "
        f"{found.statuses['unreadable']} answers could not be read: such interactions are rarer "
        f"here than in the "
        "images.",
        "- The filter looks at keypoints and plausibility: hidden and small people are rejected more often.",
        f"- {copies} images are copies of others by perceptual hash (`duplicates.json`); they are "
        f"not removed.",
    ]
    if found.kept and found.interactions:
        name, most = found.interactions.most_common(1)[0]
        lines.append(
            f"- The commonest interaction ({name}) makes up {100 * most / found.kept:.0f} % of the pairs."
        )
    people = sum(found.ages.values())
    if people:
        lines.append(f"- {found.ages['child']} of {people} people are fitted with an age of a child.")
    if found.described:
        lines.append(
            "- What models said of the people (`evidence.attributes`) is their impression of a picture, not "
            f"what people say of themselves: {found.described_in_words()}."
        )
    return lines


def source_table(found: DatasetCounts) -> str:
    """Return the paper's Table 4: images, candidate and final pairs by source."""
    lines = ["| data source | images | candidate pairs | final pairs |", "|---|---:|---:|---:|"]
    lines += [
        f"| {_cell(name) or '-'} | {i} | {c} | {k} |" for name, (i, c, k) in sorted(found.sources.items())
    ]
    return "\n".join([*lines, f"| all | {found.images} | {found.pairs} | {found.kept} |"])


def datasheet(found: DatasetCounts, copies: int) -> str:
    """Return the paper's datasheet: what the tool saw is filled in, what only a person knows is marked."""
    ages = ", ".join(f"{count} {name}" for name, count in sorted(found.ages.items())) or "none"
    bodies = ", ".join(sorted(found.bodies)) or "none"
    described = (
        f"By what the models said of the people in the pictures: {found.described_in_words()}."
        if found.described
        else "The models were not asked about the people themselves, or said nothing."
    )
    questions: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
        ("Motivation", (("For what purpose was the dataset created?", FOR_A_PERSON),)),
        (
            "Composition",
            (
                (
                    "What do the instances that comprise the dataset represent?",
                    "A pair of people in an image, or in a part of it: body parameters of both by "
                    "smplx names "
                    f"(bodies: {bodies}), camera, keypoints and boxes, every answer of the vision "
                    f"language model as "
                    "it came and as it was read, the contacts that were made of them, losses and "
                    "measures before "
                    "and after the fit, and a verdict with its reasons.",
                ),
                (
                    "How many instances are there in total?",
                    f"{found.kept} pairs that were kept, of {found.pairs} candidates in "
                    f"{found.images} images.",
                ),
                (
                    "Does the dataset contain all possible instances?",
                    "No: pairs whose people are near each other by their keypoints were asked "
                    "about, and those "
                    f"that every rule let pass are kept. By source:\n\n{source_table(found)}",
                ),
                (
                    "What data does each instance consist of?",
                    "A link to the image with the digest of its bytes; the image itself where there "
                    "are tars.",
                ),
                (
                    "Is there a label or target associated with each instance?",
                    f"The fitted meshes, {sum(found.parts.values())} body parts in contact, and "
                    f"{len(found.interactions)} names of interactions in the model's words.",
                ),
                (
                    "Are there recommended data splits?",
                    "By image source or by interaction, never by pair (`apu dataset split`); which: "
                    + FOR_A_PERSON,
                ),
                (
                    "Are there any errors, sources of noise, or redundancies in the dataset?",
                    "Meshes are pseudo-ground truth; they, the contacts and the keypoints may not "
                    "be what the image "
                    f"shows. {copies} images are copies of others by perceptual hash (`duplicates.json`).",
                ),
                (
                    "Is the dataset self-contained, or does it rely on external resources?",
                    "Annotations are self-contained. Images come from: "
                    f"{', '.join(_cell(name) for name in sorted(found.sources)) or 'nowhere'}. "
                    f"Where to get them: " + FOR_A_PERSON,
                ),
                ("Does the dataset contain data that might be considered confidential?", FOR_A_PERSON),
                (
                    "Does the dataset identify any subpopulations?",
                    f"By the fitted age: {ages}. {described} Otherwise: {FOR_A_PERSON}",
                ),
            ),
        ),
        (
            "Collection process",
            (
                (
                    "How was the data associated with each instance acquired?",
                    "Keypoints by a detector, contacts from "
                    f"{', '.join(sorted(found.models)) or 'no model'}, bodies by a fit to both; all "
                    f"digests and "
                    "versions are in each record's `provenance`.",
                ),
                (
                    "What mechanisms or procedures were used to collect the data?",
                    f"apu-losses {__version__}, `apu generate`; every option is in `generate.toml`. "
                    f"Hardware: " + FOR_A_PERSON,
                ),
                ("Over what timeframe was the data collected?", FOR_A_PERSON),
                ("Were any ethical review processes conducted?", FOR_A_PERSON),
                ("Did the individuals consent to the collection and use of their data?", FOR_A_PERSON),
            ),
        ),
        (
            "Preprocessing and labelling",
            (
                (
                    "Was any preprocessing, cleaning or labelling of the data done?",
                    "Crops around the two people were shown to the model. Rejected pairs are in the "
                    "records with "
                    f"their reasons: {_words(found.reasons)}.",
                ),
            ),
        ),
        ("Uses", (("What tasks could the dataset be used for, and for what not?", FOR_A_PERSON),)),
        ("Distribution", (("Under which licence will it be distributed?", FOR_A_PERSON),)),
        ("Maintenance", (("Who maintains the dataset, and how can errors be reported?", FOR_A_PERSON),)),
    )
    lines = [_BEGIN, "", "# Datasheet", ""]
    for title, asked in questions:
        lines += [f"## {title}", ""]
        for question, answer in asked:
            lines += [f"**{question}** {answer}", ""]
    return "\n".join(lines)


def _table(header: tuple[str, str], counts: Mapping[str, int], most: int) -> str:
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"| {header[0]} | {header[1]} |", "|---|---:|"]
    lines += [f"| {_cell(name)} | {n} |" for name, n in rows[:most]]
    rest = rows[most:]
    return "\n".join([*lines, *([f"| {len(rest)} others | {sum(n for _, n in rest)} |"] if rest else [])])


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items())) or "none"


def _cell(text: str) -> str:
    """Return a model's words as they may stand within a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")[:80]
