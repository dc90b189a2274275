# bench: every number we print comes from here.
