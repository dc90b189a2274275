# daemon: to come.
