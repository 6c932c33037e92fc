"""A folder of images of the user's own."""
