"""CelebA: faces with 40 attributes."""
