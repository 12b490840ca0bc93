"""Damaged files end in the readers' own errors, in bounded memory and time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from run_mutants import run_mutants


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory and time as Linux has them")
def test_damaged_files_end_in_the_readers_own_errors(tmp_path: Path) -> None:
    said = run_mutants(tmp_path, seed=1, count=80)
    assert said.endswith("bad 0\n"), said


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory and time as Linux has them")
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_damaged_files(tmp_path: Path, seed: int) -> None:
    said = run_mutants(tmp_path, seed=seed, count=1000)
    assert said.endswith("bad 0\n"), said
