"""What functions may use that are known to be harmless, and what they may not (see `tame`)."""

from __future__ import annotations

import builtins
import re

# Libraries that neither end a process nor take a device, whatever is called in them.
_LIBRARIES = frozenset({
    "math", "cmath", "re", "json", "string", "itertools", "functools", "collections", "operator",
    "unicodedata", "datetime", "calendar", "time", "decimal", "fractions", "statistics", "hashlib",
    "base64", "binascii", "html", "textwrap", "copy", "bisect", "heapq", "difflib", "uuid",
    "typing", "typing_extensions", "numbers", "struct", "urllib.parse", "posixpath", "genericpath",
    "ntpath", "pathlib", "io", "csv", "gzip", "bz2", "lzma", "zlib", "zipfile", "tarfile",
    "contextlib", "dataclasses", "enum", "abc", "array", "ast", "glob", "fnmatch", "shlex",
    "pprint", "reprlib", "hmac", "ipaddress", "mimetypes", "xml", "codecs", "weakref", "warnings",
    "logging", "zoneinfo", "colorsys", "quopri", "secrets", "numpy", "pandas", "pyarrow", "polars",
    "PIL", "scipy", "regex", "tokenizers", "sentencepiece", "tiktoken", "sacremoses", "torch",
    "soundfile", "bs4", "lxml", "dateutil", "pytz", "orjson", "ujson", "simplejson", "unidecode",
    "ftfy", "emoji", "rapidfuzz", "xxhash", "einops", "enfold.text"})

# Parts of a library that holds other things too.
_PARTS = re.compile(r"transformers(\.\w+)*\.(\w*tokenization|\w*process)\w*(\.|$)")

# Of these modules only some names: the others end, replace or change the process, or ask which
# one it is.
PARTLY = {
    "os": frozenset({
        "path", "fspath", "fsencode", "fsdecode", "getcwd", "getenv", "listdir", "scandir", "walk",
        "stat", "lstat", "sep", "linesep", "extsep", "pathsep", "altsep", "curdir", "pardir",
        "devnull", "name", "PathLike", "DirEntry", "makedirs", "mkdir", "remove", "unlink",
        "rename", "replace", "rmdir", "access", "cpu_count", "strerror", "urandom", "readlink"}),
    "sys": frozenset({
        "maxsize", "float_info", "int_info", "byteorder", "version", "version_info", "platform",
        "intern", "getsizeof", "getdefaultencoding", "maxunicode", "stdout", "stderr"}),
    "random": frozenset({"Random"}),
}
_ALIASES = {"posix": "os", "nt": "os"}

# Names that no text may take from anything: modules that libraries have in themselves, what is
# behind the language, devices, generators of random numbers, settings that a process shares.
REFUSED = frozenset({
    "os", "_os", "sys", "_sys", "posix", "nt", "signal", "ctypes", "_ctypes", "multiprocessing",
    "subprocess", "threading", "_thread", "builtins", "modules", "importlib", "testing",
    "ctypeslib", "f2py", "random", "_exit", "abort", "kill", "killpg", "fork", "forkpty",
    "attrgetter", "methodcaller", "f_globals", "f_builtins", "f_back", "f_locals", "gi_frame",
    "tb_frame", "cr_frame", "ag_frame", "gi_code", "read_pickle", "chdir", "cuda", "mps", "xpu",
    "hpu", "npu", "mtia", "accelerator", "distributed", "set_num_threads",
    "set_num_interop_threads", "set_default_device", "set_default_dtype", "seterr", "seterrcall",
    "set_cpu_count", "set_printoptions", "set_option", "set_io_thread_count", "simplefilter",
    "filterwarnings", "basicConfig", "disable", "setLevel", "addHandler"})
_OF_TORCH = frozenset({
    "hub", "jit", "compile", "ops", "library", "load", "utils", "backends", "func", "rand", "randn",
    "randint", "randperm", "rand_like", "randn_like", "randint_like", "manual_seed", "seed",
    "set_rng_state", "bernoulli", "multinomial", "normal", "poisson", "dropout", "dropout1d",
    "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "gumbel_softmax", "rrelu",
    "share_memory_", "random_", "normal_", "uniform_", "bernoulli_", "cauchy_", "exponential_",
    "geometric_", "log_normal_"})
_OF_LIBRARIES = {"torch": _OF_TORCH}
DUNDERS = frozenset({
    "__name__", "__qualname__", "__class__", "__doc__", "__init__", "__new__", "__call__",
    "__len__", "__iter__", "__next__", "__getitem__", "__setitem__", "__contains__", "__enter__",
    "__exit__", "__post_init__", "__str__", "__repr__", "__eq__", "__hash__", "__add__"})
DEVICES = re.compile(r"(cuda|mps|xpu|hpu|npu|xla|mtia)(:\d+)?")

BUILTINS = frozenset({
    "abs", "all", "any", "ascii", "bin", "bool", "bytearray", "bytes", "callable", "chr",
    "classmethod", "complex", "dict", "divmod", "enumerate", "filter", "float", "format",
    "frozenset", "hasattr", "hash", "hex", "id", "int", "isinstance", "issubclass", "iter", "len",
    "list", "map", "max", "min", "next", "object", "oct", "open", "ord", "pow", "print", "property",
    "range", "repr", "reversed", "round", "set", "slice", "sorted", "staticmethod", "str", "sum",
    "super", "tuple", "type", "zip", "NotImplemented", "Ellipsis"})
ERRORS = frozenset(name for name, value in vars(builtins).items()
                   if isinstance(value, type) and issubclass(value, Exception))


def listed(module: str | None) -> bool:
    """Whether a module is one of the libraries, or of the parts of one that are listed."""
    name = (module or "").lstrip("_")
    parts = name.split(".")
    known = any(".".join(parts[:end]) in _LIBRARIES for end in range(1, len(parts) + 1))
    return (known or _PARTS.match(name) is not None) and REFUSED.isdisjoint(parts)


def sorted_out(module: str | None) -> bool:
    """Whether not all of a module is harmless, so that it may only be named with what is used."""
    top = _top(module)
    return top in PARTLY or top in _OF_LIBRARIES


def allowed(module: str | None, name: str) -> bool:
    """Whether what a module offers under this name is harmless."""
    top = _top(module)
    if top in PARTLY:
        return name in PARTLY[top]
    return listed(module) and name not in REFUSED | _OF_LIBRARIES.get(top, frozenset())


def _top(module: str | None) -> str:
    top = (module or "").lstrip("_").partition(".")[0]
    return _ALIASES.get(top, top)
