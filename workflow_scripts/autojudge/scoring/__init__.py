"""What responses are worth: the answer of a response to a problem, by the task that reads it or runs its program."""
