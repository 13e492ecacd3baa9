"""The names of the layouts of datasets, by the table of docs/DATASETS.md, which `test_documentation.py` compares with the program."""

import pathlib
import re

_TABLE = (pathlib.Path(__file__).resolve().parents[2] / "docs/DATASETS.md").read_text().split("| `--format` |")[1].split("\n\n")[0]
LAYOUTS = re.findall(r"^\| `(\w+)` \|", _TABLE, re.MULTILINE)
# 4M takes few codes, each below 65,536: it has tests of its own.
ANY_CODES = [name for name in LAYOUTS if name != "4m"]
