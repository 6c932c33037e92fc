"""Drawn discs with eyes and a mouth, clearly no faces: what a model can reach is known beforehand."""
