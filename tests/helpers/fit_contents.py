"""What a fit left in a folder, for comparisons."""

from __future__ import annotations

import json
from pathlib import Path


def contents(folder: Path) -> dict[str, bytes]:
    """Files by name; of records without the time that the fit took."""
    found = {}
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        if path.suffix == ".json":
            record = json.loads(data)
            del record["seconds"]
            data = json.dumps(record).encode()
        found[path.name] = data
    return found
