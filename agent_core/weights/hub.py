"""How do checkpoints travel? Through the Hugging Face hub, and only when a name begins with `hub:`.

A checkpoint folder already is what the hub expects: `model.safetensors`, `config.json`; `push` adds a model card.
`hub:owner/name@revision` is a repository as it was at a commit, a tag or a branch.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

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


class HubError(RuntimeError):
    """The hub did not give or take what was asked; the message says why."""


def fetched(source: str, patterns: tuple[str, ...]) -> Path:
    """A local path as it is; of `hub:owner/name` the files that match, downloaded once. Raises `HubError`."""
    if not source.startswith(HUB):
        return Path(source)
    name, revision = _named(source)
    library = _library()
    try:
        there = library.snapshot_download(name, revision=revision, allow_patterns=list(patterns))
    except Exception as error:  # network, authorisation and naming errors share no base class
        raise HubError(f"{source} could not be downloaded: {_said(error)}") from None
    return Path(there)


def push(folder: Path, target: str, metadata: dict[str, Any], *, private: bool = False) -> str:
    """Upload a checkpoint folder to `hub:owner/name` with a model card; returns its address. Raises `HubError`.

    `facts`: games, parameters (millions), steps, episodes, frames.
    """
    name, revision = _named(target)
    if revision:
        raise HubError(f"a checkpoint is pushed to {HUB}owner/name, without @{revision}")
    card = CARD.format(name=name, hub=HUB, **metadata)
    library = _library()
    try:
        api = library.HfApi()
        api.create_repo(name, private=private, exist_ok=True)
        files: dict[str, str | bytes] = {f: str(folder / f) for f in FILES}
        if not api.file_exists(name, "README.md"):  # a card may have been written on since
            files["README.md"] = card.encode()
        added = [library.CommitOperationAdd(path, what) for path, what in files.items()]
        api.create_commit(name, added, commit_message="Checkpoint by iafm")
    except Exception as error:
        raise HubError(f"{target} did not take {folder}: {_said(error)}") from None
    return f"https://huggingface.co/{name}"


def _named(source: str) -> tuple[str, str | None]:
    """Repository and revision."""
    match = re.fullmatch(re.escape(HUB) + r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", source)
    if not match:
        raise HubError(f"a place on the hub is written {HUB}owner/name, got {source!r}")
    return match[1], match[2]


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise HubError("the hub needs huggingface_hub: pip install 'iafm[hub]'") from None
    return huggingface_hub


def _said(error: Exception) -> str:
    """In one line; the library's first one often is a status alone, and the next one says of what."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300]
