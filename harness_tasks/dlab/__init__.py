"""Measuring Hate Speech (UC Berkeley D-Lab): comments and the identities they target, five axes."""
