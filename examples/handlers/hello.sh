#!/bin/sh
# Hello greets a client by the name it sends. It is a handler for socket.accept with handover = "socket": the
# connection is standard input and output.
read -r name && printf 'hello %s from %s\n' "$name" "$TCPREMOTEIP"
