# Matching: PCRE2 through ctypes. One call writes what an expression captures of every line of a block.
import ctypes
import threading
import weakref
from ctypes import CDLL, POINTER, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from typing import Any

_LIBRARY = "libpcre2-8.so.0"
_VERSION = 11  # PCRE2_CONFIG_VERSION
_LINE_FEED = 2  # PCRE2_NEWLINE_LF: nothing else ends a line
_ANCHORED = 0x8000_0000
_JIT_COMPLETE = 1
_ALL = 0x100 | 0x400  # PCRE2_SUBSTITUTE_GLOBAL, PCRE2_SUBSTITUTE_UNSET_EMPTY
# What one line may cost; beyond it the block is left to Python's `re`.
_STEPS = 2_000_000
_HEAP = 32_768  # KiB
_KEPT = 1 << 18  # bytes of a result for which room is kept; sizes beyond are rounded up, as ctypes
# keeps a type for each
_STACK = (32_768, 1 << 22)  # bytes, of what is compiled: at first and at most
_RETURNED: dict[str, tuple[Any, ...]] = {  # functions that return a pointer, and their arguments
    "compile": (c_char_p, c_size_t, c_uint32, POINTER(c_int), POINTER(c_size_t), c_void_p),
    "compile_context_create": (c_void_p,),
    "match_context_create": (c_void_p,),
    "match_data_create_from_pattern": (c_void_p, c_void_p),
    "jit_stack_create": (c_size_t, c_size_t, c_void_p),
}
_OTHERS: dict[str, tuple[Any, ...]] = {
    "config": (c_uint32, c_void_p),
    "set_newline": (c_void_p, c_uint32),
    "set_match_limit": (c_void_p, c_uint32),
    "set_heap_limit": (c_void_p, c_uint32),
    "jit_compile": (c_void_p, c_uint32),
    "jit_stack_assign": (c_void_p, c_void_p, c_void_p),
    "substitute": (
        *(c_void_p, c_char_p, c_size_t, c_size_t, c_uint32, c_void_p, c_void_p),
        *(c_char_p, c_size_t, c_char_p, POINTER(c_size_t)),
    ),
    "code_free": (c_void_p,),
    "jit_stack_free": (c_void_p,),
    "compile_context_free": (c_void_p,),
    "match_context_free": (c_void_p,),
    "match_data_free": (c_void_p,),
}


class Pcre2:
    """The PCRE2 of this machine."""

    def __init__(self, *, jit: bool = True) -> None:
        """Load it; without `jit` it only interprets. Raises OSError when there is none that will do."""
        self._jit = jit
        library = CDLL(_LIBRARY)
        self.functions: dict[str, Any] = {}
        try:
            for name, arguments in (*_RETURNED.items(), *_OTHERS.items()):
                function = getattr(library, f"pcre2_{name}_8")
                function.argtypes = arguments
                function.restype = c_void_p if name in _RETURNED else c_int
                self.functions[name] = function
        except AttributeError as error:
            raise OSError(f"{_LIBRARY} lacks a function: {error}") from None

    @property
    def version(self) -> str:
        """Return what it calls itself, such as "10.42 2022-12-11"."""
        text = ctypes.create_string_buffer(64)
        self.functions["config"](_VERSION, text)
        return text.value.decode("ascii", "replace")

    @property
    def compiles(self) -> bool:
        """Say whether it may make machine code: where it may not, Python's `re` is as quick."""
        tried = self.compile(b"a")
        return tried is not None and tried.jit

    def compile(self, expression: bytes) -> "Expression | None":
        """Return an expression ready for use, None if it cannot be had."""
        call = self.functions
        context = call["compile_context_create"](None)
        if not context:
            return None
        call["set_newline"](context, _LINE_FEED)
        error, place = c_int(), c_size_t()
        code = call["compile"](
            expression, len(expression), _ANCHORED, byref(error), byref(place), context
        )
        call["compile_context_free"](context)
        return Expression(self, code, jit=self._jit) if code else None


class Expression:
    """An expression that is tried where the last find ended, and nowhere else."""

    def __init__(self, library: Pcre2, code: int, *, jit: bool) -> None:
        self._call = call = library.functions
        self._code = code
        weakref.finalize(self, call["code_free"], code)
        self.jit = jit and call["jit_compile"](code, _JIT_COMPLETE) == 0
        # Made once: to have it made for each block costs a tenth of all.
        self._found = self._made("match_data", call["match_data_create_from_pattern"](code, None))
        self._limits = self._made("match_context", call["match_context_create"](None))
        self._out = ctypes.create_string_buffer(_KEPT)
        self._busy = threading.Lock()
        if self._limits:
            stack = self._made("jit_stack", call["jit_stack_create"](*_STACK, None))
            call["set_match_limit"](self._limits, _STEPS)
            call["set_heap_limit"](self._limits, _HEAP)
            call["jit_stack_assign"](self._limits, None, stack)

    def _made(self, what: str, address: int | None) -> int | None:
        weakref.finalize(self, self._call[f"{what}_free"], address)
        return address

    def written(self, data: bytes, template: bytes, room: int) -> str | None:
        """Return the template, filled in, for each find in the data one after the other, as Latin-1.

        None when this takes more than `room` bytes or a line is too dear.
        """
        if not self._found or not self._limits:
            return None
        size = c_size_t(room)
        with self._busy:
            out = (
                self._out if room <= _KEPT else ctypes.create_string_buffer(1 << room.bit_length())
            )
            said = self._call["substitute"](
                *(self._code, data, len(data), 0, _ALL, self._found, self._limits),
                *(template, len(template), out, byref(size)),
            )
            return str(memoryview(out)[: size.value], "latin-1") if said >= 0 else None
