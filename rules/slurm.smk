"""What Slurm's executor lacks to outlive a restart of Slurm's controller, where sites have no accounting database.

At every look at its jobs it asks the controller how long ended jobs stay in squeue. Left without an answer it turns from
squeue to sacct, which fails there for good, and then forgets all of its jobs: snakemake would wait for ever.
"""

import sys

executor = sys.modules.get("snakemake_executor_plugin_slurm")
if hasattr(executor, "get_min_job_age"):

    def repeat_last_answer(ask):
        """Ask, and where there is no answer give the last one."""
        last = None

        def answer():
            nonlocal last
            last = ask() or last
            return last

        return answer

    executor.get_min_job_age = repeat_last_answer(executor.get_min_job_age)
