"""Client of the genuine package minerl, as a program: plays an environment and prints what came of it as JSON.

It runs with whatever Python has minerl and imports nothing of this project:

    python minerl_client.py --port 9000 --steps 1000 --size 640x360
"""

import argparse
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import gym
import minerl.env.malmo
from minerl.herobraine.env_specs.treechop_specs import Treechop


def make(args: argparse.Namespace) -> Any:
    """The environment of `--env`, or Treechop with pictures of `--size` or for `--agents`."""
    if args.size is None and args.agents is None:
        return gym.make(args.env)
    width, height = map(int, (args.size or "64x64").split("x"))
    return Treechop(resolution=(width, height), agent_count=args.agents).make()


def attach(args: argparse.Namespace) -> None:
    """Let minerl use a running process, or start its own from a folder."""
    manager = minerl.env.malmo.InstanceManager
    if args.minecraft_dir:
        manager.MINECRAFT_DIR = args.minecraft_dir
    else:
        manager.DEFAULT_IP = "127.0.0.1"
        for _ in range(args.agents or 1):
            manager.add_existing_instance(args.port)


def of_last(values: Any, args: argparse.Namespace) -> Any:
    """What belongs to the last of several agents, or to the only one."""
    return values[f"agent_{args.agents - 1}"] if args.agents else values


def play(env: Any, args: argparse.Namespace, actions: list[dict[str, Any]]) -> dict[str, Any]:
    """One episode of at most `--steps` steps: `actions` first, then nothing."""
    if args.seed is not None:
        env.seed(args.seed)
    observation = of_last(env.reset(), args)
    pov = observation["pov"]
    report: dict[str, Any] = {
        "shape": pov.shape,
        "first": int(pov.astype(int).sum()),
        "rewards": [],
    }
    report["observation"] = {key: repr(value) for key, value in observation.items() if key != "pov"}
    started = time.perf_counter()
    done, info, step = False, {}, 0
    while not done and step < args.steps:
        action = env.action_space.sample() if args.random else env.action_space.no_op()
        of_last(action, args).update(actions[step] if step < len(actions) else {})
        results = env.step(action)
        observation, reward, info = (of_last(results[i], args) for i in (0, 1, 3))
        done = results[2]
        if reward:
            report["rewards"].append([step, float(reward)])
        step += 1
        if step == args.announce:
            print("announced", flush=True)
    report |= {"steps": step, "done": bool(done), "error": info.get("error")}
    report |= {"seconds": time.perf_counter() - started, "last": int(observation["pov"].sum())}
    report["last_observation"] = {k: repr(v) for k, v in observation.items() if k != "pov"}
    return report


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--minecraft-dir")
    parser.add_argument("--env", default="MineRLTreechop-v0")
    parser.add_argument("--size")
    parser.add_argument("--agents", type=int, help="play together; the last one takes the actions")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--episodes", type=int, default=1)
    parser.add_argument("--actions", help="a file with a JSON list of partial actions")
    parser.add_argument("--random", action="store_true", help="play random actions")
    parser.add_argument("--announce", type=int, help="a line on stdout after so many steps")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    actions = []
    if args.actions:
        actions = json.loads(Path(args.actions).read_text())
    attach(args)
    env = make(args)
    episodes = [play(env, args, actions) for _ in range(args.episodes)]
    pids = [i.minecraft_process.pid for i in env.unwrapped.instances if i.minecraft_process]
    env.close()
    speed = [round(e["steps"] / e["seconds"], 1) for e in episodes]
    print(json.dumps({"episodes": episodes, "steps_per_s": speed, "pids": pids}))


if __name__ == "__main__":
    main()
