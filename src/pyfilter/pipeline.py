# pipeline: to come.
