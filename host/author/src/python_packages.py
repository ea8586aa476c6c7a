"""Prints the first package that an environment does not have: the SDK, or one that a line of requirements.txt names."""

import re
from importlib import metadata, util
from pathlib import Path

def missing():
    if util.find_spec("landfall_sdk") is None or util.find_spec("landfall_sdk.build") is None:
        return "landfall-sdk"
    path = Path("requirements.txt")
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        name = re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*) *($|[#\[<>=!~@])", line)
        if name and ";" not in line:
            try:
                metadata.version(name[1])
            except metadata.PackageNotFoundError:
                return name[1]
    return ""

print(missing())
