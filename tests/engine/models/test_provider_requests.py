"""Real providers through their real SDKs, against servers on loopback in their formats: what they get."""

import subprocess
import sys
from typing import Any

import pytest

from support.anthropic_server import MESSAGES
from support.openai_server import RESPONSES
from support.provider_requests import (
    KEY,
    MARKS,
    OSLO,
    WEATHER,
    ask,
    assistant,
    broken,
    model_of,
    parts_of,
    results,
    thinker,
    turn_of,
    user,
)
from support.provider_server import Answer, FakeProvider, Refusal, Thought
from threadlog.engine import ProviderModel, ToolCall, Turn
from threadlog.store import Message
from threadlog.store.errors import DefinitionError

pytestmark = MARKS


@pytest.fixture
def anyio_backend() -> str:
    """What is sent is the same on every event loop."""
    return "asyncio"


# Requests


async def test_tools_and_settings_are_sent(provider: FakeProvider) -> None:
    provider.will(Answer(texts=("Yes.",)))
    model = model_of(provider, settings={"temperature": 0.5, "max_tokens": 99})

    await parts_of(model, ask(settings={"max_tokens": 100, "top_p": None}))

    body = provider.asked[0].body
    assert provider.wire.tools(body) == [(WEATHER.name, WEATHER.description, WEATHER.parameters)]
    assert provider.wire.settings(body) == {
        "temperature": 0.5,
        "max_tokens": 100,
        "top_p": None,
        "reasoning_effort": None,
    }


async def test_a_reasoning_effort_is_sent_to_models_that_reason(provider: FakeProvider) -> None:
    provider.will(Answer(texts=("Yes.",)))
    model = thinker(provider)

    await parts_of(model, ask(settings={"reasoning_effort": "low"}))

    assert provider.wire.settings(provider.asked[0].body)["reasoning_effort"] == "low"


async def test_an_unknown_setting_is_refused_before_anything_is_sent(provider: FakeProvider) -> None:
    _, error = await broken(model_of(provider), ask(settings={"tempreature": 1}))

    assert (error.kind, provider.asked) == ("request", [])


async def test_a_conversation_with_results_is_sent_as_it_was(provider: FakeProvider) -> None:
    provider.will(Answer(texts=("Both.",)))
    both = (ToolCall("weather", {"city": "Oslo"}, "c1"), ToolCall("weather", '{"city', "c2"))
    rules = Message(id="s", role="system", content="Be brief.")

    await parts_of(
        model_of(provider),
        ask(rules, user("And?"), assistant(Turn(text="So.", tool_calls=both)), *results(*both)),
    )

    assert provider.wire.said(provider.asked[0].body) == [
        ("system", "Be brief."),
        ("user", "And?"),
        ("assistant", "So."),
        ("call", "c1", "weather", {"city": "Oslo"}),
        ("call", "c2", "weather", {"INVALID_JSON": '{"city'}),
        ("result", "c1", "21 degrees"),
        ("result", "c2", "21 degrees"),
    ]


async def test_a_system_message_in_the_midst_stays_there_where_a_format_has_a_place_for_it(
    provider: FakeProvider,
) -> None:
    """Older models of Anthropic have none: there it joins the system prompt."""
    provider.will(Answer(texts=("Yes.",)))
    hint = Message(id="h", role="system", content="It is winter.")

    await parts_of(model_of(provider), ask(user("And?"), assistant(Turn(text="So.")), hint, user("Well?")))

    said = [text for _, text in provider.wire.said(provider.asked[0].body)]
    in_place = ["And?", "So.", "It is winter.", "Well?"]
    assert said == (
        in_place if "openai" in provider.wire.model else ["It is winter.", "And?", "So.", "Well?"]
    )


# What the provider wants to see again


THOUGHT = Thought("Oslo is in Norway.", "signed-by-the-provider")
THINKING = pytest.mark.parametrize("provider", [RESPONSES.model, MESSAGES.model], indirect=True)


@THINKING
async def test_what_a_model_thought_goes_back_to_it_unchanged(provider: FakeProvider) -> None:
    """Other systems show thoughts to listeners and forget them; here only the provider sees them again."""
    provider.will(Answer(thought=THOUGHT, texts=("Hm.",), calls=(OSLO,)))
    model = thinker(provider)
    turn = await turn_of(model)

    await parts_of(model, ask(user("weather?"), assistant(turn), *results(*turn.tool_calls)))

    body = provider.asked[1].body
    assert provider.wire.thoughts(body) == [THOUGHT]
    assert provider.wire.said(body) == [
        ("user", "weather?"),
        ("assistant", "Hm."),
        ("call", "c1", "weather", {"city": "Oslo"}),
        ("result", "c1", "21 degrees"),
    ]


CHANGES: list[dict[str, Any]] = [
    {"provider": None},
    {"provider": "no JSON"},
    {"provider": "[{}]"},
    {"provider": '[{"kind": "response", "parts": [], "metadata": {"provider": "another"}}]'},
    {"content": "Hm, edited."},
    {"tool_calls": ()},
]


@THINKING
async def test_an_answer_that_cannot_go_back_whole_goes_as_its_text_and_calls(provider: FakeProvider) -> None:
    provider.will(Answer(thought=THOUGHT, texts=("Hm.",), calls=(OSLO,)))

    async with thinker(provider) as model:
        answer = assistant(await turn_of(model))
        for change in CHANGES:
            message = answer.model_copy(update=change)
            await parts_of(model, ask(user("weather?"), message))

            body = provider.asked[-1].body
            called = [("call", call.id, call.name, call.arguments) for call in message.tool_calls]
            assert provider.wire.said(body)[1:] == [("assistant", message.content), *called]
            assert provider.wire.thoughts(body) == []


async def test_an_answer_of_one_provider_goes_to_another_as_text_and_calls(
    provider: FakeProvider, servers: dict[str, FakeProvider]
) -> None:
    provider.will(Answer(texts=("Hm.",), calls=(OSLO,)))
    turn = await turn_of(model_of(provider))
    other = next(server for server in servers.values() if server is not provider)
    other.forget()
    other.will(Answer(texts=("21.",)))

    await parts_of(model_of(other), ask(assistant(turn), *results(*turn.tool_calls)))

    assert other.wire.said(other.asked[0].body) == [
        ("assistant", "Hm."),
        ("call", "c1", "weather", {"city": "Oslo"}),
        ("result", "c1", "21 degrees"),
    ]


# Keys, and what is installed


def key_in(headers: Any) -> str:
    return str(headers.get("x-api-key") or headers["authorization"].removeprefix("Bearer "))


async def test_the_key_comes_from_the_environment(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.will(Answer(texts=("Yes.",)))
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(variable, "sk-from-the-environment")

    await parts_of(model_of(provider, api_key=None))

    assert key_in(provider.asked[0].headers) == "sk-from-the-environment"


async def test_the_key_is_in_no_part_and_no_error(provider: FakeProvider) -> None:
    provider.will(
        Answer(thought=THOUGHT, texts=("Hm.",), calls=(OSLO,)), Refusal("auth", says=f"Bad key: {KEY}")
    )
    url = provider.url.replace("http://", "http://someone:pass-in-the-address@")
    model = model_of(provider, base_url=url)

    seen = [*map(repr, await parts_of(model)), repr(await broken(model)), repr(model)]

    assert "Bad key: ***" in seen[-2]
    assert not [text for text in seen if KEY in text or "pass-in-the-address" in text]


@pytest.mark.parametrize("name", ["openai:gpt-5", "openai-chat:gpt-5", "anthropic:claude-opus-4-6"])
async def test_without_a_key_the_error_names_the_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(variable, raising=False)

    _, error = await broken(ProviderModel(name))

    assert error.kind == "auth"
    assert f"{'ANTHROPIC' if 'claude' in name else 'OPENAI'}_API_KEY" in error.problem


@pytest.mark.parametrize("name", ["gpt-5", "openai:", ":gpt-5", ""])
def test_a_name_without_provider_or_model_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="provider:model"):
        ProviderModel(name)


def test_an_unknown_setting_of_a_model_is_refused() -> None:
    with pytest.raises(DefinitionError, match="'tempreature'"):
        ProviderModel("openai:gpt-5", settings={"tempreature": 1})


async def test_an_unknown_provider_is_refused_when_it_is_asked() -> None:
    with pytest.raises(DefinitionError, match="opnai"):
        await parts_of(ProviderModel("opnai:gpt-5"))


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [
        ("openai", "openai:gpt-5", "openai"),
        ("anthropic", "anthropic:claude-opus-4-6", "anthropic"),
        ("pydantic_ai", "openai-chat:gpt-5", "openai"),
        ("pydantic_ai", "groq:llama", "llm"),
    ],
)
def test_a_missing_extra_is_named(
    module: str, name: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(DefinitionError, match=rf"pip install 'threadlog\[{extra}\]'"):
        ProviderModel(name)


async def test_a_missing_sdk_of_another_provider_is_named() -> None:
    with pytest.raises(DefinitionError, match="pydantic-ai-slim\\[groq\\]"):
        await parts_of(ProviderModel("groq:llama", api_key=KEY))


def test_a_model_that_is_not_asked_imports_nothing() -> None:
    code = """
import sys
from threadlog.engine import ProviderModel
ProviderModel("openai:gpt-5")
print([name for name in ("pydantic_ai", "openai", "anthropic") if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"
