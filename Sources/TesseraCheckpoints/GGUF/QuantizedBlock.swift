/// A block of GGUF's Q8_0: a half as scale, then 32 integers of 8 bits.
package enum QuantizedBlock {
  /// The elements of a block.
  package static let count = 32
  /// The bytes of a block.
  package static let size = 34

  /// Adds the blocks of float32 elements; false where one is not finite or the scale overflows.
  ///
  /// As ggml's reference does it: the scale is the greatest magnitude over 127, and elements are
  /// rounded half away from zero.
  package static func append(_ elements: UnsafeRawBufferPointer, to blocks: inout [UInt8]) -> Bool {
    let floats = unsafe elements.bindMemory(to: Float.self)
    blocks.reserveCapacity(blocks.count + elements.count / (count * 4) * size)
    for start in stride(from: 0, to: floats.count, by: count) {
      var greatest: Float = 0
      for index in start..<start + count {
        let magnitude = abs(unsafe floats[index])
        guard magnitude.isFinite else { return false }
        greatest = max(greatest, magnitude)
      }
      let scale = greatest / 127
      let half = scale.halfBits
      guard half & 0x7C00 != 0x7C00 else { return false }
      let inverse: Float = scale == 0 ? 0 : 1 / scale
      blocks.append(UInt8(truncatingIfNeeded: half))
      blocks.append(UInt8(truncatingIfNeeded: half >> 8))
      for index in start..<start + count {
        let rounded = (unsafe floats[index] * inverse).rounded(.toNearestOrAwayFromZero)
        // The inverse of a scale near zero is infinite: such elements have no digits left.
        let clamped = rounded.isFinite ? max(-128, min(127, rounded)) : 0
        blocks.append(UInt8(bitPattern: Int8(clamped)))
      }
    }
    return true
  }
}

extension Float {
  /// The nearest IEEE half, ties to even, as its bits; infinity beyond the range.
  fileprivate var halfBits: UInt16 {
    let sign = UInt16(bitPattern >> 16) & 0x8000
    let magnitude = bitPattern & 0x7FFF_FFFF
    // 65520 is the midpoint between the largest half and what would come next.
    if magnitude >= 0x477F_F000 { return sign | 0x7C00 }
    if magnitude < 0x3880_0000 {
      // Below the normal halves: counted in units of 2^-24.
      return sign | UInt16((Float(bitPattern: magnitude) * 0x1p24).rounded(.toNearestOrEven))
    }
    let rounded = magnitude + 0xFFF + (magnitude >> 13 & 1)
    return sign | UInt16(truncatingIfNeeded: (rounded - (112 << 23)) >> 13)
  }
}
