"""What everything computes with: rotations, normals, ordered sums, precision, compiled code, threads."""
