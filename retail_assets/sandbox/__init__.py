"""The simulated retailer: a deterministic world, its ground truth, and servers that speak like the real systems."""
