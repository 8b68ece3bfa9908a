"""Errors of the A2A SDK and of HTTP, as `RemoteError`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from a2a.client.errors import A2AClientError
from a2a.types import TaskNotCancelableError, TaskNotFoundError, UnsupportedOperationError
from a2a.utils.errors import A2AError, InternalError, InvalidAgentResponseError, MethodNotFoundError
from google.protobuf.json_format import ParseError

from ...store.errors import ContentError, in_words
from .remote_error import Kind, RemoteError

MAX_PROBLEM_LENGTH = 2000
"""The maximum length of an error message. Gateways answer with HTML pages."""

RETRYABLE = (408, 425, 429)
"""HTTP errors apart from 5xx after which a retry may succeed."""


@contextmanager
def translate_errors(url: str, redact: Callable[[str], str]) -> Iterator[None]:
    """Turn every error of a request to `url` into a `RemoteError` with a redacted message."""
    try:
        yield
    except (A2AError, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ContentError) as err:
        cause = err if isinstance(err, httpx.HTTPError) else err.__cause__
        was_sent = not isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout)
        problem = "it did not answer in time" if isinstance(err, TimeoutError) else in_words(err)
        problem = redact(f"{url}: {problem}")[:MAX_PROBLEM_LENGTH]
        raise RemoteError(_kind(err, cause), problem, was_sent) from None
    except (KeyError, TypeError, AttributeError, ParseError) as err:
        # The SDK does not validate answers. An invalid one makes it fail in unexpected places.
        problem = redact(in_words(err))[:200]
        raise RemoteError("unreachable", f"the answer is not valid A2A: {problem}") from None


def _kind(err: Exception, cause: BaseException | None) -> Kind:
    if isinstance(cause, httpx.HTTPStatusError):
        code = cause.response.status_code
        if code in (404, 405, 501):
            return "unsupported"
        return "unreachable" if code >= 500 or code in RETRYABLE else "refused"
    match err:
        case TaskNotFoundError():
            return "lost"
        case UnsupportedOperationError() | MethodNotFoundError():
            return "unsupported"
        case TaskNotCancelableError():
            return "finished"
        case A2AError() if not isinstance(err, A2AClientError | InternalError | InvalidAgentResponseError):
            return "refused"
    return "unreachable"
