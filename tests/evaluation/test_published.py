"""What others published: as printed, each with its source, and never in one table with another's."""

from __future__ import annotations

import json

import numpy as np
import pytest

from apu_losses.evaluation import (
    METRICS,
    PROTOCOLS,
    Evaluation,
    Table,
    field_table,
    published_tables,
    tables_of,
)
from apu_losses.evaluation.measures import FrameRecord, MethodRecords
from apu_losses.evaluation.report import is_report, published_report
from apu_losses.evaluation.summary import Resampling


def test_every_table_says_where_it_is_from():
    tables = published_tables()
    assert len({table.identity for table in tables}) == len(tables)
    for table in tables:
        assert table.protocol in PROTOCOLS
        assert len(table.source) > 10
        for column in table.columns:
            assert column.metric in METRICS
        for row in table.rows:
            assert len(row.values) == len(table.columns)
            assert any(value is not None for value in row.values)
    assert {table.protocol for table in tables} == set(PROTOCOLS)


@pytest.mark.parametrize("identity", ["apu-ntu", "apu-hi4d"])
def test_the_papers_mean_is_the_mean_of_its_classes(identity):
    table = next(table for table in published_tables() if table.identity == identity)
    for row in table.rows:
        assert row.values[0] == pytest.approx(np.mean(row.values[1:]), abs=0.051)
    assert table.columns[0].mean == "classes"


def test_the_papers_own_figures():
    """Read off the paper a second time."""
    ntu, hi4d = (
        next(t for t in published_tables() if t.identity == name) for name in ("apu-ntu", "apu-hi4d")
    )
    last = {row.method: row.values for row in ntu.rows}["APU (contact prior)"]
    assert last == (92.5, 86.7, 101.2, 87.8, 89.7, 90.9, 94.1, 94.6, 94.8)
    assert ntu.frames == 309
    assert {row.method: row.values[0] for row in hi4d.rows} == {
        "BUDDI": 95.6,
        "BEV": 138.3,
        "Optimization": 125.7,
        "Heuristic": 119.6,
        "BUDDI*": 111.5,
        "APU (Auto CM)**": 106.8,
        "APU (Auto CM)": 100.2,
    }


def test_bev_differs_between_tables_which_stay_apart():
    bev = {
        table.identity: row.values[0]
        for table in tables_of("hi4d")
        for row in table.rows
        if row.method == "BEV"
    }
    assert sorted(bev.values()) == [136, 138.3, 144]
    sources = [
        {note for note in field_table(t).notes if note.startswith("source")} for t in tables_of("hi4d")
    ]
    assert all(len(found) == 1 for found in sources)


def evaluation() -> Evaluation:
    records = [
        FrameRecord(f"k{i}", group, f"r{i // 2}", {"joint_pa": value, "person_pa_a": 30.0, "f1": 0.01})
        for i, (group, value) in enumerate([("hug", 80.0), ("hug", 60.0), ("talk", 50.0), ("talk", 54.0)])
    ]
    method = MethodRecords("my_fits & co", tuple(records), missing=("k9",))
    return Evaluation("hi4d", "Hi4D", {"hug": 3, "talk": 2}, (method,), "joints", caveats=("why",))


def test_the_own_row_stands_in_each_table():
    found = evaluation().tables()
    paper = next(table for table in found if "camera 4" in table.title)
    own = dict(zip(paper.header, paper.rows[-1], strict=True))
    assert own["Mean"] == "61.0"  # of 70 and 52
    assert (own["Hug"], own["Talk"], own["Dance"], own["n"]) == ("70.0", "52.0", "", "4")
    assert (len(paper.rows) - 1, paper.header.index("Talk")) in paper.bold
    assert (len(paper.rows) - 1, paper.header.index("Mean")) in paper.bold
    assert "not like for like: why" in paper.notes
    assert any(note.startswith("4 of 5 frames solved, 1 without a fit") for note in found[0].notes)


def test_formats_escape_names_and_are_known_again(tmp_path):
    done = evaluation()
    assert r"my\_fits \& co" in done.write("latex")
    assert r"my\_fits & co" in done.write("markdown")
    text = done.write("text")
    assert "> my_fits & co" in text
    assert all(line == line.rstrip() for line in text.splitlines())
    data = json.loads(done.write("json"))
    assert data["methods"][0]["metrics"]["joint_pa"]["mean"] == 61.0
    assert data["methods"][0]["metrics"]["joint_pa"]["by_class"] == {"hug": 70.0, "talk": 52.0}
    assert len(data["methods"][0]["records"]) == 4
    for form in ("latex", "markdown", "text", "json"):
        (tmp_path / form).write_text(done.write(form))
        assert is_report(tmp_path / form)
        (tmp_path / form).write_text(published_report("ntu", form))
        assert is_report(tmp_path / form)
    (tmp_path / "mine").write_text("my own notes")
    assert not is_report(tmp_path / "mine")
    with pytest.raises(ValueError, match="form must be one of text, markdown, latex, got 'html'"):
        done.write("html")


def test_intervals_do_not_change_the_mean_and_tables_are_rectangular():
    assert evaluation().tables()[0].rows[0][1] == "61.0"
    with pytest.raises(ValueError, match="a row must have 2 cells, got 1"):
        Table("t", ("a", "b"), (("x",),))
    assert Resampling().seed == 0
