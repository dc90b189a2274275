# protection: what must never be banned; asked by the enforcer for every decision from anywhere.
from pyfilter.protection.shields import Protection, Shield

__all__ = ["Protection", "Shield"]
