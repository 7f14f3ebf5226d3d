rule preflight:
    """Check what could end a long run, and tell what will run: jobs, problems, hours, disk."""
    log:
        "logs/preflight.log",
    retries: 0
    localrule: True
    conda:
        "../envs/cpu.yaml"
    threads: 2  # programs run side by side
    resources:
        mem_mb=growing(6000),
        runtime=10,
    params:
        config={key: value for key, value in config.items() if key != "testbed"},
        local=lambda wildcards: workflow.local_exec,  # known only once the rules are read
    script:
        "../workflow_scripts/preflight.py"
