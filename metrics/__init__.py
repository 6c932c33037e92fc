"""How answers are judged: numpy and scipy on counts, no I/O, no torch."""
