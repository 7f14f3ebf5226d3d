"""Question in, answer out: prompts, rows of datasets, answers read from responses, equality of formulas."""
