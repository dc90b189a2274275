# The daemon's end of the control socket: bounded in clients, bytes and seconds.
import asyncio
import contextlib

import msgspec

from pyfilter import __version__
from pyfilter.control.answers import Answer, Happening, Refusal, Welcome
from pyfilter.control.callers import Caller, caller
from pyfilter.control.following import happenings
from pyfilter.control.operations import Operations
from pyfilter.control.place import Place
from pyfilter.control.protocol import LONGEST_REQUEST, packed, refusal, requests
from pyfilter.control.requests import VERSION, Follow, Hello, Request
from pyfilter.errors import PrivilegeError, PyfilterError, RefusedError

PATIENCE = 4.0  # seconds for a whole request, and for taking an answer
MOST_CLIENTS = 64
MOST_FOLLOWERS = 32
_QUEUE = 256  # callers that the kernel keeps waiting


class _Session(msgspec.Struct, eq=False):
    """One connection and where it stands."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    caller: Caller
    greeted: bool = False
    busy: bool = False  # a request of it is being answered
    following: bool = False


class Server:
    """Serves an office on the socket of its place."""

    def __init__(self, operations: Operations, place: Place, *, patience: float = PATIENCE) -> None:
        self._operations = operations
        self._place = place
        self._patience = patience
        self._sessions: list[_Session] = []  # oldest first
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_unix_server(
            self._accept, sock=self._place.bound(), limit=LONGEST_REQUEST, backlog=_QUEUE
        )

    async def close(self) -> None:
        """Hang up on everybody; the place stays with who made it."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._sessions) >= MOST_CLIENTS:
            silent = next((s for s in self._sessions if not s.busy), None)
            if silent is None:
                writer.transport.abort()
                return
            self._sessions.remove(silent)
            silent.writer.transport.abort()
        session = _Session(reader, writer, caller(writer.get_extra_info("socket")))
        self._sessions.append(session)
        task = asyncio.get_running_loop().create_task(self._serve(session))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, session: _Session) -> None:
        left = (TimeoutError, ConnectionError, asyncio.IncompleteReadError)
        try:
            with contextlib.suppress(*left):
                while await self._turn(session):
                    session.busy = False
                session.writer.close()
                async with asyncio.timeout(self._patience):
                    await session.writer.wait_closed()
        finally:
            if session in self._sessions:
                self._sessions.remove(session)
            session.writer.transport.abort()

    async def _turn(self, session: _Session) -> bool:
        """Read a request and answer it; say whether to go on."""
        try:
            async with asyncio.timeout(self._patience):
                line = await session.reader.readuntil()
            session.busy = True
            request: Request = requests.decode(line)
            answer = await self._answer(session, request)
        except asyncio.LimitOverrunError:
            reason = f"a request may have {LONGEST_REQUEST} bytes: ask for less at a time"
            await self._send(session, [Refusal("RefusedError", reason)])
            return False
        except msgspec.DecodeError as error:
            await self._send(session, [Refusal("PyfilterError", f"no valid request: {error}")])
            return False
        except PyfilterError as error:
            await self._send(session, [refusal(error)])
            return session.greeted
        if isinstance(request, Follow):
            await self._follow(session, request)
            return False
        await self._send(session, [answer])
        return True

    async def _answer(self, session: _Session, request: Request) -> Answer:
        if isinstance(request, Hello):
            return self._welcome(session, request)
        if not session.greeted:
            raise RefusedError("say hello first")
        if not session.caller.may(request.needs):
            raise PrivilegeError(
                f"{session.caller.user} may not do this ({request.needs} needed): use sudo"
            )
        if isinstance(request, Follow):
            if sum(s.following for s in self._sessions) >= MOST_FOLLOWERS:
                raise RefusedError(f"{MOST_FOLLOWERS} clients follow already: end one first")
            return Happening(0, "event", 0.0, "")
        return await self._operations.answer(request, session.caller.user)

    def _welcome(self, session: _Session, request: Hello) -> Welcome:
        if request.version != VERSION:
            raise RefusedError(
                f"the daemon speaks version {VERSION} of the control protocol, "
                f"this client {request.version}: restart PyFilter after an update"
            )
        session.caller = who = session.caller.lowered(request.role)
        if who.role is None:
            raise PrivilegeError(f"{who.user} may not use the control socket: use sudo")
        session.greeted = True
        return Welcome(VERSION, who.role, who.user, __version__)

    async def _follow(self, session: _Session, request: Follow) -> None:
        session.following = True
        leaving = asyncio.ensure_future(session.reader.read(1))
        after = request.after
        try:
            while not leaving.done():
                after, news = happenings(self._operations.ring, request, after)
                await self._send(session, news)
                if after >= self._operations.ring.latest:
                    wait = asyncio.ensure_future(self._operations.ring.wait(after))
                    await asyncio.wait({leaving, wait}, return_when=asyncio.FIRST_COMPLETED)
                    wait.cancel()
        finally:
            leaving.cancel()

    async def _send(self, session: _Session, messages: list[Answer]) -> None:
        session.writer.write(b"".join(map(packed, messages)))
        async with asyncio.timeout(self._patience):
            await session.writer.drain()
