# enforcer: to come.
