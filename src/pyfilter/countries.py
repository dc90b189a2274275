# Says which country an address is registered in, from the bundled database or the user's own .mmdb.
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyfilter.addresses import Address, Network, parsed
from pyfilter.visible import visible

if TYPE_CHECKING:
    from maxminddb import Reader

_CODE = re.compile(r"[A-Z]{2}")
_LONGEST = 60  # characters of a name


class Countries:
    """Answers from one database; what is missing, cut short or wrong answers "unknown"."""

    def __init__(self, database: str = "") -> None:
        """Take the path of a .mmdb ("": the bundled one); it is opened at the first question."""
        self.database = database
        self.trouble = ""  # why nothing can be answered
        self._reader: Reader | None = None
        self._names: dict[str, str] = {}

    def code(self, subject: Address | Network) -> str | None:
        """Return the ISO 3166-1 code, or None."""
        return _code_of(self._record(subject))

    def name(self, subject: Address | Network) -> str | None:
        """Return the English name, as the database has it or by the code, or None."""
        record = self._record(subject)
        country = record.get("country")
        names = country.get("names") if isinstance(country, dict) else None
        name = names.get("en") if isinstance(names, dict) else None
        if isinstance(name, str) and name:
            return visible(name, _LONGEST)
        code = _code_of(record)
        return self._named(code) if code else None

    def sentence(self, subject: Address | Network) -> str:
        """Return `The IP was from United Kingdom.`, the end of a ban line."""
        return f"The IP was from {self.name(subject) or 'unknown!'}."

    def close(self) -> None:
        if self._reader:
            self._reader.close()
            self._reader = None

    def _named(self, code: str) -> str:
        if not self._names:
            self._names = json.loads((files("pyfilter") / "data/countries.json").read_text("utf-8"))
        return self._names.get(code, code)

    def _record(self, subject: Address | Network) -> dict[str, Any]:
        """Return what the database has of the first address of a subject, {} for nothing.

        Addresses that are nobody's (documentation, private) are in no country, though the bundled
        data, made from whole allocations, say so of some.
        """
        address = parsed(subject).network_address
        if self.trouble or (not self.database and not address.is_global):
            return {}
        try:
            self._reader = self._reader or _opened(self.database)
            known = address.version <= self._reader.metadata().ip_version
            record = self._reader.get(address) if known else None
        except _BROKEN as error:
            self.trouble = f"countries are unknown: {self.database or 'bundled'}: {error}"
            return {}
        return record if isinstance(record, dict) else {}


# What a file that is no database, or a damaged one, makes maxminddb raise; RuntimeError is the base
# of its own InvalidDatabaseError, and RecursionError is one too.
_BROKEN = (OSError, RuntimeError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError)


def _opened(database: str) -> "Reader":
    """Open a database: ours in shared memory; another's file may shrink under us, so by reads."""
    from maxminddb import MODE_FILE, MODE_MMAP, open_database  # noqa: PLC0415 # seldom needed

    if database:
        if not Path(database).is_file():
            raise FileNotFoundError("is no file")
        return open_database(database, MODE_FILE)
    return open_database(str(files("pyfilter") / "data/country.mmdb"), MODE_MMAP)


def _code_of(record: dict[str, Any]) -> str | None:
    """Return the code from any of the usual layouts (GeoLite2, DB-IP, ip-location-db, IPinfo)."""
    country = record.get("country")
    nested = country.get("iso_code") if isinstance(country, dict) else country
    for code in (nested, record.get("country_code")):
        if isinstance(code, str) and _CODE.fullmatch(code):
            return code
    return None
