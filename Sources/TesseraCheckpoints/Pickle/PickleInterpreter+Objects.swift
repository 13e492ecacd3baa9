import TesseraCore

// MARK: Containers

extension PickleInterpreter {
  mutating func pushContainer(_ opcode: PickleOpcode) throws {
    switch opcode {
    case .emptyTuple: push(.tuple([]))
    case .tuple1: try pushTuple(1)
    case .tuple2: try pushTuple(2)
    case .tuple3: try pushTuple(3)
    case .tuple: push(.tuple(try popToMark()))
    case .emptyList: push(cells.add(list: []))
    case .list: push(cells.add(list: try popToMark()))
    case .emptySet: push(cells.add(set: []))
    case .frozenSet: push(cells.add(set: try popToMark()))
    case .emptyDictionary: push(cells.add(dictionary: []))
    default: push(cells.add(dictionary: try pairs(try popToMark())))
    }
  }

  private mutating func pushTuple(_ count: Int) throws {
    var nodes: [PickleNode] = []
    for _ in 0..<count { nodes.append(try pop()) }
    push(.tuple(nodes.reversed()))
  }

  private func pairs(_ nodes: [PickleNode]) throws -> [PickleEntry] {
    guard nodes.count % 2 == 0 else { throw input.refusal("a key without a value") }
    return stride(from: nodes.startIndex, to: nodes.endIndex, by: 2).map { index in
      PickleEntry(key: nodes[index], value: nodes[index + 1])
    }
  }

  mutating func fill(_ opcode: PickleOpcode, at place: Int) throws {
    let isDone: Bool
    switch opcode {
    case .append:
      let value = try pop()
      isDone = cells.append(CollectionOfOne(value), to: try top())
    case .appends:
      let values = try popToMark()
      isDone = cells.append(values, to: try top())
    case .addItems:
      let values = try popToMark()
      isDone = cells.insert(values, into: try top())
    case .setItem:
      let value = try pop()
      let key = try pop()
      let entry = PickleEntry(key: key, value: value)
      isDone = cells.store(CollectionOfOne(entry), in: try top())
    default:
      let entries = try pairs(try popToMark())
      isDone = cells.store(entries, in: try top())
    }
    guard isDone else {
      throw input.refusal("\(opcode) on a value that is no container of this kind", at: place)
    }
  }
}

// MARK: Classes and calls, as data

extension PickleInterpreter {
  mutating func pushObject(_ opcode: PickleOpcode, at place: Int) throws {
    switch opcode {
    case .global: push(try globalFromLines())
    case .stackGlobal:
      let (name, module) = (try pop(), try pop())
      guard let module = cells.text(module)?.text, let name = cells.text(name)?.text else {
        throw input.refusal("a class whose name is no text", at: place)
      }
      try push(global(module, name))
    case .persistent: pushPersistent(try pop())
    case .persistentLine:
      try pushText(String(decoding: try input.line(), as: UTF8.self))
      pushPersistent(try pop())
    case .build:
      let state = try pop()
      guard cells.build(state, into: try top()) else {
        throw input.refusal("gives a state to what can have none, or has one", at: place)
      }
    case .instance:
      let arguments = try popToMark()
      try pushRecord(try globalFromLines(), cells.add(.tuple(arguments)), at: place)
    case .object:
      let values = try popToMark()
      guard let constructor = values.first else {
        throw input.refusal("an object without a class", at: place)
      }
      try pushRecord(constructor, cells.add(.tuple(Array(values.dropFirst()))), at: place)
    case .newObjectWithKeywords:
      let (keywords, arguments, constructor) = (try pop(), try pop(), try pop())
      try pushRecord(constructor, arguments, at: place)
      if case .dictionary(let index) = cells[keywords], !cells.dictionaries[Int(index)].isEmpty {
        // Kept as a state: what they mean is known to the class alone.
        _ = cells.build(keywords, into: try top())
      }
    default:
      let (arguments, constructor) = (try pop(), try pop())
      try pushRecord(constructor, arguments, at: place)
    }
  }

  /// An object outside the pickle; `('module', class, file, source)` of old files is the class.
  private mutating func pushPersistent(_ identification: PickleNode) {
    if case .tuple(let parts) = cells[identification], parts.count > 1,
      cells.text(parts[0])?.text == "module", case .global = cells[parts[1]]
    {
      push(parts[1])
    } else {
      push(.persistent(identification))
    }
  }

  private mutating func globalFromLines() throws -> PickleNode {
    let (module, name) = (try input.line(), try input.line())
    guard let module = String(validating: module, as: UTF8.self),
      let name = String(validating: name, as: UTF8.self)
    else { throw input.refusal("a class whose name is not UTF-8") }
    textBytes += module.utf8.count + name.utf8.count
    guard textBytes <= Self.textLimit else { throw input.refusal("too many bytes of names") }
    return try global(module, name)
  }

  private mutating func global(_ module: String, _ name: String) throws -> PickleNode {
    guard module.utf8.count <= Self.longestName, name.utf8.count <= Self.longestName else {
      throw input.refusal("a class whose name takes more than \(Self.longestName) bytes")
    }
    return cells.add(PickleGlobal(module: module, name: name))
  }

  private mutating func pushRecord(
    _ constructor: PickleNode,
    _ arguments: PickleNode,
    at place: Int
  ) throws {
    switch cells[constructor] {
    case .global, .record: break
    default: throw input.refusal("a call of what is neither class nor function", at: place)
    }
    guard case .tuple = cells[arguments] else {
      throw input.refusal("a call whose arguments are no tuple", at: place)
    }
    push(cells.add(PickleRecord(constructor: constructor, arguments: arguments)))
  }
}
