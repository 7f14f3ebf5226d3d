"""Faults of the input, told to the user in one message."""


class InputError(ValueError):
    """Something the user gave is wrong; the message names the file, key or row and the remedy."""
