# client: to come.
