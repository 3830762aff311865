"""What several strategies are built from: greedy searches, clusters, kernels, predictions."""
