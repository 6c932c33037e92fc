"""What is asked: one folder a dataset, an lm-eval YAML and its loader."""
