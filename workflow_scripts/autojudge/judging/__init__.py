"""From labels to a judge: mismatches as matrices, classifiers, the choice among them, metrics, the judge's artifact.

Serving a judge needs `artifact` alone, with torch and safetensors.
"""
