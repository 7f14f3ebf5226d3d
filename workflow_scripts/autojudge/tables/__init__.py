"""The tables of the workflow: their columns, declared by stage, and how they are written and read.

A stage imports the declarations of its own tables and of those that it reads, so that what is declared for a later
stage is no part of its code. Explanations are given as `doc`, which fingerprints of the code leave out like docstrings.
"""
