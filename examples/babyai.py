"""BabyAI as games: three levels whose every episode has a mission of its own, with BabyAI's bot as the expert.

Needs `pip install 'iafm[minigrid]'`. From the folder above this one:

iafm record examples.babyai:GO_TO_LOCAL --expert --episodes 2500 --out data/babyai
python examples/babyai.py --demo           # the bot plays a few episodes
"""

from contextlib import redirect_stdout
from functools import partial
from typing import Any

import gymnasium

from games import Button, FrameSize, Game, GameSpec, UnplayableError
from games.gymnasium_game import GymnasiumGame, bot_expert

BUTTONS = {  # in the order of MiniGrid's actions: meaning, label
    "left": ("look.left", "turn left"),
    "right": ("look.right", "turn right"),
    "forward": ("move.forward", "go forward"),
    "pickup": ("pick_item", "pick up"),
    "drop": ("drop", "put down"),
    "toggle": ("use", "open or close"),
    "done": ("episode.end", "say it is done"),
}
NO_BUTTON = 6
"""`done`, which changes nothing in these levels."""


class QuietReset(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Resets that do not print the worlds that were drawn in vain."""

    def reset(self, **options: Any) -> Any:
        with redirect_stdout(None):
            return self.env.reset(**options)


def make(spec: GameSpec, level: str) -> GymnasiumGame:
    """A level; the agent sees the 7 x 7 cells before it, 8 x 8 pixels each."""
    try:
        from minigrid.wrappers import RGBImgPartialObsWrapper
    except ImportError:
        raise UnplayableError("BabyAI needs MiniGrid: pip install 'iafm[minigrid]'") from None
    with redirect_stdout(None):
        env = gymnasium.make(f"BabyAI-{level}-v0", disable_env_checker=True)
    env = QuietReset(RGBImgPartialObsWrapper(env, tile_size=8))
    actions: dict[tuple[str, ...], int] = {(name,): i for i, name in enumerate(BUTTONS)}
    actions[()] = NO_BUTTON
    return GymnasiumGame(spec, env, actions, tasks={spec.name: ()}, pixels="image")


def make_bot(env: Any) -> Any:
    """BabyAI's own expert, which sees the whole level."""
    from minigrid.utils.baby_ai_bot import BabyAIBot

    return BabyAIBot(env).replan


def babyai(level: str, name: str) -> Game:
    """A level as a game."""
    spec = GameSpec(
        id=f"{name}-v0",
        title=f"BabyAI {level} (MiniGrid)",
        frame=FrameSize(height=56, width=56),
        step_hz=5,
        controls=tuple(Button(name=n, meaning=m, label=s) for n, (m, s) in BUTTONS.items()),
        exclusive=(tuple(BUTTONS),),
    )
    return Game(
        spec,
        make=partial(make, spec, level),
        tasks=(spec.name,),
        make_expert=bot_expert(make_bot),
        has_missions=True,
    )


GO_TO_LOCAL = babyai("GoToLocal", "babyai-go-to-local")
PICKUP_LOC = babyai("PickupLoc", "babyai-pickup-loc")
PUT_NEXT_LOCAL = babyai("PutNextLocal", "babyai-put-next-local")


def demo() -> None:
    for game in (GO_TO_LOCAL, PICKUP_LOC, PUT_NEXT_LOCAL):
        assert game.make is not None
        env = game.make()
        observation, info = env.reset(seed=0)
        expert, is_over = game.expert()(env), False
        while not is_over:
            _, _, terminated, truncated, info = env.step(expert()[0])
            is_over = terminated or truncated
        print(f"{observation['instruction']}: {info['elapsed']} steps, success {info['success']}")


if __name__ == "__main__":
    demo()
