"""The table of regions and parts against facts that are written out here a second time."""

from __future__ import annotations

from pathlib import Path

import pytest

from apu_contacts.regions import (
    NUM_REGIONS,
    PART_ALTERNATIVES,
    PARTS,
    REGIONS,
    explain_region,
    part_regions,
    parts_of,
    region,
)

# The paper's list of parts (section 3.1), and the left ids of each as docs/regions.md has them.
LEFT_IDS = {
    "hand": {3, 17, 33, 72},
    "arm": {5, 11, 34, 49, 57, 69},
    "leg": {15, 20, 21, 25, 30, 45, 53, 56, 60, 64},
    "thigh": {15, 20, 45, 53},
    "chest": {59, 61},
    "stomach": {0, 74},
    "back": {35, 41, 48, 70},
    "neck": {14, 54},
    "face": {66},
    "head": {39, 66},
    "foot": {1, 67},
    "shoulder": {2, 73},
    "elbow": {11, 34},
    "knee": {30, 64},
    "forearm": {5, 69},
    "upper arm": {49, 57},
    "waist": {48, 50, 71, 74},
}
# The 21 groups of Image2Contact, which another project drew by hand (its combined_regions.txt).
COARSE = [
    {51, 66}, {39, 52}, {47, 54, 14, 43}, {7, 59, 58, 61}, {70, 63, 35, 13}, {4, 0, 68, 74},
    {41, 38, 48, 10}, {50}, {71, 9}, {19, 46, 55, 28}, {45, 20, 15, 53}, {16, 62, 12, 18},
    {64, 60, 30, 21}, {22, 42, 65, 36}, {25, 67, 1, 56}, {31, 37, 6, 29}, {73, 49, 2, 57}, {44, 8, 32, 24},
    {11, 69, 5, 34}, {23, 40, 26, 27}, {17, 33, 3, 72},
]  # fmt: skip


def test_ids_names_and_sides() -> None:
    assert [each.id for each in REGIONS] == list(range(NUM_REGIONS))
    assert len({each.name for each in REGIONS}) == NUM_REGIONS
    for each in REGIONS:
        expected = (
            "left"
            if each.name.startswith("left ")
            else "right"
            if each.name.startswith("right ")
            else "center"
        )
        assert each.side == expected
        assert each.description[0].islower() and each.description.endswith(".")
        assert abs(each.centroid[0]) < 0.52 and 0 <= each.centroid[1] <= 1


def test_mirror_is_an_involution_that_swaps_sides() -> None:
    swapped = {"left": "right", "right": "left", "center": "center"}
    for each in REGIONS:
        mirror = REGIONS[each.mirror]
        assert mirror.mirror == each.id
        assert mirror.side == swapped[each.side]
        assert mirror.name.replace("right ", "left ") == each.name.replace("right ", "left ")
        assert mirror.part == each.part
    assert [each.id for each in REGIONS if each.mirror == each.id] == [50]


def test_left_regions_lie_on_the_left() -> None:
    for each in REGIONS:
        assert (each.centroid[0] > 0) == (each.side == "left") or each.side == "center"


def test_parts_are_the_papers_and_their_tables() -> None:
    assert tuple(LEFT_IDS) == PARTS
    for part, ids in LEFT_IDS.items():
        assert set(part_regions(part, "left")) == ids
        assert set(part_regions(part, "right")) == {REGIONS[rid].mirror for rid in ids}


@pytest.mark.parametrize("side", ["both", "none"])
def test_both_and_none_are_the_union(side: str) -> None:
    for part in PARTS:
        union = set(part_regions(part, "left")) | set(part_regions(part, "right"))
        assert part_regions(part, side) == tuple(sorted(union))


def test_every_region_is_reached() -> None:
    reached = {rid for part in PARTS for rid in part_regions(part)}
    assert reached == set(range(NUM_REGIONS))
    assert all(each.part in parts_of(each.id) for each in REGIONS)
    # Without the buttocks, the two buttocks are what is lost.
    narrow = {rid for part in PARTS for rid in part_regions(part, "both", ["waist:without_buttocks"])}
    assert set(range(NUM_REGIONS)) - narrow == {9, 71}


def test_parts_are_unions_of_the_coarse_groups_of_another_project() -> None:
    assert set().union(*COARSE) == set(range(NUM_REGIONS))
    for part in ("hand", "chest", "stomach", "neck", "face", "head", "thigh"):
        ids = set(part_regions(part))
        assert ids == set().union(*[group for group in COARSE if group & ids])


def test_alternatives() -> None:
    for name, note in PART_ALTERNATIVES.items():
        part = name.split(":")[0]
        assert note
        assert part_regions(part, "both", [name]) != part_regions(part)
        mirrored = {REGIONS[rid].mirror for rid in part_regions(part, "left", [name])}
        assert set(part_regions(part, "right", [name])) == mirrored
    assert part_regions("leg", "left", ["leg:lower_leg_only"]) == (21, 25, 56, 60)
    assert part_regions("hand", "left", ["leg:lower_leg_only"]) == part_regions("hand", "left")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hip", "left"), "part must be one of hand, arm"),
        (("Hand", "left"), "got 'Hand'"),
        (("hand", "middle"), "side must be one of left, right, both, none"),
        (("leg", "left", ["leg:short"]), "leg:lower_leg_only"),
        (("leg", "left", "leg:lower_leg_only"), "sequence of names"),
        (("waist", "left", ["waist:natural_waist_ring", "waist:without_buttocks"]), "'waist' twice"),
    ],
)
def test_unknown_names_are_named(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        part_regions(*arguments)  # type: ignore[arg-type]  # wrong on purpose


def test_look_up_by_id_and_name() -> None:
    assert region(17) is REGIONS[17] is region("17") is region("Left  Palm")
    for wrong in (75, -1, "-1", "75"):
        with pytest.raises(KeyError, match="0 to 74"):
            region(wrong)
    with pytest.raises(KeyError, match="left palm"):
        region("left plam")


def test_explain_says_where_mirror_and_parts() -> None:
    text = explain_region(71)
    assert "Region 71: left buttock" in text
    assert "region 9, right buttock" in text
    assert "waist (left)" in text
    assert "itself" in explain_region(50) and "waist (left, right)" in explain_region(50)
    assert "arm (right), elbow (right)" in explain_region("right back elbow")


def test_docs_page_has_the_same_tables() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "regions.md").read_text(encoding="utf-8")
    for each in REGIONS:
        assert f"| {each.id} | {each.name} | {each.mirror} | {', '.join(parts_of(each.id))} |" in page
    for part in PARTS:
        sides = (", ".join(map(str, part_regions(part, side))) for side in ("left", "right"))
        assert f"| {part} | {' | '.join(sides)} |" in page
    assert all(f"`{name}`" in page for name in PART_ALTERNATIVES)
