#!/usr/bin/env python3
"""Echo sends back what a client sends until the client ends. It is a handler for socket.accept."""
import aem


def echo(e):
    while data := e.conn.recv(65536):
        e.conn.sendall(data)


aem.run(echo)
