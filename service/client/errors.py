"""Errors of the client: one class for each kind of failure."""

from __future__ import annotations

import httpx

from .answers.problems import ProblemAnswer


class ServiceError(Exception):
    """A failed call: its `status` and `code`, and the `problem` that the service sent.

    `status` is 0 if there was no answer.
    """

    def __init__(self, status: int, detail: str, code: str = "", problem: ProblemAnswer | None = None) -> None:
        super().__init__(f"{status}: {detail}" if status else detail)
        self.status, self.code = status, code
        self.detail = detail
        self.problem = problem


class InvalidRequestError(ServiceError):
    """The service refuses the request as it is (400, 405, 413, 421, 422)."""


class AuthenticationError(ServiceError):
    """The key is missing or wrong (401)."""


class PermissionDeniedError(ServiceError):
    """The key does not allow this (403)."""


class NotFoundError(ServiceError):
    """The collection, the document or the job does not exist (404)."""


class ConflictError(ServiceError):
    """The request does not fit the state of the collection (409) or a document (412)."""


class OverloadedError(ServiceError):
    """The service has no capacity, or the caller sends too much (429)."""


class ServerError(ServiceError):
    """The service failed, or cannot answer now (500 to 599)."""


class NoAnswerError(ServiceError):
    """The service cannot be reached, or did not answer in time."""


class UnexpectedAnswerError(ServiceError):
    """The answer has another form; the address may be that of another server."""


class ChangeFailedError(ServiceError):
    """A change was accepted, and failed later; `code` says why."""


_KINDS: dict[int, type[ServiceError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    412: ConflictError,
    429: OverloadedError,
}


def error_of(response: httpx.Response) -> ServiceError:
    """Return the error of an answer, in any dialect."""
    try:
        problem = ProblemAnswer.model_validate_json(response.content)
    except ValueError:
        return _kind(response.status_code)(response.status_code, *_foreign_problem(response))
    return _kind(response.status_code)(response.status_code, problem.detail, problem.code, problem)


def error_of_problem(problem: ProblemAnswer) -> ServiceError:
    """Return the error of a problem that ends an answer."""
    return _kind(problem.status)(problem.status, problem.detail, problem.code, problem)


def _kind(status: int) -> type[ServiceError]:
    return _KINDS.get(status, ServerError if status >= 500 else InvalidRequestError)


def _foreign_problem(response: httpx.Response) -> tuple[str, str]:
    """Return the detail and the code of an error in another form."""
    try:
        content = response.json()
        error = content.get("error", content)
        return str(error["message"]), str(error.get("code", ""))
    except (ValueError, AttributeError, KeyError, TypeError):
        return response.text[:500] or response.reason_phrase, ""


def no_answer(address: httpx.URL, error: httpx.TransportError) -> NoAnswerError:
    """Return the error for a transport error."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        detail = f"{address} cannot be reached ({error}); start it with `attendex serve`, or check the address"
        return NoAnswerError(0, detail, "unreachable")
    reason = str(error) or type(error).__name__
    return NoAnswerError(0, f"{address} gave no answer ({reason}); raise timeout_s to wait longer", "no_answer")


def not_understood(response: httpx.Response) -> UnexpectedAnswerError:
    """Return the error for an answer that cannot be read."""
    detail = f"{response.url} does not answer as the service does; it may be another server: check the address"
    return UnexpectedAnswerError(response.status_code, detail, "not_understood")
