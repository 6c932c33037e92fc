"""FairFace: faces balanced by race, with gender and age."""
