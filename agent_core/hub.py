"""How do checkpoints travel? Through the Hugging Face hub, and only when a name begins with `hub:`.

A checkpoint folder already is what the hub expects: `model.safetensors`, `config.json`; `push` adds a model card.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

HUB = "hub:"
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
    name = source.removeprefix(HUB)
    try:
        return Path(_library().snapshot_download(name, allow_patterns=list(patterns)))
    except HubError:
        raise
    except Exception as error:  # network, authorisation and naming errors share no base class
        raise HubError(f"{source} could not be downloaded: {_first_line(error)}") from None


def push(folder: Path, target: str, facts: dict[str, Any], *, private: bool = False) -> str:
    """Upload a checkpoint folder to `hub:owner/name` with a model card; returns its address. Raises `HubError`.

    `facts`: games, parameters (millions), steps, episodes, frames.
    """
    if not target.startswith(HUB) or "/" not in target:
        raise HubError(f"a place on the hub is written {HUB}owner/name, got {target!r}")
    name = target.removeprefix(HUB)
    card = CARD.format(name=name, hub=HUB, **facts)
    library = _library()
    try:
        api = library.HfApi()
        api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=name,
            folder_path=str(folder),
            allow_patterns=["model.safetensors", "config.json"],
        )
        api.upload_file(repo_id=name, path_or_fileobj=card.encode(), path_in_repo="README.md")
    except Exception as error:
        raise HubError(f"{target} did not take {folder}: {_first_line(error)}") from None
    return f"https://huggingface.co/{name}"


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise HubError("the hub needs huggingface_hub: pip install 'iafm[hub]'") from None
    return huggingface_hub


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0]
