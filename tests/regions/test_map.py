"""RegionMap: rows, files, refusal of what is no region map."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from apu_contacts.regions import REGIONS, RegionMap


@pytest.fixture
def small() -> RegionMap:
    """90 vertices: region r has the vertices r and r + 1; the last fourteen vertices have none."""
    rows = [[rid + 1, rid] for rid in range(75)]
    return RegionMap.from_lists(rows, 90, topology="toy", provenance="made up", approximate=False)


def test_rows(small: RegionMap) -> None:
    assert small.vertices(7).tolist() == [7, 8]
    assert small.union([7, 8, 20]).tolist() == [7, 8, 9, 20, 21]
    assert small.union([]).tolist() == []
    assert small.sizes.tolist() == [2] * 75
    assert small.offsets[-1] == len(small.vertex_ids) == 150


def test_labels_take_the_lowest_region_and_minus_one(small: RegionMap) -> None:
    assert small.labels().tolist() == [0, *range(75), *[-1] * 14]


def test_labels_round_trip() -> None:
    labels = np.random.default_rng(0).integers(-1, 75, 4000)
    regions = RegionMap.from_labels(labels, topology="toy", provenance="random")
    assert np.array_equal(regions.labels(), labels)
    assert regions.approximate


def test_explain_counts_vertices(small: RegionMap) -> None:
    assert "left palm" in small.explain(17) and "2 of 90 vertices" in small.explain("left palm")


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_files_round_trip(small: RegionMap, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"map{suffix}"
    small.save(path)
    back = RegionMap.load(path)
    assert back == small
    assert (back.provenance, back.topology, back.approximate) == ("made up", "toy", False)
    assert RegionMap.load(str(path)) == small


def test_npz_holds_no_pickle(small: RegionMap, tmp_path: Path) -> None:
    small.save(tmp_path / "map.npz")
    with np.load(tmp_path / "map.npz", allow_pickle=False) as archive:
        assert all(archive[key].dtype != object for key in archive.files)


def test_equality(small: RegionMap) -> None:
    assert small != RegionMap.from_labels(small.labels(), topology="toy", provenance="", approximate=False)
    assert small != RegionMap("other", 90, small.offsets, small.vertex_ids, "", False)
    assert small == RegionMap("toy", 90, small.offsets, small.vertex_ids, "another story", False)


def test_arrays_may_not_be_changed(small: RegionMap) -> None:
    with pytest.raises(ValueError, match="read-only"):
        small.vertices(3)[0] = 5


def test_bad_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"neither a bundled map \(free\) nor a file"):
        RegionMap.load(tmp_path / "nothing.npz")
    with pytest.raises(ValueError, match=r"must end in .npz or .json"):
        RegionMap.load("free").save(tmp_path / "map.pkl")
    files = {
        "text.npz": b"not a zip",
        "empty.npz": b"",
        "text.json": b"{",
        "list.json": b"[]",
        "other.json": json.dumps({"format": "other", "regions": [[]] * 75}).encode(),
    }
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.savez(tmp_path / "pickle.npz", header=np.array({"format": 1}, dtype=object))
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for name in [*files, "other.npz", "pickle.npz"]:
        with pytest.raises(ValueError, match=f"{name} is not a region map"):
            RegionMap.load(tmp_path / name)


@pytest.mark.parametrize(
    ("offsets", "ids", "message"),
    [
        (np.arange(75), np.arange(74), r"offsets must have shape \(76,\)"),
        (np.arange(76), np.arange(70), "ascend from 0 to 70"),
        (np.r_[1, np.arange(1, 76)], np.arange(75), "ascend from 0"),
        (np.arange(76), np.r_[np.arange(74), 90], "0 to 89, got .90.; is the map of another topology"),
        (np.r_[np.zeros(75, int), 2], [4, 4], "without repetition"),
        (np.r_[np.zeros(75, int), 2], [4, 3], "ascend within each region"),
    ],
)
def test_bad_rows_are_refused(offsets: np.ndarray, ids: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RegionMap("toy", 90, offsets, np.asarray(ids), "", True)


def test_ids_beyond_the_table_are_refused(small: RegionMap) -> None:
    for wrong in (-1, 75):
        with pytest.raises(ValueError, match=f"0 to 74, got {wrong}"):
            small.vertices(wrong)
    with pytest.raises(ValueError, match="75 lists"):
        RegionMap.from_lists([[0]], 3, topology="", provenance="")
    with pytest.raises(ValueError, match="-1 to 74"):
        RegionMap.from_labels([75], topology="", provenance="")


def test_bundled_map_has_every_region_on_both_sides() -> None:
    regions = RegionMap.load("free")
    assert regions.topology == "free" and regions.approximate
    assert regions.sizes.min() > 0
    assert [regions.sizes[each.mirror] for each in REGIONS] == regions.sizes.tolist()
    assert len(regions.union(range(75))) == regions.vertex_count


def test_import_is_light() -> None:
    code = "import apu_contacts.regions, sys; print([m for m in ('torch', 'scipy') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
