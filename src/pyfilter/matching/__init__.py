# matching: Block -> Event. Pure: no clock, no files, no sockets.
