/// Parquet's small numbers: runs of equal ones and packs of eight, each in so many bits.
package struct PackedIntegers {
  private var rest: ArraySlice<UInt8>
  private let width: Int
  private let damage: TesseraError
  /// The number of the current run, or nil in a pack.
  private var run: UInt32?
  private var left = 0
  /// The bits of the current pack that were read.
  private var bit = 0

  /// Reads numbers of `width` bits, 0 to 32.
  package init(_ bytes: ArraySlice<UInt8>, width: Int, place: String) {
    rest = bytes
    self.width = width
    damage = TesseraError.malformed("fewer numbers than rows in a page", file: place)
  }

  /// The next number.
  package mutating func next() throws -> UInt32 {
    while left == 0 { try load() }
    left -= 1
    if let run { return run }
    let value = try rest.bits(at: bit, width: width, orElse: damage)
    bit += width
    if left == 0 { rest = rest.dropFirst((bit + 7) / 8) }
    return UInt32(truncatingIfNeeded: value)
  }

  private mutating func load() throws {
    guard !rest.isEmpty else { throw damage }
    let head = try rest.popVarint(orElse: damage)
    guard head >> 1 <= 1 << 31 else { throw damage }
    left = Int(head >> 1)
    if head & 1 == 1 {
      left *= 8
      run = nil
      bit = 0
      return
    }
    let bytes = (width + 7) / 8
    guard rest.count >= bytes else { throw damage }
    run = rest.prefix(bytes).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    rest = rest.dropFirst(bytes)
  }
}

/// Parquet's numbers as differences: blocks, each with its least difference, cut into packs.
package enum PackedDifferences {
  /// Takes numbers from the front of bytes.
  ///
  /// - Returns: As many as their head says, of which there are at most `most`.
  package static func take(
    _ rest: inout ArraySlice<UInt8>,
    most: Int,
    place: String
  ) throws -> [Int] {
    let damage = TesseraError.malformed("its lengths are damaged", file: place)
    let block = try rest.popVarint(orElse: damage)
    let packs = try rest.popVarint(orElse: damage)
    let count = try rest.popVarint(orElse: damage)
    let first = try rest.popVarint(orElse: damage)
    guard (1...1 << 20).contains(block), (1...block).contains(packs), block % packs == 0,
      block / packs % 8 == 0, count <= UInt64(most)
    else { throw damage }
    var values: [Int] = count > 0 ? [zigzag(first)] : []
    while values.count < Int(count) {
      let least = zigzag(try rest.popVarint(orElse: damage))
      let widths = Array(rest.prefix(Int(packs)))
      guard widths.count == Int(packs), widths.allSatisfy({ $0 <= 64 }) else { throw damage }
      rest = rest.dropFirst(Int(packs))
      for width in widths where values.count < Int(count) {
        let size = Int(block / packs)
        for index in 0..<min(size, Int(count) - values.count) {
          let bits = try rest.bits(at: index * Int(width), width: Int(width), orElse: damage)
          values.append((values.last ?? 0) &+ least &+ Int(truncatingIfNeeded: bits))
        }
        rest = rest.dropFirst(size * Int(width) / 8)
      }
    }
    return values
  }

  private static func zigzag(_ value: UInt64) -> Int {
    Int(truncatingIfNeeded: value >> 1) ^ -Int(truncatingIfNeeded: value & 1)
  }
}

extension ArraySlice<UInt8> {
  /// Takes a number of seven bits a byte from the front.
  mutating func popVarint(orElse damage: TesseraError) throws -> UInt64 {
    guard let value = popVarint() else { throw damage }
    return value
  }

  /// Takes a little-endian number of four bytes from the front.
  package mutating func popLength(orElse damage: TesseraError) throws -> Int {
    guard count >= 4 else { throw damage }
    let value = prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
    removeFirst(4)
    return value
  }

  /// A number of 0 to 64 bits, the lowest first.
  fileprivate func bits(
    at start: Int,
    width: Int,
    orElse damage: TesseraError
  ) throws -> UInt64 {
    guard width > 0 else { return 0 }
    guard (start + width + 7) / 8 <= count else { throw damage }
    var value: UInt64 = 0
    for bit in start..<start + width where self[startIndex + bit / 8] >> (bit % 8) & 1 == 1 {
      value |= 1 << UInt64(bit - start)
    }
    return value
  }
}
