"""
What configurations and persons change: a reload, and run-time changes that outlive it (5.10).

The file says how everything is; overrides lie upon it.  An override remembers what the file said when a person made it,
and ends when the file says something else: who edited the file later has the last word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from appliance.balancing.behaviour import Watch
from appliance.balancing.board import Board
from appliance.balancing.events import Overridden, OverrideEnded
from appliance.balancing.making import made_instances, make_server, name_instance
from appliance.balancing.orders import Orders, configured, subjects_of
from appliance.balancing.premises import Premises
from appliance.balancing.real import Real
from appliance.balancing.subjects import (
    RealSubject,
    Subject,
    VirtualSubject,
    canonical_setting,
    check,
    check_undoing,
    find,
    prefix_of,
    split_virtual,
)
from appliance.balancing.values import Override
from appliance.balancing.virtual import Virtual
from appliance.errors import BalancingError
from appliance.model import Server, Site

_LOCAL = frozenset({"state", "weight", "threshold", "max_connections"})
"""Settings of a server that change no link."""


class Changing:
    """
    The only one who changes what stands on the board.

    What has changed is noted as it does (``_reals``, ``_places``, and ``_gone`` virtual servers), and applied together.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._orders = Orders()
        self._reals: dict[Real, bool] = {}
        self._places: dict[Premises, None] = {}
        self._gone: list[Virtual] = []

    # -- the file --------------------------------------------------------------------------------------------------

    def configure(self, sites: Mapping[str, Site], servers: Mapping[str, Server], now: float) -> None:
        """Take over a configuration; what is as it was costs a comparison."""
        places = self._board.places
        self._take_servers(sites, servers, now)
        for name in [name for name in places if name not in sites]:
            self._remove(places.pop(name), now)
        for site in sites.values():
            place = places.get(site.name)
            if place is None:
                place = places[site.name] = Premises(site, next(self._board.numbers))
            elif place.site == site:
                continue
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
                real = reals[name] = Real(server)
                self._touch(real, links=True)
            elif real.server != server or real.gone or real.made:
                self._touch(real, links=True)
                self._board.configure(real, server, now)
        for real in reals.values():
            if real.name not in wanted and not real.made and not real.gone:
                self._board.retire(real)
                self._touch(real, links=True)

    def _lay_out(self, place: Premises, now: float) -> None:
        """Make the virtual servers of a site, those included that persons made."""
        for override in self._orders.made_at(place.name):
            if any(override.subject.endswith(f":{instance.bind_id}") for instance in place.site.instances):
                self._end(override, "the file has it now", now)
        made = made_instances(self._board, place, self._orders)
        self._gone += place.lay_out(place.site, (*place.site.instances, *made), self._board.numbers)
        self._places[place] = None
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
        self._places[place] = None
        place.watches = []
        self._board.conduct.forget(place, (), now)

    def _review(self, now: float) -> None:
        """End the overrides that do not hold any more."""
        for override in self._orders.all():
            reason = self._why_not(override)
            if reason is not None:
                self._touch_subject(override)
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
        return configured(found, canonical_setting(self._board, found, setting))

    def overrides(self) -> list[Override]:
        return self._orders.all()

    def override(self, subject: str, setting: str, value: str | None, now: float) -> Override | None:
        if setting == "made" and value is not None:
            override = self._make(subject, value, now)
            found = find(self._board, override.subject)
        else:
            found = find(self._board, subject)
            if value is None:
                self._take_back(found, canonical_setting(self._board, found, setting), now)
                return None
            setting, value = check(self._board, found, setting, value)
            check_undoing(found, setting, value)
            override = Override(found.text, setting, value, configured(found, setting))
            # Of two equal assignments the later one counts, so one may be worth its while that the file has too.
            if value == override.configured and value != "assigned" and not self._is_ordered_elsewhere(found, setting):
                self._take_back(found, setting, now)
                return None
            self._orders.put(override)
        self._board.events.append(Overridden(at=now, override=override))
        self._follow(override, found, now)
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
                self._touch_subject(override)
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
        self._follow(override, subject, now)

    def _is_ordered_elsewhere(self, subject: Subject, setting: str) -> bool:
        """Does another override of the same setting concern virtual servers of ``subject``, or others beside them?"""
        if isinstance(subject, RealSubject):
            return False
        virtuals = subject.place.sections[subject.bind_id].virtuals
        subjects = {text for virtual in virtuals for text in subjects_of(virtual)} - {subject.text}
        return any(self._orders.get(text, setting) is not None for text in subjects)

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
        self._touch_subject(override)
        if kind == "virtual":
            self._lay_out(split_virtual(self._board, name)[0], now)
        return override

    # -- what follows ----------------------------------------------------------------------------------------------

    def _touch(self, real: Real, *, links: bool) -> None:
        """
        ``real`` is, or is ordered, otherwise.

        :param links: who its backup is, or whether it is there at all, may have changed too.
        """
        self._reals[real] = self._reals.get(real, False) or links

    def _touch_subject(self, override: Override) -> None:
        kind, _, name = override.subject.partition(" ")
        real, place = self._board.reals.get(name), self._board.places.get(name.split(":")[0])
        if kind == "server" and real is not None:
            self._touch(real, links=override.setting not in _LOCAL)
        elif kind == "virtual" and place is not None:
            self._places[place] = None

    def _follow(self, override: Override, subject: Subject, now: float) -> None:
        """One override is new, or has ended.  Of many assignments one costs no more for the others."""
        if isinstance(subject, VirtualSubject) and override.setting.startswith("client "):
            prefix = prefix_of(override.setting.removeprefix("client "))
            for virtual in subject.virtuals:
                self._orders.order_client(virtual, prefix)
            subject.place.assign_one(prefix)
        else:
            self._touch_subject(override)
            self._apply(now)

    def _relinked(self, reals: Mapping[Real, bool]) -> Iterator[Premises]:
        """The sites that may use other servers now because ``reals``, or their backups, have changed."""
        names = {real.name for real, links in reals.items() if links}
        for real in self._board.reals.values() if names else ():
            if real.name in names or real.backup in names:
                yield from (virtual.section.place for virtual in real.users)

    def _apply(self, now: float) -> None:
        """Let all that was touched be as it is ordered; O(its servers and virtual servers, and who depends on them)."""
        board = self._board
        reals, self._reals = self._reals, {}
        places, self._places = self._places, {}
        gone, self._gone = self._gone, []
        places |= dict.fromkeys(self._relinked(reals))
        for real in reals:
            self._orders.order_real(real)
        concerned = [place for place in board.links.dependents(places) if place.name in board.places]
        for place in concerned:
            for virtual in place.virtuals():
                self._orders.order_virtual(virtual, board.reals)
            place.assign()
        for virtual in gone:
            board.links.disconnect(virtual)
        virtuals = [virtual for place in concerned for virtual in place.virtuals()]
        board.links.connect(virtuals)
        board.rearrange(list(dict.fromkeys([*virtuals, *(user for real in reals for user in real.users)])), now)
        board.move([*gone, *(virtual for virtual in virtuals if not virtual.in_service)], now)
        for real in reals:
            board.emptied(real, now)
