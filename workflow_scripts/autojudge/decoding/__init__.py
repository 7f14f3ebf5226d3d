"""Speculative decoding: proposers, the decoder, sets of thresholds, the sweep, speed."""
