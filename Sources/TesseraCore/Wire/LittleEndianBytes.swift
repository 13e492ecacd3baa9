/// Little-endian integers at offsets of a byte array, nil beyond its end.
package struct LittleEndianBytes {
  package let bytes: [UInt8]

  package init(bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// An unsigned integer of `T`'s width at an offset, as `Int`, or nil where it does not fit.
  package func integer<T: FixedWidthInteger & UnsignedInteger>(_ type: T.Type, at offset: Int)
    -> Int?
  {
    let width = T.bitWidth / 8
    guard offset >= 0, offset <= bytes.count - width else { return nil }
    var value: T = 0
    for index in (0..<width).reversed() { value = (value &<< 8) | T(bytes[offset + index]) }
    return Int(exactly: value)
  }
}
