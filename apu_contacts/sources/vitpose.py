"""ViTPose keypoints that were written into BODY_25 slots, as BUDDI ships them."""

from __future__ import annotations

from pathlib import Path

from apu_contacts.keypoints import Keypoints2D
from apu_contacts.sources.openpose import read_openpose


def read_vitpose_body25(
    path: str | Path, *, hands_and_face: bool = False, score_scale: float = 1.0, allow_empty: bool = False
) -> list[Keypoints2D]:
    """Return the people of a ViTPose file in OpenPose's layout, in the file's order.

    Such a file has COCO's joints in the slots of BODY_25. COCO has no neck and no middle of the hips: those
    two slots are always zero, and stay missing here, because a midpoint of two joints that are there already
    says nothing new. A body-only model also leaves the feet, the hands and the face zero. ViTPose gives every
    other joint a confidence above 0, outside the image too: it says how sure it is, not whether the joint is
    visible.

    Args, Returns, Raises: as `apu_contacts.sources.read_openpose`.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> from apu_contacts import read_vitpose_body25
        >>> path = Path(tempfile.mkdtemp()) / "photo_keypoints.json"
        >>> _ = path.write_text(json.dumps({"people": [{"pose_keypoints_2d": [100.0, 50.0, 0.9] * 25}]}))
        >>> (person,) = read_vitpose_body25(path)
        >>> person.skeleton, len(person.xy)
        ('body25', 25)
    """
    return read_openpose(
        path, hands_and_face=hands_and_face, score_scale=score_scale, allow_empty=allow_empty
    )
