"""Who touches whom, and where: region maps, model answers, chirality, readers. Never imports torch."""

from apu_contacts._version import __version__ as __version__
from apu_contacts.lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    renamed={
        "assemble": "assemble_people",
        "convert": "convert_keypoints",
        "explain": "explain_region",
    },
)
