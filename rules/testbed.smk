# The embedded models ship with the repository; these rules make and measure them anew and are never part of `rule all`.


rule train_testbed:
    """Train both embedded models from nothing into results/testbed (resources/testbed/README.md tells how long)."""
    output:
        draft=directory("results/testbed/draft"),
        target=directory("results/testbed/target"),
    log:
        "logs/train_testbed.log",
    benchmark:
        "benchmarks/train_testbed/all.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=240,
    params:
        code=code("train_testbed"),
        models=lookup(within=config, dpath="testbed/models"),
    script:
        "../workflow_scripts/train_testbed.py"


rule evaluate_testbed:
    """Measure both embedded models: greedy accuracy on problems that they were not trained on."""
    output:
        "results/testbed_accuracy.json",
    log:
        "logs/evaluate_testbed.log",
    benchmark:
        "benchmarks/evaluate_testbed/all.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        code=code("evaluate_testbed", lambda wildcards: digests_of(TASKS, "arith")),
        models=lambda wildcards: models_of("testbed"),
        problems=lookup(within=config, dpath="testbed/evaluate/problems"),
        seed=lookup(within=config, dpath="testbed/evaluate/seed"),
    script:
        "../workflow_scripts/evaluate_testbed.py"
