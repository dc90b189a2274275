# libnftables in process: the text that an operator would type to `nft`, without a process a command.
import ctypes

from pyfilter.errors import FirewallError

_LIBRARY = "libnftables.so.1"


class Libnftables:
    """Runs nft commands through the library that the nft program itself links."""

    def __init__(self) -> None:
        try:
            library = ctypes.CDLL(_LIBRARY)
        except OSError:
            raise FirewallError(
                f'{_LIBRARY} is missing: "apt install libnftables1" (elsewhere "nftables"), '
                'or set type = "iptables" under [firewall]',
                recoverable=False,
            ) from None
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_new.argtypes = [ctypes.c_uint32]
        library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        for name in (
            "nft_ctx_free",
            "nft_ctx_buffer_output",
            "nft_ctx_buffer_error",
            "nft_ctx_get_error_buffer",
        ):
            getattr(library, name).argtypes = [ctypes.c_void_p]
        self._library = library
        self._context: int | None = library.nft_ctx_new(0)
        if not self._context:
            raise FirewallError("libnftables gave no context: is the machine out of memory?")
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)

    def run(self, commands: str) -> str:
        """Run commands as one transaction; return the error text, empty on success."""
        if self._context is None:
            raise FirewallError("the firewall is closed")
        failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        said: bytes = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if not failed:
            return ""
        return said.decode(errors="replace").strip() or "libnftables gave no reason"

    def close(self) -> None:
        if self._context is not None:
            self._library.nft_ctx_free(self._context)
            self._context = None
