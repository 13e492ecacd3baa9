/// The values of a tree while it is built and after: compact, without recursion.
///
/// What grows stands in lists of its own, where an append changes it in place: a value held inside of
/// an enum would be copied by each append, and so a pickle would take time quadratic in its length.
struct PickleCells: Sendable {
  /// A value, or where it stands in one of the lists.
  enum Cell: Sendable {
    case none
    case boolean(Bool)
    case integer(Int)
    case wideInteger([UInt8])
    case float(Double)
    case text(Int32)
    case longText(Range<Int>)
    case bytes(Range<Int>)
    case tuple([PickleNode])
    case list(Int32)
    case set(Int32)
    case dictionary(Int32)
    case global(Int32)
    case record(Int32)
    case persistent(PickleNode)
  }

  /// A text, kept once however often it is written.
  struct Text: Sendable, Hashable {
    let text: String
    /// How many bytes it stands for where each character is one; nil where one is none.
    let latin1Count: Int?

    init(_ text: String) {
      self.text = text
      var count = 0
      var isLatin1 = true
      for byte in text.utf8 {
        // Characters up to U+00FF begin with a byte of ASCII, 0xC2 or 0xC3.
        if byte & 0xC0 != 0x80 { count += 1 }
        isLatin1 = isLatin1 && byte <= 0xC3
      }
      latin1Count = isLatin1 ? count : nil
    }

    // By their bytes: Swift's own equality takes a composed character for its parts.
    static func == (one: Text, other: Text) -> Bool {
      one.text.utf8.elementsEqual(other.text.utf8)
    }

    func hash(into hasher: inout Hasher) {
      var text = text
      text.withUTF8 { bytes in unsafe hasher.combine(bytes: UnsafeRawBufferPointer(bytes)) }
    }
  }

  private(set) var cells: [Cell] = []
  private(set) var globals: [PickleGlobal] = []
  private(set) var records: [PickleRecord] = []
  /// Of lists and of sets.
  private(set) var lists: [[PickleNode]] = []
  private(set) var dictionaries: [[PickleEntry]] = []
  private(set) var texts: [Text] = []
  private var globalPlaces: [PickleGlobal: Int32] = [:]
  private var textPlaces: [Text: Int32] = [:]

  var count: Int { cells.count }

  subscript(node: PickleNode) -> Cell { cells[Int(node.index)] }

  /// The text at a node, if it is one.
  func text(_ node: PickleNode) -> Text? {
    if case .text(let index) = cells[Int(node.index)] { texts[Int(index)] } else { nil }
  }

  mutating func add(_ cell: Cell) -> PickleNode {
    cells.append(cell)
    return PickleNode(cells.count - 1)
  }

  mutating func add(_ text: String) -> PickleNode {
    let text = Text(text)
    let next = Int32(truncatingIfNeeded: texts.count)
    let place = textPlaces[text] ?? next
    if place == next {
      texts.append(text)
      textPlaces[text] = place
    }
    return add(.text(place))
  }

  mutating func add(list nodes: [PickleNode]) -> PickleNode {
    lists.append(nodes)
    return add(.list(Int32(truncatingIfNeeded: lists.count - 1)))
  }

  mutating func add(set nodes: [PickleNode]) -> PickleNode {
    lists.append(nodes)
    return add(.set(Int32(truncatingIfNeeded: lists.count - 1)))
  }

  mutating func add(dictionary entries: [PickleEntry]) -> PickleNode {
    dictionaries.append(entries)
    return add(.dictionary(Int32(truncatingIfNeeded: dictionaries.count - 1)))
  }

  mutating func add(_ global: PickleGlobal) -> PickleNode {
    if let place = globalPlaces[global] { return add(.global(place)) }
    let place = Int32(truncatingIfNeeded: globals.count)
    globals.append(global)
    globalPlaces[global] = place
    return add(.global(place))
  }

  mutating func add(_ record: PickleRecord) -> PickleNode {
    records.append(record)
    return add(.record(Int32(truncatingIfNeeded: records.count - 1)))
  }

  /// Appends to a list or record; false for anything else.
  mutating func append(_ nodes: some Collection<PickleNode>, to node: PickleNode) -> Bool {
    switch cells[Int(node.index)] {
    case .list(let list): lists[Int(list)] += nodes
    case .record(let record): records[Int(record)].elements += nodes
    default: return false
    }
    return true
  }

  /// Adds to a set or record; false for anything else.
  mutating func insert(_ nodes: [PickleNode], into node: PickleNode) -> Bool {
    switch cells[Int(node.index)] {
    case .set(let set): lists[Int(set)] += nodes
    case .record(let record): records[Int(record)].elements += nodes
    default: return false
    }
    return true
  }

  /// Stores entries in a dictionary or record; false for anything else.
  mutating func store(_ entries: some Collection<PickleEntry>, in node: PickleNode) -> Bool {
    switch cells[Int(node.index)] {
    case .dictionary(let place): dictionaries[Int(place)] += entries
    case .record(let record): records[Int(record)].entries += entries
    default: return false
    }
    return true
  }

  /// Gives a record its state; false for anything else, and where it has one.
  mutating func build(_ state: PickleNode, into node: PickleNode) -> Bool {
    guard case .record(let record) = cells[Int(node.index)], records[Int(record)].state == nil
    else { return false }
    records[Int(record)].state = state
    return true
  }

  /// Makes the text keys of every dictionary unique, once for all who look into them.
  mutating func settle() {
    for index in dictionaries.indices where dictionaries[index].count > 1 {
      dictionaries[index] = unique(dictionaries[index])
    }
    for index in records.indices where records[index].entries.count > 1 {
      records[index].entries = unique(records[index].entries)
    }
  }

  /// Entries whose text keys occur once: the first place holds the last value, as in Python.
  func unique(_ entries: [PickleEntry]) -> [PickleEntry] {
    // By the texts' numbers: hashing a long text once for each entry would cost its length each time.
    var places: [Int32: Int] = [:]
    var result: [PickleEntry] = []
    result.reserveCapacity(entries.count)
    for entry in entries {
      if case .text(let key) = cells[Int(entry.key.index)] {
        if let place = places[key] {
          result[place] = entry
          continue
        }
        places[key] = result.count
      }
      result.append(entry)
    }
    return result
  }
}
