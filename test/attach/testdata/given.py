"""A handler that attaches itself over the connection that it was started with; the control socket is nowhere."""

import aem_attach

agent = aem_attach.Agent("a")
agent.start(agent.register("own", {"type": "topic"}, lambda e: bytes(e.data).upper()))
agent.keepalive()
