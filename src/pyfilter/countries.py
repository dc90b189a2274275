# countries: to come.
