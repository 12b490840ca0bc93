"""The production line: from photographs to meshes that touch where the people do, stage after stage.

Each stage reads files and leaves files that a person can read and mend; `apu run` is all of them in a row.
"""

from __future__ import annotations

from apu_losses.generate.contacts import ContactsReport, add_contacts
from apu_losses.generate.questions import repair_queries, scene_queries

__all__ = ["ContactsReport", "add_contacts", "repair_queries", "scene_queries"]
