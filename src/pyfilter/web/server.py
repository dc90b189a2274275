# HTTP for bouncers: a few paths, a key, JSON. Binds to loopback unless told otherwise.
import logging
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from pyfilter import __version__
from pyfilter.errors import AddressError, PyfilterError
from pyfilter.web.api import Api
from pyfilter.web.keys import Keys
from pyfilter.web.mirror import Mirror

_log = logging.getLogger(__name__)
_PATIENCE = 10.0  # seconds for a request
_LARGEST = 1 << 20  # bytes of a body; bouncers send metrics


class Service(ThreadingHTTPServer):
    """The listening socket and what its requests are answered from."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, place: tuple[str, int], mirror: Mirror, keys: Keys) -> None:
        if ":" in place[0]:
            self.address_family = 10  # AF_INET6
        super().__init__(place, _Handler)
        self.api, self.mirror, self.keys = Api(mirror), mirror, keys


class _Handler(BaseHTTPRequestHandler):
    """One connection; http.server names its methods."""

    server: Service
    timeout = _PATIENCE
    protocol_version = "HTTP/1.1"
    server_version, sys_version = f"pyfilter/{__version__}", ""

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _LARGEST:
            return self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"message": "too large"})
        self.rfile.read(int(length))
        return self._serve()

    def _serve(self) -> None:
        try:
            name = self.server.keys.name_of(self.headers.get("X-Api-Key", ""))
            if name is None:
                return self._answer(HTTPStatus.FORBIDDEN, {"message": "access forbidden"})
            return self._route(name)
        except AddressError as error:
            return self._answer(HTTPStatus.BAD_REQUEST, {"message": str(error)})
        except PyfilterError as error:
            _log.error("%s", error)
            return self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"message": "see the log"})

    def _route(self, bouncer: str) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        path = url.path.rstrip("/")
        if self.command == "POST":
            known = path == "/v1/usage-metrics"  # we keep our own counts
            status = HTTPStatus.CREATED if known else HTTPStatus.NOT_FOUND
            return self._answer(status, {"message": "thanks" if known else "not found"})
        if not self.server.mirror.ready.wait(_PATIENCE):
            trouble = self.server.mirror.trouble or "the daemon has not answered yet"
            return self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"message": trouble})
        if path == "/v1/decisions":
            return self._answer(HTTPStatus.OK, self.server.api.decisions(query))
        if path == "/v1/decisions/stream":
            return self._answer(HTTPStatus.OK, self.server.api.stream(bouncer, query))
        return self._answer(HTTPStatus.NOT_FOUND, {"message": "not found"})

    def _answer(self, status: HTTPStatus, document: Any) -> None:
        body = msgspec.json.encode(document)
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        _log.debug(format, *args)
