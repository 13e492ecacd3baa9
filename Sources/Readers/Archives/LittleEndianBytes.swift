/// Little-endian integers at offsets of a byte array, nil beyond its end.
struct LittleEndianBytes {
  let bytes: [UInt8]

  /// An unsigned integer of `T`'s width at an offset, as `Int`, or nil where it does not fit.
  func integer<T: FixedWidthInteger & UnsignedInteger>(_ type: T.Type, at offset: Int) -> Int? {
    let width = T.bitWidth / 8
    guard offset >= 0, offset <= bytes.count - width else { return nil }
    var value: T = 0
    for index in (0..<width).reversed() { value = (value &<< 8) | T(bytes[offset + index]) }
    return Int(exactly: value)
  }
}
