# settings: reads a configuration, whichever form it has, into one tree.
