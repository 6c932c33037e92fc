"""HateXplain: posts labelled by three annotators each, with the communities they target."""
