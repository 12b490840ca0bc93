"""The commands of `apu`, a file for each group: they read arguments, call the library and print."""
