"""The tables of the workflow: their columns, and how they are written and read."""
