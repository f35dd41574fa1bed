"""The connection to a codec server: TLS, proxies, credentials, forked processes, many activities."""

from pathlib import Path

from harness import scripted_codec
from harness.certificates import Authority
from harness.codec_driver import HEADER, KEY, LONG_MS, CodecDriver, value
from harness.driver import Driver, refused
from harness.fixtures import StartActivity
from harness.http_proxy import http_proxy
from harness.network import sockets_of
from harness.proxy import Proxy
from harness.python_child import PythonChild
from harness.scripted_codec import Request, ScriptedCodec
from harness.server import NAMESPACE, Server
from harness.signals import Signals

# An address that isn't a loopback address, and that leads to this computer.
THIS_HOST = "0.0.0.0"


def records_and_reads(driver: Driver, token: bytes) -> None:
    """Fails unless values are encoded and decoded."""
    driver.heartbeat(token, value("", 41))
    assert driver.get_details(token).values == [value("", 41)]


def test_https_needs_the_authority_of_the_codec_server(codec_driver: CodecDriver, authority: Authority) -> None:
    driver, token = codec_driver.driver, codec_driver.start().next_attempt().token
    with ScriptedCodec(authority.sign()) as codec:
        tls = {"server_ca_cert_path": str(authority.path)}
        codec_driver.connect(codec_endpoint=codec.endpoint, codec_tls=tls)
        records_and_reads(driver, token)
        driver.disconnect()

        codec_driver.connect(codec_endpoint=codec.endpoint)
        with refused("THB_TLS", "codec server", "codec_tls.server_ca_cert_path"):
            driver.heartbeat(token, value("", 1))
        # Without a new connection, the right authority helps.
        driver.reconfigure({"codec_tls": tls})
        records_and_reads(driver, token)
        driver.disconnect()

        codec_driver.connect(codec_endpoint=codec.endpoint, codec_tls=tls | {"server_name": "other.example"})
        with refused("THB_TLS", "codec server", "codec_tls.server_name"):
            driver.heartbeat(token, value("", 1))
        driver.disconnect()
        codec_driver.connect(codec_endpoint=codec.endpoint.replace("https:", "http:"))
        with refused("THB_UNAVAILABLE", "codec server", "without TLS?"):
            driver.heartbeat(token, value("", 1), timeout=500)
    driver.disconnect()
    codec_driver.connect(codec_endpoint=codec_driver.codec.endpoint.replace("http:", "https:"))
    with refused("THB_TLS", "codec server"):
        driver.heartbeat(token, value("", 1), timeout=500)
    codec_driver.check_secrets()


def test_readable_values_leave_this_computer_only_if_the_options_name_the_host(codec_driver: CodecDriver) -> None:
    driver, token = codec_driver.driver, codec_driver.start().next_attempt().token
    endpoint = codec_driver.codec.endpoint.replace("127.0.0.1", THIS_HOST)
    with refused("THB_CONFIG", "codec_http_host"):
        codec_driver.connect(codec_endpoint=endpoint)
    with refused("THB_CONFIG", "codec_http_host"):
        codec_driver.connect(codec_endpoint=endpoint, codec_http_host="codec.example")
    codec_driver.connect(codec_endpoint="http://[::1]:1/codec")
    with refused("THB_UNAVAILABLE", "codec server", "[::1]:1"):
        driver.heartbeat(token, value("", 1), timeout=300)
    driver.disconnect()
    codec_driver.connect(codec_endpoint=endpoint, codec_http_host=THIS_HOST)
    records_and_reads(driver, token)
    driver.disconnect()

    def connected_ports() -> set[int]:
        return {entry.remote[1] for entry in sockets_of(driver.pid)}

    with http_proxy() as proxy:
        codec_driver.connect(codec_endpoint=endpoint, codec_http_host=THIS_HOST, proxy=proxy)
        records_and_reads(driver, token)
        assert codec_driver.codec.port not in connected_ports()
        driver.disconnect()
        # A proxy can't reach a loopback address of this computer, so it isn't asked.
        codec_driver.connect(proxy=proxy)
        records_and_reads(driver, token)
        assert codec_driver.codec.port in connected_ports()
    codec_driver.check_secrets()


def test_credentials_of_the_codec_server_are_renewed_by_reconfigure(codec_driver: CodecDriver, tmp_path: Path) -> None:
    driver, token = codec_driver.driver, codec_driver.start().next_attempt().token

    def needs_second_key(request: Request) -> None:
        if request.headers["authorization"] == f"Bearer {KEY}-2":
            request.convert()
        else:
            request.answer(401)

    codec_driver.connect()
    held = codec_driver.hold("guarded")
    held.record(1)
    held.handle.flush()
    codec_driver.codec.script("guarded", needs_second_key)
    held.record(2)
    assert held.handle.wait(Signals.REFUSED, timeout=LONG_MS) == Signals.REFUSED
    with refused("THB_UNAUTHENTICATED", "401", "codec_auth"):
        held.handle.flush()
    driver.reconfigure({"codec_auth": f"Bearer {KEY}-2", "codec_headers": {"x-more": HEADER}})
    held.handle.flush()
    assert held.handle.signals() == Signals.NONE
    assert held.held_by_server() == [2]
    headers = codec_driver.codec.requests("guarded")[-1].headers
    assert (headers["x-namespace"], headers["x-more"]) == (NAMESPACE, HEADER)

    # After a mistake, nothing has changed.
    wrong = {"codec_auth": "Bearer wrong", "tls": {"server_ca_cert_path": str(tmp_path / "missing")}}
    with refused("THB_CONFIG", "missing"):
        driver.reconfigure(wrong)
    driver.heartbeat(token, value("guarded", 3))
    held.check_lease()
    codec_driver.check_secrets()


def test_new_connection_uses_another_codec_server(codec_driver: CodecDriver) -> None:
    driver, token = codec_driver.driver, codec_driver.start().next_attempt().token
    codec_driver.connect()
    driver.heartbeat(token, value("reconnect", 1))
    driver.disconnect()
    with ScriptedCodec() as other:
        codec_driver.connect(codec_endpoint=other.endpoint)
        driver.heartbeat(token, value("reconnect", 2))
        assert len(other.requests("reconnect")) == 1
    assert len(codec_driver.codec.requests("reconnect")) == 1
    assert codec_driver.codec.requests("reconnect")[0].path == f"/{NAMESPACE}/encode"
    codec_driver.check_secrets()


def test_forked_child_encodes_on_its_own_connections(server: Server, start: StartActivity) -> None:
    activity = start("workflow", heartbeat_timeout_ms=LONG_MS)
    with ScriptedCodec() as codec, Proxy(server.port, record=True) as proxy:
        environment = {
            "TEMPORAL_ADDRESS": proxy.address,
            "TEMPORAL_NAMESPACE": NAMESPACE,
            "TEMPORAL_CODEC_ENDPOINT": codec.endpoint,
            "TEMPORAL_CODEC_AUTH": f"Bearer {KEY}",
            # Newer Pythons warn about every fork of a process with threads.
            "PYTHONWARNINGS": "ignore::DeprecationWarning",
        }
        lines = """
            token = thb.token_from_env()
            thb.heartbeat(token, {"script": "parent", "text": "planted-word"})
            child = os.fork()
            if child == 0:
                thb.heartbeat(token, {"script": "child", "text": "planted-word"})
                os._exit(0)
            report(os.waitpid(child, 0)[1])
            thb.heartbeat(token, {"script": "parent", "text": "planted-word"})
            report("done")
        """
        parent = PythonChild(lines, environment)
        with parent:
            assert parent.receive() == ["ready"]
            parent.hand_over(activity.next_attempt())
            assert parent.receive() == [0]
            assert parent.receive() == ["done"]
            assert parent.wait() == 0
        assert [len(codec.requests(name)) for name in ("parent", "child")] == [2, 1]
    recorded = b"".join(proxy.recorded)
    assert scripted_codec.ENCODING in recorded
    assert b"planted-word" not in recorded


def test_thousands_of_activities_make_few_requests_at_a_time(codec_driver: CodecDriver) -> None:
    many = 2000
    codec_driver.connect()
    held = codec_driver.hold("real")
    held.record(1)
    held.handle.flush()
    codec_driver.codec.script("many", scripted_codec.slow(0.02))
    codec_driver.codec.go_down()
    for number in range(many):
        # The server doesn't know these tokens, which the library learns only after the first value is encoded.
        handle = codec_driver.driver.open_as(f"many-{number}", f"token-{number}".encode(), pulse=False)
        handle.record(value("many", number))
    codec_driver.codec.begin_listening()
    codec_driver.codec.wait_for("many", many)
    assert 1 < codec_driver.codec.most_at_once <= 16
    held.record(2)
    held.handle.flush()
    held.check_lease()
    codec_driver.check_secrets()
