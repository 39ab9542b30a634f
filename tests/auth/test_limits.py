"""Rates: their setting, and who counts against which."""

import re

import pytest

from tests.fakes import FakeClock, FakeJournal
from tests.waiting import until
from tidewire.auth import limits
from tidewire.auth.limits import BURST, DEFAULTS, RateLimits, parse_rates
from tidewire.core.errors import ConfigurationError, RateLimited


def rates_of(text: str, clock: FakeClock) -> RateLimits:
    return RateLimits(parse_rates(text), clock=clock, journal=FakeJournal())


def test_rates_that_are_not_named_are_as_by_default() -> None:
    rates = parse_rates("connect=5/10 seconds, poll = off")
    assert rates.keys() == DEFAULTS.keys() - {"poll"}
    assert (rates["connect"].amount, rates["connect"].get_expiry()) == (5, 10)
    assert (rates["auth"].amount, rates["auth"].get_expiry()) == (30, 60)
    assert parse_rates("").keys() == DEFAULTS.keys()


def test_off_is_no_rate_at_all() -> None:
    assert parse_rates(" off ") == {}


@pytest.mark.parametrize(
    "text",
    [
        "connect",
        "connect=",
        "connect=60",
        "connect=60/fortnight",
        "connect=0/minute",
        "connect=-1/minute",
        "connect=1.5/minute",
        "connect=60/minute;1/second",
        "connect=100001/minute",
        "connect=1/2 days",
        "connects=60/minute",
        "60/minute",
        "=60/minute",
        "off,connect=60/minute",
    ],
)
def test_what_is_no_rate_is_refused_by_the_name_of_the_setting(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^TIDEWIRE_RATE_LIMITS: "):
        parse_rates(text)


@pytest.mark.parametrize("url", ["http://host", "redis://user:hunter2@host:port", "host"])
def test_an_address_that_is_no_redis_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^RATE_LIMIT_REDIS_URL ") as raised:
        RateLimits({}, clock=FakeClock(), journal=FakeJournal(), redis_url=url)
    assert "hunter2" not in str(raised.value)


async def test_the_window_moves_so_that_a_rate_holds_within_any_minute() -> None:
    clock = FakeClock()
    rates = rates_of("connect=2/minute", clock)

    async def hit() -> tuple[bool, int, int]:
        allowance = await rates.hit("connect", "alice")
        assert allowance is not None
        return allowance.granted, allowance.remaining, allowance.reset

    clock.advance(59)
    assert await hit() == (True, 1, 60_000)
    clock.advance(2)
    assert await hit() == (True, 0, 58_000)
    assert await hit() == (False, 0, 58_000)
    clock.advance(57.999)
    assert await hit() == (False, 0, 1)
    clock.advance(0.001)
    assert await hit() == (True, 0, 2_000)


async def test_whoever_waits_as_long_as_they_were_told_is_let_in() -> None:
    clock = FakeClock()
    rates = rates_of("connect=3/minute", clock)
    for seconds in (0.0, 7.25, 11.5):
        clock.advance(seconds)
        await rates.hit("connect", "alice")
    refused = await rates.hit("connect", "alice")
    assert refused is not None
    with pytest.raises(RateLimited) as raised:
        refused.refuse("streams")
    assert raised.value.retry_after is not None
    clock.advance(raised.value.retry_after / 1000)
    again = await rates.hit("connect", "alice")
    assert again is not None
    assert again.granted


async def test_users_and_rates_count_apart_from_each_other() -> None:
    rates = rates_of("connect=1/minute,token=1/minute", FakeClock())
    for name, user in (("connect", "a"), ("connect", "b"), ("token", "a")):
        allowance = await rates.hit(name, user)
        assert allowance is not None
        assert allowance.granted


async def test_no_name_of_an_instance_reaches_what_another_user_has_left() -> None:
    rates = rates_of("poll=1/minute", FakeClock())
    for user, instance in (("a", "b/c"), ("a/b", "c"), ('a","b', "c"), ("a", 'b","c')):
        allowance = await rates.hit_poll(user, instance)
        assert allowance is not None
        assert allowance.granted


async def test_new_names_of_instances_are_no_way_around_the_rate_of_polls() -> None:
    rates = rates_of("poll=3/minute", FakeClock())
    granted = 0
    for number in range(100):
        allowance = await rates.hit_poll("mallory", f"tab-{number}")
        assert allowance is not None
        granted += allowance.granted
    assert granted == 30
    # What was refused is not remembered: others would be forgotten for it.
    assert rates.remembered == 31


async def test_a_rate_that_is_off_counts_nothing() -> None:
    rates = rates_of("off", FakeClock())
    for name in DEFAULTS:
        assert await rates.hit(name, "alice") is None
    assert await rates.hit_poll("alice", "tab") is None
    assert await rates.hit_failure("192.0.2.1", was_good=False) is None
    assert rates.check_burst("192.0.2.1") is None


def test_the_default_rates_are_those_of_the_wire_contract() -> None:
    assert re.fullmatch(r"60/minute", DEFAULTS["connect"])
    assert (DEFAULTS["poll"], DEFAULTS["auth"]) == ("120/minute", "30/minute")


async def test_an_address_that_never_failed_is_not_even_counted() -> None:
    rates = rates_of("auth=1/minute", FakeClock())
    assert rates.check_burst("192.0.2.1") is None
    await rates.hit_failure("192.0.2.1", was_good=True)
    allowance = rates.check_burst("192.0.2.1")
    assert allowance is not None
    assert allowance.granted
    assert allowance.limit == BURST


async def test_counters_that_ran_out_are_forgotten_though_nobody_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks, look = 0, RateLimits._forget

    def counted(rates: RateLimits) -> None:
        nonlocal looks
        looks += 1
        look(rates)

    monkeypatch.setattr(RateLimits, "_forget", counted)
    monkeypatch.setattr(limits, "FORGET_SECONDS", 0.001)
    clock = FakeClock()
    rates = rates_of("connect=60/minute", clock)
    for number in range(100):
        await rates.hit("connect", f"user-{number}")
    before = looks
    await until(lambda: looks > before)
    assert rates.remembered == 100
    clock.advance(120)
    await until(lambda: rates.remembered == 0)
    await rates.hit("connect", "alice")
    clock.advance(120)
    await until(lambda: rates.remembered == 0)
    await rates.close()
