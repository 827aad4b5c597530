"""How log lines look and which are written."""

from __future__ import annotations

from typing import IO, Any

from constantly import NamedConstant  # type: ignore[import-untyped]
from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    PredicateResult,
    jsonFileLogObserver,
    textFileLogObserver,
)
from zope.interface import provider

from appliance.config import LogConfig, LogFormat


def log_observer(config: LogConfig, out: IO[Any]) -> ILogObserver:
    """
    :param out: an open text file.
    :return: an observer that writes what ``config.level`` lets through, a line an event.
    """
    if config.format is LogFormat.JSON:
        observer: ILogObserver = jsonFileLogObserver(out, recordSeparator="")
    else:
        observer = textFileLogObserver(out)
    level = LogLevel.lookupByName(config.level.value)
    return FilteringLogObserver(observer, [LogLevelFilterPredicate(defaultLogLevel=level), _without_chatter(level)])


def _without_chatter(level: NamedConstant) -> Any:
    """Twisted says of each port that it starts and stops, at level info; who wants that asks for debug."""

    @provider(ILogFilterPredicate)
    def predicate(event: LogEvent) -> NamedConstant:
        own = event.get("log_namespace", "").startswith("appliance")
        important = own or level is LogLevel.debug or event.get("log_level", LogLevel.info) > LogLevel.info
        return PredicateResult.maybe if important or event.get("isError") else PredicateResult.no

    return predicate
