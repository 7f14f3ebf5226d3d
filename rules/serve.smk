# Measurements in engines: asked for by name, never part of `rule all` (docs/serving.md).


rule measure_vllm:
    """Measure accuracy and speed of the target alone, lossless speculation and the judge in vLLM."""
    input:
        problems="results/{dataset}/{pair}/problems.parquet",
        tests=tests_of_dataset,
        export="results/{dataset}/{pair}/export/judge.json",
        judge=served_judge,
    output:
        "results/{dataset}/{pair}/vllm.csv",
    log:
        "logs/measure_vllm/{dataset}/{pair}.log",
        vllm="logs/measure_vllm/{dataset}/{pair}.vllm.log",
    benchmark:
        "benchmarks/measure_vllm/{dataset}/{pair}.tsv"
    conda:
        "../envs/gpu.yaml" if config["vllm"]["python"] else "../envs/vllm.yaml"
    threads: config["speed"]["threads"] or workflow.cores
    resources:
        mem_mb=growing_pair_resource("mem_mb"),
        runtime=growing_pair_resource("runtime"),
        gpu=pair_resource("gpus"),
    params:
        code=code("measure_vllm", task_member, vllm_members, classifier_members),
        task=dataset_value("task"),
        models=models_of_pair,
        settings=vllm_settings,
    script:
        "../workflow_scripts/measure_vllm.py"


rule plot_vllm:
    """Draw accuracy against tokens emitted per cycle, and tokens per second by batch, as vLLM measured them."""
    input:
        csv="results/{dataset}/{pair}/vllm.csv",
        # All that is measured by, too: without the csv, as after an interrupted measurement, an old figure is stale.
        problems="results/{dataset}/{pair}/problems.parquet",
        judge=served_judge,
    output:
        pdf="results/{dataset}/{pair}/vllm.pdf",
        png=in_report("results/{dataset}/{pair}/vllm.png", "vllm", "In vLLM", "{pair}"),
    log:
        "logs/plot_vllm/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/plot_vllm/{dataset}/{pair}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=10,
    params:
        code=code("plot_vllm"),
        measured_by=code("measure_vllm", task_member, vllm_members, classifier_members),
        models=models_of_pair,
        settings=vllm_settings,
        title="{dataset}, {pair}, in vLLM",
    script:
        "../workflow_scripts/plot_vllm.py"
