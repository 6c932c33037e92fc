"""ToxiGen, human-annotated: machine-written statements about 13 groups."""
