import TesseraCore

/// A struct of Thrift's compact protocol, read as data: fields by their numbers.
indirect enum ThriftValue {
  case integer(Int64)
  case binary(ArraySlice<UInt8>)
  case list([ThriftValue])
  case structure([Int: ThriftValue])

  var integer: Int? { if case .integer(let value) = self { Int(value) } else { nil } }
  var list: [ThriftValue]? { if case .list(let values) = self { values } else { nil } }
  subscript(number: Int) -> ThriftValue? {
    if case .structure(let fields) = self { fields[number] } else { nil }
  }
}

/// Reads Thrift's compact protocol.
struct ThriftCompactReader {
  private let place: String
  private(set) var rest: ArraySlice<UInt8>

  private static let deepest = 16

  init(_ bytes: ArraySlice<UInt8>, place: String) {
    rest = bytes
    self.place = place
  }

  private func damage() -> TesseraError {
    TesseraError.malformed("damaged Thrift metadata", file: place)
  }

  private mutating func byte() throws -> UInt8 {
    guard let byte = rest.popFirst() else { throw damage() }
    return byte
  }

  private mutating func varint() throws -> UInt64 {
    guard let value = rest.popVarint() else { throw damage() }
    return value
  }

  private mutating func zigzag() throws -> Int64 {
    let value = try varint()
    return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
  }

  mutating func structure(depth: Int = 0) throws -> ThriftValue {
    guard depth < Self.deepest else { throw damage() }
    var fields: [Int: ThriftValue] = [:]
    var number = 0
    while true {
      let head = try byte()
      if head == 0 { return .structure(fields) }
      number = head >> 4 == 0 ? Int(truncatingIfNeeded: try zigzag()) : number &+ Int(head >> 4)
      fields[number] = try value(of: head & 15, depth: depth)
    }
  }

  private mutating func value(of type: UInt8, depth: Int) throws -> ThriftValue {
    guard depth < Self.deepest else { throw damage() }
    switch type {
    case 1, 2: return .integer(type == 1 ? 1 : 0)
    case 3: return .integer(Int64(try byte()))
    case 4, 5, 6: return .integer(try zigzag())
    case 7:
      guard rest.count >= 8 else { throw damage() }
      rest = rest.dropFirst(8)
      return .integer(0)
    case 8:
      guard let count = Int(exactly: try varint()), count <= rest.count else { throw damage() }
      defer { rest = rest.dropFirst(count) }
      return .binary(rest.prefix(count))
    case 9, 10:
      let head = try byte()
      let count = head >> 4 == 15 ? try varint() : UInt64(head >> 4)
      // Every element takes a byte at least, truth values too, which in a field stand in its head.
      guard count <= UInt64(rest.count) else { throw damage() }
      let kind = head & 15
      return .list(
        try (0..<count).map { _ in
          kind == 1 || kind == 2
            ? .integer(try byte() == 1 ? 1 : 0) : try value(of: kind, depth: depth + 1)
        }
      )
    case 12: return try structure(depth: depth + 1)
    default: throw damage()
    }
  }
}
