"""Train a prior: what to learn from, what is wrong with a guess, and a loop that goes on where it was."""
