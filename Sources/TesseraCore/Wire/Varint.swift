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
