"""Every loss, prior and measure as a function without state, in one flat namespace; measures in `metrics`.

Each returns one value per item, unreduced. A loss comes in two steps where its search is costly: ``select_*``
finds the points that decide it, ``*_energy`` computes its value from their positions.
"""

from apu_contacts.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
