#!/usr/bin/env python3
"""An application in layers: a process of one thread for each, linked by topics. No layer knows where another one runs, or
whether it does; what comes while one is replaced is tried again.

    front   takes lines from clients, asks price and waits for the answer (a call), and tells book (a message)
    price   answers
    book    adds up

Beside a supervisor whose file has an [app.layers]:

    $ for layer in front price book; do AEM_RUNTIME_DIR=run examples/layers/layer.py $layer & done
    $ echo pears 3 | nc -N 127.0.0.1 7014
    pears 3: 450
"""
import base64
import sys

import aem
import aem_attach

PRICES = {"apples": 120, "pears": 150}


def front(agent, address):
    def line(e):
        fate = agent.do("emit", bytes(e.data), topic="layers/price", wait=True)["fates"][0]
        if fate["outcome"] != "done":
            raise aem.Fail(f"no price: {fate}")
        price = base64.b64decode(fate["reply"])
        agent.do("emit", price, topic="layers/book")
        return b"%s: %s\n" % (bytes(e.data).strip(), price)

    return agent.register("line", {"type": "socket.read", "listen": address, "frame": "line"}, line)


def price(agent, _):
    def ask(e):
        what, count = bytes(e.data).decode().split()
        if what not in PRICES:
            raise aem.Fail(f"no price of {what}")  # another try would see the same
        return str(PRICES[what] * int(count))

    return agent.register("price", {"type": "topic"}, ask)


def book(agent, _):
    total = 0

    def add(e):
        nonlocal total
        total += int(bytes(e.data))
        print("total", total, flush=True)

    return agent.register("book", {"type": "topic"}, add)


LAYERS = {"front": front, "price": price, "book": book}
SETTINGS = {"retries": 20, "backoff": {"first": "100ms", "factor": 1.5, "max": "2s"}}


def main(layer, address="tcp://127.0.0.1:7014"):
    with aem_attach.Agent("layers", settings=SETTINGS) as agent:
        agent.start(LAYERS[layer](agent, address))
        print("ready", flush=True)
        agent.keepalive()


main(*sys.argv[1:])
