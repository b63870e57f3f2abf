#!/usr/bin/env python3
"""Order takes an order from standard input: the event as one CloudEvents JSON object (handover = "stdin").

The exit status is the event's fate: 0 done, 65 failed at once, any other is tried again.
"""
import json
import sys

event = json.load(sys.stdin)
order = event.get("data")
if not isinstance(order, dict) or "sku" not in order:
    print("not an order:", order if order is not None else event.get("data_base64"), file=sys.stderr)
    sys.exit(65)  # EX_DATAERR: another try would see the same
print("order", event["id"], "attempt", event["attempt"], "sku", order["sku"], "count", order.get("count", 1))
