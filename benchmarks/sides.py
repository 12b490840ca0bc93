"""How often left and right are as meant before and after each rule, on synthetic scenes. No fit: a minute.

    python benchmarks/sides.py --write
    python benchmarks/sides.py --split development    # what the parameters may be tuned on

The simulated annotator is asked twice, with and without its flips and with the same draws otherwise, so that
each contact's true sides are known. Invented contacts have none and do not count, nor do contacts that an
answer states without sides. Two annotators: one whose only mistakes are flips, and the default one.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from short_form import add_check

from apu_contacts import parse_answer
from apu_contacts.contacts import PartContact
from apu_contacts.sides.chirality import denoise_chirality
from apu_losses.synthetic import (
    DEVELOPMENT_TYPES,
    HELD_OUT_TYPES,
    AnnotatorNoise,
    Observation,
    annotate,
    load_truth_scenes,
    observe,
)

RESULTS = Path(__file__).resolve().parent / "results"
RATES = (0.0, 0.3, 0.8)
SIDED = ("left", "right")
Rule = Callable[[Sequence[PartContact], Observation], Sequence[PartContact]]


@dataclass(frozen=True)
class Case:
    """An answer, and those of its contacts that are not made up as they would be without flips."""

    seen: Observation
    told: tuple[PartContact, ...]
    meant: tuple[PartContact, ...]


def cases(pictures: Sequence[Observation], noise: AnnotatorNoise, seed: int) -> list[Case]:
    """Return the answers about all pictures in which contacts can be told apart."""
    straight = replace(noise, flipped=0.0, flipped_alone=0.0)
    found = []
    for seen in pictures:
        told, meant, real = (
            parse_answer(annotate(seen, dials, seed)).contacts
            for dials in (noise, straight, replace(straight, invented=0.0))
        )
        # the parser makes one of two equal contacts: then it is not known which is which
        if len(told) == len(meant):
            found.append(Case(seen, told, meant[: len(real)]))
    return found


def denoised(rule: str, depth: bool) -> Rule:
    """Sides by a rule, with or without the estimated bodies."""

    def apply(contacts: Sequence[PartContact], seen: Observation) -> Sequence[PartContact]:
        a, b = seen.detections[seen.left], seen.detections[1 - seen.left]
        return denoise_chirality(
            contacts,
            a.keypoints,
            b.keypoints,
            sides="paper" if rule == "paper" else "posterior",
            estimates=(a.initial, b.initial) if depth else None,
        )

    return apply


RULES: dict[str, Rule] = {
    "as told": lambda contacts, seen: contacts,
    "paper's rule": denoised("paper", False),
    "posterior, keypoints alone": denoised("posterior", False),
    "posterior, with estimated depths": denoised("posterior", True),
}


def share_right(answers: Sequence[Case], rule: Rule) -> tuple[float, int]:
    """Share of contacts with both sides as meant, and how many contacts there are."""
    right = []
    for case in answers:
        for chosen, meant in zip(rule(case.told, case.seen), case.meant, strict=False):
            if meant.side_a in SIDED or meant.side_b in SIDED:
                right.append((chosen.side_a, chosen.side_b) == (meant.side_a, meant.side_b))
    return float(np.mean(right)), len(right)


def table(split: str, seeds: int, most: int | None = None) -> str:
    """Return the whole report; of the first ``most`` scenes, if given."""
    names = HELD_OUT_TYPES if split == "held_out" else DEVELOPMENT_TYPES
    scenes = load_truth_scenes(split)[:most]
    lines = [
        "# Left and right, as meant",
        "",
        f"Synthetic scenes with known truth: {len(scenes)} of {len(names)} types (`{split}`), {seeds} draws "
        f"of detections and answers each. {date.today()}, Python {platform.python_version()}, NumPy "
        f"{np.__version__}; no figure depends on the machine. Share of contacts with both sides as meant, %.",
        "",
        "| annotator | flip rate | contacts | " + " | ".join(RULES) + " |",
        "| --- " * (3 + len(RULES)) + "|",
    ]
    pictures = [[observe(truth, seed=seed) for truth in scenes] for seed in range(seeds)]
    annotators = {
        "flips only": AnnotatorNoise.none(),
        "default": AnnotatorNoise(people_swapped=0.0),
    }
    for label, noise in annotators.items():
        for rate in RATES:
            flips = replace(noise, flipped=rate, flipped_alone=rate / 3)
            answers = [case for seed, seen in enumerate(pictures) for case in cases(seen, flips, seed)]
            shares = [share_right(answers, rule) for rule in RULES.values()]
            cells = " | ".join(f"{100 * share:.0f}" for share, _ in shares)
            lines.append(f"| {label} | {rate:g} | {shares[0][1]} | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split", default="held_out", choices=("held_out", "development"))
    parser.add_argument("--seeds", type=int, default=2, help="draws of detections and answers a scene")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/sides.md")
    add_check(parser)
    arguments = parser.parse_args()
    text = table(arguments.split, arguments.seeds, 4 if arguments.check else None)
    print(text)
    if arguments.write and not arguments.check:
        suffix = "" if arguments.split == "held_out" else "_development"
        (RESULTS / f"sides{suffix}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
