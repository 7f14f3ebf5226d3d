"""What people look at: statistics of sweeps, figures, tables and pages, W&B. Nothing computes from it."""
