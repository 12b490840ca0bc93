"""Which side is meant: person order, the paper's rule, how far stated sides are believed, the posterior."""

from apu_contacts.sides.belief import SideBelief
from apu_contacts.sides.chirality import DenoisedContact, PersonOrder, denoise_chirality, person_order
from apu_contacts.sides.posterior import side_posteriors

__all__ = [
    "DenoisedContact",
    "PersonOrder",
    "SideBelief",
    "denoise_chirality",
    "person_order",
    "side_posteriors",
]
