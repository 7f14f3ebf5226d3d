"""AutoJudge: lossy speculative decoding whose judge learns from mined labels (arXiv 2504.20039)."""
