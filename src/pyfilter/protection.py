# protection: to come.
