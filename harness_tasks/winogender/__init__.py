"""Winogender: which pronoun does a model choose for sixty occupations?"""
