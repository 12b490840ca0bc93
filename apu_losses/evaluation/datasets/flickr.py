"""FlickrCI3D: annotated contacts of photographs, ``DATA/test/interaction_contact_signature.json``."""

from __future__ import annotations

from pathlib import Path

from apu_contacts.sources import read_flickr_signatures
from apu_losses.evaluation.datasets.folders import data_folder, first_folder, needed_file
from apu_losses.evaluation.frames import TruthFrame, TruthSet

_SIGNATURES = "interaction_contact_signature.json"


def flickr_frames(data: str | Path, *, part: str = "test", one_pair: bool = False) -> TruthSet:
    """Return the annotated pairs of FlickrCI3D. There is no true mesh: contacts are all that is known.

    Pairs are called ``IMAGE_K``, K the pair's number in the picture, as BUDDI calls its results. The fit's
    first person is the annotation's first.

    Args:
        data: the folder of the data set, of one part, or the file itself.
        part: ``"train"`` or ``"test"``.
        one_pair: leave out pictures with several annotated pairs.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is something else.
    """
    path = Path(data)
    if not path.is_file():
        root = data_folder(data, f"FlickrCI3D, with {part}/{_SIGNATURES}")
        places = [f"FlickrCI3D_{name}/{part}" for name in ("Signatures", "signature")]
        if (root / _SIGNATURES).is_file():
            path = root / _SIGNATURES
        else:
            folder = first_folder(root, (part, *places), f"the part {part!r}")
            path = needed_file(folder / _SIGNATURES, "the annotated contacts")
    images = read_flickr_signatures(path)
    chosen = {name: image for name, image in images.items() if len(image.pairs) == 1 or not one_pair}
    frames = [
        TruthFrame(
            key=f"{name}_{number}",
            group="all",
            cluster=name,
            contacts=pair.contacts,
            aliases=(name,) if len(image.pairs) == 1 else (),
            picture=name,
            boxes=image.boxes[[pair.person_a, pair.person_b]],
        )
        for name, image in chosen.items()
        for number, pair in enumerate(image.pairs)
    ]
    left = f", {len(images) - len(chosen)} pictures with several pairs left out" if one_pair else ""
    return TruthSet(
        "FlickrCI3D", frames, (f"{path.name}: {len(chosen)} pictures, {len(frames)} pairs{left}",)
    )
