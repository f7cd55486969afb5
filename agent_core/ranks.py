"""Which of how many processes is this, and what do they tell each other?"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Result = TypeVar("Result")


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is; `torchrun` sets it."""

    rank: int = 0
    world: int = 1

    @classmethod
    def join(cls) -> Ranks:
        """This process's place, joined with the others (gloo on CPUs, NCCL on GPUs, each process its own)."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls()
        if not dist.is_initialized():
            if torch.cuda.is_available():
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
            dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        return cls(dist.get_rank(), world)

    def leave(self) -> None:
        """The work is done: let the others go, once all are here.

        Nothing else may hold the process group then: freed by DDP's reducer as its last owner, gloo (torch 2.13) waits
        for a thread that itself waits for Python's lock.
        """
        if self.world > 1 and dist.is_initialized():
            gc.collect()  # the reducer is part of a cycle
            dist.barrier()
            dist.destroy_process_group()

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def add(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def in_turn(self, work: Callable[[], Result]) -> Result:
        """The leader works first (what it leaves on disk is there for the others), then the others."""
        if self.leads:
            done = work()
        if self.world > 1:
            dist.barrier()
        return done if self.leads else work()

    def agree(self, values: Sequence[float], device: torch.device) -> list[float]:
        """The leader's values, on all processes."""
        if self.world == 1:
            return list(values)
        shared = torch.tensor(values, dtype=torch.float64, device=device)
        dist.broadcast(shared, 0)
        told: list[float] = shared.tolist()
        return told
