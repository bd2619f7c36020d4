"""What the benchmarks run on: simulated cells of the published data sets' sizes."""
