# server: to come.
