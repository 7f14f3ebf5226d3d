rule train_judge:
    """Fit every point of the classifier grid on the training split and measure it on the validation split."""
    input:
        labels="results/{dataset}/{pair}/labels.parquet",
        features="results/{dataset}/{pair}/features.parquet",
        library=library("train_judge"),
    output:
        "results/{dataset}/{pair}/grid.parquet",
    log:
        "logs/train_judge/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/train_judge/{dataset}/{pair}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        feature_sets=config["judge"]["feature_sets"],
        classifiers=config["judge"]["classifiers"],
        exclude_cut_off=config["judge"]["exclude_cut_off"],
        seed=config["seed"],
    script:
        "../workflow_scripts/train_judge.py"


rule select_judge:
    """Choose the judge by validation AUC and its threshold by recall, and write its artifact."""
    input:
        grid="results/{dataset}/{pair}/grid.parquet",
        labels="results/{dataset}/{pair}/labels.parquet",
        features="results/{dataset}/{pair}/features.parquet",
        library=library("select_judge", task_module),
    output:
        tensors="results/{dataset}/{pair}/judge/judge.safetensors",
        info="results/{dataset}/{pair}/judge/judge.json",
    log:
        "logs/select_judge/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/select_judge/{dataset}/{pair}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        feature_sets=config["judge"]["feature_sets"],
        select=config["judge"]["select"],
        exclude_cut_off=config["judge"]["exclude_cut_off"],
        task=lookup(within=config, dpath="datasets/{dataset}/task"),
        pair=lookup(within=config, dpath="pairs/{pair}"),
        seed=config["seed"],
    script:
        "../workflow_scripts/select_judge.py"
