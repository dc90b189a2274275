# operations: to come.
