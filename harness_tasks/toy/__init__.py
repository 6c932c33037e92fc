"""A generated, mild set with planted gaps: the truth is known beforehand."""
