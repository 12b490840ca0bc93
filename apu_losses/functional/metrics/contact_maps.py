"""How wrong a contact map is before any body is fitted to it: said against true."""

from __future__ import annotations

from typing import NamedTuple

from apu_contacts.contacts import ContactMap


class ContactMapError(NamedTuple):
    """What is wrong with a map.

    Attributes:
        invented: share of its weight on contacts that are not true; NaN for a map without weight.
        missed: share of the true region pairs that none of its contacts covers; NaN if there is none.
        contacts: number of its contacts.
    """

    invented: float
    missed: float
    contacts: int


def contact_map_error(said: ContactMap, true: ContactMap) -> ContactMapError:
    """Compare a map, such as an answer before or after its sides were repaired, with true region pairs.

    A contact (a group of region pairs, "somewhere on the arm touches somewhere on the back") is true if one
    of its pairs is; a true pair is covered if a contact with weight names it. An answer that names large
    parts covers much, so look at both shares.
    """
    pairs = {(int(a), int(b)) for a, b in true.pairs.tolist()}
    weight = wrong = 0.0
    covered: set[tuple[int, int]] = set()
    groups = said.groups()
    for group in groups:
        hits = pairs & {(a, b) for a in group.regions_a for b in group.regions_b}
        weight += group.weight
        wrong += 0.0 if hits else group.weight
        if group.weight > 0:
            covered |= hits
    return ContactMapError(
        wrong / weight if weight > 0 else float("nan"),
        1 - len(covered) / len(pairs) if pairs else float("nan"),
        len(groups),
    )
