"""`apu dataset`, `apu audit` and `apu generate` as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pair_records import write_set
from typer.testing import CliRunner

from apu_losses.app.cli import app

pytest.importorskip("pyarrow", reason="data sets are Parquet: the extra [parquet]")


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.output + (str(result.exception) if result.exception else "")


def test_a_data_set_is_looked_at_checked_split_joined_and_exported(tmp_path: Path) -> None:
    rows = write_set(tmp_path / "a", range(9))
    kept = sum(r["verdict"]["kept"] for r in rows)
    code, said = call("dataset", "info", tmp_path / "a", "--cards")
    assert code == 0 and "handshake" in said and (tmp_path / "a" / "README.md").is_file()
    assert call("dataset", "verify", tmp_path / "a")[0] == 0
    code, said = call(
        "dataset", "split", tmp_path / "a", "-o", tmp_path / "parts", "--part", "x=0.6", "--part", "y=0.4"
    )
    assert code == 0 and "x" in said
    parts = [tmp_path / "parts" / name for name in "xy"]
    assert "9 records" in call("dataset", "merge", *parts, "-o", tmp_path / "b")[1]
    code, said = call("dataset", "export", tmp_path / "b", "-o", tmp_path / "npz", "--format", "buddi")
    assert code == 0 and f"{kept} pairs" in said
    (tmp_path / "a" / "000001.parquet").write_bytes(b"PAR1")
    code, said = call("dataset", "verify", tmp_path / "a")
    assert code == 1 and "000001.parquet" in said


def test_an_audit_is_written_and_nothing_else_is_replaced(tmp_path: Path) -> None:
    write_set(tmp_path / "a", range(4))
    code, said = call("audit", tmp_path / "a", "-o", tmp_path / "audit.json", "--rule", "shape=0.1")
    assert code == 0 and "shape" in said
    report = json.loads((tmp_path / "audit.json").read_text())
    assert report["rules"]["shape"] == {"threshold": 0.1, "measured": 4, "against": 4}
    (tmp_path / "mine.json").write_text("{}")
    assert "not a report of apu audit" in call("audit", tmp_path / "a", "-o", tmp_path / "mine.json")[1]
    assert "unknown rule 'shap'" in call("audit", tmp_path / "a", "--rule", "shap=1")[1]
    (tmp_path / "empty").mkdir()
    assert "neither shards of records" in call("audit", tmp_path / "empty")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "needs pictures"),
        (["nowhere", "--model", "m"], "no such file or folder"),
        (["x.png", "--shard", "3/3"], "--shard must be I/N"),
        (["x.png", "--rule", "depth"], "--rule must be NAME=NUMBER"),
        (["x.png"], "needs the name of a model"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    code, output = call("generate", *arguments, "-o", tmp_path / "out")
    assert code != 0 and said in output
