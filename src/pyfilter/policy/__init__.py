# Policy: what an offence deserves. Pure: history and time are given.
from pyfilter.policy.escalation import bantime, strike
from pyfilter.policy.policy import judge

__all__ = ["bantime", "judge", "strike"]
