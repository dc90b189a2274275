# blacklist: to come.
