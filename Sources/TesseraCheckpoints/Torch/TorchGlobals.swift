import TesseraCore

/// The globals of pickles: which ones are understood, which ones a loader should fear.
enum TorchGlobals {
  /// Modules whose functions start programs, touch files or the network, or run code.
  private static let dangerousModules: Set<String> = [
    "os", "posix", "nt", "posixpath", "subprocess", "pty", "sys", "shutil", "socket", "ssl",
    "runpy", "code", "codeop", "bdb", "pdb", "profile", "cProfile", "trace", "timeit", "doctest",
    "ctypes", "_ctypes", "importlib", "imp", "pkgutil", "zipimport", "marshal", "pickle", "_pickle",
    "dill", "cloudpickle", "joblib", "types", "inspect", "gc", "signal", "multiprocessing",
    "threading", "asyncio", "concurrent", "webbrowser", "http", "httplib", "urllib", "urllib2",
    "requests", "aiohttp", "ftplib", "smtplib", "telnetlib", "xmlrpc", "commands", "popen2", "pip",
    "ensurepip", "venv", "distutils", "setuptools", "platform", "tempfile", "pathlib", "glob",
    "fileinput", "io", "_io", "pydoc", "idlelib", "lib2to3", "test", "unittest", "sqlite3", "bz2",
    "lzma", "gzip", "zipfile", "tarfile", "operator", "_operator", "functools", "logging",
    "linecache", "nturl2path", "uuid", "_osx_support", "_aix_support", "_pyrepl", "sre_compile",
  ]
  private static let dangerousBuiltins: Set<String> = [
    "eval", "exec", "compile", "open", "execfile", "file", "input", "raw_input", "__import__",
    "getattr", "setattr", "delattr", "globals", "locals", "vars", "dir", "breakpoint", "apply",
    "map", "filter", "reload", "help", "type", "memoryview",
  ]
  private static let dangerousNames: Set<String> = [
    "torch.hub.load", "torch.load", "torch.jit.load", "torch.serialization.load",
    "numpy.load", "numpy.core.multiarray.fromfile", "pathlib.Path",
  ]

  /// Names that this reader understands and does not report.
  private static let knownNames: Set<String> = [
    "collections.OrderedDict", "collections.defaultdict", "collections.Counter",
    "collections.deque", "builtins.set", "builtins.frozenset", "builtins.list", "builtins.dict",
    "builtins.tuple", "builtins.int", "builtins.float", "builtins.bool", "builtins.str",
    "builtins.bytes", "builtins.bytearray", "builtins.complex", "builtins.object",
    "builtins.slice", "builtins.range", "_codecs.encode", "copyreg._reconstructor",
    "pathlib.PosixPath",
    "torch.Size", "torch.device", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer",
    "torch.Tensor", "torch._tensor.Tensor", "torch.tensor.Tensor", "torch.storage._load_from_bytes",
    "torch.storage.UntypedStorage", "torch.storage.TypedStorage", "torch._C._TensorBase",
    "torch.jit._pickle.build_intlist", "torch.jit._pickle.build_tensorlist",
    "torch.jit._pickle.build_doublelist", "torch.jit._pickle.build_boollist",
    "torch.jit._pickle.restore_type_tag", "torch.serialization._get_layout",
    "numpy.ndarray", "numpy.dtype",
  ]

  /// Whether a global is part of how tensors and plain containers are saved.
  static func isKnown(_ global: PickleGlobal) -> Bool {
    if knownNames.contains(global.description) { return true }
    if global.module.hasPrefix("__torch__") { return true }
    switch global.module {
    case "torch", "torch.cuda", "torch.storage":
      let type = TorchElementType(named: global.name)
      return global.name.hasSuffix("Storage") || type.elementType != nil
        || ["per_tensor_affine", "per_channel_affine", "strided"].contains(global.name)
    case "torch._utils", "torch._tensor", "torch.tensor":
      return global.name.hasPrefix("_rebuild")
    case "numpy.core.multiarray", "numpy._core.multiarray":
      return ["_reconstruct", "scalar"].contains(global.name)
    case "numpy.core.numeric", "numpy._core.numeric": return global.name == "_frombuffer"
    case "ml_dtypes": return ElementType(dtypeName: global.name) != nil
    case "jax._src.array": return global.name == "_reconstruct_array"
    default: return false
    }
  }

  /// Whether the bytes of such an object are no numbers: dates, identifiers.
  static func keepsPlainBytes(_ global: PickleGlobal) -> Bool {
    ["datetime", "uuid", "pathlib", "zoneinfo"].contains(global.module) || isDangerous(global)
  }

  /// Whether loading a file with this global in Python could run something.
  static func isDangerous(_ global: PickleGlobal) -> Bool {
    if global.module == "builtins" { return dangerousBuiltins.contains(global.name) }
    if dangerousNames.contains(global.description) { return true }
    let root = global.module.split(separator: ".").first.map(String.init) ?? ""
    return dangerousModules.contains(root)
  }

  /// A sentence for each global that is not understood; dangerous ones first.
  static func notes(about globals: [PickleGlobal]) -> [String] {
    let unknown = globals.filter { !isKnown($0) }
    let dangerous = unknown.filter(isDangerous)
    let others = unknown.filter { !isDangerous($0) }
    var notes = dangerous.prefix(64).map { global in
      "dangerous global '\(global)': loading this file in Python could run it; here it is data"
    }
    notes += others.prefix(64).map { "unknown global '\($0)': kept as a record, never called" }
    let omitted = max(0, dangerous.count - 64) + max(0, others.count - 64)
    if omitted > 0 { notes.append("\(omitted) more unknown globals") }
    return notes
  }
}
