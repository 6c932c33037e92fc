"""Yelp reviews: 45 prompts that ask for the author's gender, and the perplexity of held-out reviews."""
