# protocol: to come.
