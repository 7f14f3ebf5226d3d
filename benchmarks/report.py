"""What every benchmark ends with: its figures printed, and written to a file."""

import json
from pathlib import Path


def write_report(report, path, hidden=()):
    """Print the figures, but for the hidden ones, and write all of them as JSON to a path, if one is given."""
    for key, value in report.items():
        if key not in hidden:
            print(f"{key:34} {value}")
    save_report(report, path)


def save_report(report, path):
    """Write the figures as JSON to a path, if one is given."""
    if path:
        Path(path).write_text(json.dumps(report, indent=2) + "\n")
