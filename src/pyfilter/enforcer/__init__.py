# enforcer: the one door for every Decision, from the pipeline, the fleet, people and the clock.
from pyfilter.enforcer.door import Enforcer
from pyfilter.enforcer.outcome import Outcome
from pyfilter.enforcer.reconcile import Reconciler

__all__ = ["Enforcer", "Outcome", "Reconciler"]
