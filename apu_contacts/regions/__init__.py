"""The 75 surface regions, the 17 body parts, and the vertices of a mesh that make up each region."""

from apu_contacts.regions.mapping import read_surface_mapping
from apu_contacts.regions.region_map import RegionMap
from apu_contacts.regions.table import (
    NUM_REGIONS,
    PART_ALTERNATIVES,
    PART_SIDES,
    PARTS,
    REGIONS,
    Region,
    explain_region,
    part_regions,
    parts_of,
    region,
)

__all__ = [
    "NUM_REGIONS",
    "PARTS",
    "PART_ALTERNATIVES",
    "PART_SIDES",
    "REGIONS",
    "Region",
    "RegionMap",
    "explain_region",
    "part_regions",
    "parts_of",
    "read_surface_mapping",
    "region",
]
