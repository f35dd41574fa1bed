"""The C driver checks the rules of the ABI on every call. This test breaks each rule, and the driver must detect it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.build import compile_c
from harness.driver import Driver
from harness.fixtures import StartDriver
from harness.paths import DRIVERS


def heartbeat(driver: Driver) -> None:
    driver.heartbeat(b"token", 41)


def get_details(driver: Driver) -> None:
    driver.get_details(b"token")


def token_from_env(driver: Driver) -> None:
    driver.token_from_env()


FAULTS: dict[str, tuple[Callable[[Driver], None], str]] = {
    "success leaves error_out unwritten": (heartbeat, "THB_OK left an error behind"),
    "success brings an error": (heartbeat, "THB_OK left an error behind"),
    "success leaves signals_out unwritten": (heartbeat, "THB_OK left signals_out as it was"),
    "failure leaves error_out unwritten": (heartbeat, "THB_NOT_FOUND came without an error"),
    "failure brings no error": (heartbeat, "THB_NOT_FOUND came without an error"),
    "failure brings an error of another status": (heartbeat, "the error says THB_INVALID_ARGUMENT"),
    "failure writes signals_out": (heartbeat, "a failure wrote signals_out"),
    "failure leaves details_out unwritten": (get_details, "details_out other than NULL"),
    "failure writes details_out": (get_details, "details_out other than NULL"),
    "success brings no details": (get_details, "THB_OK came without details"),
    "failure leaves token_out unwritten": (token_from_env, "token_out other than NULL"),
}


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_c(DRIVERS / "faults.c", tmp_path_factory.mktemp("faults") / "faults.so", "-shared", "-fPIC")


@pytest.mark.parametrize(("fault", "call", "notice"), [(f, *how) for f, how in FAULTS.items()], ids=FAULTS.keys())
def test_broken_rule_is_detected(
    fault: str, call: Callable[[Driver], None], notice: str, faults: Path, start_driver: StartDriver
) -> None:
    driver = start_driver("c", {"LD_PRELOAD": str(faults), "THB_FAULT": fault})
    with pytest.raises(AssertionError, match=notice):
        call(driver)
