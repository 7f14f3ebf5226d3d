"""The embedded test bed: generated word problems and a small model pair trained on them."""
