"""A model with scripted answers, for tests, demos and dry runs. It needs no key and no network."""

import re
from collections.abc import AsyncIterator, Callable, Sequence

from ...store.changeset import ToolCall
from .model import FinishPart, ModelRequest, Part, TextPart, ToolCallPart, Turn

Answer = str | ToolCall | Sequence[ToolCall] | Turn | BaseException
Script = Answer | Callable[[ModelRequest], Answer]


class ScriptedModel:
    """Answers each request with the next of its turns. After the last one, it answers "done".

    A turn is a text, a `ToolCall` or a list of them, a `Turn`, an exception to raise, or a function that
    returns one of these for the request. Texts are streamed word by word.
    """

    def __init__(self, *turns: Script, name: str = "scripted") -> None:
        self._turns = turns
        self._answered = 0
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        turn = self._next(request)
        for words in re.findall(r"\s*\S+|\s+", turn.text):
            yield TextPart(words)
        for call in turn.tool_calls:
            yield ToolCallPart(call)
        reason = turn.finish_reason or ("tool_calls" if turn.tool_calls else "stop")
        yield FinishPart(finish_reason=reason, usage=turn.usage)

    def _next(self, request: ModelRequest) -> Turn:
        script = self._turns[self._answered] if self._answered < len(self._turns) else "done"
        self._answered += 1
        answer = script(request) if callable(script) else script
        match answer:
            case BaseException():
                raise answer
            case Turn():
                return answer
            case str():
                return Turn(text=answer)
            case ToolCall():
                return Turn(tool_calls=(answer,))
        return Turn(tool_calls=tuple(answer))
