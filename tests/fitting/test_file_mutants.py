"""Damaged scenes, presets, manifests and bodies end in the readers' own errors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from run_mutants import run_mutants

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory and time as Linux has them")


@linux
def test_damaged_files_end_in_the_readers_own_errors(tmp_path: Path) -> None:
    said = run_mutants(tmp_path, seed=1, count=80, module="scene_mutants")
    assert said.endswith("bad 0\n"), said


@linux
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_damaged_files(tmp_path: Path, seed: int) -> None:
    said = run_mutants(tmp_path, seed=seed, count=1000, module="scene_mutants")
    assert said.endswith("bad 0\n"), said
