"""The prior of two people near each other: a diffusion model, its training, its part in a fit.

`load_prior` reads one, `apu_losses.fitting` uses it as the term ``prior``, `apu train-prior` makes one.
"""

from apu_losses.prior.buddi import BuddiNetwork, BuddiOptions
from apu_losses.prior.gaussian import GaussianDesign
from apu_losses.prior.guidance import Guidance, drawn_noise, guide
from apu_losses.prior.layout import PriorLayout
from apu_losses.prior.load import load_prior
from apu_losses.prior.model import DESIGNS, ContactPrior, make_network, read_prior
from apu_losses.prior.representation import DecodedPair, bodies_of, decode, encode, root_offset
from apu_losses.prior.schedule import CosineSchedule, evenly_spaced

__all__ = [
    "DESIGNS",
    "BuddiNetwork",
    "BuddiOptions",
    "ContactPrior",
    "CosineSchedule",
    "DecodedPair",
    "GaussianDesign",
    "Guidance",
    "PriorLayout",
    "bodies_of",
    "decode",
    "drawn_noise",
    "encode",
    "evenly_spaced",
    "guide",
    "load_prior",
    "make_network",
    "read_prior",
    "root_offset",
]
