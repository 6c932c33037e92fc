"""UTKFace: faces whose file names hold age, gender and race."""
