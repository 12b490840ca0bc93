"""The short form that every program of this folder has: ``--check``.

It runs all that the program does, once and on the least there is, in seconds, and writes no result. Figures
of it mean nothing. A test starts every program so: a program that needs what is not there says what.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from apu_losses.fitting import Preset

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"


def add_check(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "--check", action="store_true", help="run everything once on the least there is; writes no result"
    )


def not_run(why: str) -> NoReturn:
    """End the program: it needs what this machine does not have."""
    raise SystemExit(f"not run: {why}")


def require_photographs(folder: Path) -> None:
    """End the program where the real photographs are not there."""
    if not folder.is_dir():
        not_run(f"{folder} is absent; the real photographs are not part of the repository")


def shortened(preset: Preset, iterations: int) -> Preset:
    """Return the preset with stages of at most so many iterations."""
    stages = [replace(s, max_iterations=min(s.max_iterations, iterations)) for s in preset.stages]
    return replace(preset, stages=tuple(stages))
