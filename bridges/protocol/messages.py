"""Messages: every JSON message of `iafm.bridge.v1`, checked strictly.

Unknown fields are ignored (a newer peer may send more); wrong types are an error with the field's path.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    FailFast,
    Field,
    TypeAdapter,
    ValidationError,
)

from bridges.protocol import strict_json
from bridges.protocol.decision import Decision, Latency
from bridges.protocol.fields import (
    MAX_AGENTS,
    MAX_CAMERAS,
    AgentNumber,
    ClockTime,
    Count,
    Id,
    InstructionText,
    Message,
    Milliseconds,
    ObservationNumber,
    Owner,
    QueryKind,
    ReportedAction,
    Reward,
    SessionName,
    Source,
)
from bridges.protocol.record_messages import Credit, Recording, RecordState
from bridges.protocol.replay_messages import Replay, ReplayProgress, ReplayState
from games import GameSpec
from games.validation_error import FirstError, first_error

SUBPROTOCOL = "iafm.bridge.v1"
VERSION = 1
MAX_MESSAGE = 4 << 20
"""Bytes of a message, pictures included."""
MAX_TEXT = 256 << 10
"""Bytes of a text message."""
MAX_DEPTH = 32
"""Levels of arrays and objects in a text message."""


class MessageError(ValueError):
    """A text message is not acceptable; `path` names the field."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


_M = TypeVar("_M", bound=Message)


class Hello(Message):
    """First message of a client: `play` and `record` need a spec; `tasks` are example instructions for the console."""

    type: Literal["hello"] = "hello"
    version: Count = VERSION
    role: Literal["play", "record", "watch", "query"] = "play"
    sdk: str = Field("", max_length=100)
    spec: GameSpec | None = None
    token: str | None = Field(None, max_length=500, repr=False)
    resumable: bool = False
    """Whether the session shall outlive its connection for a while."""
    resume: str | None = Field(None, max_length=100, repr=False)
    """Key of the session to go on with."""
    received: Count = 0
    """Number of the newest message that the client has from the session to go on with."""
    mode: Literal["realtime", "lockstep"] = "realtime"
    instruction: InstructionText = ""
    tasks: Annotated[tuple[InstructionText, ...], FailFast()] = Field((), max_length=100)
    seed: Count | None = None
    owner: Owner = "agent"
    agents: Annotated[int, Field(ge=1, le=MAX_AGENTS)] = 1
    cameras: Annotated[int, Field(ge=1, le=MAX_CAMERAS)] = 1
    replay: bool = False
    """Whether it is a recorded match, which consoles may pause, step and scrub."""


class Welcome(Message):
    """The server's answer; `warnings` names controls the model cannot map."""

    type: Literal["welcome"] = "welcome"
    version: Count = VERSION
    session: str
    resume: str = Field("", repr=False)
    """Key of a resumable session; empty where it is none."""
    resumed: bool = False
    """Whether it is the session of the hello's key."""
    received: Count = 0
    """Number of the newest message that the server has from a resumed session."""
    observation: ObservationNumber | None = None
    """Number of the newest observation that the server has from a resumed session, in lockstep or a recording."""
    observations: tuple[ObservationNumber | None, ...] = ()
    """The same for each agent, where there are several; `observation` is agent 0's."""
    policy: str
    instruction: str = ""
    warnings: tuple[str, ...] = ()
    max_message: Count
    max_pixels: Count
    max_in_flight: Count = 1
    """Lockstep observations that may wait for their answers."""
    credit: Credit | None = None
    """Of a recording."""
    owner: Owner = "agent"
    agents: Count = 1

    @property
    def newest_observations(self) -> tuple[int | None, ...]:
        """`observation` for each agent."""
        return self.observations or (self.observation,)


class Instruct(Message):
    """A new instruction; a console's, which names the session, goes before the game's own until `release`."""

    type: Literal["instruct"] = "instruct"
    text: InstructionText
    release: bool = False
    session: SessionName | None = None
    agent: AgentNumber = 0
    source: Source | None = None
    """Whose it is, as the server says; a client's own is ignored."""


class Control(Message):
    """Who owns the player; from a game or console, and told to the game and its consoles."""

    type: Literal["control"] = "control"
    owner: Owner
    session: SessionName | None = None
    agent: AgentNumber = 0
    source: Source | None = None


class Correct(Message):
    """A person's words about what the agent should have done."""

    type: Literal["correct"] = "correct"
    text: InstructionText = Field(min_length=1)
    session: SessionName | None = None
    agent: AgentNumber = 0
    source: Source | None = None


class Say(Message):
    """A person's words about what happens, such as a thought while playing."""

    type: Literal["say"] = "say"
    text: InstructionText = Field(min_length=1)
    session: SessionName | None = None
    agent: AgentNumber = 0
    source: Source | None = None


class Clock(Message):
    """A question for the server's time; the answer repeats `t0` and has the times of receiving and answering."""

    type: Literal["clock"] = "clock"
    t0: ClockTime
    t1: ClockTime | None = None
    t2: ClockTime | None = None


class Event(Message):
    """Reward and end of an episode: `terminated` or `truncated` ends it.

    `executed`, `input` and `score` are those of the episode's last step, which no picture follows.
    """

    type: Literal["event"] = "event"
    executed: ReportedAction | None = None
    input: ReportedAction | None = None
    score: Reward | None = None
    reward: Reward = 0.0
    terminated: bool = False
    truncated: bool = False
    success: bool | None = None
    task: str = Field("", max_length=100)
    episode: Count = 0
    session: SessionName | None = None
    agent: AgentNumber = 0

    @property
    def is_end(self) -> bool:
        """Whether the episode ends."""
        return self.terminated or self.truncated


class Subscribe(Message):
    """A watcher's choice of session (None follows the newest), and whether somebody sees its pictures."""

    type: Literal["subscribe"] = "subscribe"
    session: SessionName | None = None
    pictures: bool = True


class Query(Message):
    """A question about a session's newest observation."""

    type: Literal["query"] = "query"
    id: Id = 0
    kind: QueryKind = "next_action"
    session: SessionName | None = None
    agent: AgentNumber = 0


class Answer(Message):
    """The whole answer to a query."""

    type: Literal["text.done"] = "text.done"
    id: Id
    kind: str
    text: str


class Act(Decision):
    """The decision for one observation, with what the game needs to apply it."""

    type: Literal["act"] = "act"
    session: str
    observation: ObservationNumber
    step_ms: Milliseconds = 0.0
    """Length of a step; 0 where the server does not say."""
    valid_ms: Milliseconds
    latency: Latency
    dropped: Count = 0
    """Observations of this session skipped so far because a newer one came."""
    owner: Owner = "agent"
    """Whose actions count; while it is a person, this one is advice."""
    agent: AgentNumber = 0

    def at_step(self, steps: int) -> Act:
        """What is due `steps` whole steps later; the last planned action is held.

        Probability, alternatives and entropy stay those of the first action.
        """
        if steps < 1 or not self.later:
            return self
        due, *rest = self.later[min(steps, len(self.later)) - 1 :]
        return self.model_copy(
            update={"action": due.action, "words": due.words, "later": tuple(rest)}
        )


class SessionState(Message):
    """One attached game, as watchers see it."""

    session: str
    role: Literal["play", "record"] = "play"
    game: str
    title: str = ""
    instruction: str
    instructed_by: Literal["game", "console"] = "game"
    tasks: tuple[str, ...]
    episodes: Count
    successes: Count
    unjudged: Count = 0
    """Episodes that ended without a verdict, such as one whose goal was changed."""
    hz: Annotated[float, Field(ge=0)]
    dropped: Count
    owner: Owner = "agent"
    connected: bool = True
    """False while a lost session may still be resumed."""
    recording: Recording | None = None
    """None where nothing is recorded."""
    replay: ReplayProgress | None = None
    """None where it is no replay."""


class State(Message):
    """All attached games, in the order in which they came."""

    type: Literal["state"] = "state"
    policy: str
    sessions: tuple[SessionState, ...]


class ErrorMessage(Message):
    """A problem, with a stable code and the way out; it names the observation or the query that it answers."""

    type: Literal["error"] = "error"
    code: str
    message: str
    path: str = ""
    hint: str = ""
    observation: ObservationNumber | None = None
    id: Id | None = None
    agent: AgentNumber = 0


class Ack(Message):
    """All numbered messages up to this number have come."""

    type: Literal["ack"] = "ack"
    received: Count


class Bye(Message):
    """The polite end of a connection."""

    type: Literal["bye"] = "bye"


FromClient = Annotated[
    Hello | Instruct | Event | Control | Correct | Say | Clock | Subscribe | Query | Replay | ReplayState | Ack | Bye,
    Field(discriminator="type"),
]  # fmt: skip
FromServer = Annotated[
    Welcome | Act | Instruct | Event | Control | Correct | Say | Clock | State | Answer | Replay | ErrorMessage | Ack
    | Credit | RecordState | Bye,
    Field(discriminator="type"),
]  # fmt: skip
_client: TypeAdapter[Any] = TypeAdapter(FromClient)
_server: TypeAdapter[Any] = TypeAdapter(FromServer)


def from_client(text: str) -> FromClient | None:
    """Read a client's message; None for a type this version does not know."""
    return client_message(read_object(text))


def from_server(text: str) -> FromServer | None:
    """Read a server's message; None for a type this version does not know."""
    return server_message(read_object(text))


def client_message(value: dict[str, Any]) -> FromClient | None:
    """As `from_client`, of an object that `read_object` read."""
    return _check(value, _client)  # type: ignore[no-any-return]


def server_message(value: dict[str, Any]) -> FromServer | None:
    """As `from_server`, of an object that `read_object` read."""
    return _check(value, _server)  # type: ignore[no-any-return]


def read_object(text: str) -> dict[str, Any]:
    """The JSON object of a message, of which only the `type` is checked."""
    value = parse_json(text)
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise MessageError('a message is a JSON object with a "type"')
    return value


def build(model: type[_M], **values: Any) -> _M:
    """A message from values; raises `MessageError` with the first wrong field."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _field_error(first_error(error), model.model_fields["type"].default) from None


def _check(value: dict[str, Any], adapter: TypeAdapter[Any]) -> Any:
    try:
        return adapter.validate_python(value, strict=False)
    except ValidationError as error:
        first = first_error(error)
        if first.kind == "union_tag_invalid":
            return None
        raise _field_error(first, value["type"], skip=1) from None


def _field_error(first: FirstError, type_name: str, *, skip: int = 0) -> MessageError:
    """The first wrong field; its value is not repeated, since it may be a token."""
    path = ".".join(first.path[skip:])
    return MessageError(f"{type_name}.{path}: {first.message}", path)


def parse_json(text: str) -> Any:
    """Strict JSON of at most `MAX_TEXT` bytes and `MAX_DEPTH` levels; raises `MessageError`."""
    try:
        return strict_json.parse(text, max_bytes=MAX_TEXT, max_depth=MAX_DEPTH)
    except strict_json.JsonError as error:
        raise MessageError(str(error)) from None
