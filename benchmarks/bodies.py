"""How fast bodies are posed and skinned, beside the smplx package on the same file.

Run ``python benchmarks/bodies.py``; ``--write`` also puts the table into ``benchmarks/results/bodies.md``.
All figures of a row are measured in turns in one run, so that their ratios hold on a busy machine.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.util
import io
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from short_form import add_check, not_run

from apu_losses.bodies import LinearBlendBody, load_body

SELECTED = 200
RESULT = Path(__file__).parent / "results" / "bodies.md"


def smplx_model(folder: Path, batch_size: int) -> Any:
    """Return the free body as an object of the smplx package."""
    import smplx

    (folder / "smplx").mkdir(exist_ok=True)
    target = folder / "smplx" / "SMPLX_NEUTRAL.npz"
    if not target.exists():
        with resources.as_file(
            resources.files("apu_losses.bodies").joinpath("data", "free_body.npz")
        ) as asset:
            shutil.copy(asset, target)
            with np.load(asset) as arrays:
                np.save(folder / "kid.npy", arrays["kid_template"])
    with contextlib.redirect_stdout(io.StringIO()):
        return smplx.create(
            str(folder),
            model_type="smplx",
            use_pca=False,
            age="kid",
            kid_template_path=str(folder / "kid.npy"),
            batch_size=batch_size,
        )


def parameters(body: LinearBlendBody, rows: int) -> dict[str, torch.Tensor]:
    """Random parameters that want a gradient."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: (0.2 * torch.randn(rows, spec.size, generator=generator)).requires_grad_()
        for name, spec in body.parameter_specs.items()
    }


def interleaved(ways: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Median milliseconds of each way, measured in turns for about the given time."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
        way()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(times.values()))) < 5:
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def measure(rows: int, folder: Path, seconds: float) -> list[str]:
    """Table rows for one batch size."""
    body = load_body()
    twin = load_body(backend="torch")
    model = smplx_model(folder, rows)
    params = parameters(body, rows)
    theirs = {name: value for name, value in params.items() if name != "age"}
    generator = torch.Generator().manual_seed(1)
    which = torch.randint(0, rows, (SELECTED,), generator=generator)
    ids = torch.randint(0, body.num_vertices, (SELECTED,), generator=generator)

    def ours(
        points: Callable[[Any], torch.Tensor], backward: bool, of: LinearBlendBody
    ) -> Callable[[], None]:
        def run() -> None:
            with torch.set_grad_enabled(backward):
                loss = points(of.pose(params)).square().sum()
            if backward:
                loss.backward()

        return run

    def package(points: Callable[[Any], torch.Tensor], backward: bool) -> Callable[[], None]:
        def run() -> None:
            with torch.set_grad_enabled(backward):
                betas = torch.cat([params["betas"], params["age"]], 1)
                loss = points(model(**{**theirs, "betas": betas}).vertices).square().sum()
            if backward:
                loss.backward()

        return run

    lines = []
    for label, choose, pick, backward in (
        ("all vertices, forward", lambda p: p.vertices(), lambda v: v, False),
        ("all vertices, forward + backward", lambda p: p.vertices(), lambda v: v, True),
        (
            f"{SELECTED} vertices, forward + backward",
            lambda p: p.select(which, ids),
            lambda v: v[which, ids],
            True,
        ),
    ):
        ms = interleaved(
            {
                "smplx": package(pick, backward),
                "torch": ours(choose, backward, twin),
                "auto": ours(choose, backward, body),
            },
            seconds,
        )
        lines.append(
            f"| {rows} | {label} | {ms['smplx']:.2f} | {ms['torch']:.2f} | {ms['auto']:.2f} "
            f"| {ms['smplx'] / ms['auto']:.1f} |"
        )
    return lines


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[2, 8, 16, 64])
    parser.add_argument("--seconds", type=float, default=2.0, help="time per table row")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    add_check(parser)
    arguments = parser.parse_args()
    if importlib.util.find_spec("smplx") is None:
        not_run("the smplx package is not installed, which this compares with (pip install '.[smplx]')")
    if arguments.check:
        arguments.rows, arguments.seconds, arguments.write = [2], 0.0, False
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "smplx", "numba"))
    where = f"{platform.machine()}, {torch.get_num_threads()} thread(s), Python {platform.python_version()}"
    today = datetime.datetime.now(datetime.timezone.utc)
    lines = [
        "# Posing and skinning bodies",
        "",
        f"`benchmarks/bodies.py`, {today:%Y-%m-%d}, {where},",
        f"{versions}; the free body, float32.",
        "Medians in milliseconds, the three ways measured in turns in one run; the machine was shared with",
        "other work, so compare within a row. The last column is the smplx package's time divided by ours.",
        "The backward pass ends in shape, age, orientation, pose, hands, face and translation alike.",
        "",
        "| bodies | what | smplx package | ours, plain torch | ours, default | times faster |",
        "| ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for rows in arguments.rows:
            lines += measure(rows, Path(folder), arguments.seconds)
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.write:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(text)


if __name__ == "__main__":
    main()
