"""The bus of a node that is alone."""

from tidewire.core.control import Disconnect, LocalBus


async def test_a_command_reaches_every_listener_in_order() -> None:
    bus = LocalBus()
    got: list[tuple[str, object]] = []
    bus.listen(lambda command: got.append(("first", command)))
    bus.listen(lambda command: got.append(("second", command)))
    one, two = Disconnect("one", user_id="ann"), Disconnect("two", client_id="c")
    await bus.send(one)
    await bus.send(two)
    assert got == [("first", one), ("second", one), ("first", two), ("second", two)]


async def test_nobody_listening_is_no_error() -> None:
    await LocalBus().send(Disconnect("x"))


def test_a_disconnect_keeps_the_client_away_unless_it_says_otherwise() -> None:
    assert Disconnect("x").reconnect_after is None
