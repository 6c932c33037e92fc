"""Where the answer comes from: the lm-eval task class, discovery, model backends."""
