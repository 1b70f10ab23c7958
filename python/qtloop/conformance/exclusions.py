"""Every test that is left out, and why: the same list for every loop, stock asyncio included.

A test is left out when it asserts on private machinery of the stock loop rather than on what a loop
does, when it repeats another test of the list, or when it is about another system. Failing is not a
reason.
"""

from __future__ import annotations

import fnmatch
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Exclusion:
    """A glob over `module.Class.test`, and why what it matches is left out."""

    pattern: str
    reason: str


_WINDOWS = "about Windows' proactor loop"
_SAME_LOOP = (
    "the same tests again with another selector; a loop with its own way of polling has only one"
)
_STOCK_TRANSPORT = "calls the methods of the stock loop's private transport on a fake selector"
_STOCK_PROACTOR = (
    "calls the methods of the stock loop's private transport on a fake socket or proactor"
)
_SAME_TESTS = "the same tests as those of the proactor loop, which is the only one here"
_STOCK_QUEUES = "asserts on the stock loop's private queues of handles (_ready, _scheduled)"
_STOCK_TURN = "asserts on how the stock loop turns (_run_once, its selector's calls)"
_STOCK_SELECTOR = "asserts on the contents of the stock loop's private _selector"
_MOCK_SOCKET = (
    "runs the stock transport or server on a mock socket, with the private _add_reader mocked away"
)

_ON_UNIX = (
    Exclusion("test_proactor_events.*", _WINDOWS),
    Exclusion("test_windows_events.*", _WINDOWS),
    Exclusion("test_windows_utils.*", _WINDOWS),
)

_ON_WINDOWS = (
    Exclusion("test_proactor_events.Proactor*TransportTests.*", _STOCK_PROACTOR),
    Exclusion("test_proactor_events.BaseProactorEventLoopTests.*", _STOCK_PROACTOR),
    Exclusion("*.BufferedProtocolSelectorTests.*", _SAME_TESTS),
    Exclusion("*.SelectorStartServerTests.*", _SAME_TESTS),
    Exclusion("*.SelectorStartTLSTests.*", _SAME_TESTS),
)

_EVERYWHERE = (
    Exclusion("*.PollEventLoopTests.*", _SAME_LOOP),
    Exclusion("*.SelectEventLoopTests.*", _SAME_LOOP),
    Exclusion("test_selector_events.*", _STOCK_TRANSPORT),
    Exclusion(
        "test_ssl.TestSSL.test_remote_shutdown_receives_trailing_data_on_slow_socket",
        "puts a fake socket into the stock loop's private transport",
    ),
    Exclusion("test_unix_events.UnixReadPipeTransportTests.*", _STOCK_TRANSPORT),
    Exclusion("test_unix_events.UnixWritePipeTransportTests.*", _STOCK_TRANSPORT),
    Exclusion(
        "test_base_events.BaseEventLoopTests.test_not_implemented",
        "asserts which private hooks the stock loop's base class leaves to its subclasses",
    ),
    Exclusion("test_base_events.BaseEventLoopTests.test__add_callback_*", _STOCK_QUEUES),
    Exclusion("test_base_events.BaseEventLoopTests.test_call_soon", _STOCK_QUEUES),
    Exclusion("test_base_events.BaseEventLoopTests.test_call_later", _STOCK_QUEUES),
    Exclusion("test_base_events.BaseEventLoopTests.test__run_once*", _STOCK_TURN),
    Exclusion("test_base_events.BaseEventLoopTests.test_run_forever_pre_stopped", _STOCK_TURN),
    Exclusion(
        "test_base_events.BaseEventLoopTests.test_custom_run_forever_integration", _STOCK_TURN
    ),
    Exclusion(
        "test_base_events.BaseEventLoopTests.test_single_selecter_event_callback_after_stopping",
        _STOCK_TURN,
    ),
    Exclusion("test_events.*EventLoopTests.test_timeout_rounding", _STOCK_TURN),
    Exclusion(
        "test_events.*EventLoopTests.test_internal_fds",
        "asserts on the stock loop's private self-pipe (_internal_fds, _ssock, _csock)",
    ),
    Exclusion(
        "test_unix_events.SelectorEventLoopUnixSockSendfileTests.test_sock_sendfile_cancel[12]",
        _STOCK_SELECTOR,
    ),
    Exclusion(
        "test_unix_events.SelectorEventLoopUnixSockSendfileTests.test_sock_sendfile_*_error*",
        _STOCK_SELECTOR,
    ),
    Exclusion(
        "test_unix_events.SelectorEventLoopUnixSockSendfileTests.test_sock_sendfile_exception",
        _STOCK_SELECTOR,
    ),
    Exclusion(
        "test_tasks.*.test_stop_while_run_in_complete",
        "asserts on a fake clock that goes on after the loop was stopped",
    ),
    Exclusion(
        "test_base_events.BaseEventLoopWithSelectorTests.test_create_connection_ip_addr",
        _MOCK_SOCKET,
    ),
    Exclusion(
        "test_base_events.BaseEventLoopWithSelectorTests.test_create_connection_no_inet_pton",
        _MOCK_SOCKET,
    ),
    Exclusion(
        "test_base_events.BaseEventLoopWithSelectorTests.test_create_connection_ipv6_scope",
        _MOCK_SOCKET,
    ),
    Exclusion(
        "test_base_events.BaseEventLoopWithSelectorTests.test_create_connection_service_name",
        _MOCK_SOCKET,
    ),
    Exclusion(
        "test_base_events.BaseEventLoopWithSelectorTests.test_create_datagram_endpoint_ip_addr",
        _MOCK_SOCKET,
    ),
    Exclusion(
        "test_base_events.BaseEventLoopWithSelectorTests.test_create_server_soreuseport_only_defined",
        _MOCK_SOCKET,
    ),
)

EXCLUSIONS = (_ON_WINDOWS if sys.platform == "win32" else _ON_UNIX) + _EVERYWHERE


def exclusion_of(test_id: str) -> Exclusion | None:
    """The exclusion that keeps this test out, if any."""
    for exclusion in EXCLUSIONS:
        if fnmatch.fnmatchcase(test_id, exclusion.pattern):
            return exclusion
    return None
