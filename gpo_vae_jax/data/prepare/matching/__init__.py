"""Control matching: a control cell for every cell, by optimal transport or another method."""
