"""Policy of one's own on the command line: `--policy module:NAME`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent_core.cli.arguments import UsageError

if TYPE_CHECKING:
    from bridges.policy import Policy

METHODS = ("attach", "act", "ask")
"""What a policy has, beside its name (`bridges.policy.Policy`)."""


def policy_name(names: Sequence[str]) -> Callable[[str], str]:
    """An argparse type: one of these names, or module:NAME."""

    def policy(text: str) -> str:
        if text in names or ":" in text:
            return text
        from games import did_you_mean

        hint = did_you_mean(text, names) or f"; there are {', '.join(names)} and module:NAME"
        raise argparse.ArgumentTypeError(f"no policy {text!r}{hint}")

    return policy


def load_policy(target: str) -> Policy:
    """The policy `NAME` of a module, which may lie in the current folder; raises `UsageError` where there is none."""
    module, _, name = target.partition(":")
    sys.path.insert(0, folder := str(Path.cwd()))
    try:
        policy: Policy = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, SyntaxError, ValueError) as error:
        raise UsageError(f"cannot load the policy {target!r}: {error}") from error
    finally:
        sys.path.remove(folder)
    missing = [m for m in METHODS if not callable(getattr(policy, m, None))]
    if missing or isinstance(policy, type) or not isinstance(getattr(policy, "name", None), str):
        lack = f"lacks {', '.join(missing) or 'a name'}"
        why = "is a class, not an object of it" if isinstance(policy, type) else lack
        raise UsageError(f"{target!r} {why}; bridges/policy.py says what a policy is")
    return policy
