"""A caller needs at most 64 KiB of stack, as the header promises, even for the largest handshake."""

import base64
import subprocess
from pathlib import Path

import pytest

from harness.build import compile_c
from harness.certificates import Authority
from harness.endpoint import Endpoint
from harness.fixtures import StartActivity
from harness.languages import library_environment, linked
from harness.paths import BUILD, DRIVERS
from harness.scripted_codec import ScriptedCodec
from harness.server import Server


@pytest.mark.parametrize("has_codec", [False, True], ids=["", "codec"])
def test_handshake_with_large_rsa_keys_fits_into_the_promised_stack(
    tmp_path: Path, server: Server, start: StartActivity, has_codec: bool
) -> None:
    program = compile_c(DRIVERS / "small_stack.c", BUILD / "small_stack", "-D_GNU_SOURCE", "-pthread", *linked())
    authority = Authority(tmp_path, rsa_bits=4096)
    client = authority.sign("client")
    activity = start("workflow")
    with (
        Endpoint(server.address, authority.sign(), clients_of=authority, connection_age=0.5) as endpoint,
        ScriptedCodec() as codec,
    ):
        options = {
            "TEMPORAL_ADDRESS": endpoint.address,
            "TEMPORAL_TLS": "true",
            "TEMPORAL_TLS_SERVER_CA_CERT_PATH": str(authority.path),
            "TEMPORAL_TLS_CLIENT_CERT_PATH": str(client.cert_path),
            "TEMPORAL_TLS_CLIENT_KEY_PATH": str(client.key_path),
            "TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(activity.next_attempt().token).decode(),
        }
        if has_codec:
            options["TEMPORAL_CODEC_ENDPOINT"] = codec.endpoint
        done = subprocess.run(
            [program], env=library_environment() | options, capture_output=True, text=True, timeout=60, check=False
        )
    result, used = done.stdout.splitlines()
    assert result == "THB_OK "
    assert done.returncode == 0, used
    if not has_codec:
        assert activity.heartbeat_details() == [41]
    assert len(endpoint.peers()) > 1, "connections end at an age of 0.5 s"
