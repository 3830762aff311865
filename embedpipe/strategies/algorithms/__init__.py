"""Parts that several strategies share: greedy search, clusters, coverage, predictions."""
