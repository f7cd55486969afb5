"""Lowest versions of the dependencies that pyproject.toml declares, as a constraints file for pip, one a line."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads(Path(__file__).parent.with_name("pyproject.toml").read_text())["project"]
for dependency in project["dependencies"]:
    name, version = re.fullmatch(r"([\w-]+)>=([\w.]+)", dependency).groups()
    print(f"{name}=={version}")
