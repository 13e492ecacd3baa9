import TesseraCore

/// Reads the opcodes of one pickle into a tree.
///
/// Pickle is a program for a stack machine whose instructions may call anything. Here each
/// instruction only builds values: a call becomes a record of what would be called with what.
/// Memory is bounded by the limits below, time by the file's length.
struct PickleInterpreter {
  /// The most values, the most places on the stack and the most memo entries.
  static let valueLimit = 1 << 22
  /// The most bytes of texts that are kept in memory.
  static let textLimit = 64 << 20
  /// The most bytes of a module's or a class's name: calls share names, and each looks them up.
  static let longestName = 1 << 10
  /// A longer text stays in the file.
  static let longestText = 1 << 20

  var input: ByteInput
  var cells = PickleCells()
  var stack: [PickleNode] = []
  /// The heights of the stack at each open MARK.
  var marks: [Int] = []
  var memo: [Int: PickleNode] = [:]
  var textBytes = 0

  /// The first values of every tree: None, False, True and the integers of one byte are shared.
  private static let sharedIntegers = 3

  /// Reads the pickle that starts at a byte of a region.
  static func tree(of region: FileRegion, at start: Int = 0) throws -> PickleTree {
    var interpreter = PickleInterpreter(
      input: ByteInput(region: region, from: start, what: "pickle")
    )
    return try interpreter.run(from: start)
  }

  private init(input: ByteInput) {
    self.input = input
    _ = cells.add(.none)
    _ = cells.add(.boolean(false))
    _ = cells.add(.boolean(true))
    for value in 0..<256 { _ = cells.add(.integer(value)) }
  }

  private mutating func run(from start: Int) throws -> PickleTree {
    while true {
      let place = input.position
      let code = try input.byte()
      guard let opcode = PickleOpcode(rawValue: code) else {
        throw input.refusal("0x\(String(code, radix: 16)) is no pickle instruction", at: place)
      }
      if opcode == .stop { break }
      try execute(opcode, at: place)
      guard stack.count <= Self.valueLimit, cells.count <= Self.valueLimit,
        memo.count <= Self.valueLimit, marks.count <= Self.valueLimit
      else { throw input.refusal("more than \(Self.valueLimit) values", at: place) }
    }
    let root = try pop()
    cells.settle()
    return PickleTree(
      root: root,
      byteCount: input.position - start,
      region: input.region,
      cells: cells
    )
  }

  private mutating func execute(_ opcode: PickleOpcode, at place: Int) throws {
    switch opcode {
    case .stop: break
    case .proto:
      let version = try input.byte()
      guard version <= 5 else { throw input.refusal("protocol \(version), not 0 to 5", at: place) }
    case .frame:
      let length = try input.number(width: 8)
      guard length <= input.remaining else {
        throw input.refusal("a frame of \(length) bytes is cut short", at: place)
      }
    case .extension1, .extension2, .extension4, .nextBuffer, .readOnlyBuffer:
      let cause = "needs objects that are not in the file (\(opcode)); save it again without"
      throw input.refusal(cause, at: place)
    case .mark: marks.append(stack.count)
    case .pop: try popValueOrMark()
    case .popMark: _ = try popToMark()
    case .duplicate: try push(top())
    case .none, .newTrue, .newFalse, .integerLine, .binaryInteger, .byteInteger, .shortInteger,
      .longLine, .long1, .long4, .floatLine, .binaryFloat:
      try pushNumber(opcode)
    case .stringLine, .binaryString, .shortString, .unicodeLine, .binaryUnicode, .shortUnicode,
      .binaryUnicode8, .binaryBytes, .shortBytes, .binaryBytes8, .byteArray8:
      try pushText(opcode)
    case .getLine, .get, .longGet, .putLine, .put, .longPut, .memoize: try useMemo(opcode)
    case .emptyTuple, .tuple, .tuple1, .tuple2, .tuple3, .emptyList, .list, .emptyDictionary,
      .dictionary, .emptySet, .frozenSet:
      try pushContainer(opcode)
    case .append, .appends, .setItem, .setItems, .addItems: try fill(opcode, at: place)
    case .global, .stackGlobal, .reduce, .newObject, .newObjectWithKeywords, .build, .instance,
      .object, .persistent, .persistentLine:
      try pushObject(opcode, at: place)
    }
  }
}

// MARK: The stack

extension PickleInterpreter {
  mutating func push(_ node: PickleNode) { stack.append(node) }

  mutating func push(_ cell: PickleCells.Cell) { stack.append(cells.add(cell)) }

  mutating func pushInteger(_ value: Int) {
    if (0..<256).contains(value) {
      stack.append(PickleNode(Self.sharedIntegers + value))
    } else {
      push(.integer(value))
    }
  }

  mutating func pushNone() { stack.append(PickleNode(0)) }

  mutating func pushBoolean(_ value: Bool) { stack.append(PickleNode(value ? 2 : 1)) }

  func top() throws -> PickleNode {
    guard let last = stack.last, stack.count > marks.last ?? 0 else { throw underflow }
    return last
  }

  mutating func pop() throws -> PickleNode {
    let node = try top()
    stack.removeLast()
    return node
  }

  /// The values since the last MARK, which is removed with them.
  mutating func popToMark() throws -> [PickleNode] {
    guard let mark = marks.popLast() else { throw underflow }
    // A copy of these alone: a slice would share the stack, and the removal copy all of it.
    let values = Array(stack[mark...])
    stack.removeLast(values.count)
    return values
  }

  private mutating func popValueOrMark() throws {
    if let mark = marks.last, mark == stack.count {
      marks.removeLast()
    } else {
      _ = try pop()
    }
  }

  private var underflow: TesseraError {
    input.refusal("takes more values than there are: no pickle, or a damaged one")
  }
}
