"""
What configurations and persons change: a reload, and run-time changes that outlive it (5.10).

The file says how everything is; overrides lie upon it.  An override remembers what the file said when a person made it,
and ends when the file says something else: who edited the file later has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from appliance.balancing.behaviour import Watch
from appliance.balancing.board import Board
from appliance.balancing.events import Overridden, OverrideEnded
from appliance.balancing.making import made_at, made_instances, make_server, name_instance
from appliance.balancing.orders import Orders, configured
from appliance.balancing.premises import Premises
from appliance.balancing.real import Real
from appliance.balancing.subjects import (
    RealSubject,
    Subject,
    VirtualSubject,
    check,
    find,
    split_virtual,
)
from appliance.balancing.values import Override
from appliance.balancing.virtual import Virtual
from appliance.errors import BalancingError
from appliance.model import Server, Site

_LOCAL = frozenset({"state", "weight", "threshold", "max_connections"})
"""Settings of a server that change no link."""


class Changing:
    """The only one who changes what stands on the board."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._orders = Orders()
        self._gone: list[Virtual] = []

    # -- the file --------------------------------------------------------------------------------------------------

    def configure(self, sites: Mapping[str, Site], servers: Mapping[str, Server], now: float) -> None:
        """Take over a configuration."""
        self._take_servers(sites, servers, now)
        for name in [name for name in self._board.places if name not in sites]:
            self._remove(self._board.places.pop(name), now)
        for site in sites.values():
            place = self._board.places.setdefault(site.name, Premises(site, next(self._board.numbers)))
            place.site = site
            self._lay_out(place, now)
        self._review(now)
        self._apply(now)

    def _take_servers(self, sites: Mapping[str, Site], servers: Mapping[str, Server], now: float) -> None:
        wanted: dict[str, Server] = {}
        for site in sites.values():
            for server in (*site.servers, *(each for instance in site.instances for each in instance.servers)):
                wanted.setdefault(server.name, server)
        wanted |= servers
        reals = self._board.reals
        for name, server in wanted.items():
            real = reals.get(name)
            if real is None:
                reals[name] = Real(server)
            else:
                real.gone = real.made = False
                real.configure(server)
        for real in list(reals.values()):
            if real.name not in wanted and not real.made and not real.gone:
                real.gone = True
                real.settle()

    def _lay_out(self, place: Premises, now: float) -> None:
        """Make the virtual servers of a site, those included that persons made."""
        for override in made_at(place, self._orders):
            if any(override.subject.endswith(f":{instance.bind_id}") for instance in place.site.instances):
                self._end(override, "the file has it now", now)
        made = made_instances(self._board, place, self._orders)
        gone = place.lay_out(place.site, (*place.site.instances, *made), self._board.numbers)
        self._gone += gone
        place.watches = []
        for section in place.sections.values():
            behaviour = section.instance.behaviour if section.instance is not None else None
            if behaviour is None:
                section.watch = None
            else:
                number = section.watch.number if section.watch is not None else next(self._board.numbers)
                section.watch = Watch(number, place, section.bind_id, behaviour)
                place.watches.append(section.watch)
        self._board.conduct.forget(place, place.watches, now)

    def _remove(self, place: Premises, now: float) -> None:
        for virtual in place.virtuals():
            virtual.gone = True
            self._gone.append(virtual)
        place.watches = []
        self._board.conduct.forget(place, (), now)

    def _review(self, now: float) -> None:
        """End the overrides that do not hold any more."""
        for override in self._orders.all():
            reason = self._why_not(override)
            if reason is not None:
                self._end(override, reason, now)

    def _why_not(self, override: Override) -> str | None:
        """:return: why an override of before does not hold any more; None where it does."""
        try:
            subject = find(self._board, override.subject)
            if subject.text != override.subject:
                return "it has another name now"
            check(self._board, subject, override.setting, override.value)
        except BalancingError as problem:
            return str(problem)
        if configured(subject, override.setting) != override.configured:
            return "the file says something else now"
        return None

    def _end(self, override: Override, reason: str, now: float) -> None:
        self._orders.drop(override)
        self._board.events.append(OverrideEnded(at=now, override=override, reason=reason))

    # -- persons ---------------------------------------------------------------------------------------------------

    def canonical(self, subject: str) -> str:
        return find(self._board, subject).text

    def configured(self, subject: str, setting: str) -> str:
        found = find(self._board, subject)
        return configured(found, _canonical(self._board, found, setting))

    def overrides(self) -> list[Override]:
        return self._orders.all()

    def override(self, subject: str, setting: str, value: str | None, now: float) -> Override | None:
        if value is None:
            found = find(self._board, subject)
            self._take_back(found, _canonical(self._board, found, setting), now)
            return None
        if setting == "made":
            override = self._make(subject, value, now)
            found = find(self._board, override.subject)
        else:
            found = find(self._board, subject)
            setting, value = check(self._board, found, setting, value)
            self._check_undoing(found, setting, value)
            override = Override(found.text, setting, value, configured(found, setting))
            # Of two equal assignments the later one counts, so one may be worth its while that the file has too.
            if value == override.configured and value != "assigned" and self._is_alone(override):
                self._take_back(found, setting, now)
                return None
            self._orders.put(override)
        self._board.events.append(Overridden(at=now, override=override))
        self._apply_to(found, setting, now)
        return override

    def restore(self, overrides: Sequence[Override], now: float) -> list[Override]:
        refused = []
        for override in overrides:
            if override.setting == "made":
                try:
                    self._make(override.subject, override.value, now)
                except BalancingError:
                    refused.append(override)
            elif self._why_not(override) is None:
                self._orders.put(override)
            else:
                refused.append(override)
        self._apply(now)
        return refused

    def _take_back(self, subject: Subject, setting: str, now: float) -> None:
        override = self._orders.get(subject.text, setting)
        if override is None:
            return
        self._end(override, "taken back", now)
        if setting == "made":
            if isinstance(subject, RealSubject):
                subject.real.gone = True
            else:
                self._lay_out(subject.place, now)
            self._review(now)
        self._apply_to(subject, setting, now)

    def _check_undoing(self, subject: Subject, setting: str, value: str) -> None:
        """:raises BalancingError: what is to be undone is not there."""
        if isinstance(subject, VirtualSubject) and value in ("unbound", "unassigned"):
            name = setting.split(" ", 1)[1]
            for virtual in subject.virtuals:
                if name in map(str, virtual.clients) or any(name == real.name for real in virtual.bound):
                    return
            there = value.removeprefix("un")
            message = f"{name} is not {there} to {subject.text.removeprefix('virtual ')}"
            raise BalancingError("not-found", message, field=setting.split(" ")[0])

    def _is_alone(self, override: Override) -> bool:
        """Is there nothing about the same setting that ``override`` stands above or below of?"""
        kind, _, rest = override.subject.partition(" ")
        if kind == "server":
            return True
        site, _, bind_id = rest.partition(":")[0], *rest.rpartition(":")[1:]
        return not any(
            other.setting == override.setting
            and other.subject != override.subject
            and other.subject.startswith(f"virtual {site}:")
            and other.subject.endswith(f":{bind_id}")
            for other in self._orders.all()
        )

    def _make(self, subject: str, value: str, now: float) -> Override:
        """
        A server, or an instance, that the file does not know; it remains to be applied.

        :raises BalancingError: it is there already, or cannot be.
        """
        if value != "yes":
            raise BalancingError("invalid", f"made: found {value!r}; allowed: yes", field="made")
        kind, _, name = subject.partition(" ")
        if kind == "server":
            text = make_server(self._board, name)
        elif kind == "virtual":
            text = name_instance(self._board, name)
        else:
            text = find(self._board, subject).text  # which says what is allowed
        override = Override(text, "made", "yes", "no")
        self._orders.put(override)
        if kind == "virtual":
            self._lay_out(split_virtual(self._board, name)[0], now)
        return override

    # -- what follows ----------------------------------------------------------------------------------------------

    def _apply_to(self, subject: Subject, setting: str, now: float) -> None:
        """One setting has changed."""
        if isinstance(subject, RealSubject) and setting in _LOCAL:
            self._orders.order_real(subject.real)
            self._board.changed(subject.real, now)
        elif isinstance(subject, VirtualSubject) and setting.startswith("client "):
            for virtual in subject.virtuals:
                self._orders.order_virtual(virtual, self._board.reals)
            subject.place.assign()
        else:
            self._apply(now)

    def _apply(self, now: float) -> None:
        """Anything may have changed; O(all servers, virtual servers and those who wait)."""
        board = self._board
        for real in board.reals.values():
            self._orders.order_real(real)
        for virtual in board.virtuals():
            self._orders.order_virtual(virtual, board.reals)
        for place in board.places.values():
            place.assign()
        board.links.connect()
        board.queues.register(board.virtuals(), board.reals.values())
        board.rearrange(list(board.virtuals()), now)
        gone, self._gone = self._gone, []
        board.move([*gone, *(virtual for virtual in board.virtuals() if not virtual.in_service)], now)
        for real in list(board.reals.values()):
            board.emptied(real, now)


def _canonical(board: Board, subject: Subject, setting: str) -> str:
    """:raises BalancingError: there is no such setting."""
    kind = setting.partition(" ")[0]
    some_value = {"state": "in-service", "server": "bound", "client": "assigned", "backup": "none", "made": "yes"}
    return check(board, subject, setting, some_value.get(kind, "1"))[0]
