"""The learned network: its edges, their evidence, and what is known of them."""
