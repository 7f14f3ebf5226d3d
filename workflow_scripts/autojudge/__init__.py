"""AutoJudge as a library: rooms by stage, in the order in which data pass (CONTRIBUTING.md shows the tree)."""
