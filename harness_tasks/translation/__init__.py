"""Sentences of the user's own, to be translated from a language without gender."""
