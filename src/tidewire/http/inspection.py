"""What one node knows of its connections, and says to whichever node asks."""

import heapq
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tidewire.core.connections import Connection, ConnectionState
from tidewire.core.keeper import Keeper
from tidewire.core.position import Cursor
from tidewire.core.recorder import Record
from tidewire.health.explain import Live, Memory, Scope, Sighting
from tidewire.health.journal import ErrorJournal
from tidewire.http.figures import Figures

MAX_TIMELINE: Final = 200
"""Records of one client, or of one user, that a node tells of at most: the newest."""


class Choice(NamedTuple):
    """Which clients are asked for; None = any.

    Attributes:
        user: whose.
        state: in which state.
        transport: ``sse`` or ``polling``.
        after: only those whose id is greater.
        limit: how many at most.
    """

    user: str | None = None
    state: str | None = None
    transport: str | None = None
    after: str = ""
    limit: int = 100


class Inspection:
    """What one node says of itself when it is asked."""

    def __init__(self, keeper: Keeper, figures: Figures, journal: ErrorJournal) -> None:
        self._keeper = keeper
        self._figures = figures
        self._journal = journal
        self._answers: Final = {
            "clients": self._clients,
            "client": self._client,
            "memory": self._memory,
            "figures": self._all_figures,
            "ping": self._ping,
            "errors": self._errors,
            "clearErrors": self._clear_errors,
            "cleanUp": self._clean_up,
        }

    def respond(self, what: str, parameters: Mapping[str, Any]) -> Any:
        """As `tidewire.core.inquiry.Respond`."""
        answer = self._answers.get(what)
        return None if answer is None else answer(parameters)

    def _clients(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        choice = Choice(**asked)
        connections = self._keeper.connections
        mine = connections if choice.user is None else connections.of_user(choice.user)
        fitting = [each for each in mine if _fits(each, choice)]
        following = (each for each in fitting if each.id > choice.after)
        # One more than is shown, to see whether there is more.
        first = heapq.nsmallest(choice.limit + 1, following, key=lambda each: each.id)
        return {"clients": [self._told(each) for each in first], "total": len(fitting)}

    def _client(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        connection = self._keeper.connections.get(asked["clientId"])
        records = self._keeper.recorder.of_client(asked["clientId"])[-MAX_TIMELINE:]
        if connection is None and not records:
            return None
        return {
            "client": None if connection is None else self._told(connection),
            "timeline": [record.to_json(self._keeper.presence.node) for record in records],
        }

    def _memory(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        keeper = self._keeper
        node, user = keeper.presence.node, asked["user"]
        records = keeper.recorder.of_user(user)
        since = keeper.recorder.kept_since
        if len(records) > MAX_TIMELINE:
            records = records[-MAX_TIMELINE:]
            since = records[0].timestamp
        return {
            "since": since,
            "records": [_remembered(record, node) for record in records],
            "live": [
                {
                    "clientId": each.id,
                    "openedAt": each.connected_at,
                    "cursor": str(keeper.hub.reached(each.reader)),
                    "scope": _scope(each),
                }
                for each in keeper.connections.of_user(user)
                if each.state is not ConnectionState.CONNECTING and not each.closing
            ],
        }

    def _ping(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        client_id = asked.get("clientId")
        if client_id is None:
            return {"pinged": self._keeper.ping()}
        return self._keeper.ping_one(client_id)

    def _all_figures(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        return self._figures.own()

    def _errors(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        return self._journal.summary(self._keeper.presence.node, asked["limit"])

    def _clear_errors(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        return {"cleared": self._journal.clear()}

    def _clean_up(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        closed, looked = self._keeper.clean_up()
        return {"closed": closed, "looked": looked}

    def _told(self, connection: Connection) -> dict[str, Any]:
        keeper, reader = self._keeper, connection.reader
        identity, clock = reader.identity, keeper.clock
        cursor = keeper.hub.reached(reader)
        given = reader.delivered_at
        ago = round((clock.monotonic() - given) * 1000)
        behind = keeper.hub.position.offset - cursor.position.offset if reader.behind() else 0
        return {
            "clientId": connection.id,
            "userId": identity.user_id,
            "roles": sorted(identity.roles),
            "topics": sorted(identity.topics),
            "types": sorted(reader.types) or None,
            "transport": connection.transport,
            "method": identity.method,
            "state": connection.state.value,
            "node": keeper.presence.node,
            "connectedAt": connection.connected_at,
            "clientType": connection.client_type,
            "clientInfo": connection.client_info,
            "instanceId": connection.instance_id,
            "cursor": str(cursor),
            "behind": max(0, behind),
            "delivered": reader.delivered,
            "authorityEnds": connection.authority_ends,
            "lastDeliveredAt": clock.now() - ago if given else None,
            "address": None,
        }


def _fits(connection: Connection, choice: Choice) -> bool:
    return choice.state in (None, connection.state.value) and choice.transport in (
        None,
        connection.transport,
    )


def _scope(connection: Connection) -> dict[str, list[str]]:
    return Scope(connection.reader.identity, connection.reader.types).to_json()


def _remembered(record: Record, node: str) -> dict[str, Any]:
    told = record.to_json(node)
    if record.identity is not None:
        told["scope"] = Scope(record.identity, record.types).to_json()
    return told


def memory_of(user_id: str, told: Mapping[str, Any]) -> Memory:
    """What a node remembers of a user, as it says it."""
    return Memory(
        told["since"],
        [_sighting(user_id, record) for record in told["records"]],
        [
            Live(
                each["clientId"],
                each["openedAt"],
                Cursor.parse(each["cursor"]),
                Scope.from_json(user_id, each["scope"]),
            )
            for each in told["live"]
        ],
    )


def _sighting(user_id: str, told: Mapping[str, Any]) -> Sighting:
    scope = told.get("scope")
    return Sighting(
        told["timestamp"],
        told["what"],
        told["clientId"],
        None if told["cursor"] is None else Cursor.parse(told["cursor"]),
        told.get("from"),
        None if scope is None else Scope.from_json(user_id, scope),
        {name: value for name, value in told.items() if name != "scope"},
    )
