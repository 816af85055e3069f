"""Records what a real Redis says in every conversation: ``python -m tests.conformance.redis_record``."""

from __future__ import annotations

import json

from tests.conformance.redis_server_arm import RealRedis
from tests.conformance.redis_traces import PROTOCOLS, REPLIES, bodies, converse


def main() -> None:
    """Record."""
    answers = {}
    with RealRedis() as server:
        for body in bodies():
            for protocol in PROTOCOLS:
                server.flush()
                answers[f"{body.name} (RESP{protocol})"] = converse(body, protocol, server.connect)
    REPLIES.write_text(json.dumps(answers, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
