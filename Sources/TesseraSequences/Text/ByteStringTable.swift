/// A map from byte strings to numbers, in one block of memory and without an allocation a lookup.
struct ByteStringTable: Sendable {
  private struct Entry {
    let start: Int32
    let count: Int32
    let value: Int32
    let hash: UInt32
  }

  private var keys: [UInt8] = []
  private var entries: [Entry] = []
  /// Indices of entries plus 1, and 0 where a slot is free; the count is a power of two.
  private var slots: [Int32]

  init(minimumCapacity: Int = 0) {
    var size = 64
    while size < minimumCapacity * 2 { size *= 2 }
    slots = [Int32](repeating: 0, count: size)
  }

  var count: Int { entries.count }

  private static func hash(_ bytes: [UInt8], _ range: Range<Int>) -> UInt32 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for index in range { hash = (hash ^ UInt64(bytes[index])) &* 0x0000_0100_0000_01B3 }
    return UInt32(truncatingIfNeeded: hash ^ (hash >> 29))
  }

  /// The number of a run of bytes; nil where it is not there.
  func find(_ bytes: [UInt8], _ range: Range<Int>) -> Int32? {
    let hash = Self.hash(bytes, range)
    let mask = slots.count - 1
    var slot = Int(hash) & mask
    while slots[slot] != 0 {
      let entry = entries[Int(slots[slot] - 1)]
      if entry.hash == hash, Int(entry.count) == range.count,
        isEqual(entry, bytes, range.lowerBound)
      {
        return entry.value
      }
      slot = (slot + 1) & mask
    }
    return nil
  }

  func find(_ bytes: [UInt8]) -> Int32? { find(bytes, bytes.indices) }

  private func isEqual(_ entry: Entry, _ bytes: [UInt8], _ start: Int) -> Bool {
    let (key, count) = (Int(entry.start), Int(entry.count))
    for index in 0..<count where keys[key + index] != bytes[start + index] { return false }
    return true
  }

  /// Adds a key; false, and nothing changes, where it is there.
  @discardableResult
  mutating func insert(_ bytes: [UInt8], _ range: Range<Int>, _ value: Int32) -> Bool {
    guard find(bytes, range) == nil else { return false }
    let hash = Self.hash(bytes, range)
    entries.append(
      Entry(start: Int32(keys.count), count: Int32(range.count), value: value, hash: hash)
    )
    keys += bytes[range]
    if entries.count * 2 > slots.count {
      slots = [Int32](repeating: 0, count: slots.count * 2)
      for index in entries.indices { place(Int32(index + 1), hash: entries[index].hash) }
    } else {
      place(Int32(entries.count), hash: hash)
    }
    return true
  }

  @discardableResult
  mutating func insert(_ bytes: [UInt8], _ value: Int32) -> Bool {
    insert(bytes, bytes.indices, value)
  }

  /// Hands over every key and its number.
  func forEach(_ body: (ArraySlice<UInt8>, Int32) -> Void) {
    for entry in entries {
      body(keys[Int(entry.start)..<Int(entry.start + entry.count)], entry.value)
    }
  }

  private mutating func place(_ number: Int32, hash: UInt32) {
    let mask = slots.count - 1
    var slot = Int(hash) & mask
    while slots[slot] != 0 { slot = (slot + 1) & mask }
    slots[slot] = number
  }
}

/// A trie over bytes: all keys that a text starts with, from the shortest on.
struct ByteTrie: Sendable {
  /// Children by (node, byte): an open table of 64-bit keys, plus 1 so that 0 is free.
  private var keys: [UInt64]
  private var children: [Int32]
  private var used = 0
  /// The value of each node, or -1.
  private var values: [Int32] = [-1]

  init() {
    keys = [UInt64](repeating: 0, count: 1024)
    children = [Int32](repeating: 0, count: 1024)
  }

  private static func start(_ key: UInt64, _ mask: Int) -> Int {
    Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
  }

  private func child(_ node: Int32, _ byte: UInt8) -> Int32 {
    let key = UInt64(node) << 8 | UInt64(byte) + 1
    let mask = keys.count - 1
    var slot = Self.start(key, mask)
    while keys[slot] != 0 {
      if keys[slot] == key { return children[slot] }
      slot = (slot + 1) & mask
    }
    return -1
  }

  mutating func insert(_ bytes: some Sequence<UInt8>, _ value: Int32) {
    var node: Int32 = 0
    for byte in bytes {
      var next = child(node, byte)
      if next < 0 {
        next = Int32(values.count)
        values.append(-1)
        add(UInt64(node) << 8 | UInt64(byte) + 1, next)
      }
      node = next
    }
    values[Int(node)] = value
  }

  private mutating func add(_ key: UInt64, _ child: Int32) {
    used += 1
    if used * 2 > keys.count {
      let old = zip(keys, children).filter { $0.0 != 0 }
      keys = [UInt64](repeating: 0, count: keys.count * 2)
      children = [Int32](repeating: 0, count: keys.count)
      for (key, child) in old { place(key, child) }
    }
    place(key, child)
  }

  private mutating func place(_ key: UInt64, _ child: Int32) {
    let mask = keys.count - 1
    var slot = Self.start(key, mask)
    while keys[slot] != 0 { slot = (slot + 1) & mask }
    keys[slot] = key
    children[slot] = child
  }

  /// Hands over the end and the value of each key that starts at a place of a text.
  func forEachPrefix(
    of text: [UInt8],
    at start: Int,
    upTo limit: Int = .max,
    _ body: (_ end: Int, _ value: Int32) -> Void
  ) {
    var node: Int32 = 0
    var index = start
    let end = min(limit, text.count)
    while index < end {
      node = child(node, text[index])
      if node < 0 { return }
      index += 1
      if values[Int(node)] >= 0 { body(index, values[Int(node)]) }
    }
  }
}
