"""Replay report: recorded matches replayed to a player over the wire, its actions scored beside two baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, overload

from agent_core.evaluation.game_states import game_states
from agent_core.evaluation.match_scores import button_scores, match_scores, mean_scores
from bridges.live_replay import RecordedMatch
from bridges.replay import Answers, Forcing, Match, RecordedStep, ReplayClient
from games import Action, GameSpec
from recorder import CaptureError, Episode, Skipped

PLAYERS: dict[str, Forcing] = {"agent": "teacher_forced", "agent_free_running": "free_running"}
"""How the player is asked, by its name in the report."""
BASELINES = ("noop", "repeat_last")
TITLES = {
    "agent": "agent",
    "agent_free_running": "agent, free running",
    "noop": "no action",
    "repeat_last": "repeat the last",
}

Actions = dict[str, list[Action]]
"""An action for each step, by player."""
OnStep = Callable[[Episode, int, RecordedStep, Answers], object]
Report = dict[str, Any]


def match_of(episode: Episode) -> Match:
    """An episode as a match for `bridges.replay`; reading a step raises `CaptureError` where it is damaged."""
    return Match(episode.id, _steps(episode))


def _steps(episode: Episode) -> Iterator[RecordedStep]:
    frames = (frame for chunk in episode.video.chunks(len(episode)) for frame in chunk)
    rows = zip(frames, episode.executed, episode.instructions, episode.rewards, strict=True)
    states = game_states(episode)
    for index, row in enumerate(rows):
        yield RecordedStep(*row, states.get(index), episode.dropped_before.get(index, 0))


class EpisodeSteps(Sequence[RecordedStep]):
    """An episode's steps at any place; the frames around the last one that was read are in memory."""

    CHUNK = 64
    """Frames that are decoded together."""

    def __init__(self, episode: Episode) -> None:
        self._episode = episode
        self._begin, self._frames = 0, episode.frames(0, 0)
        self._states = game_states(episode)

    def __len__(self) -> int:
        return len(self._episode)

    @overload
    def __getitem__(self, index: int) -> RecordedStep: ...
    @overload
    def __getitem__(self, index: slice) -> list[RecordedStep]: ...
    def __getitem__(self, index: int | slice) -> RecordedStep | list[RecordedStep]:
        """Raises `CaptureError` where the video is damaged."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        if not self._begin <= index < self._begin + len(self._frames):
            self._begin = index - index % self.CHUNK
            self._frames = self._episode.frames(self._begin, self._begin + self.CHUNK)
        executed, reward = self._episode.executed[index], self._episode.rewards[index]
        frame, instruction = self._frames[index - self._begin], self._episode.instructions[index]
        dropped = self._episode.dropped_before.get(index, 0)
        state = self._states.get(index)
        return RecordedStep(frame, executed, instruction, reward, state, dropped)


def recorded_match(episode: Episode) -> RecordedMatch:
    """An episode as a match for `bridges.live_replay`."""
    return RecordedMatch(episode.id, EpisodeSteps(episode))


class MatchReplay:
    """Matches of one game, replayed one after the other; `report` has the scores of all that were."""

    def __init__(self, client: ReplayClient, spec: GameSpec) -> None:
        self._client, self._spec = client, spec
        self._episodes: list[Episode] = []
        self._actions: list[Actions] = []
        self._skipped: list[Skipped] = []
        self._failed = 0

    def run(self, episode: Episode, on_step: OnStep = lambda *_: None) -> Skipped | None:
        """Replay a match; returns why not where it turns out to be damaged and is skipped.

        Raises `BridgeError` once the server is gone.
        """
        actions: Actions = {name: [] for name in PLAYERS}

        def take(step: RecordedStep, answers: Answers) -> None:
            on_step(episode, len(actions["agent"]), step, answers)
            for name, forcing in PLAYERS.items():
                act = answers[forcing]
                self._failed += act is None
                actions[name].append(self._spec.normalize(act.action if act else {}))

        try:
            self._client.replay(match_of(episode), take)
        except CaptureError as error:
            self.skip(skipped := Skipped(episode.id, str(error)))
            return skipped
        null = self._spec.null_action()
        actions["noop"] = [null] * len(episode)
        actions["repeat_last"] = [null, *episode.executed[:-1]]
        self._episodes.append(episode)
        self._actions.append(actions)
        return None

    @property
    def matches(self) -> int:
        """Matches that were replayed to their end."""
        return len(self._episodes)

    def skip(self, *skipped: Skipped) -> None:
        """Count matches that cannot be replayed."""
        self._skipped += skipped

    def report(self) -> Report:
        """The figures: for each player means over the matches with intervals, and each match by itself.

        Raises `CaptureError` where no match was replayed to its end.
        """
        if not self._episodes:
            raise _nothing_left(self._skipped)
        by_match = [
            _by_player(episode, actions)
            for episode, actions in zip(self._episodes, self._actions, strict=True)
        ]
        return {
            "game": self._spec.id,
            "matches": len(self._episodes),
            "steps": sum(map(len, self._episodes)),
            "missing": sum(match["missing"] for match in by_match),
            "failed": self._failed,
            "skipped": [asdict(each) for each in self._skipped],
            **{name: self._overall(name, by_match) for name in (*PLAYERS, *BASELINES)},
            "by_match": by_match,
        }

    def _overall(self, player: str, by_match: Sequence[dict[str, Any]]) -> dict[str, Any]:
        predicted = [action for actions in self._actions for action in actions[player]]
        wanted = [action for episode in self._episodes for action in episode.actions]
        buttons = button_scores(self._spec, predicted, wanted)
        return {**mean_scores([match[player] for match in by_match]), "buttons": buttons}


def _by_player(episode: Episode, actions: Actions) -> dict[str, Any]:
    """One match's scores by player; `missing` counts the game's steps that were not recorded."""
    scores = {
        name: match_scores(episode.spec, predicted, episode.actions)
        for name, predicted in actions.items()
    }
    missing = sum(episode.dropped_before.values())
    return {"match": episode.id, "steps": len(episode), "missing": missing, **scores}


def _nothing_left(skipped: Sequence[Skipped]) -> CaptureError:
    why = f"; {skipped[0].source}: {skipped[0].why}" if skipped else ""
    return CaptureError(f"no match can be replayed ({len(skipped)} skipped{why})")


def gaps(episode: Episode) -> str:
    """A line about steps of the game that are missing in a match; empty where none is."""
    if not (dropped := episode.dropped_before):
        return ""
    places = ", ".join(map(str, sorted(dropped)[:5])) + ", …" * (len(dropped) > 5)
    return f"{episode.id}: {sum(dropped.values())} steps are missing, before step {places}"
