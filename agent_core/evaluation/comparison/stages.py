"""Stages of a comparison: recordings, references, and for every seed its trainings, each scored and played.

A stage does its work with what the rest of the package has for it (`iafm record`, `train`, `evaluate`), and can be
repeated: a recording adds the seeds that lack, a training resumes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from agent_core.config import RunConfig
from agent_core.errors import ConfigError
from agent_core.evaluation.closed_loop import Setup, load_policy, run_episodes
from agent_core.evaluation.comparison.recipe import MATCH_SEED, Condition, Recipe
from agent_core.evaluation.comparison.results import Result
from agent_core.evaluation.comparison.scoring import baseline_scores, policy_scores
from agent_core.evaluation.plan import Evaluation
from agent_core.recording.expert import RecordingPlan, record_expert
from agent_core.training.progress_bar import ProgressBar
from agent_core.training.trainer import train
from games.registry import load
from recorder import CaptureError, EpisodeSet, open_readable

logger = logging.getLogger("iafm.compare")
PROTOCOLS = {"with_actions": True, "frames_only": False}
"""Whether a policy reads what was done at earlier steps, by the name of its scores: as in the paper, and without."""
_FREE = ("device", "precision", "compile", "log_every", "save_every_s")
"""Training settings that change no result but by rounding."""


class StoppedError(Exception):
    """A training was stopped by a signal, and saved; the exit code that goes with it."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"stopped by signal {exit_code - 128}")
        self.exit_code = exit_code


@dataclass(frozen=True)
class Stage:
    """One step of a comparison."""

    name: str
    title: str
    settings: Mapping[str, Any]
    """All that its result depends on."""
    work: Callable[[], Result]


@dataclass(frozen=True)
class Training:
    """One training: of all games (`pretrain`), or of one."""

    kind: str
    seed: int
    game: str = ""

    @property
    def title(self) -> str:
        return f"seed {self.seed}: {self.kind} {self.game}".rstrip()

    @property
    def before(self) -> Training | None:
        """The training whose weights it begins with."""
        return Training("pretrain", self.seed) if self.kind == "finetune" else None


def trainings_of(condition: Condition, seed: int, game: str) -> tuple[Training, ...]:
    """What a condition's weights went through, the first training first."""
    match condition:
        case "pretrained":
            return (Training("pretrain", seed),)
        case "finetuned":
            return (Training("pretrain", seed), Training("finetune", seed, game))
    return (Training(condition, seed, game),)


class Plan:
    """All stages of a recipe below the folder `root`."""

    def __init__(self, recipe: Recipe, root: Path) -> None:
        self.recipe, self.root = recipe, root
        self._names = {game: load(game).spec.name for game in recipe.games}
        self._settings: dict[str, dict[str, Any]] = {}

    def stages(self) -> Iterator[Stage]:
        """In the order in which they run: everything of one seed before the next."""
        for game in self.recipe.games:
            yield self.recording(game)
            yield self.match_recording(game)
        for game in self.recipe.games:
            yield self.baselines(game)
            yield self.reference_play(game)
        for seed in self.recipe.seeds:
            trained: set[Training] = set()
            for condition in ("pretrained", "finetuned", "scratch", "scratch_long"):
                if condition not in self.recipe.conditions:
                    continue
                for game in self.recipe.games:
                    new = [t for t in trainings_of(condition, seed, game) if t not in trained]
                    yield from map(self.training, new)
                    trained.update(new)
                    yield self.scores(trainings_of(condition, seed, game)[-1], game)
                    yield self.play(trainings_of(condition, seed, game)[-1], game)

    def recording(self, game: str) -> Stage:
        """The expert's episodes for training."""
        recipe = self.recipe
        plan = RecordingPlan(
            self.data(game), recipe.games[game].episodes, noise_prob=recipe.noise_prob,
            tasks=recipe.games[game].tasks, game=game,
        )  # fmt: skip
        return Stage(
            f"record/{self._names[game]}",
            f"recording {game} for training",
            self._recorded(game),
            lambda: self._record(plan),
        )

    def match_recording(self, game: str) -> Stage:
        """The expert's held-out matches."""
        plan = RecordingPlan(
            self.matches(game), self.recipe.matches, MATCH_SEED, noise_prob=0.0,
            tasks=self.recipe.games[game].tasks, game=game,
        )  # fmt: skip
        return Stage(
            f"matches/{self._names[game]}",
            f"recording held-out matches of {game}",
            self._held_out(game),
            lambda: self._record(plan),
        )

    def baselines(self, game: str) -> Stage:
        """Scores of doing nothing, and of the same again."""
        return Stage(
            f"references/{self._names[game]}-scores",
            f"scoring both baselines on {game}",
            self._held_out(game),
            lambda: baseline_scores(open_readable(self.matches(game), strict=True)),
        )

    def reference_play(self, game: str) -> Stage:
        """Success of the expert and of random play."""
        return Stage(
            f"references/{self._names[game]}-play",
            f"playing {game}: the expert and random actions",
            self._played(game),
            lambda: self._play(game, None, ("expert", "random")),
        )

    def training(self, training: Training) -> Stage:
        """One training; a stopped one resumes."""
        steps = self.recipe.steps(training.kind)
        return Stage(
            f"{self.name(training)}/train",
            f"{training.title}, {steps:,} steps",
            self._trained(training),
            lambda: self._train(training),
        )

    def scores(self, training: Training, game: str) -> Stage:
        """Scores of a checkpoint on a game's held-out matches."""
        return Stage(
            f"{self.name(training)}/{self._names[game]}-scores",
            f"{training.title}: scoring on {game}",
            {**self._trained(training), **self._held_out(game)},
            lambda: self._score(training, game),
        )

    def play(self, training: Training, game: str) -> Stage:
        """Success of a checkpoint in closed loop."""
        return Stage(
            f"{self.name(training)}/{self._names[game]}-play",
            f"{training.title}: playing {game}",
            {**self._trained(training), **self._played(game)},
            lambda: self._play(game, self.checkpoint(training), ("agent",)),
        )

    def name(self, training: Training) -> str:
        """Of a training, its run's folder and its results."""
        game = self._names[training.game] + "-" if training.game else ""
        return f"seed-{training.seed}/{game}{training.kind}"

    def data(self, game: str) -> Path:
        """Folder of a game's episodes for training."""
        named = self.recipe.games[game].data
        return Path(named) if named else self.root / "data" / self._names[game]

    def matches(self, game: str) -> Path:
        """Folder of a game's held-out matches."""
        return self.root / "matches" / self._names[game]

    def checkpoint(self, training: Training) -> Path:
        """Folder of a training's weights."""
        return self.root / self.name(training) / self.recipe.weights

    def config(self, training: Training) -> RunConfig:
        """The configuration of a training's run."""
        settings = self.recipe.settings(training.kind)
        games = [training.game] if training.game else list(self.recipe.games)
        cache = self.root / "cache" / "-".join(self._names[game] for game in games)
        data = {"episodes": tuple(str(self.data(game)) for game in games), "cache": str(cache)}
        before = training.before
        start: dict[str, Any] = {"seed": training.seed}
        if before is not None:
            start["init_from"] = str(self.checkpoint(before))
        return settings.model_copy(
            update={
                "data": settings.data.model_copy(update=data),
                "train": settings.train.model_copy(update=start),
            }
        )

    def _record(self, plan: RecordingPlan) -> Result:
        with ProgressBar("recording") as update:
            recorded = record_expert(
                plan, self.recipe.workers, lambda episodes, steps: update(episodes, plan.episodes)
            )
        for failed in (episode for episode in recorded if episode.error):
            logger.warning("seed %d, task %s: %s", failed.seed, failed.task, failed.error)
        episodes = open_readable(plan.out)
        for each in episodes.skipped:
            logger.warning("left out %s: %s", each.source, each.why)
        if plan.first_seed < MATCH_SEED:
            _refuse_match_seeds(episodes, plan.out)
        return {"episodes": len(episodes), "steps": episodes.steps}

    def _train(self, training: Training) -> Result:
        report = train(self.config(training), self.root / self.name(training))
        if report.interrupted:
            raise StoppedError(report.exit_code)
        return {"steps": report.steps, "windows": report.windows, "frames": report.frames}

    def _score(self, training: Training, game: str) -> Result:
        checkpoint = self.checkpoint(training)
        policies = {n: load_policy(checkpoint, 0.0, reads) for n, reads in PROTOCOLS.items()}
        matches = open_readable(self.matches(game), strict=True)
        with ProgressBar("scoring") as update:
            return policy_scores(matches, policies, update)

    def _play(self, game: str, checkpoint: Path | None, conditions: tuple[str, ...]) -> Result:
        plan = Evaluation(
            episodes=self.recipe.play_episodes, tasks=self.recipe.games[game].tasks,
            conditions=conditions, game=game,
        )  # fmt: skip
        specs, finished = plan.episode_specs, count(1)
        setup = Setup(checkpoint or Path(), game=game)
        with ProgressBar("playing") as update:
            outcomes = run_episodes(
                specs, setup, self.recipe.workers, lambda _: update(next(finished), len(specs))
            )
        players: Result = {}
        for outcome in outcomes:
            by_task = players.setdefault(outcome.spec.condition, {})
            successes, episodes = by_task.get(outcome.spec.task, (0, 0))
            by_task[outcome.spec.task] = (successes + outcome.success, episodes + 1)
        return players

    def _recorded(self, game: str) -> dict[str, Any]:
        """Settings of a game's training episodes; where they lie does not matter."""
        settings = self.recipe.games[game]
        return {
            f"games.{game}.episodes": settings.episodes,
            f"games.{game}.tasks": list(settings.tasks),
            "noise_prob": self.recipe.noise_prob,
        }

    def _held_out(self, game: str) -> dict[str, Any]:
        tasks = list(self.recipe.games[game].tasks)
        return {f"games.{game}.tasks": tasks, "matches": self.recipe.matches}

    def _played(self, game: str) -> dict[str, Any]:
        tasks = list(self.recipe.games[game].tasks)
        return {f"games.{game}.tasks": tasks, "play_episodes": self.recipe.play_episodes}

    def _trained(self, training: Training) -> dict[str, Any]:
        """Settings of a training and of those before it."""
        before = training.before
        settings = self._trained(before) if before else {}
        settings |= self._settings_of(training.kind)
        for game in [training.game] if training.game else self.recipe.games:
            settings |= self._recorded(game)
        return {**settings, "seed": training.seed, "weights": self.recipe.weights}

    def _settings_of(self, kind: str) -> dict[str, Any]:
        """Settings of a kind of training by name, but those that change no result."""
        if kind not in self._settings:
            dump = self.recipe.settings(kind).model_dump(mode="json")
            self._settings[kind] = {
                f"{kind}.{section}.{name}": value
                for section, values in dump.items()
                for name, value in values.items()
                if name not in _FREE
            }
        return self._settings[kind]


def _refuse_match_seeds(episodes: EpisodeSet, folder: Path) -> None:
    """Raise `ConfigError` where episodes for training are of the held-out matches' seeds."""
    for episode in episodes:
        if episode.header.seed is not None and episode.header.seed >= MATCH_SEED:
            raise ConfigError(
                f"{folder} holds seed {episode.header.seed} ({episode.id}): seeds from {MATCH_SEED} on are of held-out "
                "matches; name a folder without them"
            )
    if not len(episodes):
        raise CaptureError(f"no episode in {folder} can be read")
