"""`python -m tests.support.stripe_wire --port N`: serves until SIGTERM."""

import argparse

from aiohttp import web

from tests.support.stripe_wire.server import Server


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="stripe_wire")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--search-lag", type=float, default=0.0, help="seconds until a search shows a PaymentIntent")
    options = parser.parse_args()
    server = Server(f"http://127.0.0.1:{options.port}", options.search_lag)
    web.run_app(server.application(), host="127.0.0.1", port=options.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
