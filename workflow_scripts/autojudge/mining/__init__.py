"""From problems to labels: problems drawn and split, the miner (Algorithm 1), how texts seem to go on."""
