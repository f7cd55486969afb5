"""Results on disk: one JSON file a finished stage, with the settings that it follows from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent_core.errors import ConfigError
from recorder.format.atomic import write_atomic

FOLDER = "results"
Result = dict[str, Any]


class Results:
    """The results below a comparison's folder, by stage."""

    def __init__(self, root: Path) -> None:
        self._folder, self._root = root / FOLDER, root
        self._read: dict[str, tuple[dict[str, Any], Result]] = {}

    def get(self, stage: str, settings: Mapping[str, Any]) -> Result | None:
        """A finished stage's result; None for one that has none yet. `settings` are as JSON has them.

        Raises `ConfigError` that names the first setting which was another one then.
        """
        if (saved := self._saved(stage)) is None:
            return None
        before, result = saved
        for name in sorted({*before, *settings}) if before != settings else ():
            then, now = before.get(name), settings.get(name)
            if then != now:
                raise ConfigError(
                    f"{self._root} belongs to another recipe: in {stage} {name} was {then!r}, now {now!r}; take "
                    "another folder with --run"
                )
        return result

    def _saved(self, stage: str) -> tuple[dict[str, Any], Result] | None:
        """Settings and result of a finished stage, read once."""
        if stage not in self._read:
            try:
                saved = json.loads(self._path(stage).read_text(encoding="utf-8"))
                self._read[stage] = dict(saved["settings"]), dict(saved["result"])
            except FileNotFoundError:
                return None
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(
                    f"{self._path(stage)} is damaged ({error}); delete it to run {stage} again"
                ) from None
        return self._read[stage]

    def put(self, stage: str, settings: Mapping[str, Any], result: Result) -> None:
        """Keep a stage's result; from then on the stage is finished."""
        path = self._path(stage)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps({"settings": dict(settings), "result": result}, indent=1))

    def _path(self, stage: str) -> Path:
        return self._folder / f"{stage}.json"
