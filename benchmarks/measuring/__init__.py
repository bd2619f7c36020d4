"""What every benchmark shares: options, result files, summaries, memory, the machine."""
