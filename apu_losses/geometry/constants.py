"""Numbers that back ends share, each once, with its reason. "Speed": no answer depends on it."""

from __future__ import annotations

BLOCK = 16  # vertices of a block: the lanes of one AVX-512 register. Speed
FACE_BLOCK = 8  # faces of a block: a triangle costs more than a vertex, so there are fewer. Speed
LEAF_FACES = 8  # faces of a leaf of the tree over them, for the same reason. Speed

FAR = 2.0  # `winding_number` opens no cluster beyond so many radii: errs by 0.03 at most on embraces

# Where `inside` begins, for closed and open meshes: there most queries are certain at once. Speed
OPEN_CLOSED, OPEN_OPEN = 1.6, 2.2
# On a GPU all queries of a program wait for those that walk again. Speed
OPEN_CLOSED_GPU, OPEN_OPEN_GPU = 2.0, 2.5
OPEN_MORE = 1.5  # each further walk opens clusters so many times further away. Speed
OPEN_WIDEST = 16.0  # beyond this a walk costs what all solid angles cost. Speed
WINDING_ROUNDING = 1e-3  # more than float32 sums of thousands of solid angles were ever seen to err

# The closest point of a triangle rounds in its own way; boxes may prune if these exceed what it errs by.
FACE_GROWTH = 4e-6  # share of their extent by which boxes of faces grow
FACE_CAUTION = 1 - 1e-5  # factor on the bounds of these boxes
