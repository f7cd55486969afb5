"""Hugging Face hub: download and upload of checkpoints named `hub:owner/name`.

Nothing is downloaded for other names. A checkpoint folder has the hub's own layout (`model.safetensors`,
`config.json`); `push` adds a model card. `hub:owner/name@revision` is a commit, a tag or a branch of a repository.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from agent_core.errors import HubError

HUB = "hub:"
FILES = "model.safetensors", "config.json"
CARD = """---
library_name: iafm
pipeline_tag: reinforcement-learning
tags: [game-agent, imitation-learning, iafm]
---

# {name}

An Interactive Agent Foundation Model that plays {games}: {parameters:.1f} M parameters, trained for {steps} steps on
{episodes} episodes ({frames} frames).

```bash
pip install "iafm[hub]"
iafm serve --checkpoint {hub}{name}
```
"""


def fetch(source: str, patterns: tuple[str, ...]) -> Path:
    """The folder of a source: a local path unchanged, or `hub:owner/name`, whose matching files are downloaded once.

    Raises `HubError`.
    """
    if not source.startswith(HUB):
        return Path(source)
    name, revision = _parse(source)
    library = _library()
    try:
        folder = library.snapshot_download(name, revision=revision, allow_patterns=list(patterns))
    except Exception as error:  # network, authorisation and naming errors share no base class
        raise HubError(f"{source} could not be downloaded: {_one_line(error)}") from None
    return Path(folder)


def push(folder: Path, target: str, metadata: dict[str, Any], *, private: bool = False) -> str:
    """Upload a checkpoint folder to `hub:owner/name` with a model card; returns its address. Raises `HubError`.

    `metadata`: games, parameters (millions), steps, episodes, frames.
    """
    name, revision = _parse(target)
    if revision:
        raise HubError(f"a checkpoint is pushed to {HUB}owner/name, without @{revision}")
    card = CARD.format(name=name, hub=HUB, **metadata)
    library = _library()
    try:
        api = library.HfApi()
        api.create_repo(name, private=private, exist_ok=True)
        files: dict[str, str | bytes] = {f: str(folder / f) for f in FILES}
        if not api.file_exists(name, "README.md"):  # an edited card stays
            files["README.md"] = card.encode()
        added = [library.CommitOperationAdd(path, content) for path, content in files.items()]
        api.create_commit(name, added, commit_message="Checkpoint by iafm")
    except Exception as error:
        raise HubError(f"{target} did not take {folder}: {_one_line(error)}") from None
    return f"https://huggingface.co/{name}"


def _parse(source: str) -> tuple[str, str | None]:
    """Repository and revision of `hub:owner/name@revision`."""
    match = re.fullmatch(re.escape(HUB) + r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", source)
    if not match:
        raise HubError(f"a hub repository is written {HUB}owner/name, got {source!r}")
    return match[1], match[2]


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise HubError("the hub needs huggingface_hub: pip install 'iafm[hub]'") from None
    return huggingface_hub


def _one_line(error: Exception) -> str:
    """The first two lines as one: the first is often the HTTP status alone, the second names its cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300]
