"""Game states of an episode: what the game said of itself at a step, as it goes over the wire."""

from __future__ import annotations

from typing import Any

from bridges.protocol.step_report import right_fields
from recorder import Episode
from recorder.format.manifest import EVENTS, iter_lines
from recorder.formats.bleeding_edge.layout import STATE_EVENT

States = dict[int, dict[str, Any]]


def game_states(episode: Episode) -> States:
    """The state at each step that has one: recorded over the wire, or the `states` of a Bleeding Edge file.

    What is damaged, or more than goes over the wire, is left out.
    """
    states: States = {}
    for _, row in iter_lines(episode.folder / EVENTS, on_error=lambda error: None):
        step = row.get("i")
        if row.get("kind") == "state":
            state = row.get("state")
        elif row.get("kind") == STATE_EVENT:
            state = {"values": row.get("values")}
        else:
            continue
        if type(step) is int and isinstance(state, dict) and _is_right(state, episode):
            states[step] = state
    return states


def _is_right(state: dict[str, Any], episode: Episode) -> bool:
    _, problems = right_fields({"state": state}, episode.spec)
    return not problems
