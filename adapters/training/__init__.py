"""Trainings: every method of a comparison on the same data, in the same order, from the same start."""
