"""Turn the official implementation's mined labels into our tables, so that nobody mines them again.

    python workflow_scripts/import_official_labels.py FILE... --draft-hidden 2048 --folder results/gsm8k/PAIR

writes labels.parquet and features.parquet there; docs/judge.md describes the files.
"""

import argparse
import sys
from pathlib import Path

from autojudge.errors import InputError
from autojudge.mining.official_labels import import_labels


def import_official_labels() -> None:
    """Read the command line, write the tables and say what is in them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", help="files of the official calc_hiddens.py")
    parser.add_argument("--draft-hidden", type=int, required=True, help="hidden size of the draft (Llama 3.2 1B: 2048)")
    parser.add_argument("--folder", type=Path, required=True, help="where the tables go, results/DATASET/PAIR")
    args = parser.parse_args()
    try:
        found = import_labels(args.files, args.draft_hidden, args.folder)
    except InputError as fault:
        sys.exit(f"error: {fault}")
    print(
        f"{found['mismatches']} mismatches of {found['problems']} problems in {args.folder}, states of "
        f"{found['draft']} (draft) and {found['target']} (target) numbers"
    )


if __name__ == "__main__":
    import_official_labels()
