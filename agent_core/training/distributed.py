"""Which of how many processes is this, and what do they tell each other?"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from agent_core.device import pick_device

Result = TypeVar("Result")
TIMEOUT = timedelta(hours=24)
"""How long processes wait for each other: one may decode a corpus for hours. `torchrun` ends all where one ends."""


@dataclass(frozen=True)
class ProcessGroup:
    """Which of how many processes this is; `torchrun` sets it."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    """Its number among the processes of its machine."""

    @classmethod
    def init(cls, device: str) -> ProcessGroup:
        """This process's place, joined with the others: NCCL where `device` is a GPU, each process its own, else gloo.

        All run on one machine where `LOCAL_RANK` is not set. Raises `ConfigError` where there is no such device.
        """
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls()
        local = int(os.environ.get("LOCAL_RANK", os.environ["RANK"]))
        if not dist.is_initialized():
            if device in ("auto", "cuda") and torch.cuda.is_available():
                torch.cuda.set_device(local)  # first: to look at a device is to take memory there
            backend = "nccl" if pick_device(device).type == "cuda" else "gloo"
            dist.init_process_group(backend, timeout=TIMEOUT)
        return cls(dist.get_rank(), world, local)

    def destroy(self) -> None:
        """The work is done: let the others go, once all are here.

        Nothing else may hold the process group then: freed by DDP's reducer as its last owner, gloo (torch 2.13) waits
        for a thread that itself waits for Python's lock.
        """
        if self.world_size > 1 and dist.is_initialized():
            gc.collect()  # the reducer is part of a cycle
            dist.barrier()
            dist.destroy_process_group()

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def all_reduce(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def main_first(self, work: Callable[[], Result]) -> Result:
        """The leader works first, then one process of every other machine, then the rest.

        What one leaves on disk is there for those after it, whether machines share the disk or not.
        """
        mine = 0 if self.is_main else 1 if self.local_rank == 0 else 2
        for turn in range(3):
            if turn == mine:
                done = work()
            if self.world_size > 1 and turn < 2:
                dist.barrier()
        return done

    def broadcast(self, values: Sequence[float], device: torch.device) -> list[float]:
        """The leader's values, on all processes."""
        if self.world_size == 1:
            return list(values)
        shared = torch.tensor(values, dtype=torch.float64, device=device)
        dist.broadcast(shared, 0)
        told: list[float] = shared.tolist()
        return told
