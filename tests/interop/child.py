"""Child programs that use the library under test, in each language. They use the value names of docs/values.md."""

import base64
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence

from temporalio.api.common.v1 import Payload, Payloads

from harness.driver import Driver, Raw
from harness.languages import LANGUAGES
from harness.process import Process
from harness.server import NAMESPACE, Server
from interop import programs
from interop.documented_values import Row
from interop.payload_format import format_payload, normalized, parse_payload

# The server's payloads, undecoded.
AS_IT_IS = Row("as it is", (), (), {})


class ChildError(Exception):
    """The error that the binding raised."""


class Child(ABC):
    # The language of the table's column with the values that it reads. None: it reads payloads without decoding.
    reads_as: str | None

    @abstractmethod
    def heartbeat(self, token: bytes, row: Row) -> None: ...

    @abstractmethod
    def get_details(self, token: bytes, row: Row, /) -> list[str]:
        """Returns the details, read into variables of the row's types, in shown form."""

    @abstractmethod
    def complete(self, token: bytes, row: Row) -> None: ...

    @abstractmethod
    def fail(self, token: bytes, row: Row) -> None:
        """Fails the activity with these details. The failure isn't retryable."""

    @abstractmethod
    def retry(self, token: bytes) -> None:
        """Fails the attempt, so that the next one starts."""

    @abstractmethod
    def close(self) -> None: ...


class BindingChild(Child):
    """A program with native values, which the binding of its language converts."""

    def __init__(self, language: str, command: Sequence[str], server: Server, *codec: str) -> None:
        self.reads_as = language
        self._process = Process(command, programs.environment())
        self._ask("connect", server.address, NAMESPACE, *codec)

    def heartbeat(self, token: bytes, row: Row) -> None:
        self._ask("heartbeat", token.hex(), row.value)

    def get_details(self, token: bytes, row: Row) -> list[str]:
        return self._ask("get_details", token.hex(), row.value)

    def complete(self, token: bytes, row: Row) -> None:
        self._ask("complete", token.hex(), row.value)

    def fail(self, token: bytes, row: Row) -> None:
        self._ask("fail", token.hex(), row.value)

    def retry(self, token: bytes) -> None:
        self._ask("retry", token.hex())

    def fail_with(self, token: bytes, error: str) -> None:
        """Fails the attempt with an error of the SDK. Only the Go child supports it."""
        self._ask("fail_with", token.hex(), error)

    def close(self) -> None:
        assert self._process.close() == 0

    def _ask(self, *words: str) -> list[str]:
        self._process.write_line(json.dumps(words))
        answer = json.loads(self._process.read_line())
        if "error" in answer:
            raise ChildError(answer["error"])
        return [normalized(shown) for shown in answer["seen"] or []]


class CChild(Child):
    """The C driver, which passes every row's data and encoding."""

    reads_as = None

    def __init__(self, server: Server) -> None:
        self._driver: Driver = LANGUAGES["c"].start({})
        self._driver.connect({"address": server.address, "namespace": NAMESPACE})

    def heartbeat(self, token: bytes, row: Row) -> None:
        self._driver.heartbeat(token, *_words(self._payloads(token, row)))

    def get_details(self, token: bytes, _: Row) -> list[str]:
        """Reads the details value by value and as serialized Payloads, and checks that both are the same."""
        by_value = self._driver.get_details(token).payloads
        whole = self._held(token)
        assert by_value == [(p.metadata["encoding"].decode(), p.data) for p in whole]
        return [format_payload(value) for value in whole]

    def complete(self, token: bytes, row: Row) -> None:
        [result, *_] = self._payloads(token, row)
        self._driver.complete(token, *_words([result]))

    def fail(self, token: bytes, row: Row) -> None:
        details = self._payloads(token, row)
        if details and all(map(_is_json, details)):
            said = f'"details":[{",".join(value.data.decode() for value in details)}]'
        else:
            said = f'"details_payloads":"{base64.b64encode(_serialized(details)).decode()}"'
        # prose: allow for good
        self._driver.fail(token, f'{{"message":"for good","non_retryable":true,{said}}}'.encode())

    def retry(self, token: bytes) -> None:
        self._driver.fail(token, {"message": "once more"})

    def close(self) -> None:
        assert self._driver.close() == 0

    def _payloads(self, token: bytes, row: Row) -> list[Payload]:
        return self._held(token) if row is AS_IT_IS else [parse_payload(form) for form in row.stored]

    def _held(self, token: bytes) -> list[Payload]:
        return list(Payloads.FromString(self._driver.get_payloads(token)).payloads)


def _words(values: list[Payload]) -> list[Raw]:
    """Returns the word for the values: the library's own encoding or PAYLOADS; no word without values."""
    match values:
        case []:
            return []
        case [value] if value.metadata["encoding"] == b"binary/null":
            return [Raw("null:-")]
        case [value] if value.metadata["encoding"] == b"binary/plain":
            return [Raw(f"binary:{value.data.hex() or '.'}")]
        case [value] if _is_json(value):
            return [Raw(f"json:{value.data.hex()}")]
    return [Raw(f"payloads:{_serialized(values).hex()}")]


def _serialized(values: list[Payload]) -> bytes:
    return Payloads(payloads=values).SerializeToString()


def _is_json(value: Payload) -> bool:
    """Returns whether the library accepts it as JSON. It refuses Python's NaN."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    if value.metadata["encoding"] != b"json/plain":
        return False
    try:
        json.loads(value.data, parse_constant=refuse)
    except ValueError:
        return False
    return True


def start(name: str, server: Server, *codec: str) -> Child:
    match name:
        case "c":
            return CChild(server)
        case "python":
            return BindingChild("Python", programs.python_child(), server, *codec)
        case "go":
            return BindingChild("Go", programs.go_child(), server, *codec)
    raise ValueError(name)
