"""Fits the weights with which votes and stated confidences become a probability, to synthetic answers.

    python benchmarks/fusion_calibration.py --write

There are no real answers with known truth to fit to yet, so an annotator is simulated: contacts differ in how
easily they are seen, inventions come back in several samples of one picture because their cause is the
picture, and the stated confidence tells a little. The rates are assumptions, those of the project's study of
a synthetic world where it has some: 0.35 invented contacts a scene, 15 % neighbouring parts. Fitted on one
half of the scenes, checked on the other.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from short_form import add_check

from apu_contacts.answers.answer import ContactAnswer
from apu_contacts.answers.fusion import Calibration, fuse_answers, logit
from apu_contacts.contacts import PartContact
from apu_contacts.regions.table import PARTS

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "apu_contacts" / "answers" / "data" / "calibration.json"
RESULT = ROOT / "benchmarks" / "results" / "fusion.md"
INVENTED_PER_ANSWER = 0.35
NEIGHBOUR = 0.15
Rows = list[tuple[float, float, bool]]
Pair = tuple[str, str]


def scene(rng: np.random.Generator, samples: int) -> tuple[set[Pair], list[ContactAnswer]]:
    """Return the true pairs of parts of one scene and what ``samples`` answers state."""

    def random_pair() -> Pair:
        a, b = rng.integers(len(PARTS), size=2)
        return PARTS[a], PARTS[b]

    truth = {random_pair() for _ in range(int(rng.integers(1, 6)))}
    ease = {pair: rng.beta(3.0, 1.5) for pair in sorted(truth)}
    # What invites an invention lies in the picture: a few candidates that come back from sample to sample.
    tempting = {pair: rng.beta(1.0, 2.0) for pair in (random_pair() for _ in range(3)) if pair not in truth}
    scale = INVENTED_PER_ANSWER / max(sum(tempting.values()), 1e-9)
    answers = []
    for _ in range(samples):
        said: dict[Pair, float] = {}
        for pair, p in ease.items():
            if rng.random() < p:
                stated = pair
                if rng.random() < NEIGHBOUR:
                    stated = (PARTS[int(rng.integers(len(PARTS)))], pair[1])
                said[stated] = float(np.clip(rng.normal(0.6 + 0.25 * p, 0.12), 0.05, 1.0))
        for pair, p in tempting.items():
            if rng.random() < min(0.9, p * scale):
                said[pair] = float(np.clip(rng.normal(0.6, 0.15), 0.05, 1.0))
        contacts = tuple(PartContact(a, "left", b, "left", c) for (a, b), c in said.items())
        answers.append(ContactAnswer(contacts=contacts))
    return truth, answers


def collect(rng: np.random.Generator, scenes: int) -> Rows:
    """Vote share, mean stated confidence, truth of each fused contact."""
    rows: Rows = []
    share_alone = Calibration(0.0, 1.0, 0.0)
    for _ in range(scenes):
        samples = int(rng.integers(1, 9))
        truth, answers = scene(rng, samples)
        for contact in fuse_answers(answers, calibration=share_alone).contacts:
            share = contact.confidence
            true = bool({(contact.part_a, contact.part_b), (contact.part_b, contact.part_a)} & truth)
            rows.append((share, contact.stated_confidence, true))
    return rows


def features(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x = np.array([[1.0, logit(share), logit(confidence)] for share, confidence, _ in rows])
    return x, np.array([float(true) for *_, true in rows])


def fit(rows: Rows) -> NDArray[np.float64]:
    """Logistic regression by Newton's method."""
    x, y = features(rows)
    w = np.zeros(3)
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ w))
        w += np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(3), x.T @ (y - p))
    return w


def brier(rows: Rows, predict: NDArray[np.float64]) -> float:
    return float(np.mean((predict - features(rows)[1]) ** 2))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write the coefficients and the table")
    add_check(parser)
    arguments = parser.parse_args()
    if arguments.check:
        arguments.scenes, arguments.write = 100, False
    rng = np.random.default_rng(arguments.seed)
    train, test = collect(rng, arguments.scenes), collect(rng, arguments.scenes)
    w = fit(train)
    x, y = features(test)
    p = 1 / (1 + np.exp(-x @ w))
    lines = [
        "# Fusion of several answers: calibration on synthetic answers",
        "",
        f"By `benchmarks/fusion_calibration.py`, seed {arguments.seed}, {arguments.scenes} scenes each to "
        f"fit and to check,",
        "1 to 8 samples a scene. The annotator is simulated with assumed rates: the table says that the "
        "weights fit that",
        "annotator, not that they fit a real model. Refit them on real answers as soon as there are some.",
        "",
        f"Coefficients: intercept {w[0]:.3f}, vote {w[1]:.3f}, confidence {w[2]:.3f}.",
        "",
        "| weight | Brier score on the other scenes (less is better) |",
        "| --- | --- |",
        f"| calibrated | {brier(test, p):.4f} |",
        f"| stated confidence alone | {brier(test, np.array([c for _, c, _ in test])):.4f} |",
        f"| vote share alone | {brier(test, np.array([s for s, _, _ in test])):.4f} |",
        f"| always the mean | {brier(test, np.full(len(y), y.mean())):.4f} |",
        "",
        "| calibrated weight | contacts | of these true |",
        "| --- | --- | --- |",
    ]
    for low in np.arange(0.0, 1.0, 0.2):
        inside = (p >= low) & (p < low + 0.2)
        true = f"{y[inside].mean():.2f}" if inside.any() else "-"
        lines.append(f"| {low:.1f} to {low + 0.2:.1f} | {int(inside.sum())} | {true} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.write:
        source = f"{arguments.scenes} scenes of a simulated annotator (benchmarks/fusion_calibration.py)"
        names = dict(zip(("intercept", "vote", "confidence"), (round(float(v), 3) for v in w), strict=True))
        DATA.write_text(json.dumps({**names, "source": source}, indent=1) + "\n", encoding="utf-8")
        RESULT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
