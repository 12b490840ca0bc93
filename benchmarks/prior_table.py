"""What the prior of two people is worth: fits of held-out types with it and without it.

    python benchmarks/prior_table.py --scenes 33                 # one scene a type; resumes
    python benchmarks/prior_table.py --scenes 33 --generated     # and a prior with own fits of unseen types
    python benchmarks/prior_table.py --split development         # what weights may be chosen on

Rows share the preset `best`. The prior that ships has seen the truth of development types only. With
`--generated` the system first fits other scenes of the held-out types by automatic contact maps, keeps what
the filter keeps, and counts a second prior with these fits added: still no truth of an unseen type. Scores
lie in --cache, a block of scenes of a method to a file.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import torch
from method_table import ContactSource, Method, MethodRunner, SceneScores, main_rows, spread_over_types
from method_table.report import markdown, mean_table, number, type_table, with_interval
from method_table.statistics import difference, mean_of, reduction
from short_form import add_check, shortened

from apu_losses.bodies import load_body
from apu_losses.fitting import FitResult, Preset, load_preset
from apu_losses.fitting.result.pairs import pairs_of_results
from apu_losses.prior import ContactPrior, GaussianDesign, PriorLayout, load_prior
from apu_losses.prior.pairs import PairSet
from apu_losses.synthetic import DEVELOPMENT_TYPES, HELD_OUT_TYPES, load_truth_scenes
from apu_losses.synthetic.observation_noise import ObservationNoise
from apu_losses.synthetic.pairs import pairs_of_scenes

HERE = Path(__file__).resolve().parent
WEIGHT, OPTIONS = 100.0, {"t": 300, "pose": 1.0, "transl": 5.0}
"""Of the term in `best`. Not tuned: about what the spread of the prior's errors (0.15 rad, 0.2 m) says."""
GENERATED_SHARE = 0.5
_ESTIMATORS = {"weaker start (noise x 1.5)": 1.5, "stronger start (noise x 0.5)": 0.5}


def with_prior(preset: Preset, weight: float = WEIGHT, **options: object) -> Preset:
    """Return a preset that takes the prior, too."""
    return preset.weighted(prior=weight).with_options("prior", **{**OPTIONS, **options})


def rows(preset: Preset, generated: Path | None) -> list[Method]:
    """Return the paper's Table 2 in this world."""
    known = {m.key: m for m in main_rows(preset, ContactSource("answer"))}
    alone = known["no_contact"]
    automatic = known["automatic"]
    found = [known["initial"], alone, known["heuristic"]]
    assert alone.preset is not None
    found.append(replace(alone, key="prior", label="prior, unseen types", preset=with_prior(alone.preset)))
    if generated is not None:
        own = with_prior(alone.preset, prior=str(generated))
        found.append(replace(alone, key="prior_own", label="prior with own fits of them", preset=own))
    found.append(automatic)
    assert automatic.preset is not None
    both = with_prior(automatic.preset)
    found.append(replace(automatic, key="both", label="automatic maps and prior", preset=both))
    if generated is not None:
        own = with_prior(automatic.preset, prior=str(generated))
        found.append(
            replace(automatic, key="both_own", label="automatic maps, prior with own fits", preset=own)
        )
    return found


def emptied(preset: Preset) -> list[Method]:
    """Return the rows in which the prior is told nothing."""
    alone = next(m for m in main_rows(preset, ContactSource("answer")) if m.key == "no_contact")
    assert alone.preset is not None
    told = with_prior(alone.preset)
    nothing = with_prior(alone.preset, told=False)
    return [
        alone,
        replace(alone, key="prior", label="prior, told the estimate", preset=told),
        replace(alone, key="emptied", label="prior, told nothing", preset=nothing),
    ]


def scaled(noise: ObservationNoise, factor: float) -> ObservationNoise:
    """Return the dials of the estimator times a factor; those of the detector as they are."""
    names = ("pose", "orientation", "shape", "shared_depth", "own_depth", "lateral")
    return replace(noise, **{name: getattr(noise, name) * factor for name in names})


def estimators(preset: Preset) -> list[Method]:
    """Return starts that are worse and better than the simulated estimator's."""
    found = []
    for label, factor in _ESTIMATORS.items():
        noise = scaled(ObservationNoise(), factor)
        known = {m.key: m for m in main_rows(preset, ContactSource("answer"))}
        for key, own in (("initial", None), ("no_contact", False), ("prior", True)):
            base = known["no_contact" if key == "prior" else key]
            said = base.preset if own is not True or base.preset is None else with_prior(base.preset)
            name = f"{label}: {'prior' if own else base.label}"
            found.append(replace(base, key=f"{key}_{factor:g}", label=name, preset=said, observed=noise))
    return found


def generate(runner: MethodRunner, automatic: Method, out: Path) -> int:
    """Fit other scenes by automatic maps, and count a prior with what the filter keeps.

    Returns:
        how many fits were kept.
    """
    results: list[FitResult] = []
    for number_of_block in range(len(runner.blocks)):
        results += runner.fit(automatic, number_of_block)
    pairs = pairs_of_results(results)
    body = load_body("free")
    layout = PriorLayout.of_body(body)
    shipped = load_prior("free")
    seeds = range(int(shipped.about["config"]["data"][0]["seeds"]))
    truth = pairs_of_scenes(load_truth_scenes("development"), runner.fitter(automatic), seeds=seeds)
    count_prior([(truth, 1 - GENERATED_SHARE), (pairs, GENERATED_SHARE)], layout).save(out)
    return len(pairs)


def count_prior(mixture: Sequence[tuple[PairSet, float]], layout: PriorLayout) -> ContactPrior:
    """Return the counted design of a mixture."""
    body = load_body("free")
    codes, estimates, weights = [], [], []
    for pairs, share in mixture:
        code, estimate = pairs.codes(body, layout)
        assert estimate is not None
        codes.append(code)
        estimates.append(estimate)
        weights.append(torch.full((len(code),), share / len(code)))
    design = GaussianDesign(layout)
    design.fit(torch.cat(codes), torch.cat(estimates), torch.cat(weights))
    return ContactPrior(layout, design.float(), about={"data": "a benchmark's"})


def comparisons(scores: dict[str, list[SceneScores]]) -> str:
    """Return what the issue of the prior asks, pair by pair."""
    found = []
    for one, other in (
        ("prior", "no_contact"),
        ("prior", "heuristic"),
        ("prior_own", "prior"),
        ("both", "automatic"),
        ("both_own", "automatic"),
    ):
        if one not in scores or other not in scores:
            continue
        less = reduction(scores[one], scores[other], "joint_pa")
        apart = difference(scores[one], scores[other], "joint_pa")
        depth = difference(scores[one], scores[other], "depth_p95")
        seconds = mean_of(scores[one], "seconds").mean / mean_of(scores[other], "seconds").mean
        found.append(
            [
                f"{one} under {other}",
                with_interval(less, 100, 1),
                with_interval(apart, 1000, 1),
                with_interval(depth, 1000, 1),
                number(100 * (seconds - 1), 0),
            ]
        )
    head = ["rows", "less, %", "difference, mm", "p95 depth, mm", "time on top, %"]
    return markdown(head, found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=33)
    parser.add_argument("--split", default="held_out", choices=("held_out", "development"))
    parser.add_argument("--generated", action="store_true", help="add a prior with own fits of unseen types")
    parser.add_argument("--more", action="store_true", help="condition emptied; weaker and stronger starts")
    parser.add_argument("--block", type=int, default=11, help="scenes fitted at once")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path("prior_table_cache"))
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/prior_table.md")
    add_check(parser)
    arguments = parser.parse_args()
    if arguments.check:
        with tempfile.TemporaryDirectory() as kept:
            arguments.cache, arguments.write = Path(kept), False
            arguments.scenes = arguments.block = 1
            table(arguments, iterations=1)
    else:
        table(arguments)


def table(arguments: argparse.Namespace, iterations: int | None = None) -> None:
    """Fit what is wanted and print it."""
    torch.set_num_threads(1)
    names = HELD_OUT_TYPES if arguments.split == "held_out" else DEVELOPMENT_TYPES
    every = spread_over_types(load_truth_scenes(arguments.split))
    scenes, others = every[: arguments.scenes], every[len(every) // 2 :][: arguments.scenes]
    preset = load_preset("best")
    if iterations is not None:
        preset = shortened(preset, iterations)
    began = time.perf_counter()

    def tell(line: str) -> None:
        print(f"{time.perf_counter() - began:7.0f} s  {line}", flush=True)

    def runner_of(wanted: Sequence[object], seed: int) -> MethodRunner:
        return MethodRunner(wanted, arguments.cache, block=arguments.block, seed=seed)  # type: ignore[arg-type]

    runner = runner_of(scenes, arguments.seed)
    generated, kept = None, 0
    if arguments.generated:
        generated = arguments.cache / "own_fits.safetensors"
        if not generated.is_file():
            automatic = next(m for m in main_rows(preset, ContactSource("answer")) if m.key == "automatic")
            kept = generate(runner_of(others, arguments.seed + 1), automatic, generated)
            tell(f"a prior with {kept} own fits of other scenes: {generated}")
    methods = rows(preset, generated)
    scores = runner.run(methods, jobs=arguments.jobs, tell=tell)
    parts = [
        mean_table(methods, scores, compared="no_contact"),
        comparisons(scores),
        type_table(methods, scores),
    ]
    if arguments.more:
        for some in (emptied(preset), estimators(preset)):
            parts.append(mean_table(some, runner.run(some, jobs=arguments.jobs, tell=tell)))
    types = len({s.interaction for s in scenes})
    head = (
        f"Synthetic scenes with known truth: {len(scenes)} of {types} types of {len(names)} "
        f"(`{arguments.split}`), seed {arguments.seed}, preset `best`, prior at {WEIGHT:g} with {OPTIONS}. "
        f"{date.today()}; {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}. "
        "Intervals: 95 %, bootstrapped by scene."
    )
    text = "\n\n".join([head, *parts])
    print(f"\n{text}\n", flush=True)
    if arguments.write:
        (HERE / "results" / "prior_table.md").write_text(f"# The prior\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
