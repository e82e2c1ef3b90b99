"""`python -m bezant_simulator`: the simulator without the rest of Bezant."""

import argparse
import os
from pathlib import Path

from bezant_simulator.server import DEFAULT_PORT, run


def main() -> None:
    """Reads the options and serves."""
    parser = argparse.ArgumentParser(prog="bezant_simulator", description="An offline PSP over HTTP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free port")
    parser.add_argument("--state", type=Path, help="folder for state that survives a restart")
    parser.add_argument(
        "--visibility-lag", type=float, default=0.0, help="seconds until a look-up by reference shows a call"
    )
    parser.add_argument("--async-delay", type=float, default=3.0, help="seconds until what is pending is decided")
    parser.add_argument("--webhook-url", help="where events are sent; needs a secret")
    parser.add_argument(
        "--webhook-secret",
        default=os.environ.get("SIMULATOR_WEBHOOK_SECRET", ""),
        help="what they are signed with, several separated by commas; default: SIMULATOR_WEBHOOK_SECRET",
    )
    options = parser.parse_args()
    run(
        options.host,
        options.port,
        options.state,
        options.visibility_lag,
        options.async_delay,
        webhook_url=options.webhook_url,
        webhook_secrets=[secret for secret in options.webhook_secret.split(",") if secret],
    )


if __name__ == "__main__":
    main()
