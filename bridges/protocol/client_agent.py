"""Client agent: what one agent of a game has sent and got, and what it is to do now.

Times are seconds of a monotonic clock.
"""

from __future__ import annotations

from bridges.errors import AnswerError
from bridges.protocol.fields import Owner
from bridges.protocol.messages import Act


class ClientAgent:
    """One of a session's agents; `instruction` and `owner` are what the hello says."""

    def __init__(self, instruction: str, owner: Owner) -> None:
        self.own_instruction, self.owner = instruction, owner
        self.console_instruction: str | None = None
        """What a console asks for instead, until it is released."""
        self.number = 0
        """Number of the newest observation."""
        self._awaited: dict[int, Act | AnswerError | None] = {}
        """Observations for whose answer somebody waits, and their answers."""
        self._sent_at: dict[int, float] = {}
        self._act: Act | None = None
        self._act_received_at = self._act_frame_sent_at = 0.0
        self._outdated = 0
        """Number of the newest observation whose answer is worth nothing any more."""

    @property
    def instruction(self) -> str:
        """What counts now: a console's instruction, else the game's."""
        console = self.console_instruction
        return self.own_instruction if console is None else console

    def observe(self, now: float, *, awaited: bool) -> None:
        """Count an observation that is sent now."""
        self.number += 1
        self._sent_at[self.number] = now
        if awaited:
            self._awaited[self.number] = None

    def release(self) -> None:
        """No action is valid any more."""
        self._act = None

    def end_episode(self) -> None:
        """Answers to the observations until now are worth nothing any more."""
        self._act, self._outdated = None, self.number

    def lose_past(self) -> None:
        """In realtime no observation until now is answered any more."""
        self._outdated = self.number
        self._sent_at.clear()
        lost = AnswerError("the connection was lost before the answer came", "connection_lost")
        self._awaited = {number: answer or lost for number, answer in self._awaited.items()}

    # --- answers ---

    def answer(self, act: Act, now: float) -> None:
        """The answer to an observation came."""
        self._settle(act.observation, act)
        if act.observation <= self._outdated:
            return
        self._act, self._act_received_at = act, now
        self._act_frame_sent_at = self._sent_at.get(act.observation, now)
        self._sent_at = {n: at for n, at in self._sent_at.items() if n > act.observation}

    def fail(self, number: int, problem: AnswerError) -> None:
        """An observation has no answer."""
        self._settle(number, problem)

    def _settle(self, number: int, answer: Act | AnswerError) -> None:
        if number in self._awaited:
            self._awaited[number] = answer

    def take_act(self, number: int) -> Act | AnswerError | None:
        """The answer to an awaited observation, once; None where it has not come."""
        answer = self._awaited.get(number)
        if answer is not None:
            del self._awaited[number]
        return answer

    def forget_act(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        self._awaited.pop(number, None)

    def action_due(self, now: float, step: int | None = None) -> Act | None:
        """The action due now; None where there is none, its time has passed or the connection is lost."""
        act = self._act
        if act is None or 1000 * (now - self._act_received_at) > act.valid_ms:
            return None
        if step is not None:
            return act.at_step(step - act.observation)
        age_ms = 1000 * (now - self._act_frame_sent_at)
        return act.at_step(int(age_ms / act.step_ms) if act.step_ms else 0)
