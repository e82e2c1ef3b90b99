"""How uvicorn runs the application; whoever starts it adds host, port and the number of workers."""

from typing import Any, Final

UVICORN_OPTIONS: Final[dict[str, Any]] = {
    "http": "httptools",
    "loop": "uvloop",
    "ws": "none",
    "lifespan": "on",
    "interface": "asgi3",
    "access_log": False,  # an access log would keep whole URLs; requests are counted and logged by the application
    "log_config": None,
    "server_header": False,
    "proxy_headers": False,
    "timeout_keep_alive": 75,
    "timeout_graceful_shutdown": 30,
    "backlog": 2048,
}
"""Keyword arguments of `uvicorn.Config` and `uvicorn.run`."""
