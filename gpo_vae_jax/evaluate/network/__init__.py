"""The learned network: edges, tests on held-out cells, and agreement with known networks."""
