# control: the one door for outside eyes and hands: JSON lines over a Unix socket.
