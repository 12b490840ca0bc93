"""Lists of people of whom one may be damaged."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from apu_contacts.keypoints import Keypoints2D, skeleton
from apu_contacts.sources.checks import ConventionError
from apu_contacts.sources.errors import SourceFormatError, SourceWarning

MAX_PEOPLE = 10_000
"""Records of one image; more are another file, or a damaged one."""


def each_person(
    count: int, read: Callable[[int], Keypoints2D], name: str, where: str = "the file"
) -> list[Keypoints2D]:
    """Everybody's keypoints; a person without joints in the place of a damaged record.

    Coordinates that are no pixels are the file's fault and not one person's: they are raised.

    Args:
        count: how many records there are.
        read: gives one person's keypoints.
        name: the skeleton of a person without joints.
        where: for messages.

    Warns:
        SourceWarning: for each damaged record.

    Raises:
        SourceFormatError: the first record's, if all are damaged or there are more than `MAX_PEOPLE`.
    """
    if count > MAX_PEOPLE:
        raise SourceFormatError(f"{where}: {count} people are more than {MAX_PEOPLE}")
    found: list[Keypoints2D] = []
    errors: list[SourceFormatError] = []
    joints = len(skeleton(name))
    for i in range(count):
        try:
            found.append(read(i))
        except ConventionError:
            raise
        except SourceFormatError as error:
            errors.append(error)
            found.append(Keypoints2D(name, np.zeros((joints, 2)), np.zeros(joints)))
    if errors and not any(person.valid.any() for person in found):
        raise errors[0]
    for said in errors:
        warnings.warn(f"left without joints: {said}", SourceWarning, stacklevel=3)
    return found
