"""Prints the first package that an environment does not have: the SDK, or one that a line of requirements.txt names. If it has all, prints
the first one that was copied from a folder and differs from it: its name, a tab and the folder."""

import json
import re
from importlib import metadata, util
from pathlib import Path
from urllib.parse import unquote, urlparse

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

def outdated():
    for package in metadata.distributions():
        origin = json.loads(package.read_text("direct_url.json") or "{}")
        url = urlparse(origin.get("url", ""))
        if url.scheme != "file" or origin.get("dir_info", {"editable": True}).get("editable"):
            continue
        folder = Path(unquote(url.path))
        for file in package.files or []:
            sources = [base / file for base in (folder, folder / "src") if (base / file).is_file()]
            installed = Path(file.locate())
            if file.suffix == ".py" and sources and installed.is_file() and sources[0].read_bytes() != installed.read_bytes():
                return f"{package.metadata['Name']}\t{folder}"
    return ""

print(missing() or outdated())
