"""Who is asked: variants of a base model, read, checked and made."""
