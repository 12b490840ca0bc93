"""The `apu` command, the demo and the doctor: thin, everything that they do is in the library."""
