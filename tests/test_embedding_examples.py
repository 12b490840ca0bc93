"""The examples of embedding our terms: they run, do what they say, and stay short."""

from __future__ import annotations

import ast
import runpy
import shutil
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
EMBEDDING = sorted(
    p
    for p in EXAMPLES.glob("*.py")
    if p.name[:2] in ("01", "02", "07", "08", "09", "10", "11", "13", "15", "16")
)


def main_of(number: str):
    (path,) = EXAMPLES.glob(f"{number}_*.py")
    return runpy.run_path(str(path))["main"]


def lines_of_code(path: Path) -> int:
    """Lines that hold code: no blank lines, no comments, no docstrings."""
    text = path.read_text()
    docstrings = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Module, ast.FunctionDef)) and ast.get_docstring(node)
        for line in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    }
    lines = enumerate(text.splitlines(), 1)
    return sum(n not in docstrings and bool(x.strip()) and not x.strip().startswith("#") for n, x in lines)


@pytest.mark.parametrize("path", EMBEDDING, ids=lambda p: p.name)
def test_an_example_of_embedding_has_under_forty_lines(path):
    assert lines_of_code(path) < 40


@pytest.mark.long
def test_smplify_loop_on_a_body_of_smplx():
    pytest.importorskip("smplx")
    before, after, error = main_of("07")(iterations=60)
    assert before > 15 and after < 4 and error < 8


def test_refinement_of_posed_vertices():
    before, after, sideways = main_of("08")(iterations=60)
    assert before > 40 and after < 4 and sideways < 1


@pytest.mark.long
def test_compiled_training_step():
    history = main_of("09")(steps=15, pairs=2, backend="aot_eager")
    assert history[-1] < 0.5 * history[0]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="inductor needs a C++ compiler")
def test_compiled_training_step_with_inductor_gives_the_same():
    eager, inductor = (main_of("09")(steps=4, pairs=2, backend=b) for b in ("eager", "inductor"))
    assert inductor == pytest.approx(eager, rel=1e-4)


def test_trainer_with_torch_func():
    history = main_of("10")(steps=6, pairs=2)
    assert history[-1] < 0.9 * history[0]


def test_data_loader_with_workers_and_learned_trust():
    right, wrong = main_of("16")()
    assert right > 0.7 and wrong < 0.4


@pytest.mark.long
def test_watching_a_fit(tmp_path, capsys):
    path = main_of("11")(log_file=str(tmp_path / "fit.jsonl"))
    said = capsys.readouterr().out.splitlines()
    assert len(path) > 20 and path[0].shape == (2, 3)
    assert (path[-1] - path[0]).norm(dim=1).max() > 0.2  # the start is 40 cm apart in depth
    assert said[0].startswith("place 0: ") and "keypoints" in said[0]
    logged = (tmp_path / "fit.jsonl").read_text().splitlines()
    assert 0.1 * len(path) <= len(logged) <= 0.1 * len(path) + 6  # each stage counts from 0
