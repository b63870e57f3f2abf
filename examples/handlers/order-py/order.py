#!/usr/bin/env python3
"""Order takes the orders of a topic, in JSON. With life = "resident" Python starts once for all of them."""
import aem


def order(e):
    try:
        sku = e.json()["sku"]
    except (ValueError, KeyError, TypeError) as why:
        raise aem.Fail(f"not an order: {why!r}")  # another try would see the same
    print("order", e.id, "of", e.topic, "attempt", e.attempt, "sku", sku)


aem.run(order)
