"""Texts from outside, such as ids and messages of the server, can't control the user's terminal or forge lines."""

import json

from harness.program import StartProgram

# Sets the title of a terminal, clears the screen in another encoding of ESC [, and starts a new line.
EVIL = "x\x1b]0;title\x07\u009b2J\r\ntemporal-heartbeat: forged"
SHOWN = r"x\u{1b}]0;title\u{7}\u{9b}2J\r\ntemporal-heartbeat: forged"


def assert_harmless(text: str) -> None:
    assert not [character for character in text if not character.isprintable() and character != "\n"], repr(text)
    assert "\ntemporal-heartbeat: forged" not in text


def test_ids_and_messages_of_the_server_are_escaped(start_program: StartProgram) -> None:
    running = start_program("exec", "--activity-id", EVIL, "--", "true")
    assert running.ends() > 0
    assert SHOWN in running.errors()
    assert_harmless(running.errors())


def test_json_is_escaped_and_has_the_same_value(start_program: StartProgram) -> None:
    running = start_program("-o", "json", "exec", "--activity-id", EVIL, "--", "true")
    assert running.ends() > 0
    assert_harmless(running.errors())
    assert EVIL in json.loads(running.errors())["error"]["message"]
