import TesseraCore

/// Turns blocks of quantized numbers into float32, each product and sum rounded as ggml rounds it.
struct GGUFBlocks {
  let type: GGUFType
  /// Whole blocks.
  let bytes: [UInt8]

  /// The elements of all blocks.
  func floats() -> [Float] {
    let (elements, size) = type.block
    let count = bytes.count / size
    var floats: [Float] = []
    floats.reserveCapacity(count * elements)
    for block in 0..<count { append(block: block * size, to: &floats) }
    return floats
  }

  private func append(block start: Int, to floats: inout [Float]) {
    switch type {
    case .q4_0: appendNibbles(start, scale: half(start), low: -8, at: 2, to: &floats)
    case .q4_1:
      appendNibbles(start, scale: half(start), minimum: half(start + 2), at: 4, to: &floats)
    case .q5_0: appendFiveBits(start, scale: half(start), low: -16, high: 2, to: &floats)
    case .q5_1:
      appendFiveBits(start, scale: half(start), minimum: half(start + 2), high: 4, to: &floats)
    case .q8_0:
      let scale = half(start)
      for index in 0..<32 { floats.append(signed(start + 2 + index) * scale) }
    case .q2_K: appendTwoBits(start, to: &floats)
    case .q3_K: appendThreeBits(start, to: &floats)
    case .q4_K: appendFourBits(start, high: nil, low: start + 16, to: &floats)
    case .q5_K: appendFourBits(start, high: start + 16, low: start + 48, to: &floats)
    case .q6_K: appendSixBits(start, to: &floats)
    case .q8_K:
      let scale = Float(bitPattern: word(start))
      for index in 0..<256 { floats.append(scale * signed(start + 4 + index)) }
    default: break
    }
  }

  // MARK: Numbers in the bytes

  private func half(_ place: Int) -> Float {
    Float(half: UInt16(bytes[place]) | UInt16(bytes[place + 1]) << 8)
  }

  private func word(_ place: Int) -> UInt32 {
    (0..<4).reduce(0) { $0 | UInt32(bytes[place + $1]) << UInt32(8 * $1) }
  }

  private func signed(_ place: Int) -> Float { Float(Int8(bitPattern: bytes[place])) }

  // MARK: Blocks of 32

  /// 16 low halves of bytes, then 16 high ones.
  private func appendNibbles(
    _ start: Int,
    scale: Float,
    minimum: Float? = nil,
    low: Int = 0,
    at data: Int,
    to floats: inout [Float]
  ) {
    for shift in [UInt8(0), 4] {
      for index in 0..<16 {
        let code = Int(bytes[start + data + index] >> shift & 15)
        let product = scale * Float(code + low)
        floats.append(minimum.map { product + $0 } ?? product)
      }
    }
  }

  /// As four bits, with the fifth of each element in a word of its own.
  private func appendFiveBits(
    _ start: Int,
    scale: Float,
    minimum: Float? = nil,
    low: Int = 0,
    high: Int,
    to floats: inout [Float]
  ) {
    let fifth = word(start + high)
    for part in 0..<2 {
      for index in 0..<16 {
        let nibble = bytes[start + high + 4 + index] >> UInt8(4 * part) & 15
        let bit = fifth >> UInt32(16 * part + index) & 1
        let product = scale * Float(Int(nibble) + Int(bit) * 16 + low)
        floats.append(minimum.map { product + $0 } ?? product)
      }
    }
  }

  // MARK: Blocks of 256

  /// Q2_K: 16 pairs of four-bit scale and minimum, 64 bytes of codes, two halves.
  private func appendTwoBits(_ start: Int, to floats: inout [Float]) {
    let (scale, minimum) = (half(start + 80), half(start + 82))
    for group in 0..<16 {
      let pair = bytes[start + group]
      let (factor, offset) = (scale * Float(pair & 15), minimum * Float(pair >> 4))
      // Groups of 16: 32 bytes hold 128 elements, two bits each.
      let base = start + 16 + group / 8 * 32 + group % 2 * 16
      let shift = UInt8(group % 8 / 2 * 2)
      for index in 0..<16 {
        floats.append(factor * Float(bytes[base + index] >> shift & 3) - offset)
      }
    }
  }

  /// Q3_K: 32 bytes of high bits, 64 of low ones, 12 of six-bit scales, a half.
  private func appendThreeBits(_ start: Int, to floats: inout [Float]) {
    let scale = half(start + 108)
    for group in 0..<16 {
      let low = bytes[start + 96 + group % 8] >> UInt8(group / 8 * 4) & 15
      let high = bytes[start + 104 + group % 4] >> UInt8(group / 4 * 2) & 3
      let factor = scale * Float(Int(low | high << 4) - 32)
      let base = start + 32 + group / 8 * 32 + group % 2 * 16
      let shift = UInt8(group % 8 / 2 * 2)
      for index in 0..<16 {
        let code = Int(bytes[base + index] >> shift & 3)
        let mask = bytes[start + group % 2 * 16 + index] >> UInt8(group / 2) & 1
        // A clear bit subtracts four.
        floats.append(factor * Float(mask == 0 ? code - 4 : code))
      }
    }
  }

  /// The six-bit scale and minimum of a group in the 12 bytes of Q4_K and Q5_K.
  private func scaleAndMinimum(_ start: Int, _ group: Int) -> (UInt8, UInt8) {
    guard group >= 4 else { return (bytes[start + group] & 63, bytes[start + group + 4] & 63) }
    let both = bytes[start + group + 4]
    return (
      both & 15 | (bytes[start + group - 4] >> 6) << 4, both >> 4 | (bytes[start + group] >> 6) << 4
    )
  }

  /// Q4_K and Q5_K: two halves, 12 bytes of scales, the fifth bits where there are any, the nibbles.
  private func appendFourBits(_ start: Int, high: Int?, low: Int, to floats: inout [Float]) {
    let (scale, minimum) = (half(start), half(start + 2))
    for group in 0..<8 {
      let (factor, offset) = scaleAndMinimum(start + 4, group)
      let (product, shift) = (scale * Float(factor), minimum * Float(offset))
      for index in 0..<32 {
        var code = bytes[low + group / 2 * 32 + index] >> UInt8(group % 2 * 4) & 15
        if let high { code |= (bytes[high + index] >> UInt8(group) & 1) << 4 }
        floats.append(product * Float(code) - shift)
      }
    }
  }

  /// Q6_K: 128 bytes of low halves, 64 of two high bits, 16 signed scales, a half.
  private func appendSixBits(_ start: Int, to floats: inout [Float]) {
    let scale = half(start + 208)
    for group in 0..<16 {
      let factor = scale * signed(start + 192 + group)
      for index in 0..<16 {
        let element = group * 16 + index
        let (part, within) = (element / 128, element % 128)
        let low = bytes[start + part * 64 + within % 64] >> UInt8(within / 64 * 4) & 15
        let high = bytes[start + 128 + part * 32 + within % 32] >> UInt8(within / 32 * 2) & 3
        floats.append(factor * Float(Int(low | high << 4) - 32))
      }
    }
  }
}

/// The values of blocks, for those who write them.
package enum GGUFValues {
  /// The float32 values of whole blocks of Q8_0, as a reader of the file gives them.
  package static func floats(ofQ8 blocks: [UInt8]) -> [Float] {
    GGUFBlocks(type: .q8_0, bytes: blocks).floats()
  }
}
