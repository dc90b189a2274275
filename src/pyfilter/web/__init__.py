# web: the HTTP API for bouncers; a process of its own, a client of the control socket.
