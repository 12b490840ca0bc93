"""How often the findings and the paper's filter keep what is good, on scenes whose truth is known.

    python benchmarks/verdict_table.py --scenes 120

Development scenes, fitted to one simulated answer each. A fit is bad if the joints of the pair are more than
100 mm off after one alignment. The findings' limits were not chosen on these scenes.
"""

from __future__ import annotations

import argparse
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import torch
from method_table import ContactSource, Method, MethodRunner, score, spread_over_types
from short_form import add_check, shortened

from apu_losses.fitting import FitResult, load_preset
from apu_losses.synthetic import load_truth_scenes

BAD = 0.1
"""Metres of joint PA-MPJPE from which a fit is bad."""


@dataclass(frozen=True)
class Judged:
    """One fit: what the truth says, and what the two verdicts say."""

    joint_pa: float
    result: FitResult

    @property
    def good(self) -> bool:
        """What the truth says."""
        return self.joint_pa <= BAD

    @property
    def reasons(self) -> tuple[str, ...]:
        """Names of the findings that are not right."""
        return tuple(found.name for found in self.result.findings if not found.right)


def judged(preset_name: str, count: int, block: int, iterations: int) -> list[Judged]:
    """Fit development scenes of every type and measure them."""
    torch.set_num_threads(1)
    truths = spread_over_types(load_truth_scenes("development"), count)
    runner = MethodRunner(truths, block=block)
    preset = shortened(load_preset(preset_name), iterations)
    method = Method("automatic", "automatic", preset, ContactSource("answer"))
    found = []
    for number in range(len(runner.blocks)):
        seen, _ = runner.observed(method.observed, number)
        fitter = runner.fitter(method)
        results = fitter.fit(runner.given(method, number))
        found += [
            Judged(own.joint_pa, result)
            for own, result in zip(score(fitter, seen, results), results, strict=True)
        ]
    return found


def table(fits: Sequence[Judged]) -> str:
    """Return who is kept by what, and over what the findings reject."""
    lines = [
        "| by the truth | scenes | kept by the findings | kept by the paper's filter |",
        "| --- | --- | --- | --- |",
    ]
    for name, good in (("good", True), ("bad", False)):
        own = [fit for fit in fits if fit.good == good]
        kept = sum(not fit.reasons and not fit.result.failed for fit in own)
        filtered = sum(fit.result.verdict.kept for fit in own)
        lines.append(f"| {name} | {len(own)} | {kept} | {filtered} |")
    lines += ["", "| rejected over | good | bad |", "| --- | --- | --- |"]
    counts = {
        good: Counter(name for fit in fits if fit.good == good for name in fit.reasons)
        for good in (True, False)
    }
    for name in sorted({*counts[True], *counts[False]}):
        lines.append(f"| {name} | {counts[True][name]} | {counts[False][name]} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="best")
    parser.add_argument("--scenes", type=int, default=120)
    parser.add_argument("--block", type=int, default=20, help="scenes fitted at once")
    add_check(parser)
    options = parser.parse_args()
    count, iterations = (2, 1) if options.check else (options.scenes, 10**6)
    fits = judged(options.preset, count, options.block, iterations)
    print(
        f"Preset `{options.preset}`, {len(fits)} development scenes; {date.today()}; {platform.machine()}, "
        f"torch {torch.__version__}.\n\n{table(fits)}"
    )


if __name__ == "__main__":
    main()
