"""WinoMT, English to Turkish and back: which pronoun does a model choose for the nurse and for the engineer?"""
