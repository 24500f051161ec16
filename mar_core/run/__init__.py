"""Running an archive over inputs: reading, batching, engines, writing."""
