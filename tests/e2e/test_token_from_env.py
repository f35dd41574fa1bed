"""A parent passes the task token to its child by exactly one of: a variable, a file, a descriptor."""

import base64
import os
import tempfile
from pathlib import Path

import pytest

from harness.driver import refused
from harness.fixtures import StartActivity, StartDriver
from harness.server import Server

TOKEN = bytes(range(256))
TEXT = base64.b64encode(TOKEN).decode()

VARIABLE = "TEMPORAL_ACTIVITY_TASK_TOKEN"


def test_token_in_the_variable(language: str, start_driver: StartDriver) -> None:
    assert start_driver(language, {VARIABLE: TEXT}).token_from_env() == TOKEN


def test_token_in_the_file(language: str, tmp_path: Path, start_driver: StartDriver) -> None:
    file = tmp_path / "token"
    file.write_text(f"  {TEXT}\n")
    assert start_driver(language, {f"{VARIABLE}_FILE": str(file)}).token_from_env() == TOKEN


def test_token_from_the_descriptor(language: str, start_driver: StartDriver) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(f"{TEXT}\n".encode())
        file.seek(0)
        descriptor = file.fileno()
        driver = start_driver(language, {f"{VARIABLE}_FD": str(descriptor)}, [descriptor])
        assert driver.token_from_env() == TOKEN


def test_token_from_a_pipe(language: str, start_driver: StartDriver) -> None:
    read_end, write_end = os.pipe()
    try:
        os.write(write_end, TEXT.encode())
        driver = start_driver(language, {f"{VARIABLE}_FD": str(read_end)}, [read_end])
    finally:
        os.close(read_end)
        os.close(write_end)
    assert driver.token_from_env() == TOKEN


def test_empty_variables_are_unset(language: str, start_driver: StartDriver) -> None:
    driver = start_driver(language, {VARIABLE: TEXT, f"{VARIABLE}_FILE": "", f"{VARIABLE}_FD": ""})
    assert driver.token_from_env() == TOKEN


def test_error_without_variables_names_all_three(language: str, start_driver: StartDriver) -> None:
    with refused("THB_CONFIG", VARIABLE, f"{VARIABLE}_FILE", f"{VARIABLE}_FD"):
        start_driver(language).token_from_env()


BAD = {
    "two at once": ({"": TEXT, "_FILE": "/dev/null"}, (VARIABLE, f"{VARIABLE}_FILE")),
    "no base64": ({"": "not base64!"}, (VARIABLE, "base64")),
    "base64url": ({"": base64.urlsafe_b64encode(b"\xff\xfe\xfd").decode()}, (VARIABLE, "base64")),
    "base64 cut off": ({"": TEXT[:-1]}, (VARIABLE, "base64")),
    "file that is not there": ({"_FILE": "/of/nobody"}, (f"{VARIABLE}_FILE", "/of/nobody", "no such file")),
    "empty file": ({"_FILE": "/dev/null"}, (f"{VARIABLE}_FILE", "nothing in it")),
    "endless file": ({"_FILE": "/dev/zero"}, (f"{VARIABLE}_FILE",)),
    "descriptor that is no number": ({"_FD": "three"}, (f"{VARIABLE}_FD",)),
    "descriptor that is not open": ({"_FD": "99"}, (f"{VARIABLE}_FD", "99")),
    "descriptor below zero": ({"_FD": "-1"}, (f"{VARIABLE}_FD",)),
}


@pytest.mark.parametrize(("variables", "causes"), BAD.values(), ids=BAD.keys())
def test_error_names_the_bad_variable(
    variables: dict[str, str], causes: tuple[str, ...], start_driver: StartDriver
) -> None:
    driver = start_driver("c", {VARIABLE + suffix: value for suffix, value in variables.items()})
    with refused("THB_CONFIG", *causes):
        driver.token_from_env()


def test_heartbeats_use_the_token_of_the_hand_off(
    language: str, start: StartActivity, start_driver: StartDriver, server: Server
) -> None:
    activity = start("workflow")
    text = base64.b64encode(activity.next_attempt().token).decode()
    driver = start_driver(language, {VARIABLE: text, "TEMPORAL_ADDRESS": server.address})
    driver.connect({})
    driver.complete(driver.token_from_env(), "done")
    assert activity.result() == "done"
