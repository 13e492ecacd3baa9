import TesseraCore

/// A value's place in a `PickleTree`.
package struct PickleNode: Hashable, Sendable {
  let index: Int32

  init(_ index: Int) { self.index = Int32(truncatingIfNeeded: index) }
}

/// A name that a pickle asks Python to import: a class or a function, here only its name.
package struct PickleGlobal: Hashable, Sendable, CustomStringConvertible {
  /// The module, such as `torch._utils`; names of Python 2 stand under those of Python 3.
  package let module: String
  /// The name inside the module.
  package let name: String

  init(module: String, name: String) {
    let renamed = ["__builtin__": "builtins", "copy_reg": "copyreg", "cPickle": "pickle"]
    self.module = renamed[module] ?? module
    self.name = name
  }

  /// Module and name with a dot.
  package var description: String { "\(module).\(name)" }
}

/// A key and its value.
package struct PickleEntry: Hashable, Sendable {
  /// The key.
  package let key: PickleNode
  /// The value.
  package let value: PickleNode
}

/// What Python would build by a call, kept as the call's parts: nothing is called.
package struct PickleRecord: Hashable, Sendable {
  /// The class or function, mostly a `global`.
  package let constructor: PickleNode
  /// The arguments, always a tuple.
  package let arguments: PickleNode
  /// What `__setstate__` would get.
  package internal(set) var state: PickleNode?
  /// What is appended to it, where it is a kind of list.
  package internal(set) var elements: [PickleNode] = []
  /// What is stored in it, where it is a kind of dictionary.
  package internal(set) var entries: [PickleEntry] = []
}

/// One value of a pickle.
package enum PickleValue: Hashable, Sendable {
  case none
  case boolean(Bool)
  case integer(Int)
  /// An integer beyond 64 bits: two's complement, little-endian.
  case wideInteger([UInt8])
  case float(Double)
  case text(String)
  /// A text above 1 MiB: where its UTF-8 lies in the file, unread.
  case longText(Range<Int>)
  /// Bytes: where they lie in the file, unread.
  case bytes(Range<Int>)
  case tuple([PickleNode])
  case list([PickleNode])
  case set([PickleNode])
  case dictionary([PickleEntry])
  case global(PickleGlobal)
  case record(PickleRecord)
  /// An object outside the pickle, by its identification: torch's storages.
  case persistent(PickleNode)
}

/// A pickle read as data: the values that its opcodes describe, with classes and calls as records.
///
/// Reading executes nothing and imports nothing. Values may be shared and may contain themselves, so
/// a walk needs a limit. Long texts and bytes stay in the file.
///
/// ```swift
/// let tree = try PickleTree(path: "network.pkl")
/// let ema = tree.field("ema", of: tree.root)
/// let record = ema.flatMap(tree.record)
/// ```
package struct PickleTree: Sendable {
  /// The value that unpickling would return.
  package let root: PickleNode
  /// Every global in the order of its first appearance.
  package let globals: [PickleGlobal]
  /// How many bytes the pickle takes.
  package let byteCount: Int

  let region: FileRegion
  let cells: PickleCells

  /// Reads the first pickle of a file, or `data.pkl` of a torch archive.
  ///
  /// - Parameter path: A plain pickle, or a zip file as `torch.save` writes it.
  /// - Throws: `TesseraError`.
  package init(path: String) throws {
    let region = try FileRegion(path: path)
    if try ZipArchive.isArchive(region) {
      self = try TorchArchive(region: region).tree
    } else {
      self = try PickleInterpreter.tree(of: region)
    }
  }

  init(root: PickleNode, byteCount: Int, region: FileRegion, cells: PickleCells) {
    self.root = root
    self.globals = cells.globals
    (self.byteCount, self.region, self.cells) = (byteCount, region, cells)
  }

  /// The value at a node.
  package subscript(node: PickleNode) -> PickleValue {
    switch cells[node] {
    case .none: .none
    case .boolean(let value): .boolean(value)
    case .integer(let value): .integer(value)
    case .wideInteger(let value): .wideInteger(value)
    case .float(let value): .float(value)
    case .text(let index): .text(cells.texts[Int(index)].text)
    case .longText(let range): .longText(range)
    case .bytes(let range): .bytes(range)
    case .tuple(let nodes): .tuple(nodes)
    case .list(let index): .list(cells.lists[Int(index)])
    case .set(let index): .set(cells.lists[Int(index)])
    case .dictionary(let index): .dictionary(cells.dictionaries[Int(index)])
    case .global(let index): .global(cells.globals[Int(index)])
    case .record(let index): .record(cells.records[Int(index)])
    case .persistent(let node): .persistent(node)
    }
  }

  /// Bytes of the file, such as those of a `bytes` value.
  package func contents(of range: Range<Int>) throws -> [UInt8] {
    try region.bytes(range)
  }
}

extension PickleTree {
  /// The text at a node, if it is one.
  package func text(_ node: PickleNode) -> String? { cells.text(node)?.text }

  /// The integer at a node, if it is one of 64 bits.
  package func integer(_ node: PickleNode) -> Int? {
    if case .integer(let value) = cells[node] { value } else { nil }
  }

  /// The elements of a tuple, list or set, or what was appended to a record.
  package func elements(_ node: PickleNode) -> [PickleNode]? {
    switch cells[node] {
    case .tuple(let nodes): return nodes
    case .list(let index), .set(let index): return cells.lists[Int(index)]
    case .record(let index):
      let elements = cells.records[Int(index)].elements
      return elements.isEmpty ? nil : elements
    default: return nil
    }
  }

  /// The entries of a dictionary, or those that were stored in a record.
  ///
  /// Where a key occurs twice, the first place holds the last value, as in Python.
  package func entries(_ node: PickleNode) -> [PickleEntry]? {
    switch cells[node] {
    case .dictionary(let index): return cells.dictionaries[Int(index)]
    case .record(let index):
      let record = cells.records[Int(index)]
      if !record.entries.isEmpty { return record.entries }
      return global(record.constructor)?.name == "OrderedDict" ? pairs(of: record) : nil
    default: return nil
    }
  }

  /// `OrderedDict([[key, value], …])`, as Python 2 wrote it.
  private func pairs(of record: PickleRecord) -> [PickleEntry] {
    guard case .tuple(let arguments) = cells[record.arguments], let first = arguments.first,
      let pairs = elements(first)
    else { return [] }
    return cells.unique(
      pairs.compactMap { pair in
        guard let parts = elements(pair), parts.count == 2 else { return nil }
        return PickleEntry(key: parts[0], value: parts[1])
      }
    )
  }

  /// The global at a node, if it is one.
  package func global(_ node: PickleNode) -> PickleGlobal? {
    if case .global(let index) = cells[node] { cells.globals[Int(index)] } else { nil }
  }

  /// The record at a node, if it is one.
  package func record(_ node: PickleNode) -> PickleRecord? {
    if case .record(let index) = cells[node] { cells.records[Int(index)] } else { nil }
  }

  /// The class or function of the record at a node, if it is one with a plain name.
  package func className(_ node: PickleNode) -> PickleGlobal? {
    record(node).flatMap { global($0.constructor) }
  }

  /// The value of a text key: of a dictionary, of a record's entries, or of its state.
  package func field(_ name: String, of node: PickleNode) -> PickleNode? {
    if let entry = entries(node)?.first(where: { text($0.key) == name }) { return entry.value }
    guard let state = record(node)?.state else { return nil }
    return entries(state)?.first { text($0.key) == name }?.value
  }
}
