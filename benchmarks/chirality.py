"""How often the sides of human-annotated contacts are repaired, on real keypoints.

    python benchmarks/chirality.py --write

Every annotated pair of ``../shared/real`` gives its region pairs as part contacts with sides; repetitions
count once. The sides are then stated as they are, both flipped, or one flipped, and denoised. A case is
decidable if the keypoints of every combination were detected, the flipped part has keypoints of its own, and
the distances of the true and of the stated combination differ by more than the standard error of a difference
of two keypoints.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from short_form import REAL, add_check, require_photographs

from apu_contacts.answers import parse_answer
from apu_contacts.contacts import PartContact
from apu_contacts.keypoints.parts import MIDLINE_PARTS
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.people import assemble_people
from apu_contacts.regions.table import REGIONS, part_regions
from apu_contacts.sides.chirality import (
    DenoisedContact,
    DistanceModel,
    SideBelief,
    denoise_chirality,
    part_distance,
    people_size,
    person_order,
)
from apu_contacts.sources import read_flickr_signatures, read_openpose, read_vitpose_body25

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "chirality.md"
FLIP = {"left": "right", "right": "left"}
CASES = ("as annotated", "both flipped", "one flipped")


@dataclass(frozen=True)
class Pair:
    """Two annotated people, their keypoints by one detector, and their part contacts with true sides."""

    name: str
    a: Keypoints2D
    b: Keypoints2D
    contacts: tuple[PartContact, ...]


def load(detector: str, folder: Path = REAL) -> list[Pair]:
    """Return the annotated pairs whose two people the detector found."""
    pairs = []
    for annotation in sorted(folder.glob("*/interaction_contact_signature.json")):
        picture = annotation.parent
        image = read_flickr_signatures(annotation)[picture.name]
        found = {
            "openpose": read_openpose(picture / "openpose.json"),
            "vitpose": read_vitpose_body25(picture / "vitpose.json"),
        }
        people = assemble_people(found["openpose"], found["vitpose"], None, image.boxes)
        by_box = {person.source["box"]: person for person in people if "box" in person.source}
        for annotated in image.pairs:
            ends = [by_box.get(annotated.person_a), by_box.get(annotated.person_b)]
            if any(end is None or detector not in end.source for end in ends):
                continue
            rows = {
                (REGIONS[a].part, REGIONS[a].side, REGIONS[b].part, REGIONS[b].side)
                for a, b in annotated.regions.tolist()
            }
            contacts = tuple(PartContact(*row) for row in sorted(rows) if row[1] in FLIP and row[3] in FLIP)
            a, b = (found[detector][end.source[detector]] for end in ends if end is not None)
            pairs.append(Pair(f"{picture.name} {annotated.person_a}-{annotated.person_b}", a, b, contacts))
    return pairs


@dataclass
class Count:
    """Cases, those that are decidable, and how many of either were right after denoising."""

    cases: int = 0
    right: int = 0
    decidable: int = 0
    decidable_right: int = 0
    margins: list[float] = field(default_factory=list)


def statements(truth: PartContact) -> Iterator[tuple[str, PartContact, bool]]:
    """Return a contact stated in each way: the case, the statement, and whether the flipped part has own
    keypoints.
    """
    a, b = truth.side_a, truth.side_b
    for case, sides, parts in (
        ("as annotated", (a, b), ()),
        ("both flipped", (FLIP[a], FLIP[b]), (truth.part_a, truth.part_b)),
        ("one flipped", (FLIP[a], b), (truth.part_a,)),
        ("one flipped", (a, FLIP[b]), (truth.part_b,)),
    ):
        own = not parts or any(part not in MIDLINE_PARTS for part in parts)
        yield case, PartContact(truth.part_a, sides[0], truth.part_b, sides[1]), own


def is_decidable(
    truth: PartContact, stated: PartContact, pair: Pair, own: bool, model: DistanceModel
) -> bool:
    """Whether the keypoints can tell the two combinations apart."""
    if not own:
        return False
    size = people_size(pair.a, pair.b)
    sides = [(a, b) for a in FLIP for b in FLIP]
    if any(math.isnan(part_distance(truth.part_a, a, truth.part_b, b, pair.a, pair.b)) for a, b in sides):
        return False
    if stated == truth:
        return True
    gaps = [
        part_distance(c.part_a, c.side_a, c.part_b, c.side_b, pair.a, pair.b) / size for c in (truth, stated)
    ]
    return abs(gaps[0] - gaps[1]) > 2 * model.error


def count(
    pairs: list[Pair], rule: str, belief: SideBelief | None = None, model: DistanceModel | None = None
) -> dict[str, Count]:
    """Count by case."""
    counts = {case: Count() for case in CASES}
    for pair in pairs:
        for truth in pair.contacts:
            for case, stated, own in statements(truth):
                chosen: DenoisedContact = denoise_chirality(
                    [stated], pair.a, pair.b, sides=rule, belief=belief, distances=model
                )[0]
                right = (chosen.side_a, chosen.side_b) == (truth.side_a, truth.side_b)
                decidable = is_decidable(truth, stated, pair, own, model or DistanceModel())
                one = counts[case]
                one.cases, one.right = one.cases + 1, one.right + right
                one.decidable += decidable
                one.decidable_right += decidable and right
                one.margins.append(chosen.margin or 0.0)
    return counts


def orders(pairs: list[Pair]) -> tuple[int, int, int]:
    """Person order from the annotated contacts alone: right, clear, clear and right, asked in both orders."""
    right = clear = both = 0
    for pair in pairs:
        given = person_order(pair.contacts, pair.a, pair.b, position=False)
        right += not given.exchanged
        clear += given.clear
        both += given.clear and not given.exchanged
    return right, clear, both


def true_distances(pairs: list[Pair]) -> np.ndarray:
    """Keypoint distances of the annotated sides over the people's size."""
    gaps = [
        part_distance(c.part_a, c.side_a, c.part_b, c.side_b, pair.a, pair.b) / people_size(pair.a, pair.b)
        for pair in pairs
        for c in pair.contacts
    ]
    return np.array([gap for gap in gaps if not math.isnan(gap)])


def share(part: int, whole: int) -> str:
    return f"{part}/{whole} ({100 * part / whole:.0f} %)" if whole else "none"


def answers_supported(detector: str, folder: Path = REAL) -> dict[str, tuple[int, int]]:
    """How many contacts of the recorded model answers agree with the annotation, as told and after either
    rule.

    A contact agrees if an annotated region pair lies on its two parts and sides.
    """
    found: dict[str, tuple[int, int]] = {}
    for annotation in sorted(folder.glob("*/interaction_contact_signature.json")):
        picture = annotation.parent
        image = read_flickr_signatures(annotation)[picture.name]
        openpose, vitpose = (
            read_openpose(picture / "openpose.json"),
            read_vitpose_body25(picture / "vitpose.json"),
        )
        people = assemble_people(openpose, vitpose, None, image.boxes)
        by_box = {person.source["box"]: person for person in people if "box" in person.source}
        detections = {"openpose": openpose, "vitpose": vitpose}[detector]
        for line in (picture / "answers.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            left, right = record["person_left"], record["person_right"]
            (pair,) = (p for p in image.pairs if {p.person_a, p.person_b} == {left, right})
            regions = pair.regions if pair.person_a == left else pair.regions[:, ::-1]
            answer = parse_answer(record["text"])
            a, b = (detections[by_box[i].source[detector]] for i in (left, right))
            versions: dict[str, Sequence[PartContact]] = {"as told": answer.contacts}
            for rule in ("paper", "posterior"):
                versions[rule] = denoise_chirality(answer, a, b, sides=rule)
            for name, contacts in versions.items():
                good = sum(_supported(contact, regions.tolist()) for contact in contacts)
                before = found.get(name, (0, 0))
                found[name] = (before[0] + good, before[1] + len(contacts))
    return found


def _supported(contact: PartContact, regions: list[list[int]]) -> bool:
    on_a = part_regions(contact.part_a, contact.side_a)
    on_b = part_regions(contact.part_b, contact.side_b)
    return any(a in on_a and b in on_b for a, b in regions)


def table(most: int | None = None) -> str:
    """Return the whole report; of the first ``most`` pairs, if given."""
    lines = [
        "# Repair of left and right, on real keypoints",
        "",
        f"Measured {datetime.date.today().isoformat()} by `benchmarks/chirality.py`, Python "
        f"{platform.python_version()},"
        f" NumPy {np.__version__}. No figure depends on the machine.",
        "",
        "Human-annotated contacts of the four pairs in `../shared/real`, as part contacts with sides, "
        "repetitions once.",
        "The default belief and distance model were chosen looking at these pairs, which are few: read the "
        "figures as",
        "a check that the rules work on real keypoints, not as rates to expect. `one flipped` counts "
        "either side;",
        "decidable is defined in the program's first lines.",
        "",
        "| keypoints | rule | case | right of all | right of decidable |",
        "| --- | --- | --- | --- | --- |",
    ]
    for detector in ("vitpose", "openpose"):
        pairs = load(detector)[:most]
        for rule in ("paper", "posterior"):
            for case, one in count(pairs, rule).items():
                lines.append(
                    f"| {detector} | {rule} | {case} | {share(one.right, one.cases)} "
                    f"| {share(one.decidable_right, one.decidable)} |"
                )
    lines += [
        "",
        "Right ones broken = 100 % minus the row `as annotated`.",
        "",
        "## How far the choice of parameters matters",
        "",
    ]
    lines += [
        "| keypoints | kept / together / alone | scale | as annotated | both flipped | one flipped "
        "(decidable) |"
    ]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    for detector in ("vitpose", "openpose"):
        pairs = load(detector)
        for belief in (SideBelief(0.4, 0.3, 0.15), SideBelief(0.5, 0.3, 0.1), SideBelief(0.6, 0.3, 0.05)):
            for scale in (0.04, 0.06, 0.08):
                counts = count(pairs, "posterior", belief, DistanceModel(scale=scale))
                kept, both, one = (counts[case] for case in CASES)
                lines.append(
                    f"| {detector} | {belief.kept:g} / {belief.together:g} / {belief.alone:g} | {scale:g} "
                    f"| {share(kept.right, kept.cases)} | {share(both.decidable_right, both.decidable)} "
                    f"| {share(one.decidable_right, one.decidable)} |"
                )
    lines += ["", "## Person order and distances", ""]
    for detector in ("vitpose", "openpose"):
        pairs = load(detector)
        right, clear, both = orders(pairs)
        quantiles = np.quantile(true_distances(pairs), [0.1, 0.5, 0.9])
        lines.append(
            f"- {detector}: order from the contacts alone, without positions: right in "
            f"{share(right, len(pairs))} pairs,"
            f" clear in {clear}, of these right {both}. True contacts lie"
            f" {quantiles[0]:.2f} / {quantiles[1]:.2f} / {quantiles[2]:.2f} apart (10, 50, 90 %, in "
            f"people's sizes)."
        )
    lines += ["", "## The recorded model answers", ""]
    lines += ["Contacts of `answers.jsonl` on whose parts and sides an annotated region pair lies.", ""]
    lines += ["| keypoints | as told | paper | posterior |", "| --- | --- | --- | --- |"]
    for detector in ("vitpose", "openpose"):
        counts = answers_supported(detector)
        cells = " | ".join(share(*counts[name]) for name in ("as told", "paper", "posterior"))
        lines.append(f"| {detector} | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write the table to {RESULT.name}")
    add_check(parser)
    arguments = parser.parse_args()
    require_photographs(REAL)
    text = table(1 if arguments.check else None)
    print(text)
    if arguments.write and not arguments.check:
        RESULT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
