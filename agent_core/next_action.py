"""How well are the next actions of held-out play foretold, beside doing nothing and repeating the last action?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from agent_core import metrics
from agent_core.agent import Agent
from bridges import Request
from games import Action
from recorder import Episode


def next_action_report(
    episodes: Sequence[Episode], agent: Agent, on_episode: Callable[[], None] | None = None
) -> dict[str, dict[str, float]]:
    """Metrics of the agent's greedy predictions while it watches recorded play, and of both baselines."""
    predictions: dict[str, list[list[Action]]] = {"model": [], "noop": [], "repeat_last": []}
    for episode in episodes:
        null = episode.spec.null_action()
        predictions["model"].append(foretell(episode, agent))
        predictions["noop"].append([null] * len(episode))
        predictions["repeat_last"].append([null, *episode.executed[:-1]])
        if on_episode:
            on_episode()
    return {name: _score(episodes, runs) for name, runs in predictions.items()}


def foretell(episode: Episode, agent: Agent) -> list[Action]:
    """What the agent would do at every step, told after each what was really executed."""
    player = agent.attach(episode.spec, seed=0)
    predicted: list[Action] = []
    executed: Action | None = None
    for frame, really in zip(episode.frames(), episode.executed, strict=True):
        request = Request(player, frame, episode.info.instruction, executed)
        predicted.append(agent.act([request])[0].action)
        executed = really
    player.close()
    return predicted


def _score(episodes: Sequence[Episode], runs: Sequence[Sequence[Action]]) -> dict[str, float]:
    spec = episodes[0].spec
    predicted = [action for run in runs for action in run]
    wanted = [action for episode in episodes for action in episode.actions]
    changes = [
        metrics.change_f1(run, episode.actions) for run, episode in zip(runs, episodes, strict=True)
    ]
    known = [value for value in changes if not math.isnan(value)]
    camera = metrics.camera_mae_deg(spec, predicted, wanted)
    found = {
        "bleu4": round(metrics.bleu4(spec, predicted, wanted), 4),
        "exact": round(metrics.exact_match(predicted, wanted), 4),
        "button_f1": round(metrics.button_f1(spec, predicted, wanted), 4),
        "change_f1": round(sum(known) / len(known), 4) if known else 0.0,
    }
    return found if math.isnan(camera) else {**found, "camera_mae_deg": round(camera, 4)}
