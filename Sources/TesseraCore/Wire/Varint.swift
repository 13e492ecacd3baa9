/// Numbers of seven bits a byte, the lowest first: what protocol buffers, Thrift and others write.
package enum Varint {
  /// The most bytes that a number of 64 bits takes.
  package static let longest = 10

  /// Numbers one after the other, negative ones as their 64 bits.
  package static func bytes(of numbers: [Int64]) -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: numbers.count * longest) { bytes, count in
      for number in numbers {
        var rest = UInt64(bitPattern: number)
        while rest >= 0x80 {
          unsafe bytes[count] = UInt8(truncatingIfNeeded: rest) | 0x80
          count += 1
          rest >>= 7
        }
        unsafe bytes[count] = UInt8(rest)
        count += 1
      }
    }
  }
}

extension Varint {
  /// Reads a number, a byte at a time.
  ///
  /// - Parameter next: The next byte; nil at the end.
  /// - Returns: The number; nil where the bytes end within it or it has more than 64 bits.
  @inline(__always)
  static func read(_ next: () throws -> UInt8?) rethrows -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard let byte = try next(), shift < 63 || byte <= 1 else { return nil }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    return nil
  }
}

extension ArraySlice<UInt8> {
  /// Takes a varint from the front; nil where there is none.
  package mutating func popVarint() -> UInt64? { Varint.read { popFirst() } }
}

extension Int {
  /// The bytes of the number as a varint.
  package var varintSize: Int { Swift.max(1, (Int.bitWidth - leadingZeroBitCount + 6) / 7) }
}

extension [UInt8] {
  /// Appends a number as a varint.
  package mutating func appendVarint(_ number: UInt64) {
    var rest = number
    while rest >= 0x80 {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(UInt8(rest))
  }
}
