# The store of finished work (docs/store.md): asked for by name, never part of `rule all`.


rule list_store:
    """Tell what the store of finished work holds, and how much of it this config does not use."""
    log:
        "logs/list_store.log",
    retries: 0
    localrule: True
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        models=models_of_runs(),
    script:
        "../workflow_scripts/list_store.py"


rule prune_store:
    """Drop from the store of this config's runs, once they are up to date, what the config does not use."""
    input:
        swept_runs(),
    log:
        "logs/prune_store.log",
    retries: 0
    localrule: True
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        models=models_of_runs(),
    script:
        "../workflow_scripts/prune_store.py"
